//! Keys of the v2 store: whether there are any, what saves them, what they ask of an upgrade.
//!
//! A snapshot of API 3 does not hold them (etcd-upgrades 4.1), so each member's data are copied by API 2's `backup`
//! beside it. No member alone is enough for that: a backup of one that lags is older than what clients were told.

use crate::etcd::Version;
use crate::etcd::dialect::{V2Backup, v2_backup};
use crate::facts::{ClusterFacts, V2Keys};
use crate::inventory::Cluster;

use super::deadlines as limit;
use super::options::{Options, yaml_keys};
use super::seats::{Seat, seats};
use super::upgrade::Request;
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
}

impl<'a> From<&Request<'a>> for Basis<'a> {
    fn from(request: &Request<'a>) -> Self {
        Self {
            cluster: request.cluster,
            facts: request.facts,
            step_timeout_s: request.step_timeout_s,
            run_id: request.run_id,
        }
    }
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

/// The installed etcdctl's way to copy the v2 store of its running member.
///
/// # Errors
/// Why there is none, in words.
pub fn way(seat: &Seat) -> Result<V2Backup, String> {
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
    v2_backup(version, snapshot).map_err(str::to_owned)
}

/// Adds a backup of every member's v2 store to the wave of backups, if there are v2 keys. A member that cannot be
/// copied is left out: the preflight has asked about it.
pub fn extend(wave: &mut Wave, basis: &Basis) {
    if !found(basis.facts) {
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

fn prunes(step: &Step) -> bool {
    matches!(step.action, Action::PruneBackups { .. })
}

fn steps(basis: &Basis, seat: &Seat) -> Option<Vec<Step>> {
    let way = way(seat).ok()?;
    let version = seat.version()?;
    let (cluster, run) = (safe(&basis.cluster.name), safe(basis.run_id));
    let dir = format!("{}/{cluster}", seat.host.backup_dir);
    let file = format!(
        "{cluster}-{run}-{version}-{}.v2.tar.gz",
        safe(&seat.host.name)
    );
    let policy = &basis.cluster.backup;
    let take = Action::TakeV2Backup {
        dir: dir.clone(),
        file,
        data_dir: seat.host.data_dir.clone(),
        wal_dir: wal_dir(seat),
        flags: way.flags.iter().map(|&flag| flag.to_owned()).collect(),
        fetch: policy.fetch,
    };
    let prune = Action::PruneBackups {
        dir,
        keep: policy.keep,
    };
    let step = |action, undo, deadline_s| Step {
        id: StepId(0),
        disruptive: false,
        action,
        undo,
        deadline_s: basis.step_timeout_s.unwrap_or(deadline_s),
    };
    let size = copied_bytes(seat);
    let gone = Undo::Impossible("older backups are gone".to_owned());
    Some(vec![
        step(
            take,
            Undo::Nothing,
            limit::backup(size) + limit::transfer(size),
        ),
        step(prune, gone, limit::SHORT_S),
    ])
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
fn setting(seat: &Seat, name: &str) -> Option<String> {
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
