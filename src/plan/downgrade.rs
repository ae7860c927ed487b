//! The downgrade of one cluster: after a finished upgrade, to the line before, by etcd's own procedure.
//!
//! etcd is told first. From then on it writes only what the older line reads, and each member's status says once its
//! data are stored so. Then members go over to the older release on the same data, one at a time, the leader last; when
//! none is left, the leader ends the procedure by itself. Until then `rollback` leads back to the newer release.
//!
//! To tell etcd belongs to the first member's lane: if that member fails it is put back, and then, while nobody runs the
//! older release, etcd is told to forget it. A downgrade that is enabled already, by a former run or by somebody else, is
//! gone on with. Which lines can be left so is in the catalogue.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::etcd::catalogue::{Catalogue, Hop};
use crate::etcd::{Minor, Version};
use crate::facts::{Arch, ClusterFacts};
use crate::inventory::Cluster;

use super::lane::Lanes;
use super::left::{self, Left};
use super::path::Available;
use super::rollback::{kept, needed_first};
use super::seats::{self, Seat};
use super::upgrade::{Request, Work, back, cluster_minor, refused, render};
use super::{Finding, Kind, Planned, Rule, Severity, finding, order, preflight};

/// What a plan does about etcd's own downgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Downgrade {
    /// `downgrade validate` and `downgrade enable`, unless it is enabled already; then waits until every member that
    /// runs a newer line stores its data as this one.
    Enable {
        /// The line to go to.
        to: Minor,
    },
    /// `downgrade cancel`, where no member runs the older line; the leader raises the cluster version by itself then.
    Cancel,
    /// Sees to it that etcd has ended the procedure, where every member runs the older line. The leader does so by itself
    /// within seconds, by `cancel` as well; 3.5 tells nobody of it, and an upgrade that comes first would find it running.
    End,
}

/// Says what an action does, without its host.
pub fn words(action: &Downgrade) -> String {
    match action {
        Downgrade::Enable { to } => {
            format!("enable etcd's downgrade to {to}, wait until every member stores its data so")
        }
        Downgrade::Cancel => "cancel etcd's downgrade".to_owned(),
        Downgrade::End => "see that etcd has ended its downgrade".to_owned(),
    }
}

/// Where a downgrade leads.
#[derive(Debug)]
enum Way<'r> {
    /// Down this hop.
    Down(&'r Hop),
    /// Nowhere: members run this release already.
    There,
}

/// The release to go to: the one that is wanted; else what members that have gone there run; else the newest that can be
/// used and had of the line before.
///
/// # Errors
/// The finding that says why there is none.
pub fn target(
    facts: &ClusterFacts,
    wanted: Option<&Version>,
    available: &Available,
    rules: &Catalogue,
) -> Result<Version, Box<Finding>> {
    let highest = seats::highest(facts).ok_or_else(|| nobody(facts))?;
    let hop = match (way(facts, highest, wanted, rules)?, wanted) {
        (_, Some(wanted)) => return Ok(wanted.clone()),
        (Way::There, None) => return Ok(highest.clone()),
        (Way::Down(hop), None) => hop,
    };
    let running = seats::views(facts).map(|view| &view.version);
    if let Some(gone) = running.filter(|version| version.minor() == hop.from).min() {
        return Ok(gone.clone());
    }
    let floor = Version::new(hop.from.major, hop.from.minor, 0);
    let chosen = available.choose(&floor, &hop.use_source, rules);
    chosen.ok_or_else(|| Box::new(not_to_be_had(hop, available)))
}

fn way<'r>(
    facts: &ClusterFacts,
    highest: &Version,
    wanted: Option<&Version>,
    rules: &'r Catalogue,
) -> Result<Way<'r>, Box<Finding>> {
    let enabled = seats::downgrade(facts);
    let is_there = wanted.map_or(enabled == Some(highest.minor()), |wanted| wanted == highest);
    if is_there {
        return Ok(Way::There);
    }
    let line = highest.minor();
    let hop = rules.downgrade(line).ok_or_else(|| no_downgrade(highest))?;
    match (wanted.map(Version::minor), enabled) {
        (Some(to), _) if to != hop.from => Err(other_line(highest, hop, wanted).into()),
        (_, Some(enabled)) if enabled != hop.from => Err(other_job(highest, enabled).into()),
        _ => Ok(Way::Down(hop)),
    }
}

