//! `runner restore`: look, choose a backup, read it through, show what would be lost, ask, restore.

mod choose;
mod decide;
mod pieces;
mod verify;

use super::confirm::confirm;
use super::context::Context;
use super::decide::{Decision, Goal};
use super::plan::{text, together};
use super::rollback::refuse;
use super::session::{Session, with};
use super::telling::Telling;
use super::upgrade::{conclude, ending, not_begun, tell_plan, unchanged};
use super::{hops, lock, out};
use crate::cli;
use crate::error::{Failure, Problem, Result};
use crate::event::Ending;
use crate::exit::Exit;
use crate::inventory::Selected;
use crate::plan::{Finding, Plan};
use crate::report::text::count;

/// Restores every selected cluster.
///
/// # Errors
/// Every way in which it does not end well; what was changed is always said.
pub fn run(context: &Context, args: &cli::Restore) -> Result<Exit> {
    let goal = Goal::new(&cli::Target {
        to: None,
        settle: args.settle,
        on_failure: args.on_failure,
        resume: true,
        acknowledge: args.acknowledge.clone(),
        many: cli::Many::default(),
    });
    let goal = if context.global.check {
        goal
    } else {
        goal.locking()
    };
    let wanted = Wanted { args, goal };
    let done = with(context, async |session: &Session| {
        one_file_one_cluster(session, args)?;
        if context.global.check {
            show(session, &wanted).await
        } else {
            do_it(session, &wanted).await
        }
    });
    if context.global.check {
        done
    } else {
        done.map_err(unchanged)
    }
}

/// What was asked for.
struct Wanted<'a> {
    args: &'a cli::Restore,
    goal: Goal,
}

fn one_file_one_cluster(session: &Session, args: &cli::Restore) -> Result<()> {
    let clusters = session.selected.len();
    if args.from.is_none() || clusters == 1 {
        return Ok(());
    }
    let problem = Problem::new(format!(
        "`--from` names one backup, {clusters} clusters are selected"
    ))
    .hint("limit the run to one cluster with `--limit`");
    Err(Failure::new(Exit::Usage, problem))
}

/// Only shows what would be done.
async fn show(session: &Session<'_>, wanted: &Wanted<'_>) -> Result<Exit> {
    let telling = Telling::unkept(session);
    let shown = async {
        let decisions = decide_all(session, &telling, wanted).await?;
        session.flush();
        for (selected, decision) in decisions.iter().filter(|_| !session.context.json()) {
            let paint = session.context.out.stdout;
            out::data(&text(session.context, selected, decision, paint));
        }
        refuse(&decisions, &wanted.goal)?;
        let due = decisions.iter().any(|(_, one)| one.planned.plan.is_some());
        let summary = if due {
            "there is something to restore"
        } else {
            "nothing to do"
        };
        telling.end(Exit::Done.code(), summary, Vec::new())
    };
    if let Err(failure) = shown.await {
        telling.end_with(&failure);
        return Err(failure);
    }
    session.quiet();
    Ok(Exit::Done)
}

async fn do_it(session: &Session<'_>, wanted: &Wanted<'_>) -> Result<Exit> {
    let _locks = lock::take(session.context, &session.selected)?;
    let telling = Telling::journaled(session)?;
    let endings = match begin(session, &telling, wanted).await {
        Ok(due) => carry_out(session, &telling, due).await,
        Err(failure) => {
            telling.end_with(&failure);
            return Err(failure);
        }
    };
    conclude(session, &telling, &endings)
}

/// Everything before the first change: plans of all clusters, shown and confirmed.
async fn begin<'s>(
    session: &'s Session<'_>,
    telling: &Telling<'_>,
    wanted: &Wanted<'_>,
) -> Result<Vec<(&'s Selected, Decision)>> {
    let mut decisions = decide_accepted(session, telling, wanted).await?;
    let mut aged = false;
    for (selected, decision) in &decisions {
        aged |= lock::take_on_hosts(session, selected, decision).await?;
    }
    if aged {
        // Somebody may have been at work between the look and the lock.
        decisions = decide_accepted(session, telling, wanted).await?;
    }
    session.flush();
    for (selected, decision) in &decisions {
        if let Some(plan) = &decision.planned.plan {
            let question = question(plan, selected, &decision.planned.findings);
            let asked = confirm(session.context, &question);
            session.or_interrupt(asked).await??;
        }
    }
    Ok(decisions)
}

async fn decide_accepted<'s>(
    session: &'s Session<'_>,
    telling: &Telling<'_>,
    wanted: &Wanted<'_>,
) -> Result<Vec<(&'s Selected, Decision)>> {
    let decisions = decide_all(session, telling, wanted).await?;
    for (selected, decision) in &decisions {
        lock::refuse_taken(selected, decision)?;
    }
    for (selected, decision) in &decisions {
        tell_plan(session, selected, decision);
    }
    refuse(&decisions, &wanted.goal)?;
    Ok(decisions)
}

fn question(plan: &Plan, selected: &Selected, findings: &[Finding]) -> String {
    let members = count(selected.cluster.hosts.len(), "member");
    let lost = findings.iter().find(|finding| finding.code == "DATA_LOSS");
    let lost = lost.map_or(String::new(), |finding| format!("{}. ", finding.reason));
    format!(
        "{lost}Stop all {members} of cluster {} and restore it at {}?",
        plan.cluster, plan.to
    )
}

async fn carry_out(
    session: &Session<'_>,
    telling: &Telling<'_>,
    decisions: Vec<(&Selected, Decision)>,
) -> Vec<Ending> {
    let mut endings: Vec<Ending> = Vec::new();
    for (selected, decision) in decisions {
        let stopped = endings.iter().any(|ending| ending.status != 0);
        endings.push(match &decision.planned.plan {
            None => ending(
                selected,
                Exit::Done,
                "nothing to do, it is as it was at the backup",
            ),
            Some(_) if stopped || session.signals.interrupt.is_raised() => not_begun(selected),
            Some(plan) => hops::one(session, telling, selected, &decision, plan).await,
        });
    }
    endings
}

async fn decide_all<'s>(
    session: &'s Session<'_>,
    telling: &Telling<'_>,
    wanted: &Wanted<'_>,
) -> Result<Vec<(&'s Selected, Decision)>> {
    let (mut decisions, mut failures) = (Vec::new(), Vec::new());
    for selected in &session.selected {
        match decide::decide(session, telling, selected, wanted).await {
            Ok(decision) => decisions.push((selected, decision)),
            Err(failure) if failure.exit == Exit::Interrupted => return Err(failure),
            Err(failure) => failures.push(failure),
        }
    }
    together(failures).map_or(Ok(decisions), Err)
}
