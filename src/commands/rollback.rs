//! `runner rollback`: look, recall, show, ask, take back, cluster after cluster.

use std::collections::BTreeSet;

use super::confirm::confirm;
use super::context::Context;
use super::decide::{Decision, Goal, accepted, binaries, fetch, in_progress, no_release, paths};
use super::look::{LockUse, Looked, complete, look, look_with_lock};
use super::plan::{text, together};
use super::session::{Session, with};
use super::telling::Telling;
use super::upgrade::{conclude, ending, not_begun, tell_plan, unchanged};
use super::{hops, lock, out};
use crate::cli;
use crate::error::Result;
use crate::etcd::Version;
use crate::etcd::catalogue::Catalogue;
use crate::event::{Ending, Kind as Told};
use crate::exit::Exit;
use crate::facts::ClusterFacts;
use crate::inventory::{Cluster, Selected};
use crate::journal;
use crate::plan::path::Available;
use crate::plan::rollback::{self, Past};
use crate::plan::upgrade::Request;
use crate::plan::{Finding, Kind, Plan};
use crate::report::text::count;

/// Takes every selected cluster that is mixed back.
///
/// # Errors
/// Every way in which it does not end well; what was changed is always said.
pub fn run(context: &Context, args: &cli::Rollback) -> Result<Exit> {
    let goal = Goal::new(&cli::Target {
        to: None,
        settle: args.settle,
        on_failure: args.on_failure,
        resume: true,
        acknowledge: args.acknowledge.clone(),
        many: cli::Many::default(),
    });
    let done = with(context, async |session: &Session| {
        if context.global.check {
            show(session, &goal).await
        } else {
            take_back(session, &goal.locking()).await
        }
    });
    if context.global.check {
        done
    } else {
        done.map_err(unchanged)
    }
}

/// Only shows what would be done.
async fn show(session: &Session<'_>, goal: &Goal) -> Result<Exit> {
    let telling = Telling::unkept(session);
    let shown = async {
        let decisions = decide_all(session, &telling, goal).await?;
        session.flush();
        for (selected, decision) in decisions.iter().filter(|_| !session.context.json()) {
            let paint = session.context.out.stdout;
            out::data(&text(session.context, selected, decision, paint));
        }
        refuse(&decisions, goal)?;
        let due = decisions.iter().any(|(_, one)| one.planned.plan.is_some());
        let summary = if due {
            "there is something to take back"
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

async fn take_back(session: &Session<'_>, goal: &Goal) -> Result<Exit> {
    let _locks = lock::take(session.context, &session.selected)?;
    let telling = Telling::journaled(session)?;
    let endings = match begin(session, &telling, goal).await {
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
    goal: &Goal,
) -> Result<Vec<(&'s Selected, Decision)>> {
    let mut decisions = decide_accepted(session, telling, goal).await?;
    let mut aged = false;
    for (selected, decision) in &decisions {
        aged |= lock::take_on_hosts(session, selected, decision).await?;
    }
    if aged {
        // Somebody may have been at work between the look and the lock.
        decisions = decide_accepted(session, telling, goal).await?;
    }
    session.flush();
    for plan in decisions
        .iter()
        .filter_map(|(_, one)| one.planned.plan.as_ref())
    {
        let question = question(plan);
        let asked = confirm(session.context, &question);
        session.or_interrupt(asked).await??;
    }
    Ok(decisions)
}

async fn decide_accepted<'s>(
    session: &'s Session<'_>,
    telling: &Telling<'_>,
    goal: &Goal,
) -> Result<Vec<(&'s Selected, Decision)>> {
    let decisions = decide_all(session, telling, goal).await?;
    for (selected, decision) in &decisions {
        lock::refuse_taken(selected, decision)?;
    }
    for (selected, decision) in &decisions {
        tell_plan(session, selected, decision);
    }
    refuse(&decisions, goal)?;
    Ok(decisions)
}

pub(super) fn refuse(decisions: &[(&Selected, Decision)], goal: &Goal) -> Result<()> {
    let refused = decisions.iter().filter_map(|(selected, decision)| {
        accepted(&selected.cluster.name, &decision.planned, goal).err()
    });
    together(refused.collect()).map_or(Ok(()), Err)
}

fn question(plan: &Plan) -> String {
    let stops = plan.hops.iter().flat_map(crate::plan::Hop::steps);
    let members = stops.filter(|(_, step)| step.disruptive).count();
    format!(
        "Take cluster {} back from {} to {} on {}?",
        plan.cluster,
        plan.from,
        plan.to,
        count(members, "host")
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
            None => {
                let summary = format!(
                    "nothing to do, no selected member runs more than {}",
                    decision.target
                );
                ending(selected, Exit::Done, &summary)
            }
            Some(_) if stopped || session.signals.interrupt.is_raised() => not_begun(selected),
            Some(plan) => hops::one(session, telling, selected, &decision, plan).await,
        });
    }
    endings
}

async fn decide_all<'s>(
    session: &'s Session<'_>,
    telling: &Telling<'_>,
    goal: &Goal,
) -> Result<Vec<(&'s Selected, Decision)>> {
    let (mut decisions, mut failures) = (Vec::new(), Vec::new());
    for selected in &session.selected {
        match decide(session, telling, selected, goal).await {
            Ok(decision) => decisions.push((selected, decision)),
            Err(failure) if failure.exit == Exit::Interrupted => return Err(failure),
            Err(failure) => failures.push(failure),
        }
    }
    together(failures).map_or(Ok(decisions), Err)
}

