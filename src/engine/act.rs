//! Actions as scripts: what each does on a host, and what its answer means.
//!
//! Each script is a constant with a title; data go as arguments. All are idempotent: they look at what is there and
//! do what is missing. So after a lost connection the engine may simply ask again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Engine, Failure, wait};
use crate::event::Kind;
use crate::facts::observe::{Depth, observe_to};
use crate::facts::{Answer, Observation};
use crate::inventory::{Cluster, Host};
use crate::plan::{Action, Hop, Lane, Outcome, Plan, Purpose, StepId, Wave};
use crate::transport::{Command, Output, Sink, Stage, TIMED_OUT, Unreachable};

pub mod backup;
pub mod backup_v2;
pub mod check;
pub mod client;
pub mod digest;
pub mod downgrade;
pub mod file;
pub mod leader;
pub mod pack;
pub mod rebuild;
pub mod release;
pub mod remedy;
pub mod retention;
pub mod unit;
mod words;

pub use words::words;

/// How long a host that was lost is asked again. A broken connection is back within seconds, a host that reboots
/// within a few minutes; but while the member in hand may be down, the cluster has no failure left to spare, so
/// nobody should wait longer than this to hear of it.
pub(super) const RECONNECT: Duration = Duration::from_secs(60);

/// What a script gets beyond its step's time: one that watches the time itself needs a moment to say how things are.
const GRACE: Duration = Duration::from_secs(5);

/// The most that one look at all members may take; a member that needs longer is not well.
pub const OBSERVE: Duration = Duration::from_secs(15);

/// A lane in execution.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// All hosts of the cluster.
    pub cluster: &'a Cluster,
    /// The plan.
    pub plan: &'a Plan,
    /// Its hop in execution.
    pub hop: &'a Hop,
    /// The lane.
    pub lane: &'a Lane,
    /// Its host.
    pub host: &'a Host,
    /// What this run has done so far.
    pub ledger: &'a super::Ledger,
    /// Whether a disruptive step of this lane has begun.
    pub disrupted: AtomicBool,
    /// Whether its host was given up as lost: then nothing more waits for it to come back.
    pub lost: AtomicBool,
}

/// A step, or an action of its undo, in execution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task<'a> {
    /// Its lane.
    pub turn: &'a Turn<'a>,
    /// The step.
    pub step: StepId,
    /// When its time is over.
    pub ends: Instant,
}

/// Carries out one action.
pub(crate) async fn perform(task: &Task<'_>, action: &Action) -> Result<Outcome, Failure> {
    match action {
        Action::KeepRelease {
            version,
            files,
            bin_dir,
            install_dir,
        } => release::keep(task, version, files, (bin_dir, install_dir)).await,
        Action::StageRelease {
            version,
            files,
            install_dir,
            from,
            ..
        } => release::stage(task, version, files, install_dir, from.as_ref()).await,
        Action::CheckFlags {
            version,
            install_dir,
            args,
        } => check::flags(task, version, install_dir, args).await,
        Action::VerifyUnit { unit, text } => check::verify(task, unit, text).await,
        Action::TakeBackup { dir, file } => backup::take(task, dir, file).await,
        Action::TakeV2Backup { .. } => backup_v2::perform(task, action).await,
        Action::FetchBackup { path, file } => backup::fetch(task, path, file).await,
        Action::PruneBackups { dir, keep } => backup::prune(task, dir, *keep).await,
        Action::MoveLeader { candidates } => leader::hand_over(task, candidates).await,
        Action::SwitchRelease {
            version,
            install_dir,
            bin_dir,
            files,
            remove,
        } => release::switch(task, version, (install_dir, bin_dir), files, remove).await,
        Action::WriteFile {
            dest,
            before,
            text,
            owner,
            mode,
        } => {
            let before = before.as_deref();
            let content = file::Content {
                before,
                text,
                owner,
                mode: *mode,
            };
            file::write(task, dest, content).await
        }
        Action::RemoveFile { dest } => file::remove(task, dest).await,
        Action::StopUnit { unit } => unit::stop(task, unit).await,
        Action::StartUnit { unit } => unit::start(task, unit).await,
        Action::ReloadUnits => unit::reload(task).await,
        Action::Settle { version, least_s } => wait::settle(task, version, *least_s).await,
        Action::AwaitClusterVersion { minor } => wait::cluster_version(task, *minor).await,
        Action::WriteKey { .. } | Action::ForceSnapshot { .. } | Action::DropV2 => {
            remedy::perform(task, action).await
        }
        Action::Rebuild(action) => rebuild::perform(task, action).await,
        Action::Downgrade(action) => downgrade::perform(task, action).await,
    }
}

