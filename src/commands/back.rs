//! What the ways back have in common: look, decide, show, ask, carry out, cluster after cluster.

use super::confirm::confirm;
use super::context::Context;
use super::decide::{Decision, Goal, accepted};
use super::plan::{text, together};
use super::session::{Session, with};
use super::telling::Telling;
use super::upgrade::{conclude, ending, not_begun, tell_plan, unchanged};
use super::{hops, lock, out};
use crate::cli::Care;
use crate::error::Result;
use crate::event::Ending;
use crate::exit::Exit;
use crate::inventory::Selected;
use crate::plan::{Hop, Plan};
use crate::report::text::count;

/// A way back, as far as it is not like the others.
pub(super) trait Way {
    /// Told where a plan was only to be shown and there is something to do.
    const DUE: &'static str;

    /// What to reach, and how carefully.
    fn goal(&self) -> &Goal;

    /// Refuses what was asked for before any host is looked at.
    fn admit(&self, _: &Session<'_>) -> Result<()> {
        Ok(())
    }

    /// Looks at a cluster and plans its way back; tells the plan.
    async fn decide(
        &self,
        session: &Session<'_>,
        telling: &Telling<'_>,
        selected: &Selected,
    ) -> Result<Decision>;

    /// What is asked before a plan is carried out.
    fn question(&self, selected: &Selected, decision: &Decision, plan: &Plan) -> String;

    /// Told of a cluster where there is nothing to do.
    fn idle(&self, decision: &Decision) -> String;
}

/// What is asked before members go `way`: "down" to the line before, or "back" to the release that was there.
pub(super) fn question(plan: &Plan, way: &str) -> String {
    let steps = plan.hops.iter().flat_map(Hop::steps);
    let members = steps.filter(|(_, step)| step.disruptive).count();
    format!(
        "Take cluster {} {way} from {} to {} on {}?",
        plan.cluster,
        plan.from,
        plan.to,
        count(members, "host")
    )
}

/// Takes every selected cluster back, or only shows how.
///
/// # Errors
/// Every way in which it does not end well; what was changed is always said.
pub(super) fn run<W: Way>(
    context: &Context,
    care: &Care,
    way: impl FnOnce(Goal) -> W,
) -> Result<Exit> {
    let goal = Goal::back(care);
    if context.global.check {
        let way = way(goal);
        return with(context, async |session: &Session| {
            way.admit(session)?;
            show(session, &way).await
        });
    }
    let way = way(goal.locking());
    let done = with(context, async |session: &Session| {
        way.admit(session)?;
        take_back(session, &way).await
    });
    done.map_err(unchanged)
}

/// Only shows what would be done.
async fn show(session: &Session<'_>, way: &impl Way) -> Result<Exit> {
    let telling = Telling::unkept(session);
    if let Err(failure) = shown(session, &telling, way).await {
        telling.end_with(&failure);
        return Err(failure);
    }
    session.quiet();
    Ok(Exit::Done)
}

async fn shown<W: Way>(session: &Session<'_>, telling: &Telling<'_>, way: &W) -> Result<()> {
    let decisions = decide_all(session, telling, way).await?;
    session.flush();
    for (selected, decision) in decisions.iter().filter(|_| !session.context.json()) {
        let paint = session.context.out.stdout;
        out::data(&text(session.context, selected, decision, paint));
    }
    refuse(&decisions, way.goal())?;
    let due = decisions.iter().any(|(_, one)| one.planned.plan.is_some());
    let summary = if due { W::DUE } else { "nothing to do" };
    telling.end(Exit::Done.code(), summary, Vec::new())
}

async fn take_back(session: &Session<'_>, way: &impl Way) -> Result<Exit> {
    let _locks = lock::take(session.context, &session.selected)?;
    let telling = Telling::journaled(session)?;
    let endings = match begin(session, &telling, way).await {
        Ok(due) => carry_out(session, &telling, way, due).await,
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
    way: &impl Way,
) -> Result<Vec<(&'s Selected, Decision)>> {
    let mut decisions = decide_accepted(session, telling, way).await?;
    let mut aged = false;
    for (selected, decision) in &decisions {
        aged |= lock::take_on_hosts(session, selected, decision).await?;
    }
    if aged {
        // Somebody may have been at work between the look and the lock.
        decisions = decide_accepted(session, telling, way).await?;
    }
    session.flush();
    for (selected, decision) in &decisions {
        if let Some(plan) = &decision.planned.plan {
            let question = way.question(selected, decision, plan);
            let asked = confirm(session.context, &question);
            session.or_interrupt(asked).await??;
        }
    }
    Ok(decisions)
}

async fn decide_accepted<'s>(
    session: &'s Session<'_>,
    telling: &Telling<'_>,
    way: &impl Way,
) -> Result<Vec<(&'s Selected, Decision)>> {
    let decisions = decide_all(session, telling, way).await?;
    for (selected, decision) in &decisions {
        lock::refuse_taken(selected, decision)?;
    }
    for (selected, decision) in &decisions {
        tell_plan(session, selected, decision);
    }
    refuse(&decisions, way.goal())?;
    Ok(decisions)
}

fn refuse(decisions: &[(&Selected, Decision)], goal: &Goal) -> Result<()> {
    let refused = decisions.iter().filter_map(|(selected, decision)| {
        accepted(&selected.cluster.name, &decision.planned, goal).err()
    });
    together(refused.collect()).map_or(Ok(()), Err)
}

async fn decide_all<'s>(
    session: &'s Session<'_>,
    telling: &Telling<'_>,
    way: &impl Way,
) -> Result<Vec<(&'s Selected, Decision)>> {
    let (mut decisions, mut failures) = (Vec::new(), Vec::new());
    for selected in &session.selected {
        match way.decide(session, telling, selected).await {
            Ok(decision) => decisions.push((selected, decision)),
            Err(failure) if failure.exit == Exit::Interrupted => return Err(failure),
            Err(failure) => failures.push(failure),
        }
    }
    together(failures).map_or(Ok(decisions), Err)
}

async fn carry_out(
    session: &Session<'_>,
    telling: &Telling<'_>,
    way: &impl Way,
    decisions: Vec<(&Selected, Decision)>,
) -> Vec<Ending> {
    let mut endings: Vec<Ending> = Vec::new();
    for (selected, decision) in decisions {
        let stopped = endings.iter().any(|ending| ending.status != 0);
        endings.push(match &decision.planned.plan {
            None => ending(selected, Exit::Done, &way.idle(&decision)),
            Some(_) if stopped || session.signals.interrupt.is_raised() => not_begun(selected),
            Some(plan) => hops::one(session, telling, selected, &decision, plan).await,
        });
    }
    endings
}
