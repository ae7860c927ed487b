//! Keys of the v2 store: whether there are any, what saves them, what they ask of an upgrade.
//!
//! A snapshot of API 3 does not hold them (etcd-upgrades 4.1), so each member's data are copied by API 2's `backup`
//! beside it. No member alone is enough for that: a backup of one that lags is older than what clients were told.

use crate::etcd::Version;
use crate::etcd::dialect::{Dialect, V2Backup, spoken, v2_backup};
use crate::facts::{ClusterFacts, V2Keys};
use crate::inventory::Cluster;

use super::deadlines as limit;
use super::options::{Options, yaml_keys};
use super::seats::{Seat, seats, views};
use super::upgrade::{Request, Work};
use super::{Action, Lane, Step, StepId, Undo, Wave};

const MIB: u64 = 1024 * 1024;
/// The upgrade guides: above this a member may take two minutes to catch up.
pub const LARGE_BYTES: u64 = 50 * MIB;
/// The upgrade guides: from here on ask before you go on.
pub const HUGE_BYTES: u64 = 100 * MIB;
/// The upgrade guides: with more than [`LARGE_BYTES`] it is safest to wait this long between members.
pub const LARGE_SETTLE_S: u64 = 120;

/// What backups are planned from.
#[derive(Clone, Copy, Debug)]
pub struct Basis<'a> {
    /// The cluster with all its hosts.
    pub cluster: &'a Cluster,
    /// What is true now.
    pub facts: &'a ClusterFacts,
    /// The most that any step may take, instead of each one's own deadline.
    pub step_timeout_s: Option<u64>,
    /// The run's id, for the names of backups.
    pub run_id: &'a str,
    /// The release that is staged on every host before backups are taken.
    pub staged: Option<&'a Version>,
    /// The host whose member is stopped first; none where nothing is stopped.
    pub stopped: Option<&'a str>,
}

impl<'a> Basis<'a> {
    /// What the backups of this hop are planned from.
    pub(super) fn of(request: &Request<'a>, work: &'a Work<'a>) -> Self {
        Self {
            staged: Some(&work.to),
            stopped: work.seats.first().map(|seat| seat.host.name.as_str()),
            ..Self::from(request)
        }
    }
}

impl<'a> From<&Request<'a>> for Basis<'a> {
    fn from(request: &Request<'a>) -> Self {
        Self {
            cluster: request.cluster,
            facts: request.facts,
            step_timeout_s: request.step_timeout_s,
            run_id: request.run_id,
            staged: None,
            stopped: None,
        }
    }
}

/// Whether API 2 is all that the cluster speaks: no snapshot of API 3 can be taken, and its data are the v2 store.
pub fn is_all(facts: &ClusterFacts) -> bool {
    views(facts).any(|view| spoken(&view.version, view.cluster_version.as_ref()) == Dialect::V2)
}

/// Whether the v2 store is to be backed up.
pub fn is_saved(facts: &ClusterFacts) -> bool {
    found(facts) || is_all(facts)
}

/// Whether a member is known to have keys in its v2 store.
pub fn found(facts: &ClusterFacts) -> bool {
    let mut hosts = facts.hosts.values();
    hosts.any(|host| host.data.v2_keys == V2Keys::Present)
}

/// The size of the v2 store: that of the largest of the members' newest raft snapshots, which hold nothing else.
/// `None` before the first one.
pub fn bytes(facts: &ClusterFacts) -> Option<u64> {
    let snaps = facts.hosts.values().filter_map(|host| host.data.snap);
    snaps.map(|snap| snap.bytes).max()
}

/// The least time after each member that the guides ask for, in seconds.
pub fn settle_least_s(facts: &ClusterFacts) -> u64 {
    let large = bytes(facts).is_some_and(|bytes| bytes > LARGE_BYTES);
    if large { LARGE_SETTLE_S } else { 0 }
}

/// How a member's v2 store is copied, and by the etcdctl of which staged release, if not by the installed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// How.
    pub how: V2Backup,
    /// The staged release.
    pub tool: Option<Version>,
}

/// The way to copy the v2 store of a member.
///
/// # Errors
/// Why there is none, in words.
pub fn way(basis: &Basis, seat: &Seat) -> Result<Way, String> {
    let tool = seat.facts.binaries.get("etcdctl");
    let Some(version) = tool.and_then(|tool| tool.version.as_ref()) else {
        return Err("`etcdctl` is not installed or does not tell its version".to_owned());
    };
    let needed = ["tar", "gzip"];
    if let Some(lacking) = needed
        .iter()
        .find(|tool| !seat.facts.tools.contains(**tool))
    {
        return Err(format!("`{lacking}` is not on the host"));
    }
    let snapshot = seat.facts.data.snap.is_some();
    let how = v2_backup(version, snapshot).map_err(str::to_owned)?;
    let later = |staged: &&Version| Dialect::of(staged) == Dialect::V2;
    let tool = basis
        .staged
        .filter(later)
        .filter(|_| how == V2Backup::Stopped);
    let staged = tool.and_then(|tool| Some((v2_backup(tool, snapshot).ok()?, tool)));
    Ok(match staged {
        Some((how @ V2Backup::Running(_), tool)) => Way {
            how,
            tool: Some(tool.clone()),
        },
        _ => Way { how, tool: None },
    })
}

