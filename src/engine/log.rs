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

use super::{End, Engine, Failure, Ledger, whole};
use crate::etcd::Minor;
use crate::etcd::log::{Digest, Line, Of, Rules, Said, Situation, digest};
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
    /// To where each host's journal was read.
    marks: Marks,
    reads: FuturesUnordered<BoxFuture<'a, ()>>,
}

/// By host.
type Marks = Arc<Mutex<BTreeMap<String, Mark>>>;

/// To where a host's journal was read.
#[derive(Clone)]
struct Mark {
    /// By the host's own clock; `None` while nothing could be read.
    until: Option<String>,
    /// Where the first window that could not be read begins.
    since: Instant,
    /// Whether its member had its turn in a window that could not be read.
    is_owed: bool,
    /// The signs of the window before, which may have been read late and reach into this one.
    said: Vec<Said>,
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
    pub(super) fn ended(
        &mut self,
        wave: &'a Wave,
        next: Option<&'a Wave>,
        end: &End,
        ledger: &Ledger,
    ) {
        let is_done = matches!(end, End::Done);
        let goes_on = is_done && next.is_some_and(|next| next.purpose == Purpose::Finish);
        let is_read = wave.purpose == Purpose::Finish || has_begun(wave, ledger);
        if goes_on || !is_read || is_over(end) {
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
                // Behind a downgrade the version has been lowered long before.
                cluster: raised(wave).filter(|_| is_done && from <= to),
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

/// Whether a wave has taken a member out of service.
fn has_begun(wave: &Wave, ledger: &Ledger) -> bool {
    let begun = ledger.all_begun();
    let mut steps = wave.lanes.iter().flat_map(|lane| &lane.steps);
    steps.any(|step| step.disruptive && begun.contains(&step.id))
}

/// Whether nothing more is to be asked of a host: nobody waits, or nothing could be written down.
fn is_over(end: &End) -> bool {
    let End::Failed(stop) = end else {
        return false;
    };
    matches!(stop.failure, Failure::Abandoned | Failure::Journal(_))
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
async fn read(engine: &Engine, cluster: &Cluster, window: Window<'_>, marks: Marks) {
    let mut marks = marks.lock().await;
    let began = Instant::now();
    let mut looks = 1;
    let all = loop {
        let hosts = cluster.hosts.iter();
        let read = hosts.map(|host| read_host(engine, host, &window, marks.get(&host.name)));
        let all = join_all(read).await;
        if looks == LOOKS || !all.iter().any(|(log, _)| is_on_its_way(log)) {
            break all;
        }
        looks += 1;
        sleep(BETWEEN_LOOKS).await;
    };
    let mut hosts = Vec::new();
    for (log, mark) in all {
        marks.insert(log.host.clone(), mark);
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

/// What a host's window comes to, and to where it was read.
async fn read_host(
    engine: &Engine,
    host: &Host,
    window: &Window<'_>,
    before: Option<&Mark>,
) -> (HostLog, Mark) {
    let is_in_turn = host.name == window.host || before.is_some_and(|mark| mark.is_owed);
    let mut mark = before.cloned().unwrap_or(Mark {
        until: None,
        since: window.since,
        is_owed: false,
        said: Vec::new(),
    });
    let mut log = HostLog {
        host: host.name.clone(),
        ..HostLog::default()
    };
    match ask(engine, host, &mark).await {
        Err(why) => {
            mark.is_owed = is_in_turn;
            log.unread = Some(why);
        }
        Ok(frames) => {
            let text = frames.text("log");
            log.cut = text.len() >= BYTES as usize || text.lines().count() >= LINES as usize;
            log.digest = sorted(&text, window, is_in_turn || window.next == Some(&host.name));
            log.lacks = lacks(&log.digest, &mark, host, window);
            log.unread = hint(&frames.text("hint"));
            mark.until = Some(frames.text("now")).filter(|now| is_mark(now));
            mark.is_owed = false;
            mark.said.clone_from(&log.digest.said);
        }
    }
    (log, mark)
}

/// The script that reads a unit's log since a time by the host's clock, or the last seconds.
pub fn command(unit: &str, since: Option<&str>, ago: u64) -> Command {
    Command::read(READ_TITLE, READ, MOST)
        .args([unit, since.unwrap_or_default()])
        .args([ago.to_string(), LINES.to_string(), BYTES.to_string()])
}

async fn ask(engine: &Engine, host: &Host, mark: &Mark) -> Result<Frames, String> {
    let ago = mark.since.elapsed().as_secs() + 1;
    let command = command(&host.unit, mark.until.as_deref(), ago);
    let asked = engine.transport.run(&host.name, command);
    let output = match timeout(MOST, asked).await {
        Err(_) => return Err(format!("no answer within {} s", MOST.as_secs())),
        Ok(answer) => answer.map_err(|unreachable| unreachable.to_string())?,
    };
    if !output.is_success() {
        return Err(format!(
            "`{READ_TITLE}` ended with status {}",
            output.status
        ));
    }
    Frames::parse(&output.stdout).map_err(|error| error.to_string())
}

/// A time as `date` prints it; nothing else of a host's words goes back to it.
fn is_mark(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_digit() || c == '.';
    !text.is_empty() && text.len() < 40 && text.chars().all(fits)
}

/// Why there is nothing to read, in the host's words: they name what a login without rights is not shown.
fn hint(said: &str) -> Option<String> {
    let mut lines = said.lines().map(str::trim);
    let first = lines.find(|line| !line.is_empty())?;
    Some(first.chars().take(200).collect())
}

fn sorted(text: &str, window: &Window<'_>, is_in_turn: bool) -> Digest {
    // Newest first, and perhaps cut within the last.
    let lines: Vec<Line> = text.lines().rev().filter_map(Line::of_entry).collect();
    let there = Situation {
        is_in_turn,
        is_mixed: window.is_mixed,
        lines: window.lines,
    };
    digest(Rules::embedded(), &lines, there)
}

/// The signs that are looked for here and stand neither in this window nor in the one before.
fn lacks(found: &Digest, before: &Mark, host: &Host, window: &Window<'_>) -> Vec<String> {
    let rules = Rules::embedded();
    let mut found = found.clone();
    found.said.extend(before.said.iter().cloned());
    let of_member = window.wants.member.filter(|_| host.name == window.host);
    let member = of_member.map(|line| found.lacks(rules, Of::Member, line));
    let cluster = window
        .wants
        .cluster
        .map(|line| found.lacks(rules, Of::Cluster, line));
    let all = member.into_iter().chain(cluster).flatten();
    all.map(str::to_owned).collect()
}
