//! One run a cluster at a time, whichever machine it comes from: a lock on every host, held by the connection.
//!
//! A script on the host holds an flock for as long as it reads signs of life on stdin. When the run ends, is killed or
//! loses its connection, the lock is gone without anybody's help; a host that is merely cut off lets go after
//! [`SILENCE`]. The file says who holds it. It is named after the data folder as the host knows it, because another
//! inventory may give the cluster another name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use self::rescues::Rescues;
use super::act::{RECONNECT, may_come_back};
use super::{Engine, Failure};
use crate::inventory::{Cluster, Host};
use crate::plan::{Hop, Plan};
use crate::transport::{Command, Input, Line, Output, Sink, Stage, Stream, Transport, Unreachable};

mod holder;
mod rescues;

pub use holder::{Holder, Taken, WHO_TITLE, look};

/// What to do while somebody else has the lock.
pub const LOCKED_HINT: &str =
    "wait until it has ended; `runner status` says whether the lock is still held";

/// What to do about hosts that give no lock.
pub const UNLOCKABLE_HINT: &str = "hosts need `flock` and `systemd-escape`, and room in /run";

/// Why a plan does not hold any more.
const RESCUED: &str = "a host has brought its member up by itself since the plan was made";

/// The title of [`HOLD`].
pub const HOLD_TITLE: &str = "hold the lock";
/// Where locks are on hosts: on a file system that a reboot empties.
const DIR: &str = "/run/runner";

/// How long a host waits for a sign of life. Longer than our side takes to notice a lost connection, so that a run
/// knows that its lock is gone before another run can take it.
const SILENCE: Duration = Duration::from_secs(45);

/// The most that one host may take to give the lock: a run that lost its connection waits for its own old lock.
const PATIENCE: Duration = Duration::from_secs(75);

/// How long a run waits for another one that began later and has a lock already. Two that begin together take the
/// hosts' locks side by side, so each may get some: the later one finds the earlier one's and lets go at once.
const YIELDING: Duration = Duration::from_secs(3);

/// The most that a lock is held: longer than any run.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// More lines than a host that gives no lock has to say.
const LINES: usize = 64;

/// The most that letting go may take; the host lets go by itself afterwards.
const LETTING_GO: Duration = Duration::from_secs(5);

/// Holds the lock until stdin ends or is silent for too long.
///
/// Arguments: `dir data_dir run words seconds`. Prints `taken` and what the holder wrote; or `waiting`, again and again,
/// while a rescue works; then `held`, `held armed` if this run's own rescue is armed, or `held late` if one was waited
/// for. A file that was removed between its opening and its locking does not count, so it is looked at again.
const HOLD: &str = concat!(
    "set -eu\n",
    include_str!("lock/file.sh"),
    include_str!("lock/hold.sh")
);

/// Why a lock was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// Somebody else has it.
    Taken(Taken),
    /// The host cannot be asked.
    Unreachable(Unreachable),
    /// The host cannot give it; from the nearest cause to the furthest.
    Failed(Vec<String>),
}

/// The locks of a run; let go by the hosts themselves when it is dropped.
#[derive(Debug)]
pub struct Locks {
    holder: Holder,
    dir: String,
    held: Mutex<BTreeMap<String, Held>>,
    rescues: Rescues,
}

#[derive(Debug)]
struct Held {
    /// Dropped to let go.
    hold: watch::Sender<bool>,
    task: JoinHandle<Result<Output, Unreachable>>,
    how: How,
}

/// What the host said of a rescue when it gave the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// There is none.
    Plainly,
    /// This run's own is armed and has not acted.
    Armed,
    /// One was at work, so that what was seen before is not true any more.
    Late,
}

impl How {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "held" => Some(Self::Plainly),
            "held armed" => Some(Self::Armed),
            "held late" => Some(Self::Late),
            _ => None,
        }
    }
}

impl Locks {
    /// Locks of this holder; none is taken yet.
    pub fn new(holder: Holder) -> Self {
        Self {
            holder,
            dir: DIR.to_owned(),
            held: Mutex::default(),
            rescues: Rescues::default(),
        }
    }

    /// Keeps the files in another folder of the hosts.
    #[must_use]
    pub fn in_folder(mut self, dir: impl Into<String>) -> Self {
        self.dir = dir.into();
        self
    }

