//! Reads what the units wrote while a member had its turn, on all hosts, while the run goes on.
//!
//! It decides nothing and can fail nothing: what it finds is an event of its own. A window reaches from right before
//! the turn, or from the end of the window before it, to the moment when the member has settled, by each host's own
//! clock; so the windows of a hop have no gaps and nothing is counted twice. The last member's reaches to the end of the
//! hop, since the cluster version is raised only then. A window is read while the next member has its turn already:
//! only the last one is waited for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::{End, Engine, Ledger, whole};
use crate::etcd::Minor;
use crate::etcd::log::{Digest, Line, Of, Rules, Situation, digest};
use crate::event::{HostLog, Kind};
use crate::facts::parse::Frames;
use crate::inventory::{Cluster, Host};
use crate::plan::{Action, Hop, Plan, Purpose, Wave};
use crate::transport::Command;

/// The title of [`READ`].
pub const READ_TITLE: &str = "read the log";

const READ: &str = concat!(include_str!("../facts/lib.sh"), include_str!("log.sh"));

/// The most lines and bytes of a window that are read, the newest. etcd writes some 50 lines as it starts; who writes
/// a hundred times as many has one thing to say many times.
const LINES: u32 = 4000;
const BYTES: u32 = 1 << 20;

/// The most that one host may take, journalctl's own 5 s twice and the way there.
const MOST: Duration = Duration::from_secs(15);

/// How often a window is read until its signs are in the journal, and what is waited between: a line that etcd has
/// written reaches the journal some milliseconds later.
const LOOKS: u32 = 4;
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// The logs of a hop's hosts.
pub(super) struct Logs<'a> {
    engine: &'a Engine,
    cluster: &'a Cluster,
    plan: &'a Plan,
    hop: &'a Hop,
    /// The host in turn, and since when nobody has read.
    turn: Option<(&'a str, Instant)>,
    /// To where each host's journal was read, by its own clock.
    marks: Arc<Mutex<BTreeMap<String, String>>>,
    reads: FuturesUnordered<BoxFuture<'a, ()>>,
}

/// A window to read.
struct Window<'a> {
    host: &'a str,
    /// The host whose turn may have begun already.
    next: Option<&'a str>,
    since: Instant,
    wants: Wants,
    lines: (Minor, Minor),
    is_mixed: bool,
}

/// The signs that are looked for.
#[derive(Clone, Copy)]
struct Wants {
    /// Those of a member of this line, on its host.
    member: Option<Minor>,
    /// Those of a cluster of this line, on all.
    cluster: Option<Minor>,
}

impl<'a> Logs<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        cluster: &'a Cluster,
        plan: &'a Plan,
        hop: &'a Hop,
    ) -> Self {
        Self {
            engine,
            cluster,
            plan,
            hop,
            turn: None,
            marks: Arc::default(),
            reads: FuturesUnordered::new(),
        }
    }

    /// Does `work`, and reads on meanwhile.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                Some(()) = self.reads.next() => {}
            }
        }
    }

    /// Notes that a wave begins.
    pub(super) fn begin(&mut self, wave: &'a Wave) {
        if let Some(host) = in_turn(wave).filter(|_| !whole::is(self.plan)) {
            let since = self.turn.map_or_else(Instant::now, |(_, since)| since);
            self.turn = Some((host, since));
        }
    }

    /// Begins to read what was written up to a wave's end, unless the hop's end follows at once.
    pub(super) fn ended(&mut self, at: usize, end: &End, ledger: &Ledger) {
        let next = self.hop.waves.get(at + 1);
        let is_done = matches!(end, End::Done);
        let goes_on = is_done && next.is_some_and(|next| next.purpose == Purpose::Finish);
        let Some(wave) = self.hop.waves.get(at).filter(|_| !goes_on) else {
            return;
        };
        let has_begun = || {
            let begun = ledger.all_begun();
            let mut steps = wave.lanes.iter().flat_map(|lane| &lane.steps);
            steps.any(|step| step.disruptive && begun.contains(&step.id))
        };
        if wave.purpose != Purpose::Finish && !has_begun() {
            return;
        }
        let Some((host, since)) = self.turn.take() else {
            return;
        };
        let (from, to) = (self.hop.from.minor(), self.hop.to.minor());
        let is_switched = matches!(wave.purpose, Purpose::Member | Purpose::Finish);
        let runs = if is_switched { to } else { from };
        let window = Window {
            host,
            next: next.and_then(in_turn),
            since,
            wants: Wants {
                member: is_done.then_some(runs),
                cluster: raised(wave).filter(|_| is_done),
            },
            lines: (from.min(to), from.max(to)),
            is_mixed: self.hop.from != self.hop.to,
        };
        let marks = Arc::clone(&self.marks);
        self.reads
            .push(Box::pin(read(self.engine, self.cluster, window, marks)));
    }

    /// Waits until everything is read, unless the run is abandoned.
    pub(super) async fn finish(mut self) {
        let engine = self.engine;
        let all = async { while self.reads.next().await.is_some() {} };
        let _ = engine.unless_abandoned(all).await;
    }
}

