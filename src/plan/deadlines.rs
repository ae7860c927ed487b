//! The most each step may take. A deadline ends the wait, not the work: the run stops there and says so, so each
//! is far above what was measured and below what a person would wait for.

use crate::facts::UnitFacts;

/// The slowest link that is still worth working over, in bytes a second. A release of 60 MB then takes 4 minutes.
const SLOWEST_LINK: u64 = 256 * 1024;
/// The slowest disk, in bytes a second, for reading and writing a database or a release.
const SLOWEST_DISK: u64 = 5 * 1024 * 1024;
/// Short scripts: a rename, a small file, a flag check. Generous for a host under load.
pub const SHORT_S: u64 = 30;
/// `daemon-reload` re-reads every unit of a host, which takes long on large ones.
pub const RELOAD_S: u64 = 60;
/// etcd gives up a transfer of leadership after 5 s and two election timeouts (at most 50 s each).
pub const MOVE_LEADER_S: u64 = 120;
/// The leader raises the cluster version at a tick of 4 s (2.5 to 3.8 s measured); ten missed ticks and more.
pub const CLUSTER_VERSION_S: u64 = 60;

/// Members stored their data as the older line within 4 s of `downgrade enable`; before it etcd may need its time-out
/// of 15 s for each of two questions.
pub const DOWNGRADE_S: u64 = 120;

/// One key is written, read and deleted; right after a line was reached members may refuse for some ten seconds.
pub const WRITE_S: u64 = 60;
/// At most a thousand keys are written one by one, and a snapshot of the v2 store is made, which is read while it is
/// written.
pub const SNAPSHOT_S: u64 = 600;

/// Copies and verifies files on one host.
pub fn copy(bytes: u64) -> u64 {
    60 + bytes / SLOWEST_DISK
}

/// Sends or brings files.
pub fn transfer(bytes: u64) -> u64 {
    60 + bytes / SLOWEST_LINK
}

/// Saves a snapshot and reads it back once.
pub fn backup(db_bytes: u64) -> u64 {
    120 + 2 * db_bytes / SLOWEST_DISK
}

/// Stops a unit: above systemd's own limit, after which systemd kills, so that systemd's verdict is seen. With
/// open watches a stop took 16.5 s; without any limit of systemd's, 5 minutes are enough for a person to look.
pub fn stop(unit: &UnitFacts) -> u64 {
    unit.timeout_stop_s
        .map_or(300, |limit| (limit + 30).max(90))
}

/// Waits for a member to be well: the upgrade guides give a member with 50 MB two minutes to catch up, and a
/// large database is read once at the start.
pub fn settle(db_bytes: u64, least_s: u64) -> u64 {
    least_s + 180 + db_bytes / SLOWEST_DISK
}
