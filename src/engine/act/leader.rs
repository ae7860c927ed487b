//! Moves the leadership away from a member before it stops.

use std::time::Duration;

use super::client::{client, endpoint_args, secrets};
use super::{Failure, Task, changed, unchanged};
use crate::etcd::MemberId;
use crate::facts::{MemberView, Observation};
use crate::plan::{MemberRef, Outcome};

/// The title of [`MOVE`].
pub const MOVE_TITLE: &str = "move the leadership";

/// Arguments: the six of an endpoint, `target` in hex. The endpoint must be the leader's own.
const MOVE: &str = concat!(client!(), "ctl 15 move-leader \"$1\" >&2\n");

/// `Action::MoveLeader`. Whether the leadership has moved is seen in what the members say, not in the answer of
/// `move-leader`, which may time out although it has worked.
pub(crate) async fn hand_over(
    task: &Task<'_>,
    candidates: &[MemberRef],
) -> Result<Outcome, Failure> {
    let me = task.turn.lane.member.id;
    let mut asked = None;
    let mut said = String::new();
    let mut pause = Duration::from_millis(50);
    loop {
        let seen = match asked {
            None => task.observe_afresh().await?,
            Some(_) => task.observe().await?,
        };
        let leader = agreed_leader(&seen);
        match (leader, &asked) {
            (Some(id), None) if id != me => return Ok(unchanged(leads(task, id))),
            (Some(id), Some(_)) if id != me => {
                task.turn.ledger.note_seen(&seen);
                return Ok(changed(leads(task, id)));
            }
            _ => {}
        }
        if task.left().is_zero() {
            return Err(late(task, &said));
        }
        if leader == Some(me) {
            let target = healthy_candidate(&seen, candidates)?;
            said = ask(task, target).await?;
            // The answer comes when the leadership has moved, or not at all.
            let is_first = asked.replace(target.id).is_none();
            if is_first {
                continue;
            }
        } else {
            task.turn.ledger.forget_seen();
        }
        task.pause(&mut pause).await?;
    }
}

async fn ask(task: &Task<'_>, target: &MemberRef) -> Result<String, Failure> {
    let host = task.turn.host;
    let mut command = task
        .command(MOVE_TITLE, MOVE)
        .args(endpoint_args(host))
        .arg(target.id.to_string());
    command.secrets = secrets(host);
    let output = task.reach(command).await?;
    Ok(output.complaint())
}

fn late(task: &Task<'_>, said: &str) -> Failure {
    let name = &task.turn.lane.member.name;
    let mut causes = vec![format!(
        "member `{name}` still leads after its leadership was to be moved"
    )];
    causes.extend((!said.is_empty()).then(|| format!("\"{said}\"")));
    Failure::Failed(causes)
}

fn leads(task: &Task<'_>, id: MemberId) -> String {
    let lanes = task.turn.hop.waves.iter().flat_map(|wave| &wave.lanes);
    let known = lanes
        .map(|lane| &lane.member)
        .find(|member| member.id == id);
    match known {
        Some(member) => format!("member `{}` leads", member.name),
        None => format!("member {id} leads"),
    }
}

/// The leader that all answering members see; `None` while they differ or see none.
pub fn agreed_leader(seen: &Observation) -> Option<MemberId> {
    let mut leaders = seen
        .hosts
        .values()
        .filter_map(|answer| answer.view())
        .map(|view| view.leader);
    let first = leaders.next()??;
    leaders.all(|leader| leader == Some(first)).then_some(first)
}

fn healthy_candidate<'a>(
    seen: &Observation,
    candidates: &'a [MemberRef],
) -> Result<&'a MemberRef, Failure> {
    let well = |view: &MemberView, id| view.id == id && view.health.is_ok() && !view.learner;
    let healthy = |member: &&MemberRef| {
        let mut views = seen.hosts.values().filter_map(|answer| answer.view());
        views.any(|view| well(view, member.id))
    };
    candidates.iter().find(healthy).ok_or_else(|| {
        let names: Vec<String> = candidates.iter().map(|m| format!("`{}`", m.name)).collect();
        Failure::because(format!(
            "no member is healthy that could lead instead, of {}",
            names.join(", ")
        ))
    })
}
