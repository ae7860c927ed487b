//! The preflight: what stands in the way, as findings. Pure.
//!
//! [`state`] looks at the cluster as it is, whatever is intended; [`work`] at what an upgrade would do to it.
//! A finding of `state` that blocks does so even if nothing is to be done.
//!
//! The README has the same table; `tests/it/readme.rs` holds both against the code.
//!
//! | code | severity | when |
//! | --- | --- | --- |
//! | `HOST_UNREACHABLE`, `FACTS_INCOMPLETE` | block, warn | a host cannot be reached, or does not answer in full; a backup goes on without it |
//! | `RELEASE_UNUSABLE` | block | a release cannot be fetched, or is not what its name says |
//! | `JOURNAL_UNREAD` | note | a rollback could not read a past run |
//! | `RUN_IN_PROGRESS` | warn | another run holds the lock of the cluster; commands that change hosts end with status 7 |
//! | `HOST_FACTS` | block | nothing is known of a host of the cluster |
//! | `MEMBER_DOWN` | block, warn | a member gives no answer; one that a former run left down only warns |
//! | `MEMBER_UNHEALTHY` | block | a linearizable read through a member fails |
//! | `NO_LEADER`, `LEADER_DISPUTED` | block | members see none, or different ones |
//! | `CLUSTER_ID_MISMATCH` | block | hosts of one cluster in the inventory belong to several |
//! | `WRONG_MEMBER` | block | another member answers on a host than the inventory says |
//! | `MEMBERS_DISPUTED` | block | member lists differ |
//! | `MEMBER_MISSING_IN_INVENTORY`, `MEMBER_UNSTARTED` | block | the cluster has a member that no host runs |
//! | `MEMBER_NOT_IN_CLUSTER` | block | a host's member is not in the member list |
//! | `SAME_NAME` | block | two members have one name |
//! | `ALARM` | block | an alarm is set |
//! | `DOWNGRADE_RUNS` | block | etcd's own downgrade is enabled, and an upgrade was asked for |
//! | `NO_DOWNGRADE` | block | etcd has no downgrade of its own from this line |
//! | `DOWNGRADE_TARGET` | block | a downgrade leads one minor back, and another release was asked for or is on its way |
//! | `LEARNER` | acknowledge | a learner is present |
//! | `MIXED` | warn | members run different releases |
//! | `MIXED_SPREAD` | block | more than one minor lies between them |
//! | `RAFT_LAG` | warn | a member has applied far less than another |
//! | `CLOCK_SKEW` | warn | a host's clock is off by more than 500 ms |
//! | `UNIT_NOT_FOUND`, `UNIT_NOT_ACTIVE` | block | the unit is not loaded, or not active |
//! | `UNIT_DISABLED` | warn | the unit does not start at boot |
//! | `UNIT_RELOAD` | warn | unit files changed since systemd read them |
//! | `STOP_TIMEOUT` | warn | systemd kills etcd less than 60 s after asking it to stop |
//! | `BINARY_DRIFT` | acknowledge | the binary on disk is not what runs |
//! | `UNIT_EXEC` | block | the unit does not start `<bin_dir>/etcd` |
//! | `DATA_DIR` | block | the inventory's data folder is not the one in use |
//! | `ETCDCTL_MISSING` | block | there is no etcdctl on a host |
//! | `DISK_FREE` | block | a file system has too little room |
//! | `SINGLE_MEMBER` | warn | the only voter is restarted |
//! | `TWO_MEMBERS` | acknowledge | either voter's restart stops the cluster |
//! | `TARGET_OLDER`, `TARGET_MISSING`, `RELEASE_MISSING`, `HOP_UNKNOWN` | block | no way leads there: it is older, not to be had, or of a line that is not known |
//! | `POINT_OF_NO_RETURN` | block | a rollback comes too late: the cluster version has risen |
//! | `NO_MIXED_ROLLBACK` | block | etcd has no way back on this hop, even while the cluster is mixed |
//! | `NO_MEMBER` | block | a backup or a downgrade finds no member that answers |
//! | `NO_BACKUP` | block | a restore finds no backup of the cluster, or not the one that was named |
//! | `BACKUP_DAMAGED` | block | a backup is not what its description or its own digest says |
//! | `BACKUP_RELEASE` | block | which release a backup belongs to cannot be told |
//! | `BACKUP_PEERS` | block | neither members, units nor the backup tell a member's peer URLs |
//! | `BACKUP_FOREIGN` | acknowledge | a backup is of another cluster, by name or by id |
//! | `BACKUP_SAME` | note | the cluster is as it was at the backup: there is nothing to restore |
//! | `BACKUP_OTHERS` | note | a restore could take other backups too |
//! | `DATA_LOSS` | warn | what a restore loses: the revisions since the backup |
//! | `RESTORE_OLD` | block | the backup is of a release before 3.0, which is restored by hand |
//! | `RESTORE_LEFT` | note | earlier restores have left data folders |
//! | `NO_BUMP` | block | the release cannot raise revisions in a restore |
//! | `WAL_APART` | block | a member's log lies outside its data folder, which a restore does not exchange |
//! | `V2_NOT_RESTORED` | acknowledge | keys of the v2 store are in no backup that could be restored |
//! | `V2_START` | block | a member cannot be started once with other flags, as the v2 store's restore needs |
//! | `BAD_PATCH` | block, warn | the target has known faults |
//! | `FLAG_REMOVED` | block | a release on the way does not start with an option |
//! | `ENV_DROPPED`, `CONFIG_DROPPED` | warn, block | the target ignores an option; block if it protects |
//! | `ENV_SHADOW` | block | an option is set on the command line and in the environment |
//! | `CONFIG_TYPE` | block | a key of the configuration file has a type that a release on the way refuses |
//! | `URL_HOST` | block | an address has a host that a release on the way refuses |
//! | `ARGS_UNKNOWN` | note | the rendered command line has variables that cannot be checked here |
//! | `CONFIG_UNSEEN` | note | etcd reads a configuration file that is not known here |
//! | `HOP_NOTE` | note | what the catalogue says of a hop and nothing here can check |
//! | `V2_DATA` | note | the v2 store has keys: each member's is backed up |
//! | `V2_BACKUP` | acknowledge | a member's v2 keys cannot be backed up while it runs |
//! | `V2_OFF` | acknowledge | a release on the way does not serve the v2 keys that are served now |
//! | `V2_UNKNOWN` | acknowledge | API 2 is on, and nothing could tell whether there are v2 keys |
//! | `V2_GONE` | acknowledge | the v2 store has keys, and 3.6 does not start on them: they are deleted, after a backup |
//! | `V2_USERS` | block | API 2's own users are switched on, below 3.0 or on the way to 3.6 |
//! | `SIZE_WARN` | warn, acknowledge | over 50 MB, or 100 MB and more, of v2 data: members get 2 minutes each |
//! | `AUTH_FREEZE` | acknowledge | authentication is on across 3.2 to 3.3 or 3.4 to 3.5 |
//! | `RAFT_SNAPSHOT` | note | members take a raft snapshot first: their logs hold what the next release stops at |
//! | `SNAPSHOT_COUNT` | block | such a snapshot is needed and cannot be brought about |
//! | `V3_WRITE` | note | a v3 write through every member is part of the hop |
//! | `SOURCE_PATCH` | acknowledge | the patch that the guide asks for cannot be had |
//! | `NO_WAY_BACK` | acknowledge | a hop on the way has no way back, even while mixed |
//! | `UNIT_TYPE` | block | the unit is of type `notify` and 2.0 or 2.1 is the target |
//! | `DATA_DIR_MODE` | block | a patch on the way wants a data folder of mode 0700 |
//! | `CLUSTER_VERSION` | block | all members run a line that the cluster's version has not reached |
//! | `TEMPLATE`, `TEMPLATE_EXEC`, `TEMPLATE_UNREADABLE` | block | a file cannot be rendered or put back |
//! | `TEMPLATE_DRIFT` | note | files differ and no upgrade is due: that is `apply`'s work |
//! | `PARTIAL` | note, block | `--limit` leaves members below the target, or above where a rollback leads |
//!
//! `SINGLE_MEMBER` warns and `TWO_MEMBERS` asks: everyone who runs one member knows what a restart means, while
//! two look like redundancy and are less than one. A job that runs unattended carries `--acknowledge TWO_MEMBERS`.

