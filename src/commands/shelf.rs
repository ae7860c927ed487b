//! Releases that a run has found already: many clusters need the same few, and verifying one takes a second.

use std::cell::Cell;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::session::Session;
use crate::error::Result;
use crate::etcd::Version;
use crate::etcd::catalogue::Catalogue;
use crate::facts::{Arch, ClusterFacts};
use crate::inventory::{ReleaseSource, Selected};
use crate::plan::path::Available;
use crate::plan::upgrade;
use crate::releases::{self, Progress, Release, ReleaseError};
use crate::report::{Talk, Voice};

/// The time between two words about a download.
const TOLD_EVERY: Duration = Duration::from_millis(200);

/// What can be had from which source, and what was fetched and verified. Only what succeeded is kept.
#[derive(Default)]
pub struct Shelf(Mutex<Known>);

#[derive(Default)]
struct Known {
    available: Vec<(ReleaseSource, Available)>,
    releases: Vec<(ReleaseSource, Release)>,
}

/// What can be had, and the releases of the first hop.
pub type Prepared = Result<(Available, Vec<Release>), ReleaseError>;

impl Shelf {
    /// Lists the releases that can be had, then fetches and verifies those that the first hop needs.
    ///
    /// # Errors
    /// An interrupt.
    pub async fn prepare(
        &self,
        session: &Session<'_>,
        selected: &Selected,
        facts: &ClusterFacts,
        target: &Version,
    ) -> Result<Prepared> {
        let mut known = self.0.lock().await;
        let source = &selected.cluster.releases;
        let available = match known.available(session, source).await? {
            Ok(available) => available,
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
            match known.release(session, source, version, arch).await? {
                Ok(release) => found.push(release),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok((available, found)))
    }

    /// Verifies a release that lies on this machine, for hosts of its own kind and in silence: beside a look at the hosts
    /// that takes no time. What is wrong with it, [`Self::prepare`] finds again and tells.
    pub async fn warm(&self, session: &Session<'_>, source: &ReleaseSource, version: &Version) {
        let Some(arch) = releases::own_arch().filter(|_| releases::is_local(source)) else {
            return;
        };
        let mut known = self.0.lock().await;
        let found = locate(session, source, version.clone(), arch, |_| {}).await;
        if let Ok(Ok(release)) = found {
            known.releases.push((source.clone(), release));
        }
    }
}

/// The releases that can be had.
///
/// # Errors
/// An interrupt.
pub(super) async fn available(
    session: &Session<'_>,
    source: &ReleaseSource,
) -> Result<Result<Available, ReleaseError>> {
    Known::default().available(session, source).await
}

impl Known {
    async fn available(
        &mut self,
        session: &Session<'_>,
        source: &ReleaseSource,
    ) -> Result<Result<Available, ReleaseError>> {
        if let Some((_, known)) = self.available.iter().find(|(from, _)| from == source) {
            return Ok(Ok(known.clone()));
        }
        let from = source.clone();
        let listed = session
            .or_interrupt(blocking(move || releases::available(&from)))
            .await?;
        let available = match listed {
            Ok(releases::Available::Any) => Available::Any,
            Ok(releases::Available::Listed(versions)) => Available::Listed(versions),
            Err(error) => return Ok(Err(error)),
        };
        self.available.push((source.clone(), available.clone()));
        Ok(Ok(available))
    }

    async fn release(
        &mut self,
        session: &Session<'_>,
        source: &ReleaseSource,
        version: Version,
        arch: Arch,
    ) -> Result<Result<Release, ReleaseError>> {
        let known = self.releases.iter().find(|(from, release)| {
            from == source && release.version == version && release.arch == arch
        });
        if let Some((_, release)) = known {
            return Ok(Ok(release.clone()));
        }
        let found = fetch(session, source, version, arch).await?;
        if let Ok(release) = &found {
            self.releases.push((source.clone(), release.clone()));
        }
        Ok(found)
    }
}

/// Gets a release and says how far it is.
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
    let (voice, told) = (session.voice.clone(), Cell::new(None));
    let watch = move |progress: Progress<'_>| tell(&voice, &told, progress);
    let found = locate(session, source, version, arch, watch).await;
    session.voice.talk(Talk::Over);
    found
}

async fn locate(
    session: &Session<'_>,
    source: &ReleaseSource,
    version: Version,
    arch: Arch,
    watch: impl Fn(Progress<'_>) + Send + 'static,
) -> Result<Result<Release, ReleaseError>> {
    let (source, cache) = (source.clone(), session.context.cache_dir());
    let work = blocking(move || releases::locate_with(&source, &version, arch, &cache, &watch));
    session.or_interrupt(work).await
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
