//! Waiting for a member and for the cluster, by looking, never by the clock alone.

use std::time::Duration;

use tokio::time::Instant;

use super::act::client::{endpoint_args, secrets};
use super::act::leader::agreed_leader;
use super::act::unit::{self, Unit, show};
use super::act::{OBSERVE, Task, changed, is_silent, speaker, unchanged};
use super::guard::views;
use super::{Engine, Failure};
use crate::etcd::{Minor, Version};
use crate::facts::observe::{self, Depth};
use crate::facts::{Answer, MemberView, Observation};
use crate::inventory::{Cluster, Host};
use crate::plan::Outcome;
use crate::transport::Command;

/// The title of [`AWAIT`].
pub const AWAIT_TITLE: &str = "await the member";

/// How long one on-host wait lasts before it reports how things stand; a sign of life in time, and an interrupted
/// connection costs no more than this.
const SLICE: Duration = Duration::from_secs(10);

/// Polls on the host until the member answers with the expected version, its unit is down, or the time is over.
///
/// Arguments: the six of an endpoint, `unit version seconds`. The first line is `ready`, `down` or `late`; then
/// `said=` with the client's last complaint, the unit's properties, an empty line, and, unless ready, the unit's
/// last log lines. A restart by systemd since the wait began counts as down: the process has crashed.
///
/// The page that tells the version is asked first: 2.x has nothing else, and an etcdctl that is refused once, because the
/// process has only begun to start, tries again no sooner than a second later. Pages are served once the member has
/// joined; whether it is well is seen afterwards.
const AWAIT: &str = concat!(
    include_str!("../facts/lib.sh"),
    include_str!("../facts/page.sh"),
    include_str!("../facts/observe.sh"),
    show!(),
    include_str!("await.sh")
);

/// What must hold.
#[derive(Clone, Copy, Debug)]
pub struct Want<'a> {
    /// All hosts.
    pub cluster: &'a Cluster,
    /// The member in hand and the release that it must report.
    pub member: Option<(&'a Host, &'a Version)>,
    /// The raft index that the member in hand must have applied.
    pub floor: u64,
}

/// `Action::Settle`.
pub(crate) async fn settle(
    task: &Task<'_>,
    version: &Version,
    least_s: u64,
) -> Result<Outcome, Failure> {
    settle_in(task, task.turn.cluster, version, least_s).await
}

/// Settles where `cluster` says which hosts count.
pub(crate) async fn settle_in(
    task: &Task<'_>,
    cluster: &Cluster,
    version: &Version,
    least_s: u64,
) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let whole = task.left();
    let late = |state: Vec<String>| {
        let name = &task.turn.lane.member.name;
        let mut causes = vec![format!(
            "member `{name}` was not healthy at {version} within {}",
            human(whole)
        )];
        causes.extend(state);
        Failure::Failed(causes)
    };
    let process = answers(task, version, &late).await?.pid;
    let want = Want {
        cluster,
        member: Some((task.turn.host, version)),
        floor: task.turn.ledger.floor(),
    };
    let least = Duration::from_secs(least_s);
    let mut pause = Duration::from_millis(100);
    let mut told = String::new();
    loop {
        let seen = task.observe_in(cluster).await?;
        let lack = lacking(&want, &seen);
        if lack.is_none() && began.elapsed() >= least {
            if !least.is_zero() {
                still_the_same(task, process).await?;
            }
            let ledger = task.turn.ledger;
            ledger.note_process(&task.turn.host.name, process);
            ledger.note_seen(&seen);
            return Ok(unchanged(format!("healthy at {version}")));
        }
        if is_silent(&seen, task.turn.host) {
            still_up(task).await?;
        }
        let what = lack.unwrap_or_else(|| format!("healthy, waits for {} in all", human(least)));
        if task.left().is_zero() {
            return Err(late(vec![what]));
        }
        if what != told {
            task.progress(&what)?;
            told = what;
        }
        task.pause(&mut pause).await?;
    }
}