mod back;
mod identity;
mod members;
mod options;
pub mod restore;
mod space;
mod target;
mod units;
mod v2;
mod way;

use super::left;
use super::seats::{Seat, seats};
use super::upgrade::{Request, Work};
use super::{Finding, Severity};

/// What stands in the way of touching the cluster at all.
pub fn state(request: &Request) -> Vec<Finding> {
    let seats = seats(request.cluster, request.facts);
    let mut findings = missing_facts(request);
    findings.extend(members::findings(request, &seats));
    findings.extend(identity::findings(request));
    findings.extend(units::state(&seats));
    if let Some(left) = left::left(request) {
        left::lower(&mut findings, &left);
    }
    findings
}

/// What stands in the way of this upgrade.
pub(super) fn work(request: &Request, work: &Work) -> Vec<Finding> {
    let all = seats(request.cluster, request.facts);
    let mut findings = units::work(&work.seats);
    findings.extend(members::size(request, &all));
    findings.extend(space::findings(request, work, &all));
    findings.extend(options::findings(request, work));
    findings.extend(target::findings(request, work, &all));
    findings.extend(v2::findings(request, work, &all));
    findings.extend(way::findings(request, work, &all));
    findings
}

/// What stands in the way of this rollback.
pub(super) fn back(request: &Request, work: &Work) -> Vec<Finding> {
    back::findings(request, work)
}