/// An outcome that changed something.
pub fn changed(what: impl Into<String>) -> Outcome {
    Outcome::Changed { what: what.into() }
}

/// An outcome that found everything so already.
pub fn unchanged(why: impl Into<String>) -> Outcome {
    Outcome::Unchanged { why: why.into() }
}

impl Turn<'_> {
    /// Notes something that stays on purpose when the run ends.
    pub fn leave(&self, what: String) {
        self.ledger.leave(what);
    }

    /// Notes something that stays on this host on purpose; the same on several hosts is told once.
    pub fn leave_here(&self, what: String) {
        self.ledger.leave_on(what, &self.host.name);
    }

    /// Takes back what [`Self::leave_here`] has noted.
    pub fn take_away(&self, what: &str) {
        self.ledger.take_away(what, &self.host.name);
    }

    /// Whether a disruptive step of this lane has begun.
    pub fn is_disrupted(&self) -> bool {
        self.disrupted.load(Ordering::Relaxed)
    }

    /// Whether an interrupt has to wait for the lane's end. The lanes of a wave that works on all members as one stop
    /// together or not at all.
    pub fn goes_on(&self) -> bool {
        let as_one = |wave: &&Wave| wave.purpose == Purpose::Rebuild;
        let mut waves = self.hop.waves.iter().filter(as_one);
        self.is_disrupted() || waves.any(|wave| wave.lanes.contains(self.lane))
    }
}

impl Task<'_> {
    /// A script for this task's host; its deadline is set when it is sent.
    pub fn command(&self, title: &str, script: &str) -> Command {
        Command::read(title, script, self.left())
    }

    /// The time that is left.
    pub fn left(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }

    /// Runs a script; a non-zero exit is a failure with the host's own words.
    pub(crate) async fn ask(&self, command: Command) -> Result<Output, Failure> {
        let (title, time) = (command.title.clone(), self.left());
        let output = self.reach(command).await?;
        if output.status == TIMED_OUT && self.left().is_zero() {
            return Err(Failure::late(&title, &self.turn.host.name, time));
        }
        self.succeeded(&title, output)
    }

    /// A script's output, if it ended with status 0.
    pub(crate) fn succeeded(&self, title: &str, output: Output) -> Result<Output, Failure> {
        if output.is_success() {
            return Ok(output);
        }
        let host = &self.turn.host.name;
        let mut causes = vec![format!(
            "`{title}` on `{host}` ended with status {}",
            output.status
        )];
        causes.extend(
            output
                .complaint()
                .lines()
                .take(5)
                .map(|line| format!("\"{line}\"")),
        );
        Err(Failure::Failed(causes))
    }

    /// Runs a script. A connection that was lost is made again and the script, which is idempotent, asked again,
    /// for at most [`RECONNECT`]; once, if the host was waited for in vain before.
    pub(crate) async fn reach(&self, mut command: Command) -> Result<Output, Failure> {
        let mut lost: Option<(Instant, Unreachable)> = None;
        let mut pause = Duration::from_millis(200);
        let patience = RECONNECT * u32::from(!self.turn.lost.load(Ordering::Relaxed));
        loop {
            command.deadline = self.left() + GRACE;
            let asked = self.run(command.clone());
            let unreachable = match self.turn.engine.unless_abandoned(asked).await? {
                Err(Failure::Unreachable(unreachable)) => unreachable,
                ended => {
                    self.turn.lost.store(false, Ordering::Relaxed);
                    return ended;
                }
            };
            let again = may_come_back(&unreachable);
            let said = unreachable.to_string();
            let (since, first) = lost.get_or_insert_with(|| (Instant::now(), unreachable.clone()));
            if !again || since.elapsed() >= patience || self.left().is_zero() {
                self.turn.lost.fetch_or(again, Ordering::Relaxed);
                return Err(Failure::Unreachable(telling(first, unreachable)));
            }
            self.progress(&format!("{said}; trying again"))?;
            clear_partial(&command);
            self.pause(&mut pause).await?;
        }
    }

    /// Runs a script, once. While the member is in hand, only with the lock: else the host may act by itself.
    async fn run(&self, command: Command) -> Result<Output, Failure> {
        self.keep_lock().await?;
        let transport = &self.turn.engine.transport;
        let ran = transport.run(&self.turn.host.name, command).await;
        ran.map_err(Failure::Unreachable)
    }

    /// Takes the lock again if it was lost with a connection while the member is in hand.
    pub(crate) async fn keep_lock(&self) -> Result<(), Failure> {
        if !self.turn.is_disrupted() {
            return Ok(());
        }
        let engine = self.turn.engine;
        engine.locks.keep(&engine.transport, self.turn.host).await
    }

    /// Looks at all members of the cluster: versions, status, health; member and alarm lists by one that is not in
    /// hand, or by all of them if that one is silent.
    pub(crate) async fn observe(&self) -> Result<Observation, Failure> {
        self.observe_in(self.turn.cluster).await
    }

    /// Looks at these members of the cluster in the same way.
    pub(crate) async fn observe_in(&self, cluster: &Cluster) -> Result<Observation, Failure> {
        let turn = self.turn;
        let speaker = speaker(cluster, turn.host);
        let depth = |host: &Host| {
            if host.name == speaker.name {
                Depth::Cluster
            } else {
                Depth::Member
            }
        };
        let mut seen = turn.engine.observe(cluster, depth).await?;
        if is_silent(&seen, speaker) {
            let all = |_: &Host| Depth::Cluster;
            seen = turn.engine.observe(cluster, all).await?;
        }
        for (_, view) in super::guard::views(&seen) {
            if let Some(line) = &view.cluster_version {
                turn.ledger.note_line(line.minor());
            }
        }
        Ok(seen)
    }

    /// Looks at all members, unless somebody just did and nothing was done since.
    pub(crate) async fn observe_afresh(&self) -> Result<Observation, Failure> {
        if let Some(seen) = self.turn.ledger.seen() {
            return Ok(seen);
        }
        let seen = self.observe().await?;
        self.turn.ledger.note_seen(&seen);
        Ok(seen)
    }

    /// Waits a little, each time longer, up to half a second.
    pub(crate) async fn pause(&self, pause: &mut Duration) -> Result<(), Failure> {
        let now = (*pause).min(self.left());
        *pause = (*pause * 3 / 2).min(Duration::from_millis(500));
        self.turn.engine.unless_abandoned(sleep(now)).await
    }

    /// Tells what is awaited.
    pub(crate) fn progress(&self, what: &str) -> Result<(), Failure> {
        self.tell(what, None)
    }

    /// Tells how far a transfer is, in bytes.
    pub(crate) fn transferred(&self, what: &str, done: u64, all: u64) -> Result<(), Failure> {
        self.tell(what, Some((done.min(all), all)))
    }

    fn tell(&self, what: &str, bytes: Option<(u64, u64)>) -> Result<(), Failure> {
        let recorded = self.turn.engine.recorder.record(Kind::StepProgress {
            cluster: self.turn.cluster.name.clone(),
            host: self.turn.host.name.clone(),
            step: self.step,
            what: what.to_owned(),
            bytes,
        });
        recorded.map_err(Failure::Journal)
    }
}

