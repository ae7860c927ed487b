//! Deciding: from facts to a plan and the verified releases that it needs. Changes nothing on hosts.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::look::{LockUse, complete, look_with_lock};
use super::session::Session;
use super::telling::Telling;
use crate::cli::Target;
use crate::engine::lock::{LOCKED_HINT, Taken};
use crate::error::{Failure, Problem, Result};
use crate::etcd::Version;
use crate::etcd::catalogue::Catalogue;
use crate::exit::Exit;
use crate::facts::{Arch, ClusterFacts};
use crate::inventory::{ReleaseSource, Selected};
use crate::plan::path::Available;
use crate::plan::upgrade::{self, Binary, Releases, Request};
use crate::plan::{Finding, Planned, Severity};
use crate::releases::{self, Progress, Release, ReleaseError};
use crate::report::text::count;
use crate::report::{Talk, Voice};

/// The time between two words about a download.
const TOLD_EVERY: Duration = Duration::from_millis(200);

/// What to reach, and how carefully.
#[derive(Clone, Debug)]
pub struct Goal {
    /// Flags of the command line.
    pub target: Target,
    /// Codes that may not refuse the run.
    pub acknowledged: BTreeSet<String>,
    /// What to do about the lock of each cluster.
    pub lock: LockUse,
}

/// A plan, or why there is none, and what carrying it out needs.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The release to reach.
    pub target: Version,
    /// What planning came to.
    pub planned: Planned,
    /// Binaries of the first hop's releases on this machine, by SHA-256.
    pub binaries: BTreeMap<String, PathBuf>,
    /// The lock that another run holds.
    pub taken: Option<Taken>,
    /// When the hosts were asked.
    pub looked: Instant,
    /// Whether the lock was held from then on.
    pub is_locked: bool,
}

impl Goal {
    /// From the command line.
    pub fn new(target: &Target) -> Self {
        Self {
            acknowledged: target.acknowledge.iter().cloned().collect(),
            target: target.clone(),
            lock: LockUse::See,
        }
    }

    /// The same, for a run that is going to change hosts.
    #[must_use]
    pub fn locking(self) -> Self {
        Self {
            lock: LockUse::Take,
            ..self
        }
    }

    /// The release that a cluster is to reach.
    ///
    /// # Errors
    /// Neither the command line nor the inventory says.
    pub fn release(&self, selected: &Selected) -> Result<Version> {
        let wanted = self
            .target
            .to
            .as_ref()
            .or(selected.cluster.version.as_ref());
        wanted.cloned().ok_or_else(|| {
            let what = format!(
                "no version to reach for cluster `{}`",
                selected.cluster.name
            );
            let hint = "pass `--to VERSION` or set the cluster's `version` in the inventory";
            Failure::new(Exit::Usage, Problem::new(what).hint(hint))
        })
    }
}

/// Looks at a cluster and plans its way to `target`; tells the plan.
///
/// # Errors
/// A host cannot be asked, a release cannot be had, or an interrupt.
pub async fn decide(
    session: &Session<'_>,
    telling: &Telling<'_>,
    selected: &Selected,
    goal: &Goal,
    target: &Version,
) -> Result<Decision> {
    let looked = Instant::now();
    let versions = std::slice::from_ref(target);
    let seen = look_with_lock(session, &selected.cluster, versions, goal.lock).await?;
    let facts = complete(telling, &selected.cluster, seen.answers)?;
    let prepared = prepare(session, selected, &facts, target).await?;
    let (available, found) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return Err(no_release(telling, selected, target, &error)),
    };
    let mut planned = upgrade::plan(&Request {
        cluster: &selected.cluster,
        chosen: &selected.chosen,
        facts: &facts,
        target,
        available: &available,
        releases: &binaries(&found),
        rules: Catalogue::embedded(),
        on_failure: goal.target.on_failure.into(),
        settle_least_s: goal.target.settle.map_or(0, |least| least.as_secs()),
        step_timeout_s: session
            .context
            .global
            .timeout
            .map(|most| most.as_secs().max(1)),
        resume: goal.target.resume,
        run_id: &session.context.run,
    });
    planned
        .findings
        .extend(seen.taken.as_ref().map(in_progress));
    telling.plan(&selected.cluster.name, &planned)?;
    Ok(Decision {
        target: target.clone(),
        planned,
        binaries: paths(&found),
        taken: seen.taken,
        looked,
        is_locked: seen.is_locked,
    })
}

/// Another run that holds the lock, as a finding.
pub fn in_progress(taken: &Taken) -> Finding {
    Finding::warn("RUN_IN_PROGRESS", &taken.host, taken.to_string()).hint(LOCKED_HINT)
}

type Prepared = Result<(Available, Vec<Release>), ReleaseError>;

