//! The upgrade of one cluster: from facts to a plan.
//!
//! Hosts in turn are those that were chosen and whose member runs less than the hop's release; a mixed cluster is
//! finished by the same rule. Only the first hop has steps, the later ones are a forecast.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::etcd::catalogue::Catalogue;
use crate::etcd::{MemberId, Minor, Version};
use crate::facts::{Arch, ClusterFacts};
use crate::inventory::Cluster;

use super::files::{self, Rendered};
use super::lane::Lanes;
use super::left::{self, Left};
use super::path::{self, Available};
use super::seats::{self, Seat};
use super::{
    Action, FORMAT, Finding, Hop, Kind, OnFailure, Plan, Planned, Purpose, Rule, StepId, Wave,
    finding, order, preflight,
};

/// A binary of a verified release on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// SHA-256 in hex.
    pub sha256: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Verified releases on this machine: binaries by name.
pub type Releases = BTreeMap<(Version, Arch), BTreeMap<String, Binary>>;

/// Everything that a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The cluster with all its hosts.
    pub cluster: &'a Cluster,
    /// The hosts that `--limit` leaves; all of them without it.
    pub chosen: &'a BTreeSet<String>,
    /// What is true now.
    pub facts: &'a ClusterFacts,
    /// The release to reach.
    pub target: &'a Version,
    /// What can be had.
    pub available: &'a Available,
    /// What has been fetched and verified: at least [`needed`].
    pub releases: &'a Releases,
    /// What is known of etcd.
    pub rules: &'a Catalogue,
    /// What happens when a member fails.
    pub on_failure: OnFailure,
    /// The least time to wait after each member, in seconds.
    pub settle_least_s: u64,
    /// The most that any step may take, instead of each one's own deadline.
    pub step_timeout_s: Option<u64>,
    /// Whether an interrupted run is taken up: one voter may be down, and is then worked on first, even if nothing
    /// on its host tells of that run.
    pub resume: bool,
    /// The run's id, for the names of backups.
    pub run_id: &'a str,
}

/// What the first hop works on.
#[derive(Clone, Debug)]
pub(super) struct Work<'a> {
    /// Forwards or back.
    pub kind: Kind,
    /// Releases to pass, the target last.
    pub path: Vec<Version>,
    /// The lowest release that runs now.
    pub from: Version,
    /// The first hop's release.
    pub to: Version,
    /// Hosts in turn, in order.
    pub seats: Vec<Seat<'a>>,
    /// Rendered files by host.
    pub files: BTreeMap<String, Vec<Rendered>>,
    /// Files by host that are taken away.
    pub gone: BTreeMap<String, Vec<String>>,
    /// Host and message of templates that cannot be rendered.
    pub template_errors: Vec<(String, String)>,
    /// The leader.
    pub leader: Option<MemberId>,
    /// Whether every member runs the hop's release afterwards.
    pub complete: bool,
}

impl<'a> Work<'a> {
    /// All members between two releases, without files.
    pub fn new(kind: Kind, from: Version, to: Version, seats: Vec<Seat<'a>>) -> Self {
        Self {
            kind,
            path: vec![to.clone()],
            from,
            to,
            seats,
            files: BTreeMap::new(),
            gone: BTreeMap::new(),
            template_errors: Vec::new(),
            leader: None,
            complete: true,
        }
    }

    /// Whether members come down to the release: what they run is above it.
    pub fn leads_down(&self) -> bool {
        match self.kind {
            Kind::Upgrade | Kind::Backup => false,
            Kind::Restore => true,
            Kind::Rollback | Kind::Downgrade => self.to <= self.from,
        }
    }

