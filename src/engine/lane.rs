//! Runs the steps of a lane in order; when one fails, `undo` puts back what they did.
//!
//! For each step: guard if it is disruptive, journal, act, journal. Time is measured here and nowhere else.
//!
//! ```text
//! interrupted, and the member not touched yet? ──► stop here, at a safe point
//! disruptive? ──► guard: look at the cluster again; refused ──► stop
//! step_started on disk ──► act ──► step_ended
//!                           └─ failed ──► the rest is not run; undo what has begun, newest first
//! ```
//!
//! Once a disruptive step has begun, an interrupt no longer stops the lane: the member would stay down. It runs on
//! until the member has settled or has been put back. Only a second interrupt ends the waiting, and that ending says
//! that a person is needed.
//!
//! What a step does is in [`super::act`]; what it must wait for, in [`super::wait`]; whether the cluster bears it, in
//! [`super::guard`]. None of them decides what comes next: the plan has, and here is the one loop that follows it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::act::{Task, Turn, perform, words};
use super::{End, Failure, Repair, Stop, guard, is_undone, undo, whole};
use crate::event::Kind;
use crate::plan::{Action, Outcome, Rebuild, Step, StepId, Undo};
use crate::transport::Stage;

/// The most that a guard takes before it refuses.
pub(super) const GUARD: Duration = Duration::from_secs(30);

/// The title of [`ROOT`].
pub const ROOT_TITLE: &str = "gain root once more";

/// Shows that whoever begins with a member can still become root on its host, and so finish it.
const ROOT: &str = "true\n";

/// Runs a lane to its end. A rescue that is armed has nothing to do then, unless nobody could finish the member.
pub(crate) async fn run(turn: &Turn<'_>) -> End {
    let end = run_steps(turn).await;
    if turn.is_disrupted() && !is_open(&end) {
        let engine = turn.engine;
        engine.locks.disarm(&engine.transport, turn.host).await;
    }
    end
}

/// Whether the member was given up before it was finished or put back.
fn is_open(end: &End) -> bool {
    let End::Failed(stop) = end else {
        return false;
    };
    match stop.failure {
        Failure::Abandoned | Failure::Journal(_) => true,
        Failure::Unreachable(_) => matches!(stop.repair, Repair::Failed(_)),
        _ => false,
    }
}

async fn run_steps(turn: &Turn<'_>) -> End {
    let mut begun = Vec::new();
    if turn.lane.steps.iter().any(|step| step.disruptive) {
        turn.engine.transport.renew(&turn.host.name);
    }
    for (at, step) in turn.lane.steps.iter().enumerate() {
        if !turn.goes_on() && turn.engine.interrupt.is_raised() {
            not_run(turn, at, "interrupted before it");
            return End::Interrupted;
        }
        if let Err(failure) = advance(turn, step, &mut begun).await {
            let because = format!("step {} failed", step.id.0);
            let next = at + usize::from(begun.last().is_some_and(|last| last.id == step.id));
            not_run(turn, next, &because);
            return stop(turn, step, failure, &begun).await;
        }
    }
    End::Done
}

/// Guards and does one step; notes it as begun once its start is on disk.
async fn advance<'a>(
    turn: &Turn<'_>,
    step: &'a Step,
    begun: &mut Vec<&'a Step>,
) -> Result<(), Failure> {
    if step.disruptive {
        guard(turn, step).await?;
    }
    if turn.hop.point_of_no_return == Some(step.id) {
        guard::guard_no_return(&Task::new(turn, step.id, GUARD)).await?;
    }
    started(turn, step.id, &step.action, false)?;
    begun.push(step);
    turn.ledger.note_begun(step.id);
    if step.disruptive {
        turn.disrupted.store(true, Ordering::Relaxed);
        turn.ledger.note_disruption();
    }
    let task = Task::new(turn, step.id, Duration::from_secs(step.deadline_s));
    if is_before_no_return(turn, step) {
        return act_and_look(&task, &step.action).await;
    }
    act(&task, &step.action, false).await
}

