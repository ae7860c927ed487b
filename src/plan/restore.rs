//! The restore of one cluster: from a backup, with the release that the backup belongs to.
//!
//! The way back after a finished upgrade, and out of a disaster. A snapshot makes a new cluster, with new ids and a
//! token of its own; so members on old data and on new ones never become one cluster, and all must go at once:
//!
//! ```text
//! stage    every host: keep, stage and check the release, if another one is installed
//! backup   bring the backup here, if it is not
//! stage    every host: bring the backup there │ restore it beside the data, while the old members serve
//! rebuild  every host: stop!
//! rebuild  every host: exchange the data, switch the release
//! rebuild  every host: start, settle
//! rebuild  one host: prove that all have the same keys
//! finish   one host: await the cluster version
//! ```
//!
//! **This stops all members, side by side.** The rule that no wave has two disruptive lanes saves the quorum, and
//! here there is none to save: the old cluster ends. What stands in its place, and [`super::lint`] holds, is that
//! everything that can fail without a stop is done before the first one (verify, bring, restore, check flags), that
//! old data are moved and never deleted, and that the undo is that of the whole hop: if any member fails before the
//! proof, all are stopped, all get their old data, release and files, and all start again.
//!
//! The keys of API 2 are in no snapshot. Where there is a copy of the v2 store, the first host is made a cluster of
//! one by `--force-new-cluster`, with the snapshot's database if there is one, and the others join it one by one,
//! with empty folders ([`first_start`]).
//!
//! A restore that was broken off is taken up by doing it again: data that were exchanged are moved aside once more,
//! and stay.

mod findings;
mod first_start;
mod lanes;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::etcd::{Member, MemberId, Version};
use crate::facts::{Arch, ClusterFacts};
use crate::inventory::Cluster;

pub use super::rollback::Past;
use super::rollback::{kept, recall};
use super::seats::{self, Seat};
use super::upgrade::{Request, Work, back, refused, render};
use super::{Kind, Plan, Planned, Rule, Severity, finding};

/// A backup, as its descriptions and files tell of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// The run that took it; empty if unknown.
    pub run: String,
    /// The release that it belongs to.
    pub version: Option<Version>,
    /// The cluster's name when it was taken, if known.
    pub cluster: Option<String>,
    /// The cluster's id when it was taken, if known.
    pub cluster_id: Option<MemberId>,
    /// The members when it was taken; empty if unknown.
    pub members: Vec<Member>,
    /// The revision of its snapshot, if known.
    pub revision: Option<u64>,
    /// The snapshot.
    pub snapshot: Option<File>,
    /// The copy of a member's v2 store.
    pub store: Option<File>,
}

/// A file of a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 in hex, as it is described or, without a description, as it was read.
    pub sha256: String,
    /// Whether it is on this machine.
    pub here: bool,
    /// A host that has it, and where.
    pub on: Option<(String, String)>,
    /// Why it is no good, if so: found by reading it through.
    pub damage: Option<String>,
}

/// What a restore is planned from, beside the facts.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The backup; `None` if there is none.
    pub backup: Option<&'a Backup>,
    /// Where backups were looked for, for the refusal.
    pub looked: &'a [String],
    /// The newest revision that a member tells now.
    pub revision: Option<u64>,
    /// Names of folders that earlier restores have left in data folders, by host.
    pub aside: &'a [(String, String)],
    /// `--bump-revision`: how far revisions rise above the backup's.
    pub bump: Option<u64>,
    /// `--mark-compacted`.
    pub mark_compacted: bool,
    /// What journals know.
    pub past: &'a Past,
}

/// The releases that have to be fetched because a host has neither installed nor kept them.
pub fn needed(cluster: &Cluster, facts: &ClusterFacts, to: &Version) -> BTreeSet<(Version, Arch)> {
    seats::seats(cluster, facts)
        .iter()
        .filter(|seat| seat.installed() != Some(to) && kept(seat, to).is_none())
        .map(|seat| (to.clone(), seat.facts.arch))
        .collect()
}

/// Plans the restore; the request's target is the backup's release.
pub fn plan(request: &Request, source: &Source) -> Planned {
    let Some(backup) = source.backup else {
        return refused(vec![findings::none(request, source)]);
    };
    let work = work(request, source.past);
    if let Some(same) = findings::nothing_lost(request, source, backup) {
        return refused(vec![same]);
    }
    let all = finding::sorted(findings::all(request, &work, source, backup));
    let blocked = all
        .iter()
        .any(|finding| finding.severity == Severity::Block);
    let plan = (!blocked).then(|| build(request, &work, source, backup));
    Planned {
        plan,
        findings: all,
    }
}

fn work<'a>(request: &Request<'a>, past: &Past) -> Work<'a> {
    let to = request.target.clone();
    let seats = seats::seats(request.cluster, request.facts);
    let installed = seats.iter().filter_map(Seat::installed);
    let highest = installed.chain(seats::highest(request.facts)).max();
    let from = highest.unwrap_or(&to).clone();
    let mut work = Work {
        leader: seats::leader(request.facts),
        ..Work::new(Kind::Restore, from, to, seats)
    };
    render(request, &mut work);
    recall(&mut work, past);
    work
}

fn build(request: &Request, work: &Work, source: &Source, backup: &Backup) -> Plan {
    let waves = lanes::Lanes::new(request, work, source, backup).waves();
    back(request, work, waves, cited(backup))
}

fn cited(backup: &Backup) -> Vec<Rule> {
    let rule = |text: &str, source: &str| Rule {
        text: text.to_owned(),
        source: source.to_owned(),
    };
    let mut rules = vec![
        rule(
            "all members are restored from the same file, each with its own name and URLs, by the tool of the \
             release that will run; old data folders are moved away",
            "etcd docs op-guide/recovery.md",
        ),
        rule(
            "the unit's initial-cluster flags are read on empty data only: the restored data carry members and token",
            "etcd: server/etcdserver/bootstrap.go",
        ),
    ];
    if backup.store.is_some() {
        rules.push(rule(
            "a copy of the v2 store starts as a cluster of one, and further members are added one by one",
            "etcd docs v2.3 admin_guide.md, disaster recovery",
        ));
    }
    rules
}
