//! What will be done, as data. A pure function of inventory, facts, releases and target.
//!
//! A [`Plan`] is a list of [`Hop`]s; a hop is a list of [`Wave`]s, one after the other; a wave's [`Lane`]s (one
//! a host) run together; a lane's [`Step`]s run in order. **No wave has two lanes with a disruptive step**: the
//! shape is the safety argument, and `lint` holds it. Only a [`restore`] is excepted, and has rules of its own.
//!
//! The waves of an upgrade of three members, where `etcd-3` leads:
//!
//! ```text
//! stage    etcd-1: stage, check flags │ etcd-2: stage, check flags │ etcd-3: stage, check flags
//! backup   etcd-3: take, bring here, prune
//! member   etcd-1: move leader, stop!, switch, start, settle
//! member   etcd-2: move leader, stop!, switch, start, settle
//! member   etcd-3: move leader, stop!, switch, start, settle
//! finish   etcd-3: await the cluster version
//! ```
//!
//! `!` is disruptive: the [`engine`](crate::engine) asks the cluster once more right before it, and refuses if the
//! cluster could not bear it. Each step carries its own [`Undo`]: when a settle fails, the steps of that lane are taken
//! back newest first, so "start, switch, stop" become "stop, switch back, start". A step that only looked has nothing to
//! undo. Where the next release would choke on what members hold, waves to prepare them come before those of the members.
//!
//! A plan is complete: who carries it out looks nothing up and chooses nothing. That makes it the dry run, the
//! thing a person says yes to, the first event of the journal, and what tests compare.
//!
//! # How one comes about, each in its module
//!
//! 1. [`preflight`] asks whether the cluster may be touched at all and says so in [`Finding`]s;
//! 2. [`path`] finds the releases to pass, by the catalogue of [`crate::etcd::catalogue`];
//! 3. [`order`] puts the members into turn, [`files`] renders what their templates make;
//! 4. [`upgrade`] makes the waves of the first hop, each step with its undo and its deadline;
//! 5. [`rollback`], [`downgrade`] and [`backup`] plan with the same waves, [`restore`] with its own (see there why it
//!    may stop all members); [`lint`] checks what came out, [`render`] shows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::etcd::{MemberId, Minor, Version};
use crate::facts::Arch;

pub mod backup;
mod deadlines;
pub mod downgrade;
mod fan_out;
pub mod files;
pub mod finding;
mod lane;
pub mod left;
pub mod lint;
pub mod options;
pub mod order;
mod outcome;
pub mod path;
pub mod preflight;
mod prepare;
mod previous;
pub mod rebuild;
pub mod render;
pub mod restore;
pub mod rollback;
pub mod seats;
pub mod upgrade;
pub mod v2;

pub use downgrade::Downgrade;
pub use fan_out::Neighbour;
pub use finding::{Finding, Severity};
pub use outcome::{OnFailure, Outcome, Planned, Undo};
pub use rebuild::Rebuild;

/// The format of serialised plans.
pub const FORMAT: u32 = 1;

/// A plan for one cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// [`FORMAT`].
    pub format: u32,
    /// What kind of work it is.
    pub kind: Kind,
    /// The cluster's name in the inventory.
    pub cluster: String,
    /// The lowest release that a member runs now.
    pub from: Version,
    /// The release that all members run afterwards.
    pub to: Version,
    /// Hops, one minor (or patch step) each. Only the first is exact; later ones are a forecast and are planned
    /// again at the boundary.
    pub hops: Vec<Hop>,
    /// What happens when a member fails.
    pub on_failure: OnFailure,
    /// A digest of the facts that it was made from.
    pub basis: String,
}

/// The kind of work a plan does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Another release.
    Upgrade,
    /// The previous release on a mixed cluster.
    Rollback,
    /// The line before, by etcd's own procedure.
    Downgrade,
    /// A backup and nothing else.
    Backup,
    /// A cluster made anew from a backup.
    Restore,
}