    /// Takes the lock of every host that it has not, all side by side. Of two runs that begin together the earlier one
    /// gets all, see [`Holder::precedes`]. Says whether a rescue was waited for, so that what was seen of the cluster
    /// before is not true any more.
    ///
    /// # Errors
    /// [`NotTaken`]; what was taken by then is let go.
    pub async fn take(
        &self,
        transport: &Arc<dyn Transport>,
        cluster: &Cluster,
    ) -> Result<bool, NotTaken> {
        self.take_of(transport, &cluster.hosts, RECONNECT).await
    }

    /// As [`Self::take`]; asks for at most `most` again where a connection breaks.
    async fn take_of(
        &self,
        transport: &Arc<dyn Transport>,
        hosts: &[Host],
        most: Duration,
    ) -> Result<bool, NotTaken> {
        let missing = self.missing(hosts).await;
        let mut taking: FuturesUnordered<_> = missing
            .into_iter()
            .map(|host| async move { (host, self.hold(transport, host, most).await) })
            .collect();
        let mut got = BTreeMap::new();
        while let Some((host, lock)) = taking.next().await {
            match lock {
                Ok(lock) => drop(got.insert(host.name.clone(), lock)),
                Err(no) => {
                    drop(taking);
                    let_go(got).await;
                    return Err(no);
                }
            }
        }
        drop(taking);
        let is_late = got.values().any(|lock: &Held| lock.how == How::Late);
        self.held.lock().await.extend(got);
        Ok(is_late)
    }

