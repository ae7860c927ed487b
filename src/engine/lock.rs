//! One run a cluster at a time, whichever machine it comes from: a lock on every host, held by the connection.
//!
//! A script on the host holds an flock for as long as it reads signs of life on stdin. When the run ends, is killed or
//! loses its connection, the lock is gone without anybody's help; a host that is merely cut off lets go after
//! [`SILENCE`]. The file says who holds it. It is named after the data folder as the host knows it, because another
//! inventory may give the cluster another name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::act::{RECONNECT, may_come_back};
use super::{Engine, Failure};
use crate::inventory::{Cluster, Host};
use crate::plan::{Hop, Plan};
use crate::transport::{Command, Input, Line, Output, Sink, Stage, Stream, Transport, Unreachable};

/// What to do while somebody else has the lock.
pub const LOCKED_HINT: &str =
    "wait until it has ended; `runner status` says whether the lock is still held";

/// What to do about hosts that give no lock.
pub const UNLOCKABLE_HINT: &str = "hosts need `flock` and `systemd-escape`, and room in /run";

/// The title of [`HOLD`].
pub const HOLD_TITLE: &str = "hold the lock";
/// The title of [`WHO`].
pub const WHO_TITLE: &str = "look for a lock";

/// Where locks are on hosts: on a file system that a reboot empties.
const DIR: &str = "/run/runner";

/// How long a host waits for a sign of life. Longer than our side takes to notice a lost connection, so that a run
/// knows that its lock is gone before another run can take it.
const SILENCE: Duration = Duration::from_secs(45);

/// The most that one host may take to give the lock: a run that lost its connection waits for its own old lock.
const PATIENCE: Duration = Duration::from_secs(75);

/// The most that a lock is held: longer than any run.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// More lines than a host that gives no lock has to say.
const LINES: usize = 64;

/// The most that letting go may take; the host lets go by itself afterwards.
const LETTING_GO: Duration = Duration::from_secs(5);

/// Holds the lock until stdin ends or is silent for too long.
///
/// Arguments: `dir data_dir run words seconds`. Prints `held`, or `taken` and what the holder wrote. A file that was
/// removed between its opening and its locking does not count, so it is looked at again.
const HOLD: &str = concat!(
    "set -eu\n",
    include_str!("lock.sh"),
    r#"
umask 077
run=$3 words=$4 silence=$5
die() { printf '%s\n' "$1" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }
has flock || die "\`flock\` is not installed"
taken() { echo taken; head -c 4096 -- "$file" 2>/dev/null || :; exit 0; }
opened() { mkdir -p -- "$dir" && command exec 9>>"$file"; }
mine() { [ "$(head -n 1 -- "$file")" = "$run" ] && flock -w 60 9; }
current() { [ "$(stat -L -c %d:%i /proc/self/fd/9)" = "$(stat -c %d:%i -- "$file")" ]; }
tries=0
until { opened && { flock -n 9 || mine || taken; } && current; } 2>/dev/null; do
  tries=$((tries + 1))
  [ "$tries" -lt 50 ] || die "\`$file\` cannot be made"
done
trap 'rm -f -- "$file"; rmdir -- "$dir" 2>/dev/null || :' EXIT
trap 'exit 1' HUP INT TERM
read -r self rest </proc/self/stat
printf '%s\n%s\n%s\n' "$run" "$words" "$self" >"$file"
echo held
if has timeout; then
  while timeout "$silence" sh -c 'IFS= read -r beat' 9>&-; do :; done
else
  while IFS= read -r beat; do :; done
fi
"#
);

/// Prints what the holder of the lock wrote, or nothing. Writes nothing and never touches the lock itself, so that
/// looking cannot make a run fail: the process that the file names has it open, or nobody holds it. (/proc/locks would
/// leave it out inside of containers, where the process that took it is no more.)
///
/// Arguments: `dir data_dir`.
const WHO: &str = concat!(
    "set -eu\n",
    include_str!("lock.sh"),
    r#"
words=$(head -c 4096 -- "$file" 2>/dev/null) || exit 0
holder=$(printf '%s\n' "$words" | sed -n 3p)
path=$(readlink -f -- "$file")
# Which number the file has depends on the shell.
ls -l "/proc/$holder/fd" 2>/dev/null | sed 's/.* -> //' | grep -qxF -- "$path" || exit 0
printf '%s\n' "$words"
"#
);

/// Who holds a lock, in the holder's own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The run's id.
    pub run: String,
    /// The user who started it.
    pub who: String,
    /// The machine that it runs on.
    pub from: String,
    /// Since when.
    pub since: Timestamp,
}

/// A lock that somebody has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// The host.
    pub host: String,
    /// Who has it; `None` if the host does not say.
    pub holder: Option<Holder>,
}

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
}

