//! What a run has done so far, for its ending and its guards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::{Duration, Instant};

use super::Failure;
use crate::etcd::Minor;
use crate::facts::Observation;
use crate::plan::StepId;

/// How long a look at the cluster may stand for another one, while nothing was done since. Half of etcd's default
/// election timeout (1000 ms): the members themselves would not have noticed a loss earlier.
const FRESH: Duration = Duration::from_millis(500);

/// What a run has done so far; shared by the lanes of a wave.
#[derive(Debug, Default)]
pub struct Ledger {
    left: Mutex<Vec<Left>>,
    changed: AtomicBool,
    disrupted: AtomicBool,
    floor: AtomicU64,
    line: Mutex<Option<Minor>>,
    backup: Mutex<Option<String>>,
    seen: Mutex<Option<(Instant, Observation)>>,
    begun: Mutex<BTreeSet<StepId>>,
    processes: Mutex<BTreeMap<String, u32>>,
}

/// Something that stays on purpose.
#[derive(Debug)]
struct Left {
    what: String,
    /// On these hosts; none where `what` says it all.
    hosts: BTreeSet<String>,
}

impl Left {
    fn words(&self) -> String {
        let hosts: Vec<&str> = self.hosts.iter().map(String::as_str).collect();
        match hosts.as_slice() {
            [] => self.what.clone(),
            hosts => format!("{} on {}", self.what, hosts.join(", ")),
        }
    }
}

impl Ledger {
    /// Notes something that stays on purpose when the run ends.
    pub fn leave(&self, what: String) {
        let hosts = BTreeSet::new();
        self.lock().push(Left { what, hosts });
    }

    /// Notes something that stays on a host on purpose; the same on several hosts is told once.
    pub fn leave_on(&self, what: String, host: &str) {
        let mut left = self.lock();
        let known = left
            .iter_mut()
            .find(|left| left.what == what && !left.hosts.is_empty());
        match known {
            Some(known) => drop(known.hosts.insert(host.to_owned())),
            None => left.push(Left {
                what,
                hosts: BTreeSet::from([host.to_owned()]),
            }),
        }
    }

    /// What stays on purpose.
    pub fn left(&self) -> Vec<String> {
        self.lock().iter().map(Left::words).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Left>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes where the newest backup of this run is, such as "/var/backups/etcd/prod/x.db on etcd-2".
    pub fn note_backup(&self, place: String) {
        *self.backup.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
    }

    /// Where the newest backup of this run is.
    pub fn backup(&self) -> Option<String> {
        self.backup
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Notes a cluster version that a member was seen to say.
    pub fn note_line(&self, line: Minor) {
        let mut highest = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        *highest = (*highest).max(Some(line));
    }

    /// The highest cluster version that any member was seen to say.
    pub fn line(&self) -> Option<Minor> {
        *self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that something on a host is, or may be, different now.
    pub fn note_change(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    /// Whether anything on a host is, or may be, different now.
    pub fn is_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }

    /// Notes that a disruptive step has begun.
    pub fn note_disruption(&self) {
        self.disrupted.store(true, Ordering::Relaxed);
        self.note_change();
    }

    /// Whether a disruptive step of any lane has begun.
    pub fn is_disrupted(&self) -> bool {
        self.disrupted.load(Ordering::Relaxed)
    }

    /// Keeps a look at all members, for those who ask within [`FRESH`].
    pub fn note_seen(&self, seen: &Observation) {
        *self.last_look() = Some((Instant::now(), seen.clone()));
    }

    /// Forgets the last look, for something was done since.
    pub fn forget_seen(&self) {
        *self.last_look() = None;
    }

    /// The last look, if it is fresh and nothing was done since.
    pub fn seen(&self) -> Option<Observation> {
        let last = self.last_look().clone();
        last.filter(|(at, _)| at.elapsed() <= FRESH)
            .map(|(_, seen)| seen)
    }

    fn last_look(&self) -> MutexGuard<'_, Option<(Instant, Observation)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a raft index that the next member to settle must have applied.
    pub fn raise_floor(&self, index: u64) {
        self.floor.fetch_max(index, Ordering::Relaxed);
    }

    /// The raft index that a member must have applied to have caught up.
    pub fn floor(&self) -> u64 {
        self.floor.load(Ordering::Relaxed)
    }

    /// Notes the main process of a host's unit once its member has settled.
    pub(super) fn note_process(&self, host: &str, process: u32) {
        self.lock_processes().insert(host.to_owned(), process);
    }

    /// The main process of each member that has settled.
    pub(super) fn processes(&self) -> BTreeMap<String, u32> {
        self.lock_processes().clone()
    }

    fn lock_processes(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a step's start is on disk.
    pub(super) fn note_begun(&self, step: StepId) {
        self.lock_begun().insert(step);
    }

    fn lock_begun(&self) -> MutexGuard<'_, BTreeSet<StepId>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The steps that have begun.
    pub(super) fn all_begun(&self) -> BTreeSet<StepId> {
        self.lock_begun().clone()
    }

    /// The steps that have begun, without one that refused: it has changed nothing.
    pub(super) fn begun(&self, failure: &Failure, step: StepId) -> BTreeSet<StepId> {
        let mut begun = self.lock_begun().clone();
        if matches!(failure, Failure::Refused(_)) {
            begun.remove(&step);
        }
        begun
    }

    /// Takes back what [`Self::leave_on`] has noted for a host.
    pub fn take_away(&self, what: &str, host: &str) {
        let mut left = self.lock();
        for known in left.iter_mut().filter(|known| known.what == what) {
            known.hosts.remove(host);
        }
        left.retain(|known| known.what != what || !known.hosts.is_empty());
    }
}
