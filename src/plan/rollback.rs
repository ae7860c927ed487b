//! The rollback of one cluster: while it is mixed, members on the newer release go back to the older one.
//!
//! As long as one member runs the older release the cluster version stays low and etcd takes the older binary back
//! on the same data. The binaries that were kept on the host are used; only where none were kept is the release
//! sent again. Files that templates make come back as they were before the upgrade, if the journal of that upgrade
//! knows them and nobody has changed them since; else as the templates make them for the older release. A unit that
//! no template makes stays as it is. Either way the older release itself is asked whether it takes the command line.
//!
//! While etcd's own [`downgrade`](super::downgrade) runs, back is up: members that have gone to the older release get
//! the newer one again in the same way, and when none is left behind, etcd is told to forget the downgrade.

use std::collections::{BTreeMap, BTreeSet};

use crate::etcd::Version;
use crate::etcd::catalogue::Catalogue;
use crate::facts::{Arch, ClusterFacts, FileFacts};
use crate::inventory::Cluster;

use super::files::Rendered;
use super::lane::Lanes;
use super::left::{self, Left};
use super::seats::{self, Seat};
use super::upgrade::{Request, Work, back, cluster_minor, refused, render};
use super::{
    Action, Finding, Hop, Kind, Plan, Planned, Rule, Severity, Undo, finding, order, preflight,
};

/// What journals know of a cluster: the plans of past runs, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// Plans that were made for it.
    pub plans: Vec<Plan>,
}

/// What a file was before the upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Before {
    /// This.
    Text(Rendered),
    /// It was not there.
    Absent,
}

impl Past {
    /// The release that the newest run found, or led back to.
    fn release(&self) -> Option<&Version> {
        let moves =
            |plan: &&Plan| matches!(plan.kind, Kind::Upgrade | Kind::Rollback | Kind::Downgrade);
        let plan = self.plans.iter().find(moves)?;
        Some(match plan.kind {
            Kind::Rollback => &plan.to,
            _ => &plan.from,
        })
    }

    /// What a file was before an upgrade or a downgrade between these releases made it what it is now.
    fn before(&self, work: &Work, host: &str, file: &Rendered, now: &FileFacts) -> Option<Before> {
        let hops = self
            .plans
            .iter()
            .filter(|plan| matches!(plan.kind, Kind::Upgrade | Kind::Downgrade))
            .flat_map(|plan| &plan.hops)
            .filter(|hop| hop.from == work.to && hop.to == work.from);
        let mut steps = hops.flat_map(Hop::steps);
        let undo = steps.find_map(|(lane, step)| match (&step.action, &step.undo) {
            (Action::WriteFile { dest, text, .. }, Undo::Actions(undo))
                if lane.host == host && *dest == file.dest && now.text.as_ref() == Some(text) =>
            {
                undo.first()
            }
            _ => None,
        })?;
        match undo {
            Action::WriteFile {
                text, owner, mode, ..
            } => Some(Before::Text(Rendered {
                text: text.clone(),
                owner: owner.clone(),
                mode: *mode,
                ..file.clone()
            })),
            Action::RemoveFile { .. } => Some(Before::Absent),
            _ => None,
        }
    }
}

/// The release to go back to: the lowest that a member runs, or would run if it were started; while a downgrade runs,
/// the highest that a member runs.
pub fn release<'a>(cluster: &'a Cluster, facts: &'a ClusterFacts) -> Option<&'a Version> {
    if leads_up(facts) {
        return seats::highest(facts);
    }
    seats::origin(cluster, facts)
}

/// Whether a downgrade runs and a member has not gone yet.
pub(super) fn leads_up(facts: &ClusterFacts) -> bool {
    let lowered = seats::downgrade(facts);
    lowered.is_some() && seats::highest(facts).map(Version::minor) > lowered
}

/// Whether a member that runs this release is not where the way back leads.
fn is_off(facts: &ClusterFacts, runs: &Version, to: &Version) -> bool {
    if leads_up(facts) {
        runs.minor() < to.minor()
    } else {
        runs > to
    }
}

