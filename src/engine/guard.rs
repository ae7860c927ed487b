//! Right before each disruptive step: is the cluster still one where this member may be stopped?
//!
//! Facts age. The engine asks the same predicate that the planner asked, [`crate::etcd::quorum::may_stop`], of what
//! the members say now: a look that is not older than [`super::FRESH`], and before which nothing was done since. It
//! can only stop the run, never change it.

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
    let seen = task.observe_fully().await?;
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
mod tests {
    use super::*;
    use crate::etcd::{Alarm, AlarmKind};
    use crate::facts::Answer;

    /// Three healthy members `a`, `b`, `c` on hosts of the same names; `c` leads.
    fn seen() -> Observation {
        let names = ["a", "b", "c"];
        let members = names.iter().zip(1..).map(|(name, id)| Member {
            id: MemberId(id),
            name: (*name).to_owned(),
            peer_urls: Vec::new(),
            client_urls: Vec::new(),
            learner: false,
        });
        let members: Vec<Member> = members.collect();
        let view = |member: &Member| MemberView {
            id: member.id,
            cluster_id: MemberId(9),
            version: Version::new(3, 4, 23),
            cluster_version: Some(Version::new(3, 4, 0)),
            leader: Some(MemberId(3)),
            learner: false,
            raft_term: 2,
            raft_index: 100,
            raft_applied: 100,
            db_bytes: 0,
            db_in_use_bytes: None,
            health: Ok(()),
            alarms: Vec::new(),
            members: members.clone(),
        };
        let answer = |member: &Member| Answer::Member(Box::new(view(member)));
        let hosts = members.iter().map(|m| (m.name.clone(), answer(m)));
        Observation {
            hosts: hosts.collect(),
        }
    }

    fn change(seen: &mut Observation, host: &str, change: impl FnOnce(&mut MemberView)) {
        match seen.hosts.get_mut(host) {
            Some(Answer::Member(view)) => change(view),
            _ => panic!("`{host}` has no view"),
        }
    }

    /// Asks whether `a` may be stopped on the way from 3.4.23 to 3.5.16.
    fn ask(seen: &Observation) -> Result<(), String> {
        let (oldest, newest) = (Version::new(3, 4, 23), Version::new(3, 5, 16));
        let member = MemberRef {
            id: MemberId(1),
            name: "a".to_owned(),
        };
        identity_and_rest(seen, &member, &oldest, &newest)
    }

    fn identity_and_rest(
        seen: &Observation,
        member: &MemberRef,
        oldest: &Version,
        newest: &Version,
    ) -> Result<(), String> {
        let hosts = seen.hosts.keys().map(|name| crate::inventory::Host {
            name: name.clone(),
            member: name.clone(),
            address: name.clone(),
            ssh: crate::inventory::Ssh::default(),
            escalation: crate::inventory::Escalation::None,
            unit: String::new(),
            data_dir: String::new(),
            bin_dir: String::new(),
            install_dir: String::new(),
            backup_dir: String::new(),
            client_url: String::new(),
            tls: None,
            auth: None,
            templates: crate::inventory::Templates::default(),
            vars: serde_json::Map::new(),
        });
        let cluster = Cluster {
            name: "prod".to_owned(),
            version: None,
            hosts: hosts.collect(),
            backup: crate::inventory::BackupPolicy {
                keep: 1,
                fetch: false,
            },
            releases: crate::inventory::ReleaseSource {
                source: String::new(),
                sha256sums: None,
                base: std::path::PathBuf::new(),
            },
        };
        let question = Question {
            cluster: &cluster,
            host: "a",
            member,
            oldest,
            newest,
        };
        verdict(&question, seen)
    }

    #[test]
    fn a_healthy_cluster_may_lose_the_member_in_turn() {
        assert_eq!(ask(&seen()), Ok(()));
    }

    #[test]
    fn a_member_that_is_down_itself_may_be_worked_on() {
        let mut seen = seen();
        let because = "refused".to_owned();
        seen.hosts
            .insert("a".to_owned(), Answer::Silent { because });
        assert_eq!(ask(&seen), Ok(()));
    }

    #[test]
    fn nobody_is_stopped_while_another_member_is_down() {
        let mut seen = seen();
        change(&mut seen, "b", |view| view.health = Err("late".to_owned()));
        assert!(
            ask(&seen)
                .unwrap_err()
                .starts_with("member `b` is not healthy")
        );
    }

    #[test]
    fn a_voter_that_is_no_host_of_the_inventory_counts_as_down() {
        let mut seen = seen();
        seen.hosts.remove("b");
        assert!(
            ask(&seen)
                .unwrap_err()
                .starts_with("member `b` is not healthy")
        );
    }

    #[test]
    fn another_member_than_planned_on_the_host_is_refused() {
        let mut seen = seen();
        change(&mut seen, "a", |view| view.id = MemberId(0xbad));
        assert_eq!(
            ask(&seen).unwrap_err(),
            "member bad answers on `a`, the plan expects 1"
        );
    }

    #[test]
    fn a_release_outside_of_the_hop_is_refused() {
        let mut seen = seen();
        change(&mut seen, "c", |view| view.version = Version::new(3, 6, 1));
        assert_eq!(
            ask(&seen).unwrap_err(),
            "`c` runs 3.6.1, the plan expects 3.4.23 to 3.5.16"
        );
    }

    #[test]
    fn members_that_disagree_on_the_leader_are_left_alone() {
        let mut seen = seen();
        change(&mut seen, "b", |view| view.leader = Some(MemberId(2)));
        assert!(ask(&seen).unwrap_err().contains("do not agree who leads"));
    }

    #[test]
    fn an_alarm_is_refused_with_its_name() {
        let mut seen = seen();
        let alarm = Alarm {
            member: MemberId(2),
            kind: AlarmKind::NoSpace,
        };
        change(&mut seen, "b", |view| view.alarms = vec![alarm]);
        assert_eq!(
            ask(&seen).unwrap_err(),
            "member 2 has raised the alarm NOSPACE"
        );
    }
}