impl Engine {
    /// Looks at all members of a cluster, at each as deep as told, unless the run is abandoned.
    pub(crate) async fn observe(
        &self,
        cluster: &Cluster,
        depth: impl Fn(&Host) -> Depth,
    ) -> Result<Observation, Failure> {
        let look = observe_to(self.transport.as_ref(), cluster, depth, OBSERVE);
        self.unless_abandoned(look).await
    }

    /// Waits for `work` unless a second interrupt comes first.
    pub(crate) async fn unless_abandoned<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        tokio::select! {
            done = work => Ok(done),
            () = self.interrupt.abandoned() => Err(Failure::Abandoned),
        }
    }
}

/// Who is asked what all members know alike: not the member in hand, if there is another.
pub(super) fn speaker<'a>(cluster: &'a Cluster, in_hand: &'a Host) -> &'a Host {
    let mut others = cluster.hosts.iter();
    others
        .find(|host| host.name != in_hand.name)
        .unwrap_or(in_hand)
}

/// Whether the member on `host` has said nothing.
pub(super) fn is_silent(seen: &Observation, host: &Host) -> bool {
    seen.hosts.get(&host.name).and_then(Answer::view).is_none()
}

/// Whether asking again can help: a connection that broke or was not made, but not a wrong key or a time that is up.
pub(super) fn may_come_back(unreachable: &Unreachable) -> bool {
    matches!(
        unreachable.stage,
        Stage::Lost(_) | Stage::Tcp(_) | Stage::Jump(_) | Stage::NameLookup(_)
    )
}

/// The first word if a connection broke under the script, for then nobody knows how far it came; else the last.
fn telling(first: &Unreachable, last: Unreachable) -> Unreachable {
    match (&first.stage, &last.stage) {
        (_, Stage::Deadline { .. }) => last,
        (Stage::Lost(_), _) => first.clone(),
        _ => last,
    }
}

fn clear_partial(command: &Command) {
    if let Sink::File(path) = &command.output {
        // If it cannot be removed, the next attempt says so: the transport makes a new file.
        let _ = std::fs::remove_file(path);
    }
}
