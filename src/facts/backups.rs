//! Backups: which ones lie on hosts, how they are described, and whether a file is what it should be. Changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Deserialize;

use crate::etcd::Member;
use crate::inventory::{Cluster, Host};
use crate::transport::{Command, Transport, Unreachable};

use super::observe::{endpoint_args, secrets};
use super::parse::{Frames, ParseError};

/// The title of [`LOOK`].
pub const LOOK_TITLE: &str = "look for backups";
/// The title of [`VERIFY`].
pub const VERIFY_TITLE: &str = "verify a backup";

const LOOK: &str = concat!(
    include_str!("lib.sh"),
    include_str!("observe.sh"),
    include_str!("backups.sh"),
    "backups \"$@\"\n"
);

const VERIFY: &str = concat!(
    include_str!("lib.sh"),
    include_str!("backups.sh"),
    "verify \"$@\"\n"
);

/// What is written beside a backup. Unknown keys are those of a later release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Description {
    /// The cluster's name in the inventory of then.
    #[serde(default)]
    pub cluster: Option<String>,
    /// The cluster's id.
    #[serde(default)]
    pub cluster_id: Option<String>,
    /// The run that took it.
    #[serde(default)]
    pub run: Option<String>,
    /// The host that it was taken on.
    #[serde(default)]
    pub taken_on: Option<String>,
    /// The file's size.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// The file's SHA-256 in hex.
    #[serde(default)]
    pub sha256: Option<String>,
    /// The revision of a snapshot.
    #[serde(default)]
    pub revision: Option<u64>,
    /// The releases of the members, by host.
    #[serde(default)]
    pub versions: BTreeMap<String, String>,
    /// The members; of a copy of the v2 store none.
    #[serde(default)]
    pub members: Vec<Member>,
    /// The index of a v2 store before it was copied.
    #[serde(default)]
    pub store_index: u64,
    /// The last raft index in a copy of a v2 store.
    #[serde(default)]
    pub raft_index: u64,
}

/// A backup's file on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its description, if one lies beside it and can be read.
    pub description: Option<Description>,
}

/// What one host has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// The folder that was looked into.
    pub dir: String,
    /// Files.
    pub files: Vec<Found>,
    /// The revision that its member tells.
    pub revision: Option<u64>,
    /// Data folders that earlier restores have left.
    pub left: Vec<String>,
}

/// What a file turned out to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256 in hex.
    pub sha256: String,
    /// The SHA-256 of its database, for a snapshot.
    pub database: Option<String>,
    /// What its last 32 bytes say that this should be.
    pub trailer: Option<String>,
}

/// Why nothing is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackupsError {
    /// The host could not be asked.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// Its answer cannot be understood.
    #[error("host `{host}`: the answer cannot be read")]
    Garbled {
        /// The host.
        host: String,
        /// What is wrong with it.
        #[source]
        error: ParseError,
    },
    /// The file is not there.
    #[error("`{path}` is not on `{host}`")]
    Absent {
        /// The file.
        path: String,
        /// The host.
        host: String,
    },
}

impl Verified {
    /// What is wrong with it, given what it should be; `None` if nothing is.
    pub fn damage(&self, bytes: Option<u64>, sha256: Option<&str>) -> Option<String> {
        if let Some(bytes) = bytes.filter(|bytes| *bytes != self.bytes) {
            return Some(format!(
                "it has {} bytes, {bytes} are described",
                self.bytes
            ));
        }
        if let Some(sha256) = sha256.filter(|sha256| *sha256 != self.sha256) {
            return Some(format!(
                "it has SHA-256 {}, {sha256} is described",
                self.sha256
            ));
        }
        match (&self.database, &self.trailer) {
            (Some(database), Some(trailer)) if database != trailer => Some(format!(
                "its database has SHA-256 {database}, its trailer says {trailer}"
            )),
            (Some(_), _) if self.bytes <= 32 || self.bytes % 512 != 32 => Some(format!(
                "it has {} bytes, which is no database with a digest behind it",
                self.bytes
            )),
            _ => None,
        }
    }
}

/// The folder of a cluster's backups on a host.
pub fn folder(host: &Host, cluster: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let safe: String = cluster
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect();
    format!("{}/{safe}", host.backup_dir)
}

/// Looks for backups on all hosts at once.
///
/// # Errors
/// The first host that does not answer.
pub async fn look(
    transport: &dyn Transport,
    cluster: &Cluster,
    deadline: Duration,
) -> Result<BTreeMap<String, Holding>, BackupsError> {
    let asked = cluster.hosts.iter().map(|host| async move {
        let dir = folder(host, &cluster.name);
        let mut command = Command::read(LOOK_TITLE, LOOK, deadline)
            .args(endpoint_args(host))
            .args([dir.clone(), host.data_dir.clone()]);
        command.secrets = secrets(host);
        let output = transport.run(&host.name, command).await?;
        let read = Frames::parse(&output.stdout).and_then(|frames| holding(&frames, dir));
        let held = read.map_err(|error| BackupsError::Garbled {
            host: host.name.clone(),
            error,
        })?;
        Ok((host.name.clone(), held))
    });
    join_all(asked).await.into_iter().collect()
}

