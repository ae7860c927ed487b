//! Backups: the wave that every plan has before its first stop, and the plan that is nothing else.

use super::deadlines as limit;
use super::seats::{self, Seat, seats};
pub use super::v2::Basis as Request;
use super::{
    Action, FORMAT, Finding, Hop, Kind, Lane, OnFailure, Plan, Planned, Purpose, Severity, Step,
    StepId, Undo, Wave, finding, preflight, upgrade, v2,
};

/// Plans a backup of the cluster as it is. Members may be down: a backup is wanted most when something is wrong.
pub fn plan(request: &Request) -> Planned {
    let chosen = source(request);
    let mut findings = preflight::backup(request, chosen.as_ref());
    let blocked = |findings: &[Finding]| {
        let mut severities = findings.iter().map(|finding| finding.severity);
        severities.any(|severity| severity == Severity::Block)
    };
    let plan = chosen
        .filter(|_| !blocked(&findings))
        .and_then(|seat| only(request, &seat));
    findings = finding::sorted(findings);
    Planned { plan, findings }
}

/// The leader, which has the newest data; if none is agreed on, the member that answers and has applied most.
fn source<'a>(request: &Request<'a>) -> Option<Seat<'a>> {
    let leader = seats::leader(request.facts);
    let all = seats(request.cluster, request.facts);
    let applied = |seat: &&Seat| seat.view.map(|view| view.raft_applied);
    let newest = all.iter().max_by_key(applied);
    let leads = |seat: &&Seat| leader.is_some() && seat.view.map(|view| view.id) == leader;
    all.iter()
        .find(leads)
        .or(newest)
        .filter(|seat| seat.view.is_some())
        .copied()
}

fn only(request: &Request, seat: &Seat) -> Option<Plan> {
    let version = seat.version()?.clone();
    let mut wave = wave(request, seat)?;
    for (id, step) in (1..).zip(wave.lanes.iter_mut().flat_map(|lane| &mut lane.steps)) {
        step.id = StepId(id);
    }
    Some(Plan {
        format: FORMAT,
        kind: Kind::Backup,
        cluster: request.cluster.name.clone(),
        from: version.clone(),
        to: version.clone(),
        hops: vec![Hop {
            from: version.clone(),
            to: version,
            waves: vec![wave],
            point_of_no_return: None,
            rules: Vec::new(),
        }],
        on_failure: OnFailure::Stop,
        basis: upgrade::digest(request.facts),
    })
}

/// Takes one backup from that member, brings it here if the inventory says so, prunes older ones.
pub(super) fn wave(request: &Request, seat: &Seat) -> Option<Wave> {
    if v2::is_all(request.facts) {
        let mut wave = Wave {
            purpose: Purpose::Backup,
            lanes: Vec::new(),
        };
        v2::extend(&mut wave, request);
        return Some(wave).filter(|wave| !wave.lanes.is_empty());
    }
    let policy = &request.cluster.backup;
    let cluster = safe(&request.cluster.name);
    let dir = format!("{}/{cluster}", seat.host.backup_dir);
    let file = name(request, seat)?;
    let bytes = db_bytes(seat);
    let take = Action::TakeBackup {
        dir: dir.clone(),
        file: file.clone(),
    };
    let mut steps = vec![step(request, take, Undo::Nothing, limit::backup(bytes))];
    if policy.fetch {
        let path = format!("{dir}/{file}");
        let fetch = Action::FetchBackup { path, file };
        steps.push(step(request, fetch, Undo::Nothing, limit::transfer(bytes)));
    }
    let prune = Action::PruneBackups {
        dir,
        keep: policy.keep,
    };
    let gone = Undo::Impossible("older backups are gone".to_owned());
    steps.push(step(request, prune, gone, limit::SHORT_S));
    let lane = Lane {
        host: seat.host.name.clone(),
        member: seat.member(request.facts)?,
        steps,
    };
    let mut wave = Wave {
        purpose: Purpose::Backup,
        lanes: vec![lane],
    };
    v2::extend(&mut wave, request);
    Some(wave)
}

/// Cluster, run and the release that the backup belongs to; no character that a shell would look at.
fn name(request: &Request, seat: &Seat) -> Option<String> {
    let (cluster, run) = (safe(&request.cluster.name), safe(request.run_id));
    Some(format!("{cluster}-{run}-{}.db", seat.version()?))
}

fn step(request: &Request, action: Action, undo: Undo, deadline_s: u64) -> Step {
    Step {
        id: StepId(0),
        disruptive: false,
        action,
        undo,
        deadline_s: request.step_timeout_s.unwrap_or(deadline_s),
    }
}

/// The database's size: what the member says or what lies there, whichever is more.
pub(super) fn db_bytes(seat: &Seat) -> u64 {
    let said = seat.view.map(|view| view.db_bytes).unwrap_or_default();
    said.max(seat.facts.data.db_bytes)
}

pub(super) fn safe(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' => c,
            _ => '_',
        })
        .collect()
}
