//! The actions that only a restore has.

use serde::{Deserialize, Serialize};

use crate::etcd::Version;

/// A member's data folder, as a restore works in it.
///
/// Everything happens inside the folder, since it may be a mount: new data are made in `runner-restore-<tag>/member`,
/// the old `member` becomes `member.before-<tag>`, and each step is one rename on one file system. etcd ignores
/// names that it does not know there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    /// Its path.
    pub dir: String,
    /// `USER:GROUP` of the data.
    pub owner: String,
    /// The mode of the data's folder, such as 0o700.
    pub mode: u32,
    /// What tells this restore's names from others: the run's id.
    pub tag: String,
    /// Whether there were data when the plan was made.
    pub had: bool,
}

/// What a restore does beside the actions that other plans have too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Rebuild {
    /// Sends a backup to this host and checks its SHA-256 there; one that is there already is not sent.
    Place {
        /// The folder on the host; made with mode 0700.
        dir: String,
        /// The file's name in it; mode 0600.
        file: String,
        /// SHA-256 in hex.
        sha256: String,
        /// Its size.
        bytes: u64,
        /// Whether it is a copy of a v2 store, whose log is sealed on the way: a start from it would drop the newest
        /// entries else, since that they are committed is on disk only with the next one. It is called
        /// [`sealed`] then.
        sealed: bool,
    },
    /// `snapshot restore` into a folder beside the data, which stay as they are.
    Prepare {
        /// The etcdctl or etcdutl of the backup's release.
        tool: String,
        /// The snapshot on this host.
        snapshot: String,
        /// The data folder.
        folder: Folder,
        /// The member's name.
        name: String,
        /// All members, as `--initial-cluster` has them.
        cluster: String,
        /// The new cluster's token.
        token: String,
        /// This member's peer URLs.
        urls: String,
        /// `--bump-revision` and its kin.
        flags: Vec<String>,
    },
    /// Makes data of a single member from a copy of the v2 store and, if there is one, a snapshot, beside the data,
    /// which stay as they are.
    Compose {
        /// The etcdctl or etcdutl of the backup's release.
        tool: String,
        /// The packed copy on this host.
        archive: String,
        /// The snapshot on this host.
        snapshot: Option<String>,
        /// The data folder.
        folder: Folder,
    },
    /// Deletes what `Prepare` or `Compose` has made and nobody has used.
    Discard {
        /// The data folder.
        folder: Folder,
    },
    /// Moves the old data aside, and puts the prepared ones in their place.
    Exchange {
        /// The data folder.
        folder: Folder,
        /// Whether data were prepared; else the member starts with none.
        fresh: bool,
    },
    /// Moves the new data aside, and puts the old ones back.
    PutBack {
        /// The data folder.
        folder: Folder,
    },
    /// Sets the peer URLs of the only member: made by `--force-new-cluster`, it advertises others.
    SetPeers {
        /// Its peer URLs.
        urls: String,
    },
    /// Adds a member that is not started yet, through the member on this host.
    AddMember {
        /// Its name.
        name: String,
        /// Its peer URLs.
        urls: String,
    },
    /// Waits until these members are well, while the others are not there yet.
    SettleAmong {
        /// The release that this member must report.
        version: Version,
        /// The hosts.
        hosts: Vec<String>,
    },
    /// Asks every member for a hash of its keys at one revision: they must be the same, and not older than the backup.
    Prove {
        /// The backup's revision; 0 if it has no snapshot.
        revision: u64,
    },
}

impl Folder {
    /// Where new data are made.
    pub fn prepared(&self) -> String {
        format!("{}/runner-restore-{}", self.dir, self.tag)
    }

    /// Where the old data are kept.
    pub fn aside(&self) -> String {
        format!("{}/member.before-{}", self.dir, self.tag)
    }
}

/// What a copy of a v2 store is called once its log is sealed.
pub fn sealed(file: &str) -> String {
    format!("{file}.sealed")
}

/// Says what an action does, without its host.
pub fn words(action: &Rebuild) -> String {
    match action {
        Rebuild::Place { dir, file, .. } => format!("bring backup {file} to {dir} and check it"),
        Rebuild::Prepare { folder, flags, .. } => {
            let extra = if flags.is_empty() {
                String::new()
            } else {
                format!(" ({})", flags.join(" "))
            };
            format!("restore the snapshot in {}{extra}", folder.prepared())
        }
        Rebuild::Compose {
            folder, snapshot, ..
        } => {
            let both = if snapshot.is_some() {
                "the v2 store's copy and the snapshot"
            } else {
                "the v2 store's copy"
            };
            format!("make data of {both} in {}", folder.prepared())
        }
        Rebuild::Discard { folder } => format!("delete {}", folder.prepared()),
        Rebuild::Exchange { folder, fresh } => exchange(folder, *fresh),
        Rebuild::PutBack { folder } => format!("put the data of before back in {}", folder.dir),
        Rebuild::SetPeers { urls } => format!("set the member's peer URLs to {urls}"),
        Rebuild::AddMember { name, urls } => format!("add member {name} ({urls})"),
        Rebuild::SettleAmong { version, hosts } => {
            format!(
                "settle: it runs {version}, {} are healthy",
                hosts.join(", ")
            )
        }
        Rebuild::Prove { revision, .. } => {
            format!("prove that all have the same keys, at revision {revision} or later")
        }
    }
}

fn exchange(folder: &Folder, fresh: bool) -> String {
    let dir = &folder.dir;
    match (folder.had, fresh) {
        (true, true) => format!(
            "keep {dir}/member as {}, put the new data there",
            folder.aside()
        ),
        (true, false) => format!("keep {dir}/member as {}", folder.aside()),
        (false, true) => format!("put the new data in {dir}/member"),
        (false, false) => format!("leave {dir} without data"),
    }
}
