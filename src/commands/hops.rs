//! One cluster's upgrade, hop after hop. Later hops are looked at and planned again at the boundary, visibly.

use super::decide::{Decision, Goal, accepted, decide};
use super::many::shows_plans;
use super::session::Session;
use super::telling::Telling;
use super::upgrade::tell_plan;
use crate::engine::{Engine, Gate};
use crate::error::{Failure, Result};
use crate::event::Ending;
use crate::exit::Exit;
use crate::inventory::Selected;
use crate::plan::Plan;

/// Carries out the plan's hops until the target is reached or one does not end well.
pub async fn run(
    session: &Session<'_>,
    telling: &Telling<'_>,
    selected: &Selected,
    goal: &Goal,
    mut decision: Decision,
    gate: &Gate,
) -> Ending {
    let mut so_far: Option<Ending> = None;
    while let Some(plan) = decision.planned.plan.take() {
        let ended = one(session, telling, selected, &decision, &plan, gate).await;
        let ended = add(so_far.take(), ended);
        if ended.status != Exit::Done.code() || plan.hops.len() < 2 {
            return ended;
        }
        if session.signals.interrupt.is_raised() {
            return stopped(ended, &plan, Exit::Interrupted);
        }
        match again(session, telling, selected, goal, &decision).await {
            Ok(next) => decision = next,
            Err(failure) => return broken_off(ended, &plan, failure),
        }
        so_far = Some(ended);
    }
    so_far.expect("the first decision has a plan, and a loop that goes on has an ending")
}

async fn one(
    session: &Session<'_>,
    telling: &Telling<'_>,
    selected: &Selected,
    decision: &Decision,
    plan: &Plan,
    gate: &Gate,
) -> Ending {
    let recorder = telling
        .recorder
        .clone()
        .expect("an upgrade keeps a journal");
    let engine = Engine {
        transport: session.transport.clone(),
        recorder,
        interrupt: session.signals.interrupt.clone(),
        binaries: decision.binaries.clone(),
        state_dir: session.context.state_dir.clone(),
    };
    engine.run_through(&selected.cluster, plan, gate).await
}

/// Looks and plans again. The question is not asked again: the whole way was confirmed.
async fn again(
    session: &Session<'_>,
    telling: &Telling<'_>,
    selected: &Selected,
    goal: &Goal,
    before: &Decision,
) -> Result<Decision> {
    let next = decide(session, telling, selected, goal, &before.target).await?;
    if shows_plans(session) {
        tell_plan(session, selected, &next);
    }
    accepted(&selected.cluster.name, &next.planned, goal)?;
    Ok(next)
}

/// What earlier hops changed and left belongs to the ending.
fn add(before: Option<Ending>, mut now: Ending) -> Ending {
    if let Some(before) = before {
        now.changed |= before.changed;
        now.left.splice(0..0, before.left);
    }
    now
}

/// The hop is done and the rest is not: the cluster is well, at the hop's release.
fn stopped(mut ending: Ending, plan: &Plan, exit: Exit) -> Ending {
    let reached = plan.hops.first().map_or(&plan.from, |hop| &hop.to);
    ending.status = exit.code();
    ending.summary = format!("stopped at {reached} on the way to {}", plan.to);
    "run `runner upgrade` again to go on".clone_into(&mut ending.hint);
    ending
}

/// The next hop is refused or cannot be planned. Hosts were changed, so only a person can say how to go on.
fn broken_off(ending: Ending, plan: &Plan, failure: Failure) -> Ending {
    let exit = match failure.exit {
        Exit::Interrupted => Exit::Interrupted,
        _ => Exit::NeedsPerson,
    };
    let mut ending = stopped(ending, plan, exit);
    for problem in failure.problems {
        ending.causes.push(problem.what);
        ending.causes.extend(problem.because);
        if let Some(hint) = problem.hint {
            ending.hint = format!("{hint}\n{}", ending.hint);
        }
    }
    ending
}
