//! The shapes of facts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::etcd::{Alarm, Member, MemberId, Version};

/// Facts of all hosts of a cluster, by the inventory's host name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterFacts {
    /// The cluster's name in the inventory.
    pub cluster: String,
    /// Facts by host name.
    pub hosts: BTreeMap<String, HostFacts>,
}

/// What one host and its member look like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// The host's own name (`uname -n`).
    pub hostname: String,
    /// The processor architecture.
    pub arch: Arch,
    /// The host's clock minus ours at the middle of the exchange, in milliseconds.
    pub clock_skew_ms: i64,
    /// Tools found, of those that we could use: `curl`, `systemd-analyze`, `gzip`, `timeout`, …
    pub tools: BTreeSet<String>,
    /// The unit.
    pub unit: UnitFacts,
    /// The data folder.
    pub data: DataFacts,
    /// Free space, by the path that we would write to (`data_dir`, `install_dir`, `backup_dir`, `bin_dir`).
    pub disks: BTreeMap<String, DiskFacts>,
    /// Installed binaries by name (`etcd`, `etcdctl`, `etcdutl`), as found in `bin_dir`.
    pub binaries: BTreeMap<String, BinaryFacts>,
    /// Releases staged under `install_dir`: version, then binary name to SHA-256 in hex.
    pub staged: BTreeMap<Version, BTreeMap<String, String>>,
    /// Files that the inventory's templates would write, by path; a missing file is absent.
    pub files: BTreeMap<String, FileFacts>,
    /// The member's own answer.
    pub answer: Answer,
}

/// A processor architecture in the words of etcd's release archives.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// x86_64.
    #[default]
    Amd64,
    /// aarch64.
    Arm64,
    /// ppc64le.
    Ppc64le,
    /// s390x.
    S390x,
}

/// A systemd unit as systemd sees it, drop-ins and environment files included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitFacts {
    /// `loaded`, `not-found`, `masked`, …
    pub load_state: String,
    /// `active`, `failed`, `inactive`, …
    pub active_state: String,
    /// `running`, `dead`, `auto-restart`, …
    pub sub_state: String,
    /// `notify`, `simple`, …
    pub kind: String,
    /// The file it was loaded from.
    pub fragment: String,
    /// Drop-ins, in order.
    pub drop_ins: Vec<String>,
    /// The effective command line, variables expanded as the process has it (`/proc/PID/cmdline`) when it
    /// runs, else as the unit says.
    pub argv: Vec<String>,
    /// The executable that the unit names (first word of ExecStart).
    pub exec: String,
    /// `ETCD_*` variables in effect: the process's when it runs, else the unit's. Others are left out.
    pub environment: BTreeMap<String, String>,
    /// The user it runs as; empty for root.
    pub user: String,
    /// The main process; 0 when there is none.
    pub main_pid: u32,
    /// Restarts that systemd has done by itself.
    pub restarts: u32,
    /// `TimeoutStartUSec` in seconds; `None` for infinity.
    pub timeout_start_s: Option<u64>,
    /// `TimeoutStopUSec` in seconds; `None` for infinity.
    pub timeout_stop_s: Option<u64>,
    /// Whether the unit starts at boot: `enabled`, `disabled`, …
    pub enabled: String,
    /// Whether systemd says that unit files changed on disk since it read them.
    pub needs_reload: bool,
}

/// The data folder of a member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFacts {
    /// Whether `member/wal` is there.
    pub exists: bool,
    /// `--data-dir` of the running process, resolved; empty if unknown.
    pub in_use: String,
    /// The folder's mode, such as 0o700.
    pub mode: u32,
    /// `USER:GROUP` of the folder.
    pub owner: String,
    /// Bytes in `member/snap/db`.
    pub db_bytes: u64,
    /// Bytes in `member/wal`.
    pub wal_bytes: u64,
    /// The newest `member/snap/*.snap`: its raft index and size in bytes.
    pub snap: Option<SnapFacts>,
}

/// The newest raft snapshot file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapFacts {
    /// The raft index in its name.
    pub index: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

/// A file system that we would write to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskFacts {
    /// The mount point, so that two paths on one file system are counted together.
    pub mount: String,
    /// Free bytes for root.
    pub free_bytes: u64,
}

/// An installed binary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BinaryFacts {
    /// Where the path leads after links.
    pub target: String,
    /// SHA-256 in hex.
    pub sha256: String,
    /// What it says to be; `None` if it does not run.
    pub version: Option<Version>,
}

/// A file on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// Its text; `None` if it is over 256 KiB or not UTF-8.
    pub text: Option<String>,
    /// Its mode, such as 0o644.
    pub mode: u32,
    /// `USER:GROUP`.
    pub owner: String,
}

/// What the member on a host said of itself and of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It answered.
    Member(Box<MemberView>),
    /// It did not.
    Silent {
        /// What was tried and what came of it.
        because: String,
    },
}

impl Default for Answer {
    fn default() -> Self {
        Self::Silent {
            because: "not asked".to_owned(),
        }
    }
}

/// One member's view, read through that very member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberView {
    /// Its own id.
    pub id: MemberId,
    /// The cluster's id.
    pub cluster_id: MemberId,
    /// The release of the process that answered.
    pub version: Version,
    /// The cluster version that it sees, such as `3.5.0`; `None` if it could not be read.
    pub cluster_version: Option<Version>,
    /// The leader that it sees.
    pub leader: Option<MemberId>,
    /// Whether it is a learner.
    pub learner: bool,
    /// Its raft term.
    pub raft_term: u64,
    /// Its raft index.
    pub raft_index: u64,
    /// Its applied raft index; equal to `raft_index` where the version does not say.
    pub raft_applied: u64,
    /// Database size in bytes.
    pub db_bytes: u64,
    /// Database bytes in use, where the version says.
    pub db_in_use_bytes: Option<u64>,
    /// `Ok` if a linearizable read through it succeeded, else why not.
    pub health: Result<(), String>,
    /// Alarms of the whole cluster.
    pub alarms: Vec<Alarm>,
    /// The member list.
    pub members: Vec<Member>,
}

/// What all members of a cluster answered at about one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Answers by host name.
    pub hosts: BTreeMap<String, Answer>,
}

impl Answer {
    /// The view, if the member answered.
    pub fn view(&self) -> Option<&MemberView> {
        match self {
            Self::Member(view) => Some(view),
            Self::Silent { .. } => None,
        }
    }
}

impl ClusterFacts {
    /// The answers alone.
    pub fn observation(&self) -> Observation {
        Observation {
            hosts: self
                .hosts
                .iter()
                .map(|(name, facts)| (name.clone(), facts.answer.clone()))
                .collect(),
        }
    }
}