#[derive(Debug)]
struct Held {
    /// Dropped to let go.
    hold: watch::Sender<bool>,
    task: JoinHandle<Result<Output, Unreachable>>,
}

impl Locks {
    /// Locks of this holder; none is taken yet.
    pub fn new(holder: Holder) -> Self {
        Self {
            holder,
            dir: DIR.to_owned(),
            held: Mutex::default(),
        }
    }

    /// Keeps the files in another folder of the hosts.
    #[must_use]
    pub fn in_folder(mut self, dir: impl Into<String>) -> Self {
        self.dir = dir.into();
        self
    }

    /// Takes the lock of every host that it has not, in the order of their names: so of two runs that begin at the
    /// same time one gets all.
    ///
    /// # Errors
    /// [`NotTaken`]; locks that were taken by then stay until [`Self::release`].
    pub async fn take(
        &self,
        transport: &Arc<dyn Transport>,
        cluster: &Cluster,
    ) -> Result<(), NotTaken> {
        let hosts: BTreeMap<&str, &Host> = cluster
            .hosts
            .iter()
            .map(|host| (host.name.as_str(), host))
            .collect();
        let mut held = self.held.lock().await;
        for (name, host) in hosts {
            if held.get(name).is_some_and(|lock| !lock.task.is_finished()) {
                continue;
            }
            let lock = self.hold(transport, host).await?;
            held.insert(name.to_owned(), lock);
        }
        Ok(())
    }

    /// Whether the locks of all hosts are held, as far as this side knows.
    pub async fn are_held(&self, cluster: &Cluster) -> bool {
        let held = self.held.lock().await;
        let is_held = |host: &Host| {
            held.get(&host.name)
                .is_some_and(|lock| !lock.task.is_finished())
        };
        cluster.hosts.iter().all(is_held)
    }

    /// Lets go of everything and waits until the hosts have cleaned up.
    pub async fn release(&self) {
        let held = std::mem::take(&mut *self.held.lock().await);
        let gone = held.into_values().map(|Held { hold, task }| {
            drop(hold);
            timeout(LETTING_GO, task)
        });
        join_all(gone).await;
    }

    /// Takes one lock; a connection that was lost is made again.
    async fn hold(&self, transport: &Arc<dyn Transport>, host: &Host) -> Result<Held, NotTaken> {
        let began = Instant::now();
        loop {
            match self.try_hold(transport, host).await {
                Err(NotTaken::Unreachable(gone))
                    if may_come_back(&gone) && began.elapsed() < RECONNECT =>
                {
                    sleep(Duration::from_millis(500)).await;
                }
                other => return other,
            }
        }
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
        match timeout(PATIENCE, next_line(&mut printed)).await {
            Ok(Some(word)) if word == "held" => Ok(Held { hold, task }),
            Ok(word) => Err(refusal(&host.name, task, &mut printed, word).await),
            Err(_) => {
                task.abort();
                Err(NotTaken::Unreachable(late(&host.name)))
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

/// Looks at all hosts of a cluster for a lock that somebody else than the run `own` holds; hosts that cannot be asked
/// are passed over. Takes none and writes nothing.
pub async fn look(
    transport: &dyn Transport,
    cluster: &Cluster,
    own: &str,
    deadline: Duration,
) -> Option<Taken> {
    let looks = cluster.hosts.iter().map(|host| async move {
        let command = Command::read(WHO_TITLE, WHO, deadline).args([DIR, host.data_dir.as_str()]);
        let text = transport.run(&host.name, command).await.ok()?.text();
        (!text.is_empty()).then(|| Taken {
            host: host.name.clone(),
            holder: Holder::parse(&text),
        })
    });
    let is_others = |taken: &Taken| taken.holder.as_ref().is_none_or(|holder| holder.run != own);
    join_all(looks).await.into_iter().flatten().find(is_others)
}

impl Holder {
    /// Reads what a holder wrote into its lock's file.
    fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text.lines().nth(1)?).ok()
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.holder {
            Some(holder) => write!(
                f,
                "run {} of {} on {} holds the lock on `{}`, since {}",
                holder.run,
                holder.who,
                holder.from,
                self.host,
                holder.since.strftime("%Y-%m-%dT%H:%M:%SZ")
            ),
            None => write!(f, "another run holds the lock on `{}`", self.host),
        }
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
    pub(crate) async fn lock(&self, cluster: &Cluster, plan: &Plan) -> Result<(), Failure> {
        let steps = || plan.hops.iter().flat_map(Hop::steps);
        let mut concerned = cluster.clone();
        if !steps().any(|(_, step)| step.disruptive) {
            let is_touched = |host: &Host| steps().any(|(lane, _)| lane.host == host.name);
            concerned.hosts.retain(is_touched);
        }
        let taken = self.locks.take(&self.transport, &concerned);
        Ok(self.unless_abandoned(taken).await??)
    }
}

#[cfg(test)]
mod tests;
