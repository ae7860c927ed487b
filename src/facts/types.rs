//! The shapes of facts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::etcd::quorum::Voter;
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
    /// The host's clock minus ours, in milliseconds: read last on the host and compared when the answer arrives, so
    /// a slow connection makes a host look late by the time that the answer travels.
    pub clock_skew_ms: i64,
    /// Tools found, of those that we could use: `curl`, `systemd-analyze`, `gzip`, `timeout`, …
    pub tools: BTreeSet<String>,
    /// Whether a run may hold a lock on this host: there is a file of one.
    #[serde(default)]
    pub has_locks: bool,
    /// The unit.
    pub unit: UnitFacts,
    /// The data folder.
    pub data: DataFacts,
    /// Free space, by the path that we would write to (`data_dir`, `install_dir`, `backup_dir`, `bin_dir`).
    pub disks: BTreeMap<String, DiskFacts>,
    /// Installed binaries by name (`etcd`, `etcdctl`, `etcdutl`), as found in `bin_dir`.
    pub binaries: BTreeMap<String, BinaryFacts>,
    /// Releases staged under `install_dir`, of those that were asked for and the one that `bin_dir` has: version, then
    /// binary name to SHA-256 in hex.
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
    /// The command line of the next start: variables expanded as the process has it (`/proc/PID/cmdline`), or as the
    /// unit says where no process runs or the unit was changed since its start.
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
    /// The folder whose database the running process holds open, links resolved; as the inventory spells it if that
    /// leads there. Empty if no process runs or it holds no database.
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
    /// Whether the v2 store has keys.
    #[serde(default)]
    pub v2_keys: V2Keys,
    /// Whether API 2 is served and asks its clients who they are: its own users, who are not those of API 3.
    #[serde(default)]
    pub v2_users: bool,
    /// Requests of API 2 in the log.
    #[serde(default)]
    pub old_requests: OldRequests,
}

/// The raft indexes of the last requests of API 2 in the log files that a start would read, from 3.4 on. Some of them
/// may lie before the newest raft snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OldRequests {
    /// What was found.
    Found {
        /// A change of the cluster's version that a cluster born on 2.x has gone through.
        from_2: Option<u64>,
        /// One that a client or a health probe made.
        client: Option<u64>,
        /// Any, etcd's own among them.
        any: Option<u64>,
    },
    /// The log was not read.
    Unknown(String),
}

impl Default for OldRequests {
    fn default() -> Self {
        Self::Unknown("not asked".to_owned())
    }
}

/// Whether a member's v2 store has keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum V2Keys {
    /// It has. Hidden ones, whose names begin with `_`, are seen only by etcdutl.
    Present,
    /// It has none.
    Absent,
    /// Nothing on the host could tell.
    Unknown(String),
}

impl Default for V2Keys {
    fn default() -> Self {
        Self::Unknown("not asked".to_owned())
    }
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
    /// Bytes free for everyone: without what the file system keeps for root.
    pub free_bytes: u64,
}

/// An installed binary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BinaryFacts {
    /// Where the path leads after links.
    pub target: String,
    /// SHA-256 in hex.
    pub sha256: String,
    /// What it says to be; `None` if it does not run, and of etcdutl, which is not asked.
    pub version: Option<Version>,
}

/// A file on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// Its text, byte for byte; `None` if it is over 256 KiB or not UTF-8.
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
    /// The member list; empty if it could not be read, as without quorum from 3.5 on.
    pub members: Vec<Member>,
    /// The version that an enabled downgrade leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downgrade: Option<Version>,
    /// The line that its data are stored as, where the version says: 3.6 and later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Version>,
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

impl Observation {
    /// The voters, by the first member list that came, each healthy if the host that answers as it says so.
    ///
    /// Empty when no member list came: nothing may be concluded from that.
    pub fn voters(&self) -> Vec<Voter> {
        let views = || self.hosts.values().filter_map(Answer::view);
        let lists = || views().filter(|view| !view.members.is_empty());
        let list = lists()
            .find(|view| view.health.is_ok())
            .or_else(|| lists().next());
        let healthy = |id| views().any(|view| view.id == id && view.health.is_ok());
        let voter = |member: &Member| Voter {
            id: member.id,
            name: member.name.clone(),
            healthy: healthy(member.id),
        };
        list.map(|view| {
            view.members
                .iter()
                .filter(|one| one.is_voter())
                .map(voter)
                .collect()
        })
        .unwrap_or_default()
    }

    /// The leader, if all members that answer see the same one.
    pub fn leader(&self) -> Option<MemberId> {
        let mut seen = self
            .hosts
            .values()
            .filter_map(Answer::view)
            .map(|view| view.leader);
        let first = seen.next()??;
        seen.all(|leader| leader == Some(first)).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::parse::Frames;
    use crate::facts::sample;

    /// Three hosts that all give the answer recorded from one member of 3.5.16.
    fn observed() -> Observation {
        let frames =
            Frames::parse(sample::recorded("3.5.16", "member.observe").as_bytes()).unwrap();
        let host = sample::host("http://127.0.0.1:2379");
        let answer = crate::facts::answer::answer(&frames, &host).unwrap();
        let hosts = ["a", "b", "c"].map(|name| (name.to_owned(), answer.clone()));
        Observation {
            hosts: hosts.into_iter().collect(),
        }
    }

    #[test]
    fn a_voter_is_healthy_only_if_a_host_answers_as_it() {
        let voters = observed().voters();
        let healthy: Vec<_> = voters.iter().filter(|one| one.healthy).collect();
        assert_eq!((voters.len(), healthy.len()), (3, 1));
        assert_eq!(healthy[0].name, "m1");
        assert_eq!(Observation::default().voters(), []);
    }

    #[test]
    fn there_is_a_leader_only_while_all_that_answer_agree() {
        let mut seen = observed();
        assert!(seen.leader().is_some());
        let Some(Answer::Member(view)) = seen.hosts.get_mut("b") else {
            panic!("b is silent");
        };
        view.leader = None;
        assert_eq!(seen.leader(), None);
        seen.hosts.insert("b".to_owned(), Answer::default());
        assert!(seen.leader().is_some());
    }
}