/// What stands in the way of this downgrade.
pub(super) fn downgrade(request: &Request, work: &Work) -> Vec<Finding> {
    let mut findings = back::findings(request, work);
    findings.extend(target::usable(request, work));
    findings
}

/// Members that give no answer, although all must.
pub(super) fn down(request: &Request) -> Vec<Finding> {
    members::down(&seats(request.cluster, request.facts))
}

/// Members that `--limit` keeps from being taken back.
pub(super) fn partial_back(request: &Request, work: &Work) -> Option<Finding> {
    back::partial(request, work)
}

/// What stands in the way of a backup from this seat, or is worth knowing before.
pub(super) fn backup(request: &super::backup::Request, source: Option<&Seat>) -> Vec<Finding> {
    back::backup(request, source)
}

/// What stands in the way of a restore on the hosts.
pub(super) fn restore(request: &Request, work: &Work, room: restore::Room) -> Vec<Finding> {
    restore::findings(request, work, room)
}

/// Files that differ while no upgrade is due.
pub(super) fn drift(request: &Request) -> Vec<Finding> {
    target::drift(request)
}

/// Turns what would have to be acknowledged into a warning: nothing is going to be done.
pub(super) fn idle(mut findings: Vec<Finding>) -> Vec<Finding> {
    for finding in &mut findings {
        if finding.severity == Severity::Acknowledge {
            finding.severity = Severity::Warn;
        }
    }
    findings
}

fn missing_facts(request: &Request) -> Vec<Finding> {
    let hosts = &request.cluster.hosts;
    let known = hosts
        .iter()
        .filter(|host| request.facts.hosts.contains_key(&host.name))
        .count();
    hosts
        .iter()
        .filter(|host| !request.facts.hosts.contains_key(&host.name))
        .map(|host| {
            Finding::block(
                "HOST_FACTS",
                &host.name,
                format!(
                    "facts are known of {known} of {} hosts, all are needed",
                    hosts.len()
                ),
            )
            .hint("reach the host first: `runner check` says what is wrong")
        })
        .collect()
}

/// A number of bytes in MiB, rounded up: 0 only for nothing.
fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1024 * 1024)
}

fn trimmed(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" => "/",
        path => path,
    }
}

/// `2 of 3 members` for people.
fn of(count: usize, all: usize, what: &str) -> String {
    format!("{count} of {all} {what}")
}

fn names(seats: &[&Seat]) -> String {
    let names: Vec<&str> = seats.iter().map(|seat| seat.host.name.as_str()).collect();
    names.join(", ")
}
