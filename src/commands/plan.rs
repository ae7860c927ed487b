//! `runner plan`: what `upgrade` would do.

use std::collections::BTreeSet;

use super::context::Context;
use super::decide::{Decision, Goal, accepted};
use super::many::{decide_each, shows_plans, table};
use super::out;
use super::session::{Session, with_shard};
use super::telling::Telling;
use crate::cli::Target;
use crate::error::{Failure, Result};
use crate::exit::Exit;
use crate::inventory::Selected;
use crate::plan::render::{self, Style};
use crate::report::text::Paint;

/// Plans every selected cluster and shows the plans.
///
/// # Errors
/// Findings refuse, a host cannot be asked, a release cannot be had.
pub fn run(context: &Context, target: &Target, detailed: bool) -> Result<Exit> {
    let goal = Goal::new(target);
    with_shard(context, target.many.shard, async |session: &Session| {
        let telling = Telling::unkept(session);
        let planned = all(session, &telling, &goal).await;
        if let Err(failure) = &planned {
            telling.end_with(failure);
        }
        session.quiet();
        Ok(if planned? && detailed {
            Exit::SomethingToDo
        } else {
            Exit::Done
        })
    })
}

/// Plans all clusters before any is refused, so that everything that is wrong is said in one go.
async fn all(session: &Session<'_>, telling: &Telling<'_>, goal: &Goal) -> Result<bool> {
    let drafts = decide_each(session, telling, goal).await?;
    session.flush();
    let (mut due, mut failures, mut refused) = (0, Vec::new(), BTreeSet::new());
    for (selected, drafted) in &drafts {
        let name = &selected.cluster.name;
        match drafted {
            Ok(decision) => {
                if shows_plans(session) {
                    show(session.context, selected, decision);
                }
                due += usize::from(decision.planned.plan.is_some());
                if let Err(failure) = accepted(name, &decision.planned, goal) {
                    refused.insert(name.clone());
                    failures.push(failure);
                }
            }
            Err(failure) => failures.push(failure.clone()),
        }
    }
    if drafts.len() > 1 && !session.context.json() {
        let columns = out::columns(&std::io::stdout());
        let paint = session.context.out.stdout;
        out::data(&table(&drafts, &refused, paint, columns));
    }
    if let Some(failure) = together(failures) {
        return Err(failure);
    }
    let summary = if due == 0 {
        "nothing to do"
    } else {
        "there is something to do"
    };
    telling.end(Exit::Done.code(), summary, Vec::new())?;
    Ok(due > 0)
}

/// Looks at all selected clusters and plans each.
///
/// # Errors
/// Of all clusters together where hosts cannot be asked or releases not be had.
pub async fn decide_all<'s>(
    session: &'s Session<'_>,
    telling: &Telling<'_>,
    goal: &Goal,
) -> Result<Vec<(&'s Selected, Decision)>> {
    let mut decisions = Vec::new();
    let mut failures = Vec::new();
    for (selected, drafted) in decide_each(session, telling, goal).await? {
        match drafted {
            Ok(decision) => decisions.push((selected, decision)),
            Err(failure) => failures.push(failure),
        }
    }
    together(failures).map_or(Ok(decisions), Err)
}

/// One failure of several: the problems of all; the worst exit status.
pub fn together(failures: Vec<Failure>) -> Option<Failure> {
    failures.into_iter().reduce(|mut all, failure| {
        if failure.exit.weight() > all.exit.weight() {
            all.exit = failure.exit;
        }
        all.problems.extend(failure.problems);
        all
    })
}

fn show(context: &Context, selected: &Selected, decision: &Decision) {
    if !context.json() {
        out::data(&text(context, selected, decision, context.out.stdout));
    }
}

/// The findings and the plan for people, with diffs if they are asked for.
pub fn text(context: &Context, selected: &Selected, decision: &Decision, paint: Paint) -> String {
    let style = Style {
        colour: paint == Paint::ON,
    };
    let head = format!("cluster {} to {}", selected.cluster.name, decision.target);
    let mut text = format!(
        "{}\n{}",
        paint.bold(&head),
        render::planned(&decision.planned, style)
    );
    if let (Some(plan), true) = (&decision.planned.plan, context.global.diff) {
        text.push_str(&render::diffs(plan, style));
    }
    text
}