/// Whether the next step is the one that only a backup leads back from, and this one touches files alone.
fn is_before_no_return(turn: &Turn<'_>, step: &Step) -> bool {
    let of_files = matches!(
        step.action,
        Action::SwitchRelease { .. } | Action::WriteFile { .. } | Action::RemoveFile { .. }
    );
    let mut after = turn.lane.steps.iter().skip_while(|one| one.id != step.id);
    let next = after.nth(1).map(|next| next.id);
    of_files && next.is_some() && next == turn.hop.point_of_no_return
}

/// Does an action beside the look that the guard of the next step asks for: the member is down meanwhile. If the look
/// fails, the guard looks itself.
async fn act_and_look(task: &Task<'_>, action: &Action) -> Result<(), Failure> {
    let (acted, seen) = tokio::join!(act(task, action, false), task.observe());
    if let (Ok(()), Ok(seen)) = (&acted, &seen) {
        task.turn.ledger.note_seen(seen);
    }
    acted
}

/// Asks the cluster, and the hosts for locks that were lost with a connection. A member in hand is finished without
/// them: it may be down.
async fn guard(turn: &Turn<'_>, step: &Step) -> Result<(), Failure> {
    let task = Task::new(turn, step.id, GUARD);
    guard::guard(&task).await?;
    if !turn.is_disrupted() {
        regain(turn, &task).await?;
    }
    if turn.is_disrupted() || turn.engine.locks.are_held(turn.cluster).await {
        return Ok(());
    }
    turn.engine.lock(turn.cluster, turn.plan).await?;
    // Somebody else may have been at work meanwhile.
    turn.ledger.forget_seen();
    guard::guard(&Task::new(turn, step.id, GUARD)).await
}

/// Becomes root anew: a shell that was opened earlier goes on after the right to it is gone, and the next one does not.
/// Before anybody is disrupted that is tried on all hosts, as each will have its turn.
async fn regain(turn: &Turn<'_>, task: &Task<'_>) -> Result<(), Failure> {
    let engine = turn.engine;
    let is_first = !turn.ledger.is_disrupted();
    let others = turn
        .cluster
        .hosts
        .iter()
        .filter(|host| is_first && host.name != turn.host.name);
    let tried = others.map(|host| async {
        engine.transport.renew(&host.name);
        let command = task.command(ROOT_TITLE, ROOT);
        let tried = engine.unless_abandoned(engine.transport.run(&host.name, command));
        match tried.await? {
            // Whether those may be missing, the guard has said.
            Err(gone) if !matches!(gone.stage, Stage::Become(_) | Stage::Password) => Ok(()),
            tried => tried.map(drop).map_err(Failure::Unreachable),
        }
    });
    let own = task.ask(task.command(ROOT_TITLE, ROOT));
    let (own, others) = tokio::join!(own, join_all(tried));
    own?;
    others.into_iter().collect()
}

/// Does an action whose start is on disk, measures it and records how it ended.
pub(super) async fn act(task: &Task<'_>, action: &Action, undo: bool) -> Result<(), Failure> {
    let began = Instant::now();
    let result = perform(task, action).await;
    let outcome = match &result {
        Ok(outcome) => outcome.clone(),
        Err(failure) => Outcome::Failed {
            causes: failure.causes(),
        },
    };
    if !matches!(result, Ok(Outcome::Unchanged { .. })) && !ends_with_look(action) {
        task.turn.ledger.forget_seen();
    }
    if may_have_changed(&result, action) {
        task.turn.ledger.note_change();
    }
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let recorded = ended(task.turn, task.step, outcome, took_ms, undo);
    result.map(|_| ())?;
    recorded
}

