//! Several clusters at once: looked at side by side, shown in one table, asked about once, told in one list.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::decide::{Decision, Goal, draft};
use super::look::{Undecided, ask_with_lock, look_with_lock};
use super::session::Session;
use super::shelf::Shelf;
use super::table::Table;
use super::telling::Telling;
use crate::error::{Failure, Problem, Result};
use crate::event::{ClusterPlan, Ending};
use crate::exit::Exit;
use crate::fleet::{Fleet, Rules};
use crate::inventory::Selected;
use crate::plan::{Hop, Plan, Severity};
use crate::report::Talk;
use crate::report::text::{Paint, count, one_line};

/// A cluster and its plan, or why it has none.
pub type Draft<'s> = (&'s Selected, Result<Decision, Failure>);

/// Looks at all selected clusters, as many hosts at once as `--forks` says, and plans each; tells all plans.
///
/// # Errors
/// Usage, before anything is contacted; an interrupt. A cluster that cannot be planned is no error of the others.
pub async fn decide_each<'s>(
    session: &'s Session<'_>,
    telling: &Telling<'_>,
    goal: &Goal,
) -> Result<Vec<Draft<'s>>> {
    usable(session, goal)?;
    let drafted = draft_each(session, goal).await;
    let mut plans = Vec::new();
    let mut drafts = Vec::new();
    for (selected, drafted) in session.selected.iter().zip(drafted) {
        let cluster = selected.cluster.name.clone();
        let (plan, findings, draft) = match drafted {
            Ok(decision) => {
                let planned = decision.planned.clone();
                (planned.plan, planned.findings, Ok(decision))
            }
            Err(undecided) if undecided.failure.exit == Exit::Interrupted => {
                return Err(*undecided.failure);
            }
            Err(undecided) => (None, undecided.findings, Err(*undecided.failure)),
        };
        plans.push(ClusterPlan {
            cluster,
            plan,
            findings,
        });
        drafts.push((selected, draft));
    }
    telling.plans(plans)?;
    Ok(drafts)
}

/// What is wrong with the command line for these clusters.
fn usable(session: &Session<'_>, goal: &Goal) -> Result<()> {
    for selected in &session.selected {
        goal.release(selected)?;
    }
    let Some(canary) = &goal.target.many.canary else {
        return Ok(());
    };
    let mut names = session.selected.iter().map(|one| &one.cluster.name);
    if names.any(|name| name == canary) {
        return Ok(());
    }
    let what = format!("the canary `{canary}` is none of the selected clusters");
    let hint =
        "`runner inventory list` shows them; `--limit` and `--shard` must leave the canary in";
    Err(Failure::new(Exit::Usage, Problem::new(what).hint(hint)))
}

async fn draft_each(session: &Session<'_>, goal: &Goal) -> Vec<Result<Decision, Undecided>> {
    let shelf = &Shelf::default();
    if let [only] = session.selected.as_slice() {
        return vec![draft_alone(session, shelf, only, goal).await];
    }
    let hosts = session.selected.iter().flat_map(|one| &one.cluster.hosts);
    let hosts: Vec<String> = hosts.map(|host| host.name.clone()).collect();
    let clusters = count(session.selected.len(), "cluster");
    let what = format!("reach {} of {clusters}", count(hosts.len(), "host"));
    session.voice.talk(Talk::Began { what, hosts });
    let forks = session.context.global.forks;
    let slots = &Semaphore::new(usize::from(forks));
    let all = session.selected.iter().map(|selected| async move {
        let hosts = u16::try_from(selected.cluster.hosts.len()).unwrap_or(forks);
        let slot = slots.acquire_many(u32::from(hosts.min(forks))).await;
        let target = goal.release(selected)?;
        let versions = std::slice::from_ref(&target);
        let seen = ask_with_lock(session, &selected.cluster, versions, goal.lock).await?;
        drop(slot);
        draft(session, shelf, selected, goal, &target, seen).await
    });
    let drafted = join_all(all).await;
    session.voice.talk(Talk::Over);
    drafted
}

async fn draft_alone(
    session: &Session<'_>,
    shelf: &Shelf,
    selected: &Selected,
    goal: &Goal,
) -> Result<Decision, Undecided> {
    let target = goal.release(selected)?;
    let versions = std::slice::from_ref(&target);
    let seen = look_with_lock(session, &selected.cluster, versions, goal.lock).await?;
    draft(session, shelf, selected, goal, &target, seen).await
}

