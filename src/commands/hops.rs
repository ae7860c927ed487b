//! One cluster's upgrade, hop after hop. Later hops are looked at and planned again at the boundary, visibly.

use std::sync::Arc;

use super::decide::{Decision, Goal, accepted, decide};
use super::many::shows_plans;
use super::session::Session;
use super::telling::Telling;
use super::upgrade::tell_plan;
use crate::engine::{Engine, Gate, Now};
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
        let ended = through(session, telling, selected, &decision, &plan, gate).await;
        let ended = add(so_far.take(), ended);
        if ended.status != Exit::Done.code() || plan.hops.len() < 2 {
            return ended;
        }
        if session.signals.interrupt.is_raised() {
            return stopped(ended, &plan, Exit::Interrupted);
        }
        match again(session, telling, selected, goal, &decision).await {
            Ok(next) => decision = next,
            Err(failure) => {
                let engine = engine(session, telling, &decision);
                let now = engine.look_again(&selected.cluster, &plan).await;
                return broken_off(ended, &plan, failure, now);
            }
        }
        so_far = Some(ended);
    }
    so_far.expect("the first decision has a plan, and a loop that goes on has an ending")
}

/// Carries out one plan with an engine of its own.
pub(super) async fn one(
    session: &Session<'_>,
    telling: &Telling<'_>,
    selected: &Selected,
    decision: &Decision,
    plan: &Plan,
) -> Ending {
    through(session, telling, selected, decision, plan, &Gate::open()).await
}

async fn through(
    session: &Session<'_>,
    telling: &Telling<'_>,
    selected: &Selected,
    decision: &Decision,
    plan: &Plan,
    gate: &Gate,
) -> Ending {
    let engine = engine(session, telling, decision);
    engine.run_through(&selected.cluster, plan, gate).await
}

fn engine(session: &Session<'_>, telling: &Telling<'_>, decision: &Decision) -> Engine {
    let recorder = telling
        .recorder
        .clone()
        .expect("what changes hosts keeps a journal");
    Engine {
        transport: session.transport.clone(),
        recorder,
        interrupt: session.signals.interrupt.clone(),
        seen: decision.seen.clone(),
        binaries: decision.binaries.clone(),
        packs: Arc::clone(&session.packs),
        state_dir: session.context.state_dir.clone(),
        locks: Arc::clone(&session.locks),
    }
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

/// The next hop is refused or cannot be planned. The hop before is done, so nothing is half done: whether a person
/// has to come at once is up to how the members are now.
fn broken_off(ending: Ending, plan: &Plan, failure: Failure, now: Now) -> Ending {
    let exit = match failure.exit {
        Exit::Interrupted => Exit::Interrupted,
        _ if now.well => Exit::PutBack,
        _ => Exit::NeedsPerson,
    };
    let mut ending = stopped(ending, plan, exit);
    ending.members = now.members;
    if exit != Exit::Interrupted {
        ending.summary += ": the next hop cannot begin";
    }
    for problem in failure.problems {
        ending.causes.push(problem.what);
        ending.causes.extend(problem.because);
        if let Some(hint) = problem.hint {
            ending.hint = format!("{hint}\n{}", ending.hint);
        }
    }
    ending
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Problem;
    use crate::event::MemberState;
    use crate::plan::{FORMAT, Hop, Kind, OnFailure};

    fn plan() -> Plan {
        let hop = |from: &str, to: &str| Hop {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            waves: Vec::new(),
            point_of_no_return: None,
            rules: Vec::new(),
        };
        Plan {
            format: FORMAT,
            kind: Kind::Upgrade,
            cluster: "prod".to_owned(),
            from: "3.3.25".parse().unwrap(),
            to: "3.5.16".parse().unwrap(),
            hops: vec![hop("3.3.25", "3.4.23"), hop("3.4.23", "3.5.16")],
            on_failure: OnFailure::Undo,
            basis: String::new(),
        }
    }

    fn after_the_hop(exit: Exit, well: bool) -> Ending {
        let done = Ending {
            cluster: "prod".to_owned(),
            status: 0,
            summary: "all 3 members run 3.4.23".to_owned(),
            causes: Vec::new(),
            members: Vec::new(),
            changed: true,
            hint: String::new(),
            left: Vec::new(),
        };
        let why = Problem::new("the preflight refuses, 1 finding")
            .because("ALARM prod: member 1 has raised NOSPACE")
            .hint("disarm it");
        let member = MemberState {
            host: "etcd-1".to_owned(),
            member: "etcd-1".to_owned(),
            id: None,
            state: "runs 3.4.23 and is healthy".to_owned(),
        };
        let now = Now {
            members: vec![member],
            well,
        };
        broken_off(done, &plan(), Failure::new(exit, why), now)
    }

    #[test]
    fn a_hop_that_is_refused_behind_a_finished_one_leaves_a_healthy_cluster_and_says_so() {
        let ending = after_the_hop(Exit::Refused, true);
        assert_eq!(ending.status, Exit::PutBack.code());
        assert_eq!(
            ending.summary,
            "stopped at 3.4.23 on the way to 3.5.16: the next hop cannot begin"
        );
        assert_eq!(ending.causes[1], "ALARM prod: member 1 has raised NOSPACE");
        assert_eq!(
            ending.hint,
            "disarm it\nrun `runner upgrade` again to go on"
        );
        assert!(ending.changed);
        assert_eq!(ending.members.len(), 1);
    }

    #[test]
    fn a_cluster_that_is_not_well_at_the_boundary_needs_a_person() {
        let ending = after_the_hop(Exit::Unreachable, false);
        assert_eq!(ending.status, Exit::NeedsPerson.code());
    }

    #[test]
    fn an_interrupt_at_the_boundary_is_a_safe_point() {
        let ending = after_the_hop(Exit::Interrupted, true);
        assert_eq!(ending.status, Exit::Interrupted.code());
        assert_eq!(ending.summary, "stopped at 3.4.23 on the way to 3.5.16");
    }
}