/// Lists the releases that can be had, then fetches and verifies those that the first hop needs.
async fn prepare(
    session: &Session<'_>,
    selected: &Selected,
    facts: &ClusterFacts,
    target: &Version,
) -> Result<Prepared> {
    let source = selected.cluster.releases.clone();
    let listed = session
        .or_interrupt(blocking(move || releases::available(&source)))
        .await?;
    let available = match listed {
        Ok(releases::Available::Any) => Available::Any,
        Ok(releases::Available::Listed(versions)) => Available::Listed(versions),
        Err(error) => return Ok(Err(error)),
    };
    let needed = upgrade::needed(
        &selected.cluster,
        &selected.chosen,
        facts,
        target,
        &available,
        Catalogue::embedded(),
    );
    let mut found = Vec::new();
    for (version, arch) in needed {
        match fetch(session, &selected.cluster.releases, version, arch).await? {
            Ok(release) => found.push(release),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok((available, found)))
}

pub(super) async fn fetch(
    session: &Session<'_>,
    source: &ReleaseSource,
    version: Version,
    arch: Arch,
) -> Result<Result<Release, ReleaseError>> {
    let what = format!("get etcd {version}");
    session.voice.talk(Talk::Began {
        what,
        hosts: Vec::new(),
    });
    let (source, cache) = (source.clone(), session.context.cache_dir());
    let voice = session.voice.clone();
    let work = blocking(move || {
        let told = Cell::new(None);
        let watch = |progress: Progress<'_>| tell(&voice, &told, progress);
        releases::locate_with(&source, &version, arch, &cache, &watch)
    });
    let found = session.or_interrupt(work).await;
    session.voice.talk(Talk::Over);
    found
}

/// Tells how getting a release goes on; downloads at most as often as a screen can show.
fn tell(voice: &Voice, told: &Cell<Option<Instant>>, progress: Progress<'_>) {
    let (what, bytes) = match progress {
        Progress::Downloading { done, total, .. } => {
            let recent = told.get().is_some_and(|at| at.elapsed() < TOLD_EVERY);
            if recent && total != Some(done) {
                return;
            }
            told.set(Some(Instant::now()));
            ("downloading".to_owned(), Some((done, total)))
        }
        Progress::Waiting => ("waiting for another run that gets it".to_owned(), None),
        Progress::Unpacking { .. } => ("unpacking".to_owned(), None),
        Progress::CacheDamaged { what } => (format!("getting it anew: {what}"), None),
    };
    voice.talk(Talk::Progress { what, bytes });
}

/// Runs what waits for disks and networks beside the runtime's own threads. A panic in it stays a panic.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

pub(super) fn binaries(found: &[Release]) -> Releases {
    let all = found.iter().map(|release| {
        let files = release.binaries.iter().map(|(name, binary)| {
            let binary = Binary {
                sha256: binary.sha256.clone(),
                bytes: binary.bytes,
            };
            (name.clone(), binary)
        });
        ((release.version.clone(), release.arch), files.collect())
    });
    all.collect()
}

pub(super) fn paths(found: &[Release]) -> BTreeMap<String, PathBuf> {
    let all = found.iter().flat_map(|release| release.binaries.values());
    all.map(|binary| (binary.sha256.clone(), binary.path.clone()))
        .collect()
}

pub(super) fn no_release(
    telling: &Telling,
    selected: &Selected,
    target: &Version,
    error: &ReleaseError,
) -> Failure {
    let cluster = &selected.cluster.name;
    let problem = Problem::of(error).hint(error.hint());
    let reason = std::iter::once(problem.what.clone()).chain(problem.because.clone());
    let reason = reason.collect::<Vec<_>>().join(": ");
    let finding = Finding::block("RELEASE_UNUSABLE", target.to_string(), reason);
    match telling.no_plan(cluster, vec![finding]) {
        Ok(()) => Failure::new(Exit::Refused, problem),
        Err(failure) => failure,
    }
}

/// Says why findings refuse the run, if they do.
///
/// # Errors
/// They do: a block, or something that is not acknowledged.
pub fn accepted(cluster: &str, planned: &Planned, goal: &Goal) -> Result<()> {
    let refusing: Vec<&Finding> = planned
        .findings
        .iter()
        .filter(|finding| finding.refuses(&goal.acknowledged))
        .collect();
    if refusing.is_empty() {
        return Ok(());
    }
    let findings = count(refusing.len(), "finding");
    let mut problem = Problem::new(format!(
        "cluster `{cluster}`: the preflight refuses, {findings}"
    ));
    for finding in &refusing {
        problem = problem.because(format!(
            "{} {}: {}",
            finding.code, finding.subject, finding.reason
        ));
    }
    Err(Failure::new(
        Exit::Refused,
        problem.hint(way_out(&refusing)),
    ))
}

/// What to do about findings: their own hints, and the flags for those that may be waved through.
fn way_out(refusing: &[&Finding]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for finding in refusing.iter().filter(|finding| !finding.hint.is_empty()) {
        if !lines.contains(&finding.hint) {
            lines.push(finding.hint.clone());
        }
    }
    let open = refusing
        .iter()
        .filter(|finding| finding.severity == Severity::Acknowledge);
    let codes: BTreeSet<&str> = open.map(|finding| finding.code.as_str()).collect();
    if !codes.is_empty() {
        let flags: Vec<String> = codes
            .iter()
            .map(|code| format!("--acknowledge {code}"))
            .collect();
        lines.push(format!("if that is meant, pass `{}`", flags.join(" ")));
    }
    lines.join("\n")
}