/// Looks at a cluster and plans its way back; tells the plan.
async fn decide(
    session: &Session<'_>,
    telling: &Telling<'_>,
    selected: &Selected,
    goal: &Goal,
) -> Result<Decision> {
    let (target, facts, seen) = see(session, telling, &selected.cluster, goal.lock).await?;
    let mut found = Vec::new();
    for (version, arch) in rollback::needed(&selected.cluster, &selected.chosen, &facts) {
        match fetch(session, &selected.cluster.releases, version, arch).await? {
            Ok(release) => found.push(release),
            Err(error) => return Err(no_release(telling, selected, &target, &error)),
        }
    }
    let (past, unread) = past(session.context, &selected.cluster);
    let timeout = session.context.global.timeout;
    let request = Request {
        cluster: &selected.cluster,
        chosen: &selected.chosen,
        facts: &facts,
        target: &target,
        available: &Available::Any,
        releases: &binaries(&found),
        rules: Catalogue::embedded(),
        on_failure: goal.target.on_failure.into(),
        settle_least_s: goal.target.settle.map_or(0, |least| least.as_secs()),
        step_timeout_s: timeout.map(|most| most.as_secs().max(1)),
        resume: goal.target.resume,
        run_id: &session.context.run,
    };
    let mut planned = rollback::plan(&request, &past);
    planned.findings.extend(unread);
    planned
        .findings
        .extend(seen.taken.as_ref().map(in_progress));
    telling.plan(&selected.cluster.name, &planned)?;
    Ok(Decision {
        target,
        planned,
        binaries: paths(&found),
        taken: seen.taken,
        looked: seen.since,
        is_locked: seen.is_locked,
    })
}

/// Looks twice: which release to go back to is seen first, what the hosts have kept of it afterwards.
async fn see(
    session: &Session<'_>,
    telling: &Telling<'_>,
    cluster: &Cluster,
    lock: LockUse,
) -> Result<(Version, ClusterFacts, Looked)> {
    let mut seen = look_with_lock(session, cluster, &[], lock).await?;
    let answers = std::mem::take(&mut seen.answers);
    let first = complete(telling, cluster, answers)?;
    let Some(target) = rollback::release(cluster, &first).cloned() else {
        return Ok((Version::new(0, 0, 0), first, seen));
    };
    let hosts = || first.hosts.values();
    let running = hosts().filter_map(|host| Some(host.answer.view()?.version.clone()));
    let installed = hosts().filter_map(|host| host.binaries.get("etcd")?.version.clone());
    let versions: BTreeSet<Version> = running.chain(installed).collect();
    let versions: Vec<Version> = versions.into_iter().collect();
    let facts = complete(telling, cluster, look(session, cluster, &versions).await?)?;
    Ok((target, facts, seen))
}

/// Plans of past runs for a cluster, newest first. Where no template makes files, the newest is enough.
pub(super) fn past(context: &Context, cluster: &Cluster) -> (Past, Vec<Finding>) {
    let ours = |host: &crate::inventory::Host| {
        host.templates.unit.is_some() || !host.templates.files.is_empty()
    };
    let all = cluster.hosts.iter().any(ours);
    let (mut past, mut unread) = (Past::default(), Vec::new());
    let runs = journal::list(&context.state_dir).unwrap_or_else(|error| {
        unread.push(journal_unread("runs", &error));
        Vec::new()
    });
    for run in runs.iter().rev().filter(|run| run.id != context.run) {
        match journal::read(&run.path) {
            Ok(replay) => past.plans.extend(plans(replay, &cluster.name)),
            Err(error) => unread.push(journal_unread(&run.id, &error)),
        }
        if !all && !past.plans.is_empty() {
            break;
        }
    }
    (past, unread)
}

fn plans(replay: journal::Replay, cluster: &str) -> impl Iterator<Item = Plan> {
    let newest_first = replay.events.into_iter().rev();
    newest_first.filter_map(move |event| match event.kind {
        Told::Plan {
            cluster: of, plan, ..
        } if of == cluster => {
            plan.filter(|plan| matches!(plan.kind, Kind::Upgrade | Kind::Rollback))
        }
        _ => None,
    })
}

fn journal_unread(run: &str, error: &journal::JournalError) -> Finding {
    Finding::note("JOURNAL_UNREAD", run, error.to_string())
        .hint("files of that run come back as the templates make them")
}