/// The releases that have to be fetched because a host in turn has not kept them.
pub fn needed(
    cluster: &Cluster,
    chosen: &BTreeSet<String>,
    facts: &ClusterFacts,
    to: &Version,
) -> BTreeSet<(Version, Arch)> {
    seats::seats(cluster, facts)
        .iter()
        .filter(|seat| chosen.contains(&seat.host.name))
        .filter(|seat| seat.version().is_none_or(|runs| runs.minor() > to.minor()))
        .filter(|seat| kept(seat, to).is_none())
        .map(|seat| (to.clone(), seat.facts.arch))
        .collect()
}

/// Plans the downgrade to the request's target, which [`target`] has found. An interrupted run is always taken up: one
/// member may be down, once etcd has been told.
pub fn plan(request: &Request) -> Planned {
    let mut findings = preflight::state(request);
    findings.retain(|finding| finding.code != "DOWNGRADE_RUNS");
    if let Some(Left::Needed(host)) = left::left(request) {
        findings.push(needed_first(&host));
        return refused(findings);
    }
    for finding in findings.iter_mut().filter(|one| one.code == "MIXED") {
        let to = request.target;
        finding.hint = format!("members above {to} are taken there, the others stay as they are");
    }
    let highest = seats::highest(request.facts);
    let found = highest.ok_or_else(|| Box::new(nobody(request.facts)));
    let way =
        found.and_then(|highest| way(request.facts, highest, Some(request.target), request.rules));
    let hop = match way {
        Ok(Way::Down(hop)) => hop,
        Ok(Way::There) => return refused(preflight::idle(findings)),
        Err(finding) => return refuse(findings, *finding),
    };
    let work = work(request);
    if work.seats.is_empty() {
        findings.extend(preflight::partial_back(request, &work));
        return refused(preflight::idle(findings));
    }
    findings.extend(preflight::downgrade(request, &work));
    findings.extend(too_early(request, &work));
    let findings = finding::sorted(findings);
    let blocked = findings
        .iter()
        .any(|finding| finding.severity == Severity::Block);
    let plan = (!blocked).then(|| {
        let waves = Lanes::new(request, &work).waves();
        back(request, &work, waves, cited(request, hop))
    });
    Planned { plan, findings }
}

/// The refusal of a cluster that there is no release for.
pub fn no_target(request: &Request, why: Finding) -> Planned {
    let mut findings = preflight::state(request);
    findings.retain(|finding| finding.code != "DOWNGRADE_RUNS");
    refuse(findings, why)
}

fn refuse(mut findings: Vec<Finding>, why: Finding) -> Planned {
    findings.push(why);
    refused(findings)
}

fn work<'a>(request: &Request<'a>) -> Work<'a> {
    let to = request.target.clone();
    let leader = seats::leader(request.facts);
    let all = seats::seats(request.cluster, request.facts);
    let (due, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|seat| in_turn(request, seat));
    let installed = due.iter().filter_map(Seat::installed);
    let highest = installed.chain(seats::highest(request.facts)).max();
    let from = highest.unwrap_or(&to).clone();
    let is_gone = |seat: &Seat| {
        seat.version()
            .is_some_and(|runs| runs.minor() == to.minor())
    };
    let complete = rest.iter().all(is_gone);
    let mut work = Work {
        leader,
        complete,
        ..Work::new(Kind::Downgrade, from, to.clone(), order::order(due, leader))
    };
    render(request, &mut work);
    work
}

/// Whether a host was chosen and its member runs the newer line, or is the one that an interrupted run left down.
fn in_turn(request: &Request, seat: &Seat) -> bool {
    let to = request.target.minor();
    let above = || seat.version().is_some_and(|runs| runs.minor() > to);
    let left = || left::left(request).is_some_and(|left| left.host() == seat.host.name);
    request.chosen.contains(&seat.host.name) && (above() || left())
}

