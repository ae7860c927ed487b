//! Puts a member back by undoing its lane's steps, newest first; and knows when that is too late.
//!
//! Once every member runs the new minor, the leader raises the cluster version, some seconds later and by itself.
//! From then on the old release must not come back: etcd 3 refuses to start, etcd 2 joins and does not notice. A
//! member that is stopped holds the rise up, because the leader cannot learn its release. So the cluster is asked
//! before the undo, and again once the member is stopped: then the answer stays true.

use std::time::Duration;

use super::act::{Task, Turn};
use super::lane::{GUARD, act, started};
use super::{Failure, Repair, guard};
use crate::etcd::{Minor, Version};
use crate::event::Kind;
use crate::facts::Observation;
use crate::plan::{Action, Step, StepId, Undo};

/// The least time that each action of an undo gets. The step's own deadline was for doing, not for putting a
/// member back, where giving up early would leave it down.
pub(super) const UNDO_LEAST: Duration = Duration::from_secs(120);

/// The first line whose members refuse a cluster that has gone on without them.
const CHECKS_ITSELF: Minor = Minor { major: 3, minor: 0 };

/// Undoes the steps that have begun, newest first, the failed one included: it may be half done.
///
/// If the member was taken out of service and one of the steps cannot be undone, nothing is: a half-way undo would
/// stop a process that may yet come up.
pub(crate) async fn undo(turn: &Turn<'_>, failure: &Failure, begun: &[&Step]) -> Repair {
    if let Some(reason) = impossible(turn, begun) {
        return Repair::Failed(vec![reason]);
    }
    match too_late(turn, begun).await {
        Ok(None) => {}
        Ok(Some(why)) => return Repair::TooLate(why),
        Err(failure) => return Repair::Failed(failure.causes()),
    }
    let event = Kind::UndoStarted {
        cluster: turn.cluster.name.clone(),
        host: turn.host.name.clone(),
        because: failure.causes(),
    };
    if let Err(error) = turn.engine.recorder.record(event) {
        return Repair::Failed(Failure::Journal(error).causes());
    }
    for step in begun.iter().rev() {
        match undo_step(turn, step, begun).await {
            Ok(None) => {}
            Ok(Some(why)) => return Repair::TooLate(why),
            Err(failure) => return Repair::Failed(not_undone(step, &failure)),
        }
    }
    if turn.is_disrupted() {
        Repair::PutBack
    } else {
        Repair::NotNeeded
    }
}

fn not_undone(step: &Step, failure: &Failure) -> Vec<String> {
    let mut causes = vec![format!("step {} could not be undone", step.id.0)];
    causes.extend(failure.causes());
    causes
}

fn impossible(turn: &Turn<'_>, begun: &[&Step]) -> Option<String> {
    let reason = begun.iter().find_map(|step| match &step.undo {
        Undo::Impossible(reason) => Some(format!("step {} cannot be undone: {reason}", step.id.0)),
        Undo::Nothing | Undo::Actions(_) => None,
    });
    reason.filter(|_| turn.is_disrupted())
}

/// Undoes one step; `Some` when the cluster turned out to have gone on, which is told and left so.
async fn undo_step(
    turn: &Turn<'_>,
    step: &Step,
    begun: &[&Step],
) -> Result<Option<Vec<String>>, Failure> {
    let Undo::Actions(actions) = &step.undo else {
        return Ok(None);
    };
    for action in actions {
        if matches!(action, Action::StopUnit { .. }) {
            guard::guard_undo(&Task::new(turn, step.id, GUARD)).await?;
        }
        one(turn, step, action).await?;
    }
    if !matches!(step.action, Action::StartUnit { .. }) {
        return Ok(None);
    }
    let why = too_late(turn, begun).await?;
    if why.is_some() {
        one(turn, step, &step.action).await?;
    }
    Ok(why)
}

async fn one(turn: &Turn<'_>, step: &Step, action: &Action) -> Result<(), Failure> {
    let time = Duration::from_secs(step.deadline_s).max(UNDO_LEAST);
    started(turn, step.id, action, true)?;
    act(&Task::new(turn, step.id, time), action, true).await
}

/// Why the release that the undo leads to must not start again, if so.
async fn too_late(turn: &Turn<'_>, begun: &[&Step]) -> Result<Option<Vec<String>>, Failure> {
    let Some(back) = back(begun) else {
        return Ok(None);
    };
    let step = begun.last().map_or(StepId(0), |step| step.id);
    let seen = Task::new(turn, step, GUARD).observe().await?;
    let member = &turn.lane.member.name;
    Ok(gone_on(back, &seen, turn.ledger.line()).map(|why| {
        vec![format!(
            "member `{member}` was left as it is and not put back on {back}: {why}"
        )]
    }))
}

/// The lowest release that undoing these steps would put back.
fn back<'a>(begun: &[&'a Step]) -> Option<&'a Version> {
    let actions = begun.iter().flat_map(|step| match &step.undo {
        Undo::Actions(actions) => actions.as_slice(),
        Undo::Nothing | Undo::Impossible(_) => &[],
    });
    actions
        .filter_map(|action| match action {
            Action::SwitchRelease { version, .. } => Some(version),
            _ => None,
        })
        .min()
}

/// Tells why a cluster has gone on without the release `back`, by what its members see now or were seen to say
/// during the run.
pub fn gone_on(back: &Version, seen: &Observation, before: Option<Minor>) -> Option<String> {
    let lines: Vec<(&str, Minor)> = guard::views(seen)
        .filter_map(|(host, view)| Some((host, view.cluster_version.as_ref()?.minor())))
        .collect();
    if let Some((host, line)) = lines.iter().find(|(_, line)| *line > back.minor()) {
        return Some(format!("`{host}` sees cluster version {line} already"));
    }
    if let Some(line) = before.filter(|line| *line > back.minor()) {
        return Some(format!("the cluster version was {line} already"));
    }
    (lines.is_empty() && back.minor() < CHECKS_ITSELF).then(|| {
        format!(
            "no member tells the cluster version, and etcd {back} would join without a look at it"
        )
    })
}