fn holding(frames: &Frames, dir: String) -> Result<Holding, ParseError> {
    let status: serde_json::Value =
        serde_json::from_str(&frames.text("status")).unwrap_or_default();
    let revision = status[0]["Status"]["header"]["revision"].as_u64();
    let mut files = Vec::new();
    for frame in frames.iter() {
        let Some(name) = frame.name.strip_prefix("file/") else {
            continue;
        };
        let bytes = frame.text().trim().parse();
        let description = frames.text(&format!("json/{name}"));
        files.push(Found {
            name: name.to_owned(),
            bytes: bytes.map_err(|_| frame.unexpected("a size in bytes"))?,
            description: serde_json::from_str(&description).ok(),
        });
    }
    let left = frames.need("left")?.text();
    Ok(Holding {
        dir,
        files,
        revision,
        left: left.lines().map(str::to_owned).collect(),
    })
}

/// Reads a backup through on the host that has it.
///
/// # Errors
/// The host does not answer, or the file is not there.
pub async fn verify(
    transport: &dyn Transport,
    host: &str,
    path: &str,
    deadline: Duration,
) -> Result<Verified, BackupsError> {
    let command = Command::read(VERIFY_TITLE, VERIFY, deadline).arg(path);
    let output = transport.run(host, command).await?;
    let garbled = |error| BackupsError::Garbled {
        host: host.to_owned(),
        error,
    };
    let frames = Frames::parse(&output.stdout).map_err(garbled)?;
    let bytes = frames.need("bytes").map_err(garbled)?;
    if bytes.status != 0 {
        let (path, host) = (path.to_owned(), host.to_owned());
        return Err(BackupsError::Absent { path, host });
    }
    let text = |name: &str| frames.get(name).map(|frame| frame.text().trim().to_owned());
    Ok(Verified {
        bytes: bytes.text().trim().parse().unwrap_or(0),
        sha256: frames
            .need("sha256")
            .map_err(garbled)?
            .text()
            .trim()
            .to_owned(),
        database: text("database"),
        trailer: text("trailer"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::parse::frame;

    #[test]
    fn a_host_tells_its_backups_their_descriptions_and_the_revision() {
        let json = r#"{"format":1,"cluster":"prod","cluster_id":"cdf8181e2ba14e5a","run":"r","sha256":"ab","revision":7,
            "versions":{"a":"3.4.23"},"members":[],"later":true}"#;
        let status = r#"[{"Endpoint":"x","Status":{"header":{"cluster_id":1,"revision":21}}}]"#;
        let text = [
            frame("status", 0, status),
            frame("file/prod-r-3.4.23.db", 0, "20512"),
            frame("json/prod-r-3.4.23.db", 0, json),
            frame("file/other.db", 0, "64"),
            frame("left", 0, "/var/lib/etcd/member.before-x"),
        ];
        let frames = Frames::parse(text.concat().as_bytes()).unwrap();
        let held = holding(&frames, "/b".to_owned()).unwrap();
        assert_eq!(
            (held.revision, held.files.len(), held.left.len()),
            (Some(21), 2, 1)
        );
        let description = held.files[0].description.as_ref().unwrap();
        assert_eq!(
            (description.revision, held.files[0].bytes),
            (Some(7), 20512)
        );
        assert_eq!(held.files[1].description, None);
    }

    #[test]
    fn a_file_is_damaged_by_its_description_or_by_its_own_trailer() {
        let good = Verified {
            bytes: 20_512,
            sha256: "aa".to_owned(),
            database: Some("bb".to_owned()),
            trailer: Some("bb".to_owned()),
        };
        assert_eq!(good.damage(Some(20_512), Some("aa")), None);
        assert_eq!(good.damage(None, None), None);
        assert!(
            good.damage(Some(1), None)
                .unwrap()
                .contains("1 are described")
        );
        assert!(
            good.damage(None, Some("cc"))
                .unwrap()
                .contains("cc is described")
        );
        let flipped = Verified {
            trailer: Some("cc".to_owned()),
            ..good.clone()
        };
        assert!(
            flipped
                .damage(None, None)
                .unwrap()
                .contains("trailer says cc")
        );
        let short = Verified {
            bytes: 20_000,
            ..good
        };
        assert!(short.damage(None, None).unwrap().contains("no database"));
    }
}
