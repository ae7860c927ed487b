//! Gathers all facts of all hosts: one read-only script a host, several hosts at once.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use tokio::sync::Semaphore;

use crate::etcd::Version;
use crate::inventory::{Cluster, Host};
use crate::transport::{Command, Output, Transport, Unreachable};

use super::HostFacts;
use super::host::host_facts;
use super::observe::{endpoint_args, secrets};
use super::parse::{Frames, ParseError};

/// The title of the gathering command.
pub const TITLE: &str = "gather facts";

/// The gathering script. Its parameters: those of the observing one up to `key`, then
/// `data_dir backup_dir unit versions`, then the files that templates would write.
pub const SCRIPT: &str = concat!(
    include_str!("lib.sh"),
    include_str!("page.sh"),
    include_str!("observe.sh"),
    include_str!("gather.sh"),
    "gather \"$@\"\n"
);

/// Why there are no facts of a host. Nothing was changed on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatherError {
    /// It could not be asked.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// systemd does not answer there.
    #[error("host `{host}`: systemctl fails: {said}")]
    NoSystemd {
        /// The host.
        host: String,
        /// systemctl's words.
        said: String,
    },
    /// Its answer is incomplete or cannot be understood.
    #[error(
        "host `{host}`: the facts are incomplete, the script ended with status {status}: {said:?}"
    )]
    Garbled {
        /// The host.
        host: String,
        /// The script's exit status.
        status: i32,
        /// The script's stderr.
        said: String,
        /// What is wrong with it.
        #[source]
        error: ParseError,
    },
}

impl GatherError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Unreachable(unreachable) => unreachable.hint.clone(),
            Self::NoSystemd { .. } => {
                "hosts need systemd as their init system and root or `become` to read it".to_owned()
            }
            Self::Garbled { error, .. } => hint(error).to_owned(),
        }
    }
}

fn hint(error: &ParseError) -> &'static str {
    match error {
        ParseError::Missing(_) | ParseError::CutOff { .. } => {
            "the script was cut short; try a longer `--timeout`"
        }
        ParseError::NotAFrame { .. } => {
            "something prints into ssh's output, such as a shell profile; keep it silent where no person looks"
        }
        ParseError::Unexpected { frame, .. } => match frame.as_str() {
            "user" => "log in as root, or set `become`",
            "arch" => "etcd is released for x86_64, aarch64, ppc64le and s390x",
            "sha256" => "hosts need `sha256sum` or `openssl`",
            _ => "hosts need the usual tools: coreutils, sed, grep",
        },
    }
}

/// Gathers the facts of all hosts of a cluster, at most `forks` at once, and tells `on_host` as each is done.
///
/// Of the releases under `install_dir` those of `versions` are hashed, and the one that `bin_dir` has now: hashing
/// is what takes the time.
pub async fn gather(
    transport: &dyn Transport,
    cluster: &Cluster,
    versions: &[Version],
    forks: usize,
    deadline: Duration,
    on_host: &(dyn Fn(&str, Result<(), String>) + Sync),
) -> BTreeMap<String, Result<HostFacts, GatherError>> {
    let slots = &Semaphore::new(forks.max(1));
    let asked = cluster.hosts.iter().map(|host| async move {
        let slot = slots.acquire().await;
        let found = gather_host(transport, host, versions, deadline).await;
        drop(slot);
        on_host(
            &host.name,
            found.as_ref().map(|_| ()).map_err(GatherError::to_string),
        );
        (host.name.clone(), found)
    });
    join_all(asked).await.into_iter().collect()
}

/// Gathers the facts of one host.
///
/// # Errors
/// [`GatherError`]; a member that does not answer is no error but [`super::Answer::Silent`].
pub async fn gather_host(
    transport: &dyn Transport,
    host: &Host,
    versions: &[Version],
    deadline: Duration,
) -> Result<HostFacts, GatherError> {
    let output = transport
        .run(&host.name, command(host, versions, deadline))
        .await?;
    read(&output, host, now_ms())
}

/// The command that gathers the facts of one host.
pub fn command(host: &Host, versions: &[Version], deadline: Duration) -> Command {
    let versions: Vec<String> = versions.iter().map(Version::to_string).collect();
    let mut command = Command::read(TITLE, SCRIPT, deadline)
        .args(endpoint_args(host))
        .args([&host.data_dir, &host.backup_dir, &host.unit])
        .arg(versions.join(" "))
        .args(written_files(host));
    command.secrets = secrets(host);
    command
}

/// The files that the inventory's templates would write on this host, and the drop-in of a forced raft snapshot.
pub fn written_files(host: &Host) -> Vec<String> {
    let unit = host.templates.unit.iter().map(|_| host.unit_path());
    let drop_in = std::iter::once(host.snapshot_drop_in());
    let files = host.templates.files.iter().map(|file| file.dest.clone());
    unit.chain(files).chain(drop_in).collect()
}

fn read(output: &Output, host: &Host, arrived_ms: i64) -> Result<HostFacts, GatherError> {
    let garbled = |error| GatherError::Garbled {
        host: host.name.clone(),
        status: output.status,
        said: output.complaint().chars().take(400).collect(),
        error,
    };
    let frames = Frames::parse(&output.stdout).map_err(garbled)?;
    if let Some(unit) = frames.get("unit").filter(|unit| unit.status != 0) {
        let said = format!("{} {}", frames.text("unit.err"), unit.text());
        return Err(GatherError::NoSystemd {
            host: host.name.clone(),
            said: said.split_whitespace().collect::<Vec<_>>().join(" "),
        });
    }
    host_facts(&frames, host, arrived_ms).map_err(garbled)
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