/// Whether a host is, or may be, different after an action. What a script did before its answer was lost is
/// unknown, so it counts.
fn may_have_changed(result: &Result<Outcome, Failure>, action: &Action) -> bool {
    match result {
        Ok(Outcome::Changed { .. }) => !matches!(action, Action::AwaitClusterVersion { .. }),
        Err(Failure::Unreachable(gone)) => {
            writes(action) && matches!(gone.stage, Stage::Lost(_) | Stage::Deadline { .. })
        }
        Err(Failure::Failed(_) | Failure::Abandoned) => writes(action),
        _ => false,
    }
}

/// Whether an action ends with a look at what it was about, so that this look stands.
fn ends_with_look(action: &Action) -> bool {
    matches!(
        action,
        Action::MoveLeader { .. }
            | Action::Settle { .. }
            | Action::AwaitClusterVersion { .. }
            | Action::Downgrade(_)
            | Action::Rebuild(Rebuild::SettleAmong { .. } | Rebuild::Prove { .. })
    )
}

fn writes(action: &Action) -> bool {
    !matches!(
        action,
        Action::CheckFlags { .. }
            | Action::VerifyUnit { .. }
            | Action::Settle { .. }
            | Action::AwaitClusterVersion { .. }
            | Action::Rebuild(Rebuild::SettleAmong { .. } | Rebuild::Prove { .. })
    )
}

/// Decides nothing but what the plan says about a failure.
///
/// A step that refused has changed nothing, so it is not undone: what it found is somebody else's.
async fn stop(turn: &Turn<'_>, step: &Step, failure: Failure, begun: &[&Step]) -> End {
    let mut begun = begun.to_vec();
    if matches!(failure, Failure::Refused(_)) {
        begun.retain(|one| one.id != step.id);
    }
    let repair = if whole::is(turn.plan) {
        // The engine undoes the hop as a whole.
        Repair::NotNeeded
    } else if !turn.is_disrupted() && !begun.iter().any(|step| has_actions(step)) {
        Repair::NotNeeded
    } else if is_undone(turn.plan, &failure) {
        undo::undo(turn, &failure, &begun).await
    } else {
        Repair::Left
    };
    End::Failed(Stop {
        host: turn.host.name.clone(),
        step: step.id,
        failure,
        repair,
    })
}

fn has_actions(step: &Step) -> bool {
    matches!(step.undo, Undo::Actions(_))
}

pub(super) fn started(
    turn: &Turn<'_>,
    step: StepId,
    action: &Action,
    undo: bool,
) -> Result<(), Failure> {
    record(
        turn,
        Kind::StepStarted {
            cluster: turn.cluster.name.clone(),
            host: turn.host.name.clone(),
            step,
            what: words(action),
            undo,
        },
    )
}

fn ended(
    turn: &Turn<'_>,
    step: StepId,
    outcome: Outcome,
    took_ms: u64,
    undo: bool,
) -> Result<(), Failure> {
    record(
        turn,
        Kind::StepEnded {
            cluster: turn.cluster.name.clone(),
            host: turn.host.name.clone(),
            step,
            outcome,
            took_ms,
            undo,
        },
    )
}

/// Tells that the lane's steps from the given one on are not begun.
fn not_run(turn: &Turn<'_>, from: usize, because: &str) {
    for step in turn.lane.steps.iter().skip(from) {
        let outcome = Outcome::NotRun {
            because: because.to_owned(),
        };
        // Announces no act, so a journal that is full may lack it.
        let _ = ended(turn, step.id, outcome, 0, false);
    }
}

fn record(turn: &Turn<'_>, kind: Kind) -> Result<(), Failure> {
    turn.engine.recorder.record(kind).map_err(Failure::Journal)
}

impl<'a> Task<'a> {
    /// A step whose time begins now.
    pub(super) fn new(turn: &'a Turn<'a>, step: StepId, time: Duration) -> Self {
        Self {
            turn,
            step,
            ends: Instant::now() + time,
        }
    }
}