/// The host whose member a wave takes out of service.
fn in_turn(wave: &Wave) -> Option<&str> {
    let mut lanes = wave.lanes.iter();
    let lane = lanes.find(|lane| lane.steps.iter().any(|step| step.disruptive));
    lane.map(|lane| lane.host.as_str())
}

/// The cluster version that a wave waits for.
fn raised(wave: &Wave) -> Option<Minor> {
    let mut steps = wave.lanes.iter().flat_map(|lane| &lane.steps);
    steps.find_map(|step| match step.action {
        Action::AwaitClusterVersion { minor } => Some(minor),
        _ => None,
    })
}

/// Reads a window on all hosts at once, again while a sign is still on its way, and records what it comes to.
async fn read(
    engine: &Engine,
    cluster: &Cluster,
    window: Window<'_>,
    marks: Arc<Mutex<BTreeMap<String, String>>>,
) {
    let mut marks = marks.lock().await;
    let began = Instant::now();
    let mut looks = 1;
    let all = loop {
        let hosts = cluster.hosts.iter();
        let read =
            hosts.map(|host| read_host(engine, host, &window, marks.get(&host.name).cloned()));
        let all = join_all(read).await;
        if looks == LOOKS || !all.iter().any(|(log, _)| is_on_its_way(log)) {
            break all;
        }
        looks += 1;
        sleep(BETWEEN_LOOKS).await;
    };
    let mut hosts = Vec::new();
    for (log, mark) in all {
        if let Some(mark) = mark {
            marks.insert(log.host.clone(), mark);
        }
        hosts.push(log);
    }
    // Announces no act: a journal that is full stops the run at its next step.
    let _ = engine.recorder.record(Kind::LogRead {
        cluster: cluster.name.clone(),
        host: window.host.to_owned(),
        hosts,
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
}

/// Whether a sign is missing where others of its kind are written: a log that goes elsewhere has none.
fn is_on_its_way(log: &HostLog) -> bool {
    !log.lacks.is_empty() && log.digest.routine > 0
}

/// What a host's window comes to, and the host's time at its end.
async fn read_host(
    engine: &Engine,
    host: &Host,
    window: &Window<'_>,
    since: Option<String>,
) -> (HostLog, Option<String>) {
    let mut log = HostLog {
        host: host.name.clone(),
        ..HostLog::default()
    };
    let asked = engine
        .transport
        .run(&host.name, command(host, window, since));
    let answer = match timeout(MOST, asked).await {
        Err(_) => Err(format!("no answer within {} s", MOST.as_secs())),
        Ok(Err(unreachable)) => Err(unreachable.to_string()),
        Ok(Ok(output)) => Frames::parse(&output.stdout).map_err(|error| error.to_string()),
    };
    let frames = match answer {
        Ok(frames) => frames,
        Err(why) => {
            log.unread = Some(why);
            return (log, None);
        }
    };
    let text = frames.text("log");
    if text.is_empty() {
        log.unread = Some(unread(&frames.text("hint")));
    } else {
        log.cut = text.len() >= BYTES as usize || text.lines().count() >= LINES as usize;
        log.digest = sorted(&text, host, window);
        log.lacks = lacks(&log.digest, host, window);
    }
    let mark = Some(frames.text("now")).filter(|now| is_mark(now));
    (log, mark)
}

fn command(host: &Host, window: &Window<'_>, since: Option<String>) -> Command {
    let ago = window.since.elapsed().as_secs() + 1;
    Command::read(READ_TITLE, READ, MOST)
        .arg(host.unit.clone())
        .arg(since.unwrap_or_default())
        .args([ago.to_string(), LINES.to_string(), BYTES.to_string()])
}

/// A time as `date` prints it; nothing else of a host's words goes back to it.
fn is_mark(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_digit() || c == '.';
    !text.is_empty() && text.len() < 40 && text.chars().all(fits)
}

/// Why there is nothing to read, in the host's words; they name what a login without rights is not shown.
fn unread(hint: &str) -> String {
    let first = hint.lines().map(str::trim).find(|line| !line.is_empty());
    match first {
        None => "its journal holds no line of that time".to_owned(),
        Some(said) => said.chars().take(200).collect(),
    }
}

fn sorted(text: &str, host: &Host, window: &Window<'_>) -> Digest {
    // Newest first, and perhaps cut within the last.
    let lines: Vec<Line> = text.lines().rev().filter_map(Line::of_entry).collect();
    let there = Situation {
        is_in_turn: host.name == window.host || window.next == Some(&host.name),
        is_mixed: window.is_mixed,
        lines: window.lines,
    };
    digest(Rules::embedded(), &lines, there)
}

fn lacks(found: &Digest, host: &Host, window: &Window<'_>) -> Vec<String> {
    let rules = Rules::embedded();
    let of_member = window.wants.member.filter(|_| host.name == window.host);
    let member = of_member.map(|line| found.lacks(rules, Of::Member, line));
    let cluster = window
        .wants
        .cluster
        .map(|line| found.lacks(rules, Of::Cluster, line));
    let all = member.into_iter().chain(cluster).flatten();
    all.map(str::to_owned).collect()
}