/// A release that is kept on the host, with what is needed to run a member.
pub(super) fn kept<'s>(seat: &Seat<'s>, version: &Version) -> Option<&'s BTreeMap<String, String>> {
    let files = seat.facts.staged.get(version)?;
    let whole = ["etcd", "etcdctl"]
        .iter()
        .all(|name| files.contains_key(*name));
    whole.then_some(files)
}

/// The releases that have to be fetched because a host to take back has not kept them.
pub fn needed(
    cluster: &Cluster,
    chosen: &BTreeSet<String>,
    facts: &ClusterFacts,
) -> BTreeSet<(Version, Arch)> {
    let Some(to) = release(cluster, facts) else {
        return BTreeSet::new();
    };
    seats::seats(cluster, facts)
        .iter()
        .filter(|seat| chosen.contains(&seat.host.name))
        .filter(|seat| seat.version().is_none_or(|runs| is_off(facts, runs, to)))
        .filter(|seat| kept(seat, to).is_none())
        .map(|seat| (to.clone(), seat.facts.arch))
        .collect()
}

/// Plans the rollback to [`release`], which is the request's target. An interrupted run is always taken up: one
/// member may be down.
pub fn plan(request: &Request, past: &Past) -> Planned {
    let mut findings = preflight::state(request);
    findings.retain(|finding| finding.code != "DOWNGRADE_RUNS");
    let up = leads_up(request.facts);
    words(&mut findings, request.target, up);
    if let Some(Left::Needed(host)) = left::left(request) {
        findings.push(needed_first(&host));
        return refused(findings);
    }
    let work = work(request, past);
    if work.from == *request.target && work.seats.is_empty() && !up {
        findings.extend(too_late(request, past));
        return refused(preflight::idle(findings));
    }
    if !up {
        findings.extend(no_way_back(request, &work));
    }
    if work.seats.is_empty() && !(up && work.complete) {
        findings.extend(preflight::partial_back(request, &work));
        return refused(preflight::idle(findings));
    }
    findings.extend(preflight::back(request, &work));
    let findings = finding::sorted(findings);
    let blocked = findings
        .iter()
        .any(|finding| finding.severity == Severity::Block);
    let plan = (!blocked).then(|| build(request, &work));
    Planned { plan, findings }
}

/// The hints of a mixed cluster's finding are an upgrade's.
fn words(findings: &mut [Finding], to: &Version, up: bool) {
    let off = if up { "below" } else { "above" };
    for finding in findings.iter_mut().filter(|one| one.code == "MIXED") {
        finding.hint = format!("members {off} {to} are taken back, the others stay as they are");
    }
}

fn work<'a>(request: &Request<'a>, past: &Past) -> Work<'a> {
    let to = request.target.clone();
    let leader = seats::leader(request.facts);
    let all = seats::seats(request.cluster, request.facts);
    let (mut due, rest): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|seat| in_turn(request, seat));
    let installed = due.iter().filter_map(Seat::installed);
    let up = leads_up(request.facts);
    let from = if up {
        seats::origin(request.cluster, request.facts)
    } else {
        installed.chain(seats::highest(request.facts)).max()
    };
    let from = from.unwrap_or(&to).clone();
    // Newest first; the order below keeps that among followers.
    due.sort_by(|a, b| b.version().cmp(&a.version()));
    let complete = rest.iter().all(|seat| {
        let runs = seat.version();
        runs.is_some_and(|runs| *runs == to || up && !is_off(request.facts, runs, &to))
    });
    let mut work = Work {
        leader,
        complete,
        ..Work::new(Kind::Rollback, from, to, order::order(due, leader))
    };
    render(request, &mut work);
    recall(&mut work, past);
    work
}

/// Whether a host was chosen and its member runs another release, or is the one that an interrupted run left down.
fn in_turn(request: &Request, seat: &Seat) -> bool {
    let off = || {
        seat.version()
            .is_some_and(|runs| is_off(request.facts, runs, request.target))
    };
    let left = || left::left(request).is_some_and(|left| left.host() == seat.host.name);
    request.chosen.contains(&seat.host.name) && (off() || left())
}

