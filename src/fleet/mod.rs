//! Clusters side by side: which is first, how many at once, when to stop, and what the run comes to.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::engine::{Gate, Interrupt};
use crate::event::{Ending, Kind};
use crate::exit::Exit;

mod shard;
mod turn;
mod window;

pub use shard::{Shard, ShardError};
use turn::Yard;
pub use window::{Clock, Window, WindowError};

/// How several clusters are worked on.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The cluster that goes first and alone; the others only follow if it ends well.
    pub canary: Option<String>,
    /// How many are worked on at once.
    pub at_once: NonZeroUsize,
    /// How many may fail before no further one is begun.
    pub max_failures: usize,
    /// When members may be worked on; always, if none is given.
    pub window: Option<Window>,
    /// Tells the time for the window.
    pub clock: Clock,
}

/// One cluster of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// It is to be worked on.
    Due(String),
    /// It has ended before it began: there is nothing to do, or it was refused.
    Settled(Ending),
}

/// What a run over several clusters came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// The ending of every cluster, in the order given.
    pub endings: Vec<Ending>,
    /// The clusters that were not begun.
    pub not_begun: Vec<String>,
    /// Why they were not.
    pub because: Option<NotBegun>,
}

/// Why no further cluster or member was begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotBegun {
    /// More clusters failed than may.
    #[error("{failed} failed, {allowed} may")]
    Failures {
        /// Clusters that failed.
        failed: usize,
        /// `--max-failures`.
        allowed: usize,
    },
    /// The canary did not end well.
    #[error("the canary `{0}` did not end well")]
    Canary(String),
    /// The window is closed, or too short for another member.
    #[error("{0}")]
    Window(String),
    /// An interrupt was asked for.
    #[error("interrupted")]
    Interrupted,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            canary: None,
            at_once: NonZeroUsize::MIN,
            max_failures: 0,
            window: None,
            clock: Clock::system(),
        }
    }
}

impl Part {
    /// The cluster's name.
    pub fn cluster(&self) -> &str {
        match self {
            Self::Due(name) => name,
            Self::Settled(ending) => &ending.cluster,
        }
    }
}

/// Works on `parts` by the rules, until all are done or nothing more may begin.
///
/// What was begun is finished: only an interrupt and the window stop a cluster between two of its members.
pub async fn run<W, F>(parts: &[Part], rules: &Rules, interrupt: &Interrupt, work: W) -> Fleet
where
    W: Fn(String, Gate) -> F,
    F: Future<Output = Ending>,
{
    let is_due = |part: &&Part| matches!(part, Part::Due(_));
    let due = parts.iter().filter(is_due).count();
    let yard = Yard::new(rules, interrupt, due);
    for part in parts {
        if let Part::Settled(ending) = part {
            yard.settle(ending);
        }
    }
    let is_canary = |part: &&Part| rules.canary.as_deref() == Some(part.cluster());
    let mut done = Vec::new();
    if let Some(canary) = parts.iter().find(is_canary) {
        let ended = one(&yard, canary, &work).await;
        if !ended.as_ref().is_ok_and(|ending| ending.status == 0) {
            yard.close(NotBegun::Canary(canary.cluster().to_owned()));
        }
        done.push((canary.cluster(), ended));
    }
    let others: Vec<&Part> = parts.iter().filter(|part| !is_canary(part)).collect();
    let all = others.iter().map(|part| one(&yard, part, &work));
    let ended = join_all(all).await;
    done.extend(others.iter().map(|part| part.cluster()).zip(ended));
    Fleet::new(parts, done)
}

async fn one<W, F>(yard: &Arc<Yard>, part: &Part, work: &W) -> Result<Ending, NotBegun>
where
    W: Fn(String, Gate) -> F,
    F: Future<Output = Ending>,
{
    let name = match part {
        Part::Settled(ending) => return Ok(ending.clone()),
        Part::Due(name) => name,
    };
    let turn = yard.begin().await?;
    let ending = work(name.clone(), turn.gate()).await;
    yard.settle(&ending);
    Ok(ending)
}

impl Fleet {
    fn new(parts: &[Part], done: Vec<(&str, Result<Ending, NotBegun>)>) -> Self {
        let mut fleet = Self {
            endings: Vec::new(),
            not_begun: Vec::new(),
            because: None,
        };
        for (cluster, ended) in done {
            fleet.endings.push(ended.unwrap_or_else(|because| {
                let ending = not_begun(cluster, &because);
                fleet.not_begun.push(cluster.to_owned());
                fleet.because.get_or_insert(because);
                ending
            }));
        }
        let place = |name: &str| parts.iter().position(|part| part.cluster() == name);
        fleet
            .endings
            .sort_by_cached_key(|ending| place(&ending.cluster));
        fleet
    }

    /// The exit status of the whole run: the worst of its clusters'.
    pub fn status(&self) -> u8 {
        let all = self.endings.iter().map(|ending| ending.status);
        all.max_by_key(|status| Exit::from_code(*status).weight())
            .unwrap_or(Exit::Done.code())
    }

    /// The run in one line.
    pub fn summary(&self) -> String {
        if let [only] = self.endings.as_slice() {
            return format!("{}: {}", only.cluster, only.summary);
        }
        let named = |what: &str, names: Vec<&str>| match names.as_slice() {
            [] => String::new(),
            names => format!(", {what}: {}", names.join(", ")),
        };
        let done = self.endings.iter().filter(|e| e.status == 0).count();
        let failed = self.endings.iter().filter(|e| is_failed(e.status));
        let stopped = self.endings.iter().filter(|e| {
            e.status == Exit::Interrupted.code() && !self.not_begun.contains(&e.cluster)
        });
        let mut text = format!(
            "{done} of {} clusters done{}{}{}",
            self.endings.len(),
            named("failed", failed.map(|e| e.cluster.as_str()).collect()),
            named("stopped", stopped.map(|e| e.cluster.as_str()).collect()),
            named(
                "not begun",
                self.not_begun.iter().map(String::as_str).collect()
            ),
        );
        if let Some(because) = &self.because {
            text = format!("{text} ({because})");
        }
        text
    }

    /// The last event of the run.
    pub fn ended(&self, took: Duration) -> Kind {
        Kind::Ended {
            status: self.status(),
            summary: self.summary(),
            clusters: self.endings.clone(),
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

fn is_failed(status: u8) -> bool {
    status != Exit::Done.code() && status != Exit::Interrupted.code()
}

/// The ending of a cluster that was not begun: it is where it was, which is a safe point.
fn not_begun(cluster: &str, because: &NotBegun) -> Ending {
    Ending {
        cluster: cluster.to_owned(),
        status: Exit::Interrupted.code(),
        summary: format!("not begun: {because}"),
        causes: Vec::new(),
        members: Vec::new(),
        changed: false,
        hint: String::new(),
        left: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