    /// The rendered files of a host.
    pub fn files_of(&self, seat: &Seat) -> &[Rendered] {
        self.files
            .get(&seat.host.name)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The files of a host that are taken away.
    pub fn gone_of(&self, seat: &Seat) -> &[String] {
        self.gone
            .get(&seat.host.name)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }
}

/// Plans the upgrade. There is no plan when a finding blocks, and none when nothing is to be done.
pub fn plan(request: &Request) -> Planned {
    if let Some(Left::Needed(host)) = left::left(request) {
        return left::revive(request, &host);
    }
    let mut findings = preflight::state(request);
    if let Some(highest) = seats::highest(request.facts).filter(|high| *high > request.target) {
        findings.push(path::older(highest, request.target, request.rules));
        return refused(findings);
    }
    if !is_due(request) {
        findings.extend(preflight::drift(request));
        return refused(preflight::idle(findings));
    }
    let work = match work(request) {
        Ok(work) => work,
        Err(on_the_way) => {
            findings.extend(on_the_way);
            return refused(findings);
        }
    };
    findings.extend(preflight::work(request, &work));
    let findings = finding::sorted(findings);
    let blocked = findings
        .iter()
        .any(|finding| finding.severity == super::Severity::Block);
    let plan = (!blocked).then(|| build(request, &work));
    Planned { plan, findings }
}

/// The releases that the first hop puts on hosts: fetch and verify these, then [`plan`]. A member that is down
/// counts, because a run that is taken up works on it.
pub fn needed(
    cluster: &Cluster,
    chosen: &BTreeSet<String>,
    facts: &ClusterFacts,
    target: &Version,
    available: &Available,
    rules: &Catalogue,
) -> BTreeSet<(Version, Arch)> {
    let way = seats::origin(cluster, facts)
        .and_then(|low| path::path(low, target, available, rules).ok());
    let Some(way) = way else {
        return BTreeSet::new();
    };
    let to = way.first().unwrap_or(target).clone();
    seats::seats(cluster, facts)
        .iter()
        .filter(|seat| chosen.contains(&seat.host.name))
        .filter(|seat| seat.view.is_none() || seat.is_below(&to))
        .map(|seat| (to.clone(), seat.facts.arch))
        .collect()
}

pub(super) fn refused(findings: Vec<Finding>) -> Planned {
    Planned {
        plan: None,
        findings: finding::sorted(findings),
    }
}

/// Whether a chosen member runs less than the target.
fn is_due(request: &Request) -> bool {
    let all = seats::seats(request.cluster, request.facts);
    all.iter()
        .any(|seat| in_turn(request, seat, request.target))
}

/// Whether a host was chosen and its member runs less, or is the one that an interrupted run left down.
fn in_turn(request: &Request, seat: &Seat, release: &Version) -> bool {
    let is_left = || left::left(request).is_some_and(|left| left.host() == seat.host.name);
    request.chosen.contains(&seat.host.name) && (seat.is_below(release) || is_left())
}

fn work<'a>(request: &Request<'a>) -> Result<Work<'a>, Vec<Finding>> {
    let from = seats::origin(request.cluster, request.facts)
        .unwrap_or(request.target)
        .clone();
    let path = path::path(&from, request.target, request.available, request.rules)?;
    let to = path.first().unwrap_or(request.target).clone();
    let leader = seats::leader(request.facts);
    let all = seats::seats(request.cluster, request.facts);
    let (due, rest): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|seat| in_turn(request, seat, &to));
    let complete = rest
        .iter()
        .all(|seat| seat.version().is_some_and(|version| *version >= to));
    let mut work = Work {
        path,
        leader,
        complete,
        ..Work::new(Kind::Upgrade, from, to, order::order(due, leader))
    };
    render(request, &mut work);
    Ok(work)
}

/// Renders the files of all hosts in turn. Those of later hops are forecasts, too: a template that cannot be rendered for
/// one of them is found before the first.
pub(super) fn render(request: &Request, work: &mut Work) {
    let (facts, cluster) = (request.facts, &request.cluster.name);
    for seat in &work.seats {
        let host = &seat.host.name;
        let all = work.path.iter().map(|version| {
            let files = files::render(seat, facts, cluster, version, request.rules);
            files.map(|files| (version, files))
        });
        match all.collect::<Result<Vec<_>, _>>() {
            Ok(all) => {
                let to = all.into_iter().find(|(version, _)| **version == work.to);
                work.files
                    .extend(to.map(|(_, files)| (host.clone(), files)));
            }
            Err(errors) => work
                .template_errors
                .extend(errors.iter().map(|error| (host.clone(), error.to_string()))),
        }
    }
}

