//! What a former run left: a member that is down and carries the marks of our work.
//!
//! The marks are on the host, so they are seen from any machine and without that run's journal. Before the switch: a
//! newer release is staged, and the unit was stopped in good order or `bin_dir` leads into our install folder.
//! Behind it: `bin_dir` leads there, and the release before is kept. A unit that failed on a plain file of its own
//! is not ours.
//!
//! With a healthy quorum without it, such a member is in turn first. Without one nothing can be backed up and
//! nobody can be asked, so it is only started again, with what is installed, as a hop of its own: everything else
//! is planned from the look at the boundary behind it.

use crate::etcd::quorum::quorum;
use crate::etcd::{MemberId, Version};

use super::deadlines as limit;
use super::seats::{self, Seat};
use super::upgrade::{Request, forecast};
use super::{
    Action, Finding, Hop, Lane, MemberRef, Planned, Purpose, Severity, Step, StepId, Undo, Wave,
    finding, path, preflight,
};

/// How a member was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// The others are healthy and a quorum: it is worked on first.
    Spare(String),
    /// There is no quorum without it: it is started first.
    Needed(String),
}

impl Left {
    /// Its host.
    pub fn host(&self) -> &str {
        match self {
            Self::Spare(host) | Self::Needed(host) => host,
        }
    }
}

/// The only silent member, if it was chosen, has its data, and a former run left it, or `--resume` says so.
pub fn left(request: &Request) -> Option<Left> {
    let all = seats::seats(request.cluster, request.facts);
    let (up, down): (Vec<&Seat>, Vec<&Seat>) = all.iter().partition(|seat| seat.view.is_some());
    let [only] = down.as_slice() else {
        return None;
    };
    let name = &only.host.name;
    let may = request.chosen.contains(name) && only.facts.data.exists;
    if !may || !(request.resume || is_marked(only, request.target)) {
        return None;
    }
    let voters = all.iter().filter(|seat| !seat.learner()).count();
    let well = |seat: &&&Seat| seat.view.is_some_and(|view| view.health.is_ok());
    let healthy = up.iter().filter(well).count();
    let others = up.iter().filter(|seat| !seat.learner()).count();
    if others < quorum(voters) {
        return Some(Left::Needed(name.clone()));
    }
    let spare = healthy == up.len() && only.member(request.facts).is_some();
    spare.then(|| Left::Spare(name.clone()))
}

fn is_marked(seat: &Seat, target: &Version) -> bool {
    let Some(etcd) = seat.facts.binaries.get("etcd") else {
        return false;
    };
    let install_dir = format!("{}/", seat.host.install_dir.trim_end_matches('/'));
    let linked = etcd.target.starts_with(&install_dir);
    let stopped = seat.facts.unit.active_state == "inactive";
    let others = |fits: fn(&Version, &Version) -> bool| {
        let installed = etcd.version.as_ref();
        let staged = seat.facts.staged.iter();
        staged
            .filter(|(version, files)| *version <= target && files.contains_key("etcd"))
            .any(|(version, _)| installed.is_none_or(|installed| fits(version, installed)))
    };
    let before = others(|staged, installed| staged > installed) && (stopped || linked);
    let behind = others(|staged, installed| staged < installed) && linked;
    seat.facts.unit.load_state == "loaded" && (before || behind)
}

/// What says no more than that this member is down is a warning: putting it right is the work.
pub fn lower(findings: &mut [Finding], left: &Left) {
    let unit = format!(" on {}", left.host());
    for finding in findings {
        let own = match finding.code.as_str() {
            "MEMBER_DOWN" => finding.subject == left.host(),
            "UNIT_NOT_ACTIVE" => finding.subject.ends_with(&unit),
            "MEMBER_UNHEALTHY" | "NO_LEADER" => matches!(left, Left::Needed(_)),
            _ => false,
        };
        if own {
            finding.severity = Severity::Warn;
            finding.hint = match left {
                Left::Spare(_) => "it is worked on first".to_owned(),
                Left::Needed(host) => {
                    format!("`{host}` is started first, then everything is looked at again")
                }
            };
        }
    }
}

/// A plan that starts the member with what is installed there, and forecasts the rest.
pub fn revive(request: &Request, host: &str) -> Planned {
    let mut findings = preflight::state(request);
    let all = seats::seats(request.cluster, request.facts);
    let seat = all.iter().find(|seat| seat.host.name == host);
    let found =
        seat.and_then(|seat| Some((seat, seat.facts.binaries.get("etcd")?.version.as_ref()?)));
    let Some((seat, installed)) = found else {
        findings.push(unknown(host));
        return refused(findings);
    };
    let way = match path::path(installed, request.target, request.available, request.rules) {
        Ok(way) => way,
        Err(on_the_way) => {
            findings.extend(on_the_way);
            return refused(findings);
        }
    };
    let findings = finding::sorted(findings);
    if findings.iter().any(|one| one.severity == Severity::Block) {
        return refused(findings);
    }
    let first = Hop {
        from: installed.clone(),
        to: installed.clone(),
        waves: vec![start(request, seat, installed)],
        point_of_no_return: None,
        rules: Vec::new(),
    };
    let passed: Vec<Version> = std::iter::once(installed.clone()).chain(way).collect();
    let hops = std::iter::once(first).chain(forecast(request.rules, &passed));
    let plan = super::upgrade::whole(request, installed, hops.collect());
    Planned {
        plan: Some(plan),
        findings,
    }
}

fn refused(findings: Vec<Finding>) -> Planned {
    Planned {
        plan: None,
        findings: finding::sorted(findings),
    }
}

fn unknown(host: &str) -> Finding {
    let reason = "its member is down, and no release of the etcd installed there can be told";
    Finding::block("MEMBER_DOWN", host, reason)
        .hint("install the release that ran, and start the unit")
}

fn start(request: &Request, seat: &Seat, installed: &Version) -> Wave {
    let unit = seat.host.unit.clone();
    let settle = limit::settle(seat.facts.data.db_bytes, request.settle_least_s);
    let mut actions = vec![
        (Action::StartUnit { unit }, limit::SHORT_S),
        (
            Action::Settle {
                version: installed.clone(),
                least_s: 0,
            },
            settle,
        ),
    ];
    if seat.facts.unit.needs_reload {
        actions.insert(0, (Action::ReloadUnits, limit::RELOAD_S));
    }
    let steps = (1..).zip(actions).map(|(id, (action, deadline_s))| Step {
        id: StepId(id),
        action,
        undo: Undo::Nothing,
        disruptive: false,
        deadline_s: request.step_timeout_s.unwrap_or(deadline_s),
    });
    let member = seat.member(request.facts).unwrap_or_else(|| MemberRef {
        id: MemberId::UNKNOWN,
        name: seat.name().to_owned(),
    });
    Wave {
        purpose: Purpose::Member,
        lanes: vec![Lane {
            host: seat.host.name.clone(),
            member,
            steps: steps.collect(),
        }],
    }
}
