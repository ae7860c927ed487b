//! `runner backup`: look, take, verify, bring here, prune, cluster after cluster. Nobody is asked: it stops nothing.

use std::collections::BTreeMap;
use std::time::Instant;

use super::context::Context;
use super::decide::Decision;
use super::look::{look, problem};
use super::plan::text;
use super::session::{Session, with};
use super::telling::Telling;
use super::upgrade::{conclude, ending, not_begun, unchanged};
use super::{hops, lock, out};
use crate::error::{Failure, Problem, Result};
use crate::etcd::Version;
use crate::event::Ending;
use crate::exit::Exit;
use crate::facts::ClusterFacts;
use crate::inventory::{Cluster, Selected};
use crate::plan::backup::{self, Request};
use crate::plan::{Finding, Severity};

/// Takes a backup of every selected cluster.
///
/// # Errors
/// One of them has no backup afterwards; what was changed is always said.
pub fn run(context: &Context) -> Result<Exit> {
    let done = with(context, async |session: &Session| {
        if context.global.check {
            show(session).await
        } else {
            take(session).await
        }
    });
    if context.global.check {
        done
    } else {
        done.map_err(unchanged)
    }
}

/// Only shows what would be done.
async fn show(session: &Session<'_>) -> Result<Exit> {
    let telling = Telling::unkept(session);
    let mut refused = Vec::new();
    for selected in &session.selected {
        let decided = match decide(session, &telling, selected).await {
            Ok(decided) => decided,
            Err(failure) => {
                telling.end_with(&failure);
                return Err(failure);
            }
        };
        session.flush();
        if !session.context.json() {
            let paint = session.context.out.stdout;
            out::data(&text(session.context, selected, &decided, paint));
        }
        refused.extend(refusal(&selected.cluster, &decided));
    }
    if !refused.is_empty() {
        let failure = Failure::several(Exit::Refused, refused);
        telling.end_with(&failure);
        return Err(failure);
    }
    telling.end(Exit::Done.code(), "nothing was done, as asked", Vec::new())?;
    session.quiet();
    Ok(Exit::Done)
}

/// Each cluster for itself: one that fails keeps no other from its backup.
async fn take(session: &Session<'_>) -> Result<Exit> {
    let _locks = lock::take(session.context, &session.selected)?;
    let telling = Telling::journaled(session)?;
    let mut endings = Vec::new();
    for selected in &session.selected {
        endings.push(if session.signals.interrupt.is_raised() {
            not_begun(selected)
        } else {
            one(session, &telling, selected).await
        });
    }
    conclude(session, &telling, &endings)
}

async fn one(session: &Session<'_>, telling: &Telling<'_>, selected: &Selected) -> Ending {
    let decision = match decide(session, telling, selected).await {
        Ok(decision) => decision,
        Err(failure) => return failed(selected, failure),
    };
    match (
        &decision.planned.plan,
        refusal(&selected.cluster, &decision),
    ) {
        (Some(plan), None) => hops::one(session, telling, selected, &decision, plan).await,
        (_, Some(problem)) => failed(selected, Failure::new(Exit::Refused, problem)),
        (None, None) => ending(selected, Exit::Refused, "no member could be asked"),
    }
}

fn failed(selected: &Selected, failure: Failure) -> Ending {
    let mut ending = ending(selected, failure.exit, "no backup was taken");
    for problem in failure.problems {
        ending.causes.push(problem.what);
        ending.causes.extend(problem.because);
        ending.hint = problem.hint.unwrap_or(ending.hint);
    }
    ending
}

fn refusal(cluster: &Cluster, decision: &Decision) -> Option<Problem> {
    let findings = decision.planned.findings.iter();
    let blocks: Vec<&Finding> = findings
        .filter(|finding| finding.severity == Severity::Block)
        .collect();
    let first = blocks.first()?;
    let what = format!("cluster `{}`: the preflight refuses", cluster.name);
    let problem = Problem::new(what).hint(first.hint.clone());
    Some(blocks.iter().fold(problem, |problem, finding| {
        let reason = format!("{} {}: {}", finding.code, finding.subject, finding.reason);
        problem.because(reason)
    }))
}

/// Looks at the hosts that can be reached, at least one, and plans; tells the plan.
async fn decide(
    session: &Session<'_>,
    telling: &Telling<'_>,
    selected: &Selected,
) -> Result<Decision> {
    let looked = Instant::now();
    let cluster = &selected.cluster;
    let mut facts = ClusterFacts {
        cluster: cluster.name.clone(),
        hosts: BTreeMap::new(),
    };
    let mut lost = Vec::new();
    for (host, answer) in look(session, cluster, &[]).await? {
        match answer {
            Ok(answer) => {
                facts.hosts.insert(host, answer);
            }
            Err(error) => lost.push((host, problem(&error))),
        }
    }
    if facts.hosts.is_empty() {
        let problems = lost.into_iter().map(|(_, problem)| problem);
        return Err(Failure::several(Exit::Unreachable, problems));
    }
    let timeout = session.context.global.timeout;
    let mut planned = backup::plan(&Request {
        cluster,
        facts: &facts,
        step_timeout_s: timeout.map(|most| most.as_secs().max(1)),
        run_id: &session.context.run,
        staged: None,
        stopped: None,
    });
    let unreached = lost.iter().map(|(host, problem)| unreached(host, problem));
    planned.findings.extend(unreached);
    telling.plan(&cluster.name, &planned)?;
    let plan = planned.plan.as_ref();
    let target = plan.map_or(Version::new(0, 0, 0), |plan| plan.to.clone());
    Ok(Decision {
        target,
        planned,
        binaries: BTreeMap::new(),
        taken: None,
        looked,
        seen: facts.observation(),
        is_locked: false,
    })
}

fn unreached(host: &str, problem: &Problem) -> Finding {
    let reason = std::iter::once(&problem.what).chain(&problem.because);
    let reason = reason.cloned().collect::<Vec<_>>().join(": ");
    Finding::warn("HOST_UNREACHABLE", host, reason).hint(problem.hint.clone().unwrap_or_default())
}