/// One minor to the next, or a patch step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// The release it starts from.
    pub from: Version,
    /// The release it ends with.
    pub to: Version,
    /// Waves in order; empty in a forecast.
    pub waves: Vec<Wave>,
    /// The start of the last old member: afterwards only a backup leads back. `None` for a patch step.
    pub point_of_no_return: Option<StepId>,
    /// Rules of etcd that this hop keeps, with their sources.
    pub rules: Vec<Rule>,
}

/// A rule of etcd and where it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The rule in one line.
    pub text: String,
    /// The page, file or issue.
    pub source: String,
}

/// Lanes that run together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// What it is for.
    pub purpose: Purpose,
    /// One lane a host.
    pub lanes: Vec<Lane>,
}

/// What a wave is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Put releases on the hosts, switch nothing.
    Stage,
    /// Take and verify a backup.
    Backup,
    /// Make members ready for the next release, on the one that they run.
    Prepare,
    /// Work on one member.
    Member,
    /// Work on all members as one: none serves until all are done.
    Rebuild,
    /// Wait for the cluster as a whole.
    Finish,
}

/// Steps on one host, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// The host's name in the inventory.
    pub host: String,
    /// The member on it.
    pub member: MemberRef,
    /// Steps in order.
    pub steps: Vec<Step>,
}

/// A member by id, with its name for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRef {
    /// The id.
    pub id: MemberId,
    /// The name.
    pub name: String,
}

/// The number of a step in its plan, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepId(pub u32);

/// One action on one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its number.
    pub id: StepId,
    /// What is done.
    pub action: Action,
    /// How it is undone.
    pub undo: Undo,
    /// Whether it takes the member out of service: the engine observes the cluster and asks
    /// [`crate::etcd::quorum::may_stop`] right before it.
    pub disruptive: bool,
    /// The most it may take, in seconds.
    pub deadline_s: u64,
}