/// Whether every plan is shown in full: there is one cluster, or more words were asked for.
pub fn shows_plans(session: &Session<'_>) -> bool {
    session.selected.len() == 1 || session.context.global.verbose > 0
}

/// The clusters in one table: from, to, hosts and findings; folded to the columns of a terminal.
pub fn table(
    drafts: &[Draft<'_>],
    refused: &BTreeSet<String>,
    paint: Paint,
    columns: Option<usize>,
) -> String {
    let mut table =
        Table::new(&["CLUSTER", "FROM", "TO", "HOSTS", "FINDINGS"]).for_terminal(columns);
    for (selected, draft) in drafts {
        let name = &selected.cluster.name;
        let (from, to, hosts) = match draft {
            Ok(decision) => {
                let plan = decision.planned.plan.as_ref();
                let from = plan.map_or("-".to_owned(), |plan| plan.from.to_string());
                let hosts = plan.map_or(0, |plan| hosts(plan).len());
                (from, decision.target.to_string(), hosts)
            }
            Err(_) => ("-".to_owned(), "-".to_owned(), 0),
        };
        let found = found(draft, refused.contains(name));
        table.row([one_line(name), from, to, hosts.to_string(), found]);
    }
    table.painted(paint)
}

fn found(draft: &Result<Decision, Failure>, refused: bool) -> String {
    let decision = match draft {
        Ok(decision) => decision,
        Err(failure) if failure.exit == Exit::Unreachable => return "unreachable".to_owned(),
        Err(_) => return "refused".to_owned(),
    };
    let findings = &decision.planned.findings;
    let serious = findings
        .iter()
        .filter(|finding| finding.severity != Severity::Note);
    let codes: BTreeSet<&str> = serious.map(|finding| finding.code.as_str()).collect();
    let codes = codes.into_iter().collect::<Vec<_>>().join(", ");
    match (refused, &decision.planned.plan) {
        (true, _) => format!("refused: {codes}"),
        (false, None) => "nothing to do".to_owned(),
        (false, Some(_)) if codes.is_empty() => "none".to_owned(),
        (false, Some(_)) => codes,
    }
}

/// The hosts that a plan works on.
pub fn hosts(plan: &Plan) -> BTreeSet<&str> {
    let steps = plan.hops.iter().flat_map(Hop::steps);
    steps.map(|(lane, _)| lane.host.as_str()).collect()
}

/// The one question for all clusters.
pub fn question(plans: &[&Plan], rules: &Rules) -> String {
    if let [plan] = plans {
        let hosts = count(hosts(plan).len(), "host");
        let (name, from, to) = (&plan.cluster, &plan.from, &plan.to);
        return format!("Upgrade cluster {name} from {from} to {to} on {hosts}?");
    }
    let all: usize = plans.iter().map(|plan| hosts(plan).len()).sum();
    let canary = rules.canary.as_ref();
    let first = canary.map_or(String::new(), |name| format!("{name} first, then "));
    let pace = match rules.at_once.get() {
        1 => "one at a time".to_owned(),
        many => format!("{many} at once"),
    };
    let (clusters, hosts) = (count(plans.len(), "cluster"), count(all, "host"));
    format!("Upgrade {clusters} on {hosts}, {first}{pace}?")
}

/// How each of several clusters ended, a line each.
pub fn endings(fleet: &Fleet, paint: Paint) -> String {
    let widths = fleet
        .endings
        .iter()
        .map(|ending| ending.cluster.chars().count());
    let width = widths.max().unwrap_or_default();
    let lines = fleet.endings.iter().map(|ending| {
        let name = one_line(&ending.cluster);
        let summary = one_line(&ending.summary);
        format!("{} {name:<width$}  {summary}\n", mark(ending, paint))
    });
    lines.chain([format!("{}\n", fleet.summary())]).collect()
}

fn mark(ending: &Ending, paint: Paint) -> String {
    match Exit::from_code(ending.status) {
        Exit::Done => paint.green("✔"),
        Exit::Interrupted => paint.dim("·"),
        _ => paint.red("✘"),
    }
}