/// Whether etcd was told, or some members have gone already.
fn is_begun(request: &Request) -> bool {
    let to = request.target.minor();
    seats::downgrade(request.facts).is_some() || seats::is_between(request.facts, to)
}

/// What etcd has to be told, or awaited of it, before the first member goes; nothing where the cluster version is low for
/// another reason, so that the older line is taken back as it is.
pub(super) fn telling(request: &Request, work: &Work) -> Option<Downgrade> {
    let to = work.to.minor();
    let told = seats::downgrade(request.facts).is_some() || !is_begun(request);
    (work.kind == Kind::Downgrade && told).then_some(Downgrade::Enable { to })
}

/// Whether the plan is the one that tells etcd, so that it may also take that back.
pub(super) fn is_told_here(request: &Request) -> bool {
    !is_begun(request)
}

/// Before etcd is told all members must be there and the cluster version be that of their line.
fn too_early(request: &Request, work: &Work) -> Vec<Finding> {
    if is_begun(request) {
        return Vec::new();
    }
    let mut findings = preflight::down(request);
    let line = work.from.minor();
    let seen = cluster_minor(request).filter(|seen| *seen != line);
    findings.extend(seen.map(|seen| {
        let reason = format!("every member runs {line}, and the cluster's version is {seen}");
        Finding::block("CLUSTER_VERSION", &request.cluster.name, reason)
            .hint("the leader raises it within seconds once it reaches every listed member")
            .source("server/etcdserver/version/monitor.go at v3.6.14")
    }));
    findings
}

fn nobody(facts: &ClusterFacts) -> Finding {
    let reason = format!(
        "0 of {} members answer, so what they run is not known",
        facts.hosts.len()
    );
    Finding::block("NO_MEMBER", &facts.cluster, reason)
        .hint("start their units with what is installed there, then run this again")
}

fn no_downgrade(highest: &Version) -> Finding {
    let line = highest.minor();
    let reason = format!("members run {highest}, and etcd {line} has no downgrade of its own");
    Finding::block("NO_DOWNGRADE", line.to_string(), reason)
        .hint("the way back is `runner restore`, from the backup that the upgrade took")
        .source("etcd docs downgrade_3_6.md")
}

fn other_line(highest: &Version, hop: &Hop, wanted: Option<&Version>) -> Finding {
    let wanted = wanted.map_or_else(String::new, ToString::to_string);
    let reason = format!(
        "members run {highest}, and one downgrade leads to {} and not to {wanted}",
        hop.from
    );
    let hint = format!(
        "choose a {} release with `--to`; for a line below it, downgrade again when that is done",
        hop.from
    );
    Finding::block("DOWNGRADE_TARGET", wanted, reason)
        .hint(hint)
        .source(hop.downgrade.clone().unwrap_or_default())
}

fn other_job(highest: &Version, enabled: Minor) -> Finding {
    let reason = format!("members run {highest}, and a downgrade to {enabled} is enabled");
    Finding::block("DOWNGRADE_TARGET", enabled.to_string(), reason)
        .hint("end it with `runner rollback` first")
}

fn not_to_be_had(hop: &Hop, available: &Available) -> Finding {
    let reason = format!(
        "the downgrade leads to a {} release, and the source of releases has {}",
        hop.from,
        available.listed()
    );
    Finding::block("RELEASE_MISSING", hop.from.to_string(), reason)
        .hint(format!("add {} to `[releases] source`", hop.use_source))
}

fn cited(request: &Request, hop: &Hop) -> Vec<Rule> {
    let source = hop.downgrade.clone().unwrap_or_default();
    let rule = |text: &str| Rule {
        text: text.to_owned(),
        source: source.clone(),
    };
    let mut rules = vec![
        rule("every member stores its data as the older line before the first one goes there"),
        rule(
            "all members are healthy and a backup exists before the first stop; one at a time, the leader last",
        ),
        rule(
            "one minor at a time; the leader ends the downgrade once all members run the older line",
        ),
    ];
    if request.cluster.hosts.iter().any(|host| host.auth.is_some()) {
        rules.push(rule(
            "with authentication on, only an administrator may enable or cancel it",
        ));
    }
    rules
}