/// What a step does. Everything that execution needs is in it; execution decides nothing but to stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// Copies the binaries that `bin_dir` has now to `<install_dir>/<version>/`, so that there is a way back.
    KeepRelease {
        /// What they are.
        version: Version,
        /// Binary name to SHA-256 in hex; verified after the copy.
        files: BTreeMap<String, String>,
        /// From here.
        bin_dir: String,
        /// To `<install_dir>/<version>/`.
        install_dir: String,
    },
    /// Puts a release into `<install_dir>/<version>/`, by upload; nothing is switched.
    StageRelease {
        /// The release.
        version: Version,
        /// For this architecture.
        arch: Arch,
        /// Binary name to SHA-256 in hex; what is there already with this digest is not sent.
        files: BTreeMap<String, String>,
        /// The folder above it.
        install_dir: String,
        /// Who has it by then, for a host that is behind a slow link.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Neighbour>,
    },
    /// Asks the staged etcd whether it takes the unit's command line, by `--version` behind it; starts nothing.
    CheckFlags {
        /// The staged release.
        version: Version,
        /// The folder above it.
        install_dir: String,
        /// The unit's arguments, without the executable.
        args: Vec<String>,
    },
    /// Lets systemd check a rendered unit before it is placed.
    VerifyUnit {
        /// The unit's name.
        unit: String,
        /// Its text.
        text: String,
    },
    /// `etcdctl snapshot save` on this host, then size, trailing SHA-256 and revision are checked.
    TakeBackup {
        /// The folder on the host; made with mode 0700.
        dir: String,
        /// The file's name in it; mode 0600.
        file: String,
    },
    /// `etcdctl backup` of API 2 on this host, or a copy of a stopped member's files, packed into one file and brought
    /// here, where the chain of checksums of its log and its snapshot is followed to the end.
    TakeV2Backup {
        /// The folder on the host; made with mode 0700.
        dir: String,
        /// The file's name in it; mode 0600.
        file: String,
        /// The member's data folder.
        data_dir: String,
        /// The folder of its log, if that lies elsewhere.
        wal_dir: Option<String>,
        /// What this release's etcdctl needs to be told.
        flags: Vec<String>,
        /// Whether the file stays here too.
        fetch: bool,
        /// The etcdctl to use, if not the installed one.
        #[serde(default)]
        tool: Option<String>,
        /// Whether the member is stopped and its files are copied.
        #[serde(default)]
        stopped: bool,
    },
    /// Brings a backup here and checks its SHA-256 again.
    FetchBackup {
        /// The file on the host.
        path: String,
        /// The file's name here, under the state folder.
        file: String,
    },
    /// Deletes older backups of this cluster on the host.
    PruneBackups {
        /// The folder.
        dir: String,
        /// How many stay.
        keep: usize,
    },
    /// Moves the leadership away if this member leads.
    MoveLeader {
        /// To the first of these that is healthy.
        candidates: Vec<MemberRef>,
    },
    /// Stops the unit and waits until its process is gone.
    StopUnit {
        /// The unit.
        unit: String,
    },
    /// Points `bin_dir` at a staged release, each binary by one rename, `etcd` last.
    SwitchRelease {
        /// The release.
        version: Version,
        /// The folder above it.
        install_dir: String,
        /// The folder that the unit starts from.
        bin_dir: String,
        /// Binaries of that release.
        files: Vec<String>,
        /// Links in `bin_dir` that must go, because this release has no such binary.
        remove: Vec<String>,
    },
    /// Writes a file atomically with owner and mode.
    WriteFile {
        /// Where.
        dest: String,
        /// What is there now; `None` if nothing is.
        before: Option<String>,
        /// What will be there.
        text: String,
        /// `USER:GROUP`.
        owner: String,
        /// The mode, such as 0o640.
        mode: u32,
    },
    /// Removes a file that this plan, or the upgrade that it takes back, has created.
    RemoveFile {
        /// Where.
        dest: String,
    },
    /// `systemctl daemon-reload`.
    ReloadUnits,
    /// Starts the unit without blocking on it.
    StartUnit {
        /// The unit.
        unit: String,
    },
    /// Waits until the member and the whole cluster are well: the member reports `version`, answers a
    /// linearizable read and has caught up; every endpoint is healthy, all see one leader, no alarm is set.
    Settle {
        /// The release that the member must report.
        version: Version,
        /// The least time to wait, in seconds.
        least_s: u64,
    },
    /// Waits until every member sees this cluster version, and none says that a downgrade runs.
    AwaitClusterVersion {
        /// The line.
        minor: Minor,
    },
    /// Writes a key of our own by API 3 through this member, reads it back and deletes it: then the member has applied
    /// a v3 write.
    WriteKey {
        /// The key.
        key: String,
    },
    /// Writes a key of our own until this member's newest raft snapshot is above an index, then deletes the key.
    ForceSnapshot {
        /// The member's data folder.
        data_dir: String,
        /// The key.
        key: String,
        /// The raft index that the snapshot must be above.
        above: u64,
        /// Whether it must be above what is in the log by then, too, and hold no keys of API 2.
        #[serde(default)]
        without_v2: bool,
    },
    /// Deletes all keys of API 2, which this member serves.
    DropV2,
    /// What only a restore does.
    Rebuild(Rebuild),
    /// etcd's own downgrade: begun, or given up.
    Downgrade(Downgrade),
}

impl Hop {
    /// All steps with their lanes, in order.
    pub fn steps(&self) -> impl Iterator<Item = (&Lane, &Step)> {
        self.waves
            .iter()
            .flat_map(|wave| &wave.lanes)
            .flat_map(|lane| lane.steps.iter().map(move |step| (lane, step)))
    }
}

impl Plan {
    /// The number of steps of all planned hops.
    pub fn step_count(&self) -> usize {
        self.hops.iter().map(|hop| hop.steps().count()).sum()
    }
}
