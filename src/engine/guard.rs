//! Right before each disruptive step: is the cluster still one where this member may be stopped?
//!
//! Facts age. The engine asks the same predicate that the planner asked, [`crate::etcd::quorum::may_stop`], of what
//! the members say now: a look that is not older than half a second, and after which nothing was done. It can only
//! stop the run, never change it.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::Failure;
use super::act::Task;
use crate::etcd::quorum::{Voter, may_stop};
use crate::etcd::{Member, MemberId, Version};
use crate::event::Kind;
use crate::facts::{MemberView, Observation};
use crate::inventory::Cluster;
use crate::plan::{Hop, MemberRef, Plan};

/// How long a refusal is looked at again before it stands. One slow answer right after an election is no reason
/// to end a run; nothing is down while this waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// All hosts.
    pub cluster: &'a Cluster,
    /// The host in turn.
    pub host: &'a str,
    /// The member on it.
    pub member: &'a MemberRef,
    /// No member may run an older release.
    pub oldest: &'a Version,
    /// No member may run a newer release.
    pub newest: &'a Version,
}

/// Asks the cluster; records the answer; refuses if it must not be.
pub(crate) async fn guard(task: &Task<'_>) -> Result<(), Failure> {
    if super::whole::is(task.turn.plan) {
        return guard_whole(task).await;
    }
    asked(task, verdict).await
}

/// Asks before all members are stopped for a restore: it must be the members of the plan, whatever state they are in.
/// Once data may be exchanged, their ids are new.
async fn guard_whole(task: &Task<'_>) -> Result<(), Failure> {
    if task.turn.ledger.is_disrupted() {
        return Ok(());
    }
    let seen = task.observe().await?;
    let (oldest, newest) = bounds(task.turn.plan, task.turn.hop);
    let question = Question {
        cluster: task.turn.cluster,
        host: &task.turn.host.name,
        member: &task.turn.lane.member,
        oldest,
        newest,
    };
    let refused = identity(&question, &seen).err();
    record(task, refused.clone())?;
    refused.map_or(Ok(()), |reason| Err(Failure::Refused(reason)))
}

/// Asks right before the start of the last old member: behind it only a backup leads back, so nothing else may be
/// open.
pub(crate) async fn guard_no_return(task: &Task<'_>) -> Result<(), Failure> {
    asked(task, alone).await
}

type Verdict = fn(&Question<'_>, &Observation) -> Result<(), String>;

async fn asked(task: &Task<'_>, verdict: Verdict) -> Result<(), Failure> {
    let turn = task.turn;
    let (oldest, newest) = bounds(turn.plan, turn.hop);
    let question = Question {
        cluster: turn.cluster,
        host: &turn.host.name,
        member: &turn.lane.member,
        oldest,
        newest,
    };
    let began = Instant::now();
    let mut pause = Duration::from_millis(100);
    let refused = loop {
        let seen = task.observe_afresh().await?;
        let Err(reason) = verdict(&question, &seen) else {
            turn.ledger.raise_floor(highest_index(&seen));
            break None;
        };
        turn.ledger.forget_seen();
        if began.elapsed() >= PATIENCE {
            break Some(reason);
        }
        task.pause(&mut pause).await?;
    };
    record(task, refused.clone())?;
    refused.map_or(Ok(()), |reason| Err(Failure::Refused(reason)))
}

/// Asks before a failed member is stopped in order to put it back: that must not cost a second member.
///
/// A member that is not healthy may always be stopped, for it adds nothing to the quorum.
pub(crate) async fn guard_undo(task: &Task<'_>) -> Result<(), Failure> {
    let seen = task.observe().await?;
    let voters = voters(&seen, task.turn.cluster);
    let me = task.turn.lane.member.id;
    let refused = match voters.iter().find(|voter| voter.id == me) {
        Some(voter) if voter.healthy => may_stop(&voters, me).err().map(|no| no.to_string()),
        _ => None,
    };
    record(task, refused.clone())?;
    refused.map_or(Ok(()), |reason| Err(Failure::Refused(reason)))
}

fn record(task: &Task<'_>, refused: Option<String>) -> Result<(), Failure> {
    let event = Kind::Guarded {
        cluster: task.turn.cluster.name.clone(),
        host: task.turn.host.name.clone(),
        step: task.step,
        refused,
    };
    task.turn
        .engine
        .recorder
        .record(event)
        .map_err(Failure::Journal)
}

/// The oldest and the newest release that a member may run during a hop.
fn bounds<'a>(plan: &'a Plan, hop: &'a Hop) -> (&'a Version, &'a Version) {
    let all = [&plan.from, &hop.from, &hop.to];
    let oldest = all.into_iter().min().unwrap_or(&hop.from);
    (oldest, (&hop.from).max(&hop.to))
}