    /// The hosts whose lock is not held. Clusters that are looked at side by side wait for each other no longer than
    /// this takes.
    async fn missing<'h>(&self, hosts: &'h [Host]) -> Vec<&'h Host> {
        let held = self.held.lock().await;
        let is_missing = |host: &&Host| !held.get(&host.name).is_some_and(Held::is_held);
        hosts.iter().filter(is_missing).collect()
    }

    /// Lets go of a cluster's hosts and waits until they have cleaned up.
    pub async fn release_of(&self, cluster: &Cluster) {
        join_all(cluster.hosts.iter().map(|host| self.disarmed(&host.name))).await;
        let mut held = self.held.lock().await;
        let own = cluster.hosts.iter();
        let own = own.filter_map(|host| held.remove_entry(&host.name));
        let own: BTreeMap<String, Held> = own.collect();
        drop(held);
        let_go(own).await;
    }

    /// Whether the locks of all hosts are held, as far as this side knows.
    pub async fn are_held(&self, cluster: &Cluster) -> bool {
        let held = self.held.lock().await;
        let is_held = |host: &Host| held.get(&host.name).is_some_and(Held::is_held);
        cluster.hosts.iter().all(is_held)
    }

    /// Lets go of everything and waits until the hosts have cleaned up.
    pub async fn release(&self) {
        self.rescues.settle().await;
        let_go(std::mem::take(&mut *self.held.lock().await)).await;
    }

    /// Takes one lock; a connection that was lost is made again, and a run that must let go is waited for.
    async fn hold(
        &self,
        transport: &Arc<dyn Transport>,
        host: &Host,
        most: Duration,
    ) -> Result<Held, NotTaken> {
        let began = Instant::now();
        loop {
            let pause = match self.try_hold(transport, host).await {
                Err(NotTaken::Unreachable(gone))
                    if may_come_back(&gone) && began.elapsed() < most =>
                {
                    500
                }
                Err(NotTaken::Taken(taken))
                    if self.may_yield(&taken) && began.elapsed() < YIELDING =>
                {
                    100
                }
                other => return other,
            };
            sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Whether whoever has the lock may be about to let go of it; one that has not written its name yet has just begun.
    fn may_yield(&self, taken: &Taken) -> bool {
        let holder = taken.holder.as_ref();
        holder.is_none_or(|holder| self.holder.precedes(holder))
    }

    async fn try_hold(
        &self,
        transport: &Arc<dyn Transport>,
        host: &Host,
    ) -> Result<Held, NotTaken> {
        let (hold, watched) = watch::channel(false);
        let (tell, mut printed) = mpsc::channel(LINES);
        let command = self.command(host, watched, tell);
        let (transport, name) = (Arc::clone(transport), host.name.clone());
        let task = tokio::spawn(async move { transport.run(&name, command).await });
        loop {
            let word = timeout(PATIENCE, next_line(&mut printed)).await;
            match word.as_ref().map(|word| word.as_deref()) {
                Ok(Some("waiting")) => {}
                Ok(Some(told)) if How::parse(told).is_some() => {
                    let how = How::parse(told).unwrap_or(How::Plainly);
                    return Ok(Held { hold, task, how });
                }
                Ok(word) => {
                    let word = word.map(str::to_owned);
                    return Err(refusal(&host.name, task, &mut printed, word).await);
                }
                Err(_) => {
                    task.abort();
                    return Err(NotTaken::Unreachable(late(&host.name)));
                }
            }
        }
    }

    fn command(
        &self,
        host: &Host,
        held: watch::Receiver<bool>,
        tell: mpsc::Sender<Line>,
    ) -> Command {
        // Cannot fail: strings and a time.
        let words = serde_json::to_string(&self.holder).unwrap_or_default();
        Command {
            input: Input::Pulsed(held),
            output: Sink::Lines(tell),
            ..Command::read(HOLD_TITLE, HOLD, LONGEST)
        }
        .args([&self.dir, &host.data_dir, &self.holder.run, &words])
        .arg(SILENCE.as_secs().to_string())
    }
}

impl Held {
    fn is_held(&self) -> bool {
        !self.task.is_finished()
    }
}

/// Lets go of locks and waits until the hosts have cleaned up.
async fn let_go(held: BTreeMap<String, Held>) {
    let gone = held.into_values().map(|Held { hold, task, .. }| {
        drop(hold);
        timeout(LETTING_GO, task)
    });
    join_all(gone).await;
}

/// The next line of stdout; `None` if the script has ended.
async fn next_line(printed: &mut mpsc::Receiver<Line>) -> Option<String> {
    loop {
        let line = printed.recv().await?;
        if line.stream == Stream::Out {
            return Some(String::from_utf8_lossy(&line.text).into_owned());
        }
    }
}

/// Why a host did not give the lock.
async fn refusal(
    host: &str,
    task: JoinHandle<Result<Output, Unreachable>>,
    printed: &mut mpsc::Receiver<Line>,
    word: Option<String>,
) -> NotTaken {
    let mut words = String::new();
    while let Some(line) = next_line(printed).await {
        words = words + &line + "\n";
    }
    match task.await {
        Ok(Err(unreachable)) => NotTaken::Unreachable(unreachable),
        Ok(Ok(output)) if output.is_success() && word.as_deref() == Some("taken") => {
            NotTaken::Taken(Taken {
                host: host.to_owned(),
                holder: Holder::parse(&words),
            })
        }
        Ok(Ok(output)) => NotTaken::Failed(vec![
            format!(
                "`{HOLD_TITLE}` on `{host}` ended with status {}",
                output.status
            ),
            format!("\"{}\"", output.complaint()),
        ]),
        Err(error) => NotTaken::Failed(vec![error.to_string()]),
    }
}

fn late(host: &str) -> Unreachable {
    Unreachable {
        host: host.to_owned(),
        stage: Stage::Deadline {
            title: HOLD_TITLE.to_owned(),
            after: PATIENCE,
        },
        said: String::new(),
        hint: "the host hangs or its network does: look at it".to_owned(),
    }
}

impl From<NotTaken> for Failure {
    fn from(no: NotTaken) -> Self {
        match no {
            NotTaken::Taken(taken) => Self::Locked(taken.to_string()),
            NotTaken::Unreachable(unreachable) => Self::Unreachable(unreachable),
            NotTaken::Failed(causes) => Self::Failed(causes),
        }
    }
}

impl Engine {
    /// Takes the locks that are not held yet, or not any more: of all hosts for a plan that stops members; else of those
    /// that the plan touches, so that a host that is gone keeps nobody from a backup.
    ///
    /// # Errors
    /// As [`Locks::take`]; and a refusal if a rescue has changed what the plan was made for.
    pub(crate) async fn lock(&self, cluster: &Cluster, plan: &Plan) -> Result<(), Failure> {
        let steps = || plan.hops.iter().flat_map(Hop::steps);
        let mut concerned = cluster.clone();
        if !steps().any(|(_, step)| step.disruptive) {
            let is_touched = |host: &Host| steps().any(|(lane, _)| lane.host == host.name);
            concerned.hosts.retain(is_touched);
        }
        let taken = self.locks.take(&self.transport, &concerned);
        if self.unless_abandoned(taken).await?? {
            return Err(Failure::Refused(RESCUED.to_owned()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