/// Whether this member's store is in a backup of this plan: copied while it runs, or in the copy of the first member
/// that is stopped, whose store all members have alike.
///
/// # Errors
/// Why not, in words.
pub fn saved(basis: &Basis, seat: &Seat) -> Result<(), String> {
    match way(basis, seat)?.how {
        V2Backup::Running(_) => Ok(()),
        V2Backup::Stopped if basis.stopped.is_some() => Ok(()),
        V2Backup::Stopped => Err(
            "its etcdctl makes no copy that starts, and nothing is stopped here whose files could be copied"
                .to_owned(),
        ),
    }
}

/// Adds a backup of every member's v2 store to the wave of backups, if it is to be saved. A member that cannot be
/// copied is left out: the preflight has asked about it.
pub fn extend(wave: &mut Wave, basis: &Basis) {
    if !is_saved(basis.facts) {
        return;
    }
    for seat in seats(basis.cluster, basis.facts) {
        let Some(steps) = steps(basis, &seat) else {
            continue;
        };
        let own = wave
            .lanes
            .iter_mut()
            .find(|lane| lane.host == seat.host.name);
        match (own, seat.member(basis.facts)) {
            // Its last step prunes, which comes after every backup.
            (Some(lane), _) => {
                let last = lane.steps.len().saturating_sub(1);
                let copies = steps.into_iter().filter(|step| !prunes(step));
                lane.steps.splice(last..last, copies);
            }
            (None, Some(member)) => wave.lanes.push(Lane {
                host: seat.host.name.clone(),
                member,
                steps,
            }),
            (None, None) => {}
        }
    }
}

/// The copy of a stopped member's files, where that is the way and this is the first member that is stopped.
pub(super) fn of_stopped(basis: &Basis, seat: &Seat) -> Option<Step> {
    let first = basis.stopped == Some(seat.host.name.as_str());
    let way = way(basis, seat)
        .ok()
        .filter(|_| first && is_saved(basis.facts))?;
    (way.how == V2Backup::Stopped)
        .then(|| take(basis, seat, &way))
        .flatten()
}

fn prunes(step: &Step) -> bool {
    matches!(step.action, Action::PruneBackups { .. })
}

fn steps(basis: &Basis, seat: &Seat) -> Option<Vec<Step>> {
    let way = way(basis, seat).ok()?;
    if way.how == V2Backup::Stopped {
        return None;
    }
    let prune = Action::PruneBackups {
        dir: dir(basis, seat),
        keep: basis.cluster.backup.keep,
    };
    let gone = Undo::Impossible("older backups are gone".to_owned());
    let prune = step(basis, prune, gone, limit::SHORT_S);
    Some(vec![take(basis, seat, &way)?, prune])
}

fn take(basis: &Basis, seat: &Seat, way: &Way) -> Option<Step> {
    let version = seat.version()?;
    let (cluster, run) = (safe(&basis.cluster.name), safe(basis.run_id));
    let file = format!(
        "{cluster}-{run}-{version}-{}.v2.tar.gz",
        safe(&seat.host.name)
    );
    let flags = match way.how {
        V2Backup::Running(flags) => flags,
        V2Backup::Stopped => &[],
    };
    let tool = way.tool.as_ref();
    let take = Action::TakeV2Backup {
        dir: dir(basis, seat),
        file,
        data_dir: seat.host.data_dir.clone(),
        wal_dir: wal_dir(seat),
        flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
        fetch: basis.cluster.backup.fetch,
        tool: tool.map(|tool| format!("{}/{tool}/etcdctl", seat.host.install_dir)),
        stopped: way.how == V2Backup::Stopped,
    };
    let size = copied_bytes(seat);
    let deadline = limit::backup(size) + limit::transfer(size);
    Some(step(basis, take, Undo::Nothing, deadline))
}

fn dir(basis: &Basis, seat: &Seat) -> String {
    format!("{}/{}", seat.host.backup_dir, safe(&basis.cluster.name))
}

fn step(basis: &Basis, action: Action, undo: Undo, deadline_s: u64) -> Step {
    Step {
        id: StepId(0),
        disruptive: false,
        action,
        undo,
        deadline_s: basis.step_timeout_s.unwrap_or(deadline_s),
    }
}

/// What a copy of the v2 store can come to, uncompressed: the newest snapshot and the whole log.
pub fn copied_bytes(seat: &Seat) -> u64 {
    let snap = seat.facts.data.snap.map_or(0, |snap| snap.bytes);
    snap + seat.facts.data.wal_bytes
}

/// The folder of the log, if it does not lie in the data folder.
fn wal_dir(seat: &Seat) -> Option<String> {
    setting(seat, "wal-dir").filter(|dir| !dir.is_empty())
}

/// What the member runs with now.
pub(super) fn setting(seat: &Seat, name: &str) -> Option<String> {
    let options = Options::of(seat, &[]);
    let Some(path) = options.config_file() else {
        return options.get(name).map(str::to_owned);
    };
    let file = seat.facts.files.get(path)?;
    yaml_keys(file.text.as_deref()?).remove(name)
}

/// Whether a release serves `/v2` with this setting of `enable-v2`: on by default up to 3.3, off in 3.4 and 3.5.
pub fn serves(version: &Version, enable_v2: Option<&str>) -> bool {
    let on = |value| matches!(value, "true" | "1" | "t" | "T" | "TRUE" | "True");
    let default = *version < Version::new(3, 4, 0);
    *version < Version::new(3, 6, 0) && enable_v2.map_or(default, on)
}

fn safe(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    name.chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect()
}