/// Waits on the host, slice by slice, until the member itself answers.
async fn answers(
    task: &Task<'_>,
    version: &Version,
    late: &impl Fn(Vec<String>) -> Failure,
) -> Result<Unit, Failure> {
    loop {
        let text = look(task, version).await?;
        let (word, rest) = text.split_once('\n').unwrap_or((&text, ""));
        let unit = Unit::parse(rest);
        match word {
            "ready" => return Ok(unit),
            "down" => return Err(Failure::Failed(crash(task, &unit))),
            "late" => {}
            _ => {
                return Err(Failure::because(format!(
                    "`{AWAIT_TITLE}` answered {word:?}"
                )));
            }
        }
        let host = &task.turn.host.name;
        let mut causes = unit.causes(&task.turn.host.unit, host);
        let said = rest.lines().find_map(|line| line.strip_prefix("said="));
        causes.extend(
            said.filter(|said| !said.is_empty())
                .map(|said| format!("\"{said}\"")),
        );
        if task.left().is_zero() {
            return Err(late(causes));
        }
        task.progress(&causes[0])?;
    }
}

async fn look(task: &Task<'_>, version: &Version) -> Result<String, Failure> {
    let command = command(task.turn.host, version, SLICE.min(task.left()));
    Ok(task.ask(command).await?.text())
}

/// The script that waits for a host's member to answer with a version, for so long at most.
pub fn command(host: &Host, version: &Version, most: Duration) -> Command {
    let mut command = Command::read(AWAIT_TITLE, AWAIT, most)
        .args(endpoint_args(host))
        .args([host.unit.clone(), version.to_string()])
        .arg(most.as_secs().to_string());
    command.secrets = secrets(host);
    command
}

/// Fails early when the unit is down: no deadline will bring it back.
async fn still_up(task: &Task<'_>) -> Result<(), Failure> {
    let host = task.turn.host;
    let text = task
        .ask(unit::look(task.left(), &host.unit, &host.bin_dir))
        .await?
        .text();
    let unit = Unit::parse(&text);
    if unit.is_down() {
        return Err(Failure::Failed(crash(task, &unit)));
    }
    Ok(())
}

/// Fails if the process that answered first has ended since and systemd has started another one between two looks.
async fn still_the_same(task: &Task<'_>, process: u32) -> Result<(), Failure> {
    let host = task.turn.host;
    let look = unit::look(task.left(), &host.unit, &host.bin_dir);
    let unit = Unit::parse(&task.ask(look).await?.text());
    if unit.pid == process {
        return Ok(());
    }
    Err(Failure::Failed(crash(task, &unit)))
}

fn crash(task: &Task<'_>, unit: &Unit) -> Vec<String> {
    let mut causes = vec![format!("member `{}` has ended", task.turn.lane.member.name)];
    causes.extend(unit.causes(&task.turn.host.unit, &task.turn.host.name));
    causes
}

/// `Action::AwaitClusterVersion`. The leader raises it by itself, some seconds after the last member's start, and ends a
/// downgrade as late.
pub(crate) async fn cluster_version(task: &Task<'_>, minor: Minor) -> Result<Outcome, Failure> {
    let mut pause = Duration::from_millis(100);
    let mut first = true;
    loop {
        // It takes seconds. Until one member has seen it there is no need to ask all of them all there is to know.
        let is_behind = |seen: Version| seen.minor() != minor;
        if !first && !task.left().is_zero() && seen_by_one(task).await?.is_some_and(is_behind) {
            task.pause(&mut pause).await?;
            continue;
        }
        let seen = task.observe().await?;
        let behind = task.turn.cluster.hosts.iter().find_map(|host| {
            let view = seen.hosts.get(&host.name).and_then(Answer::view);
            let raised = view.and_then(|view| view.cluster_version.as_ref());
            let runs = view.and_then(|view| view.downgrade.as_ref());
            let runs = runs.map(|_| format!("`{}` says that a downgrade runs", host.name));
            (raised.map(Version::minor) != Some(minor))
                .then(|| sees_words(&host.name, raised))
                .or(runs)
        });
        let Some(behind) = behind else {
            task.turn.ledger.note_seen(&seen);
            let what = format!("every member sees cluster version {minor}");
            return Ok(if first {
                unchanged(what)
            } else {
                changed(what)
            });
        };
        if task.left().is_zero() {
            return Err(Failure::Failed(vec![
                format!("the cluster did not come to cluster version {minor} in time"),
                behind,
            ]));
        }
        if first {
            task.progress(&behind)?;
        }
        first = false;
        task.pause(&mut pause).await?;
    }
}