/// Puts what files were before the upgrade in the place of what templates make for the older release.
pub(super) fn recall(work: &mut Work, past: &Past) {
    for seat in work.seats.clone() {
        let host = &seat.host.name;
        let (mut files, mut gone) = (Vec::new(), Vec::new());
        for file in work.files_of(&seat) {
            let now = seat.facts.files.get(&file.dest);
            match now.and_then(|now| past.before(work, host, file, now)) {
                None => files.push(file.clone()),
                Some(Before::Text(before)) => files.push(before),
                Some(Before::Absent) => gone.push(file.dest.clone()),
            }
        }
        work.files.insert(host.clone(), files);
        work.gone.insert(host.clone(), gone);
    }
}

/// All members run one release. If it is the one that an upgrade led to, it is too late; else nothing is to be done.
fn too_late(request: &Request, past: &Past) -> Option<Finding> {
    let runs = seats::highest(request.facts)?;
    let late = match (past.release(), &request.cluster.version) {
        (Some(before), _) => runs > before,
        (None, Some(wanted)) => runs >= wanted,
        (None, None) => false,
    };
    late.then(|| passed(request, runs, "no member runs an older release any more"))
}

/// Without a quorum nothing can be backed up and nobody be asked, so nothing is switched.
pub(super) fn needed_first(host: &str) -> Finding {
    let reason = "its member is down, and without it there is no quorum to take a backup from";
    Finding::block("MEMBER_DOWN", host, reason)
        .hint("start its unit with what is installed there, then run this again")
}

fn no_way_back(request: &Request, work: &Work) -> Option<Finding> {
    let (from, to) = (&work.from, &work.to);
    if from == to {
        return None;
    }
    if cluster_minor(request).is_some_and(|minor| minor > to.minor()) {
        return Some(passed(request, from, "etcd refuses older members now"));
    }
    let source = request
        .rules
        .hop(to.minor(), from.minor())
        .map_or(&request.rules.patch_step().source, |hop| &hop.source);
    (!request.rules.mixed_rollback(to, from)).then(|| {
        let reason = format!(
            "{to} does not start on data that {from} has touched, even while the cluster is mixed"
        );
        Finding::block("NO_MIXED_ROLLBACK", &request.cluster.name, reason)
            .hint("finish the upgrade, or `runner restore` the backup that was taken before it")
            .source(source)
    })
}

fn passed(request: &Request, runs: &Version, why: &str) -> Finding {
    let seen = cluster_minor(request).map_or("unknown".to_owned(), |minor| minor.to_string());
    let reason = format!("members run {runs} and the cluster version is {seen}: {why}");
    let restore = "`runner restore`, from the backup that the upgrade took";
    let hint = match request.rules.downgrade(runs.minor()) {
        Some(hop) => format!(
            "the way back to {} is `runner downgrade`, which keeps what was written since; or {restore}",
            hop.from
        ),
        None => format!("the way back is {restore}"),
    };
    Finding::block("POINT_OF_NO_RETURN", &request.cluster.name, reason)
        .hint(hint)
        .source("etcd docs downgrade_3_6.md; server/etcdserver/api/membership/downgrade.go")
}

fn build(request: &Request, work: &Work) -> Plan {
    let waves = Lanes::new(request, work).waves();
    back(
        request,
        work,
        waves,
        cited(request.rules, &work.from, &work.to),
    )
}

fn cited(known: &Catalogue, from: &Version, to: &Version) -> Vec<Rule> {
    let (low, high) = (from.min(to), from.max(to));
    let back = known
        .hop(low.minor(), high.minor())
        .map_or(&known.patch_step().source, |hop| &hop.source);
    let rule = |text: &str, source: &str| Rule {
        text: text.to_owned(),
        source: source.to_owned(),
    };
    vec![
        rule(
            if from < to {
                "while etcd's downgrade runs the newer binary takes the same data; files are left alone"
            } else {
                "while the cluster is mixed the older binary takes the same data; files are left alone"
            },
            back,
        ),
        rule(
            "all members are healthy and a backup exists before the first stop; one at a time, the leader last",
            "etcd docs downgrade_3_6.md",
        ),
    ]
}
