//! `runner upgrade`: look, decide, show, ask, do, cluster after cluster.

use super::confirm::confirm;
use super::context::Context;
use super::decide::{Decision, Goal, accepted};
use super::plan::{decide_all, text, together};
use super::session::{Session, with};
use super::telling::Telling;
use super::{hops, lock, out};
use crate::cli::Target;
use crate::error::{Failure, Problem, Result};
use crate::event::Ending;
use crate::exit::Exit;
use crate::inventory::Selected;
use crate::plan::Plan;
use crate::report::summary;
use crate::report::text::count;

/// Upgrades every selected cluster.
///
/// # Errors
/// Every way in which it does not end well; what was changed is always said.
pub fn run(context: &Context, target: &Target) -> Result<Exit> {
    let goal = Goal::new(target).locking();
    with(context, async |session: &Session| {
        upgrade(session, &goal).await
    })
    .map_err(unchanged)
}

/// Upgrades every selected cluster, within a session.
///
/// # Errors
/// As [`run`].
pub async fn upgrade(session: &Session<'_>, goal: &Goal) -> Result<Exit> {
    let _locks = lock::take(session.context, &session.selected)?;
    let telling = Telling::journaled(session)?;
    let endings = match begin(session, &telling, goal).await {
        Ok(due) => carry_out(session, &telling, goal, due).await,
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
    goal: &Goal,
) -> Result<Vec<(&'s Selected, Decision)>> {
    let mut decisions = decide_accepted(session, telling, goal).await?;
    if lock::take_on_hosts(session, &decisions).await? {
        // Somebody may have been at work between the look and the lock.
        decisions = decide_accepted(session, telling, goal).await?;
    }
    session.flush();
    for (selected, decision) in &decisions {
        if let Some(plan) = &decision.planned.plan {
            let question = question(plan, &selected.cluster.name);
            session
                .or_interrupt(confirm(session.context, &question))
                .await??;
        }
    }
    Ok(decisions)
}

/// Looks at all clusters, plans, shows the plans.
async fn decide_accepted<'s>(
    session: &'s Session<'_>,
    telling: &Telling<'_>,
    goal: &Goal,
) -> Result<Vec<(&'s Selected, Decision)>> {
    let decisions = decide_all(session, telling, goal).await?;
    lock::refuse_taken(&decisions)?;
    let mut refused = Vec::new();
    for (selected, decision) in &decisions {
        tell_plan(session, selected, decision);
        refused.extend(accepted(&selected.cluster.name, &decision.planned, goal).err());
    }
    together(refused).map_or(Ok(decisions), Err)
}

/// Shows the plan, unless nobody wants to see it: it is data already, or there is neither talk nor a question.
pub fn tell_plan(session: &Session, selected: &Selected, decision: &Decision) {
    let global = &session.context.global;
    if global.yes && (global.quiet || session.context.json()) {
        return;
    }
    let paint = session.context.out.stderr;
    session
        .voice
        .say(text(session.context, selected, decision, paint));
}

fn question(plan: &Plan, cluster: &str) -> String {
    let hosts: std::collections::BTreeSet<&str> = plan
        .hops
        .iter()
        .flat_map(crate::plan::Hop::steps)
        .map(|(lane, _)| lane.host.as_str())
        .collect();
    let hosts = count(hosts.len(), "host");
    format!(
        "Upgrade cluster {cluster} from {} to {} on {hosts}?",
        plan.from, plan.to
    )
}

/// Works on one cluster after the other; the first that does not end well is the last.
async fn carry_out(
    session: &Session<'_>,
    telling: &Telling<'_>,
    goal: &Goal,
    decisions: Vec<(&Selected, Decision)>,
) -> Vec<Ending> {
    let mut endings: Vec<Ending> = Vec::new();
    for (selected, decision) in decisions {
        let stopped = endings.iter().any(|ending| ending.status != 0);
        endings.push(if decision.planned.plan.is_none() {
            nothing_to_do(selected, &decision)
        } else if stopped || session.signals.interrupt.is_raised() {
            not_begun(selected)
        } else {
            hops::run(session, telling, selected, goal, decision).await
        });
    }
    endings
}

fn nothing_to_do(selected: &Selected, decision: &Decision) -> Ending {
    let summary = format!("nothing to do, it runs {}", decision.target);
    ending(selected, Exit::Done, &summary)
}

pub(super) fn not_begun(selected: &Selected) -> Ending {
    ending(
        selected,
        Exit::Interrupted,
        "not begun, because the run stopped before it",
    )
}

pub(super) fn ending(selected: &Selected, exit: Exit, summary: &str) -> Ending {
    Ending {
        cluster: selected.cluster.name.clone(),
        status: exit.code(),
        summary: summary.to_owned(),
        causes: Vec::new(),
        members: Vec::new(),
        changed: false,
        hint: String::new(),
        left: Vec::new(),
    }
}

/// Tells the ending: what went well on stdout, what did not as errors.
pub(super) fn conclude(session: &Session, telling: &Telling, endings: &[Ending]) -> Result<Exit> {
    let context = session.context;
    let exit = endings
        .iter()
        .map(|ending| Exit::from_code(ending.status))
        .max_by_key(|exit| weight(*exit));
    let exit = exit.unwrap_or(Exit::Done);
    let told = telling.end(exit.code(), &in_one_line(endings), endings.to_vec());
    session.quiet();
    if !context.json() {
        let took = context.took();
        out::data(&summary::text(endings, took, context.out.stdout));
    }
    told.map_err(|failure| failure.changed(changed(endings)))?;
    if exit == Exit::Done {
        return Ok(exit);
    }
    let bad = endings.iter().filter(|ending| ending.status != 0);
    let left = bad.clone().flat_map(|ending| ending.left.clone());
    Err(Failure::several(exit, bad.clone().map(problem))
        .changed(changed(bad.clone()))
        .left(left))
}

fn in_one_line(endings: &[Ending]) -> String {
    let all: Vec<String> = endings
        .iter()
        .map(|ending| format!("{}: {}", ending.cluster, ending.summary))
        .collect();
    all.join("; ")
}

fn problem(ending: &Ending) -> Problem {
    let what = format!("cluster `{}`: {}", ending.cluster, ending.summary);
    let problem = Problem::new(what).hint(ending.hint.clone());
    ending.causes.iter().fold(problem, Problem::because)
}

/// The `changed:` line; clusters are named where there are several.
fn changed<'e>(endings: impl IntoIterator<Item = &'e Ending>) -> String {
    let endings: Vec<&Ending> = endings.into_iter().collect();
    let said = endings
        .iter()
        .map(|ending| match (endings.len(), summary::changed(ending)) {
            (1, changed) => changed,
            (_, changed) => format!("{}: {changed}", ending.cluster),
        });
    said.collect::<Vec<_>>().join("\n")
}

/// Which of several endings is the worst.
fn weight(exit: Exit) -> u8 {
    match exit {
        Exit::Done | Exit::SomethingToDo => 0,
        Exit::Interrupted => 1,
        Exit::Usage => 2,
        Exit::Locked => 3,
        Exit::Unreachable => 4,
        Exit::Refused => 5,
        Exit::PutBack => 6,
        Exit::NeedsPerson => 7,
        Exit::Bug => 8,
    }
}

/// Commands that may change hosts always say what they changed.
pub(super) fn unchanged(failure: Failure) -> Failure {
    if failure.changed.is_some() || failure.exit == Exit::Usage {
        return failure;
    }
    failure.changed("nothing")
}