/// The cluster's version as one of the other members sees it, if it tells.
async fn seen_by_one(task: &Task<'_>) -> Result<Option<Version>, Failure> {
    let (turn, engine) = (task.turn, task.turn.engine);
    let host = speaker(turn.cluster, turn.host);
    let look = observe::cluster_version(engine.transport.as_ref(), host, OBSERVE);
    engine.unless_abandoned(look).await
}

pub(super) fn sees_words(host: &str, raised: Option<&Version>) -> String {
    match raised {
        Some(version) => format!("`{host}` sees cluster version {}", version.minor()),
        None => format!("`{host}` tells no cluster version"),
    }
}

/// Waits until the whole cluster is well, whatever it runs; gives what is lacking when the time is over.
pub(crate) async fn cluster_well(
    engine: &Engine,
    cluster: &Cluster,
    most: Duration,
) -> Result<Option<String>, Failure> {
    let want = Want {
        cluster,
        member: None,
        floor: 0,
    };
    let ends = Instant::now() + most;
    let mut pause = Duration::from_millis(100);
    loop {
        let lack = lacking(&want, &engine.observe(cluster, |_| Depth::Full).await?);
        if lack.is_none() || Instant::now() >= ends {
            return Ok(lack);
        }
        engine.unless_abandoned(tokio::time::sleep(pause)).await?;
        pause = (pause * 3 / 2).min(Duration::from_millis(500));
    }
}

/// What keeps the member in hand and the cluster from being well; `None` when nothing does.
pub fn lacking(want: &Want<'_>, seen: &Observation) -> Option<String> {
    want.member
        .and_then(|(host, version)| member_lacks(host, version, want.floor, seen))
        .or_else(|| {
            want.cluster
                .hosts
                .iter()
                .find_map(|host| host_lacks(host, seen))
        })
        .or_else(|| cluster_lacks(seen))
}

fn member_lacks(host: &Host, version: &Version, floor: u64, seen: &Observation) -> Option<String> {
    let view = seen.hosts.get(&host.name).and_then(Answer::view)?;
    if view.version != *version {
        return Some(format!(
            "`{}` runs {}, expected {version}",
            host.name, view.version
        ));
    }
    (view.raft_applied < floor).then(|| {
        format!(
            "`{}` has applied raft index {}, the leader had {floor}",
            host.name, view.raft_applied
        )
    })
}

fn host_lacks(host: &Host, seen: &Observation) -> Option<String> {
    match seen.hosts.get(&host.name) {
        Some(Answer::Member(view)) => unhealthy(host, view),
        Some(Answer::Silent { because }) => {
            Some(format!("`{}` does not answer: {because}", host.name))
        }
        None => Some(format!("`{}` was not asked", host.name)),
    }
}

/// A learner answers no linearizable read and is well all the same (etcd-upgrades 3.2).
fn unhealthy(host: &Host, view: &MemberView) -> Option<String> {
    let why = view.health.as_ref().err().filter(|_| !view.learner)?;
    Some(format!("`{}` is not healthy: {why}", host.name))
}

fn cluster_lacks(seen: &Observation) -> Option<String> {
    if agreed_leader(seen).is_none() {
        return Some("the members do not see one leader".to_owned());
    }
    let alarm = views(seen).flat_map(|(_, view)| &view.alarms).next()?;
    Some(format!(
        "member {} has raised the alarm {}",
        alarm.member, alarm.kind
    ))
}

/// A duration as people write it, such as "2m 0s" or "45s".
pub fn human(time: Duration) -> String {
    let seconds = time.as_millis().div_ceil(1000);
    match seconds / 60 {
        0 => format!("{seconds}s"),
        minutes => format!("{minutes}m {}s", seconds % 60),
    }
}