/// Tells whether the member may be stopped, judging by what all members say.
///
/// # Errors
/// Why not, in one line.
pub fn verdict(question: &Question<'_>, seen: &Observation) -> Result<(), String> {
    identity(question, seen)?;
    let voters = voters(seen, question.cluster);
    if voters.is_empty() && question.cluster.hosts.len() > 1 {
        return Err("no member of the cluster answers".to_owned());
    }
    may_stop(&voters, question.member.id).map_err(|no| no.to_string())?;
    versions(question, seen)?;
    leaders(question, seen)?;
    alarms(seen)
}

/// Tells whether the member in turn, which is stopped, is the last that has not reached the hop's release, and all
/// others are well there.
///
/// # Errors
/// Why not, in one line.
pub fn alone(question: &Question<'_>, seen: &Observation) -> Result<(), String> {
    verdict(question, seen)?;
    let behind = views(seen)
        .filter(|(host, _)| *host != question.host)
        .find(|(_, view)| view.version < *question.newest);
    behind.map_or(Ok(()), |(host, view)| {
        Err(format!(
            "`{host}` runs {} and not {} yet, so this is not the last start",
            view.version, question.newest
        ))
    })
}

fn identity(question: &Question<'_>, seen: &Observation) -> Result<(), String> {
    match seen
        .hosts
        .get(question.host)
        .and_then(|answer| answer.view())
    {
        Some(view) if view.id != question.member.id => Err(format!(
            "member {} answers on `{}`, the plan expects {}",
            view.id, question.host, question.member.id
        )),
        _ => Ok(()),
    }
}

fn versions(question: &Question<'_>, seen: &Observation) -> Result<(), String> {
    for (host, view) in views(seen) {
        if view.version < *question.oldest || view.version > *question.newest {
            return Err(format!(
                "`{host}` runs {}, the plan expects {} to {}",
                view.version, question.oldest, question.newest
            ));
        }
        let raised = view.cluster_version.as_ref().map(Version::minor);
        if raised.is_some_and(|minor| minor > question.newest.minor()) {
            return Err(format!(
                "`{host}` sees a cluster version above {}",
                question.newest.minor()
            ));
        }
    }
    Ok(())
}

fn leaders(question: &Question<'_>, seen: &Observation) -> Result<(), String> {
    let others = views(seen).filter(|(host, _)| *host != question.host);
    let leaders: BTreeSet<Option<MemberId>> = others.map(|(_, view)| view.leader).collect();
    match leaders.len() {
        0 => Ok(()),
        1 if !leaders.contains(&None) => Ok(()),
        1 => Err("no member leads".to_owned()),
        n => Err(format!("the members do not agree who leads, {n} opinions")),
    }
}

/// Refuses while an alarm is set: it survives the upgrade and keeps members unhealthy (etcd-upgrades 6.4).
fn alarms(seen: &Observation) -> Result<(), String> {
    let alarm = views(seen).flat_map(|(_, view)| &view.alarms).next();
    alarm.map_or(Ok(()), |alarm| {
        Err(format!(
            "member {} has raised the alarm {}",
            alarm.member, alarm.kind
        ))
    })
}

/// The voters of the cluster as its members list them; one that no host of the inventory answers for is not
/// healthy. Empty if nobody answers.
pub fn voters(seen: &Observation, cluster: &Cluster) -> Vec<Voter> {
    let mut members: Vec<&Member> = Vec::new();
    for member in views(seen).flat_map(|(_, view)| &view.members) {
        if member.is_voter() && members.iter().all(|known| known.id != member.id) {
            members.push(member);
        }
    }
    members
        .into_iter()
        .map(|member| Voter {
            id: member.id,
            name: member.name.clone(),
            healthy: views(seen)
                .filter(|(host, _)| cluster.host(host).is_some())
                .any(|(_, view)| view.id == member.id && view.health.is_ok()),
        })
        .collect()
}

/// The highest raft index that any member has.
pub fn highest_index(seen: &Observation) -> u64 {
    views(seen)
        .map(|(_, view)| view.raft_index)
        .max()
        .unwrap_or(0)
}

/// The views of those who answered, by host.
pub fn views(seen: &Observation) -> impl Iterator<Item = (&str, &MemberView)> {
    seen.hosts
        .iter()
        .filter_map(|(host, answer)| Some((host.as_str(), answer.view()?)))
}

#[cfg(test)]
mod tests;