fn build(request: &Request, work: &Work) -> Plan {
    let hops = std::iter::once(hop(request, work)).chain(forecast(request.rules, &work.path));
    whole(request, &work.from, hops.collect())
}

/// The plan of these hops.
pub(super) fn whole(request: &Request, from: &Version, hops: Vec<Hop>) -> Plan {
    Plan {
        format: FORMAT,
        kind: Kind::Upgrade,
        cluster: request.cluster.name.clone(),
        from: from.clone(),
        to: request.target.clone(),
        hops,
        on_failure: request.on_failure,
        basis: digest(request.facts),
    }
}

/// The plan of one hop back.
pub(super) fn back(request: &Request, work: &Work, waves: Vec<Wave>, rules: Vec<Rule>) -> Plan {
    let mut hop = Hop {
        from: work.from.clone(),
        to: work.to.clone(),
        waves,
        point_of_no_return: None,
        rules,
    };
    number(&mut hop.waves);
    Plan {
        kind: work.kind,
        to: work.to.clone(),
        ..whole(request, &work.from, vec![hop])
    }
}

/// Hops without steps between releases that are passed one after the other.
pub(super) fn forecast(rules: &Catalogue, passed: &[Version]) -> impl Iterator<Item = Hop> {
    passed.windows(2).map(|pair| Hop {
        from: pair[0].clone(),
        to: pair[1].clone(),
        waves: Vec::new(),
        point_of_no_return: None,
        rules: cited(rules, &pair[0], &pair[1]),
    })
}

fn hop(request: &Request, work: &Work) -> Hop {
    let mut waves = Lanes::new(request, work).waves();
    number(&mut waves);
    let last_start = last_start(&waves);
    let crosses = cluster_minor(request).unwrap_or(work.from.minor()) < work.to.minor();
    Hop {
        from: work.from.clone(),
        to: work.to.clone(),
        point_of_no_return: last_start.filter(|_| crosses && work.complete),
        rules: cited(request.rules, &work.from, &work.to),
        waves,
    }
}

/// The line that the cluster as a whole is at: it rises once, after the last member.
pub(super) fn cluster_minor(request: &Request) -> Option<Minor> {
    seats::views(request.facts)
        .filter_map(|view| view.cluster_version.as_ref())
        .map(Version::minor)
        .min()
}

pub(super) fn number(waves: &mut [Wave]) {
    let lanes = waves.iter_mut().flat_map(|wave| &mut wave.lanes);
    for (id, step) in (1..).zip(lanes.flat_map(|lane| &mut lane.steps)) {
        step.id = StepId(id);
    }
}

fn last_start(waves: &[Wave]) -> Option<StepId> {
    waves
        .iter()
        .filter(|wave| wave.purpose == Purpose::Member)
        .flat_map(|wave| &wave.lanes)
        .flat_map(|lane| &lane.steps)
        .rfind(|step| matches!(step.action, Action::StartUnit { .. }))
        .map(|step| step.id)
}

/// Rules that this hop keeps: those of every upgrade and the hop's floors.
fn cited(known: &Catalogue, from: &Version, to: &Version) -> Vec<Rule> {
    let rule = |text: &str, source: &str| Rule {
        text: text.to_owned(),
        source: source.to_owned(),
    };
    let mut rules = vec![
        rule(
            "all members are healthy and a backup exists before the first stop; one at a time",
            "etcd docs upgrade_3_5.md",
        ),
        rule(
            "followers first, the leader last",
            "etcd docs downgrade_3_6.md",
        ),
    ];
    if let Some(hop) = known.hop(from.minor(), to.minor()) {
        let said = format!(
            "from {} or later, to {} or later",
            hop.least_source, hop.least_target
        );
        rules.push(rule(&said, &hop.source));
    }
    rules
}

/// A digest of the facts: two plans of one basis were made from the same look at the hosts.
pub(super) fn digest(facts: &ClusterFacts) -> String {
    let text = serde_json::to_string(facts).expect("facts have only string keys");
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().fold(String::new(), |mut hex, byte| {
        use std::fmt::Write;
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
