//! Whose turn it is: how many clusters are prepared and worked on at once, and whether another member may begin.
//!
//! A cluster passes two rooms. In the first its releases are staged, in the second its members are worked on. Each
//! room holds `--max-clusters` clusters, and the first is left only for the second; so staging is at most that many
//! clusters ahead, and a fleet that stops early has not been written to far beyond. Where several are worked on at once,
//! a cluster leaves the second room when its last member has settled: only etcd's own tick is awaited then. One at a time
//! means that each has ended before the next is touched.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::{NotBegun, Rules};
use crate::engine::gate::Asked;
use crate::engine::{Gate, Interrupt};
use crate::event::Ending;
use crate::plan::Purpose;

/// What the clusters of a run share.
pub(super) struct Yard {
    rules: Rules,
    interrupt: Interrupt,
    /// Whether all clusters have a place at once.
    is_roomy: bool,
    preparing: Arc<Semaphore>,
    working: Arc<Semaphore>,
    tally: Mutex<Tally>,
}

#[derive(Default)]
struct Tally {
    failed: usize,
    /// Why nothing more is begun.
    over: Option<NotBegun>,
    /// The longest that a member has taken so far.
    longest: Duration,
}

/// One cluster's place in the rooms; it is left when this is dropped.
pub(super) struct Turn {
    yard: Arc<Yard>,
    held: Mutex<Held>,
}

struct Held {
    preparing: Option<OwnedSemaphorePermit>,
    working: Option<OwnedSemaphorePermit>,
    /// Whether it has been in the second room.
    worked: bool,
    /// When the member in hand was begun.
    member: Option<Instant>,
}

impl Yard {
    /// Rooms for as many clusters as the rules say, of `due` in all.
    pub(super) fn new(rules: &Rules, interrupt: &Interrupt, due: usize) -> Arc<Self> {
        let room = || Arc::new(Semaphore::new(rules.at_once.get()));
        Arc::new(Self {
            rules: rules.clone(),
            interrupt: interrupt.clone(),
            is_roomy: due <= rules.at_once.get(),
            preparing: room(),
            working: room(),
            tally: Mutex::default(),
        })
    }

    /// Waits for a place in the first room.
    pub(super) async fn begin(self: &Arc<Self>) -> Result<Arc<Turn>, NotBegun> {
        let place = self.place(&self.preparing).await?;
        if let Some(because) = self.over() {
            return Err(because);
        }
        Ok(Arc::new(Turn {
            yard: Arc::clone(self),
            held: Mutex::new(Held {
                preparing: Some(place),
                working: None,
                worked: false,
                member: None,
            }),
        }))
    }

    /// Counts a cluster that has ended; before its place is free, so that no other can slip in between.
    pub(super) fn settle(&self, ending: &Ending) {
        self.lock().failed += usize::from(super::is_failed(ending.status));
    }

    /// Lets nothing more begin.
    pub(super) fn close(&self, because: NotBegun) {
        self.lock().over.get_or_insert(because);
    }

    /// Why nothing more is begun, if so.
    pub(super) fn over(&self) -> Option<NotBegun> {
        if self.interrupt.is_raised() {
            return Some(NotBegun::Interrupted);
        }
        if let Some(closed) = self.closed() {
            self.close(NotBegun::Window(closed));
        }
        let (tally, allowed) = (self.lock(), self.rules.max_failures);
        let failures = NotBegun::Failures {
            failed: tally.failed,
            allowed,
        };
        let too_many = (tally.failed > allowed).then_some(failures);
        tally.over.clone().or(too_many)
    }

    fn closed(&self) -> Option<String> {
        let window = self.rules.window.as_ref()?;
        window.closed(&self.rules.clock.now())
    }

    async fn place(&self, room: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, NotBegun> {
        let place = tokio::select! {
            biased;
            () = self.interrupt.raised() => return Err(NotBegun::Interrupted),
            place = Arc::clone(room).acquire_owned() => place.expect("no room is ever closed"),
        };
        Ok(place)
    }

    /// Whether a member that takes `least` or as long as the slowest so far can be finished before the window
    /// closes. Nothing is known before the first one, so that one is begun whenever the window is open.
    fn member_fits(&self, least: Duration) -> Result<(), NotBegun> {
        let Some(window) = &self.rules.window else {
            return Ok(());
        };
        let needs = self.lock().longest.max(least);
        let left = window.left(&self.rules.clock.now()).unwrap_or_default();
        if needs < left {
            return Ok(());
        }
        let because = NotBegun::Window(format!(
            "a member takes {}, the window {window} closes in {}",
            rounded(needs),
            rounded(left)
        ));
        self.close(because.clone());
        Err(because)
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// The gate that the engine asks before each wave of this cluster.
    pub(super) fn gate(self: &Arc<Self>) -> Gate {
        let turn = Arc::clone(self);
        let gate = Gate::new(move |asked| {
            let turn = Arc::clone(&turn);
            Box::pin(async move { turn.enter(asked).await.map_err(|no| no.to_string()) })
        });
        gate.overlapping(self.yard.is_roomy)
    }

    async fn enter(&self, asked: Asked) -> Result<(), NotBegun> {
        self.member_is_over();
        match asked.purpose {
            Purpose::Stage => self.yard.over().map_or(Ok(()), Err),
            Purpose::Backup => self.work().await,
            // A remedy restarts members too.
            Purpose::Member | Purpose::Prepare | Purpose::Rebuild => {
                self.work().await?;
                self.yard.member_fits(asked.least)?;
                self.lock().member = Some(Instant::now());
                Ok(())
            }
            // It waits and stops no member. A further hop comes back for its own members.
            Purpose::Finish => {
                if self.yard.rules.at_once > NonZeroUsize::MIN {
                    self.lock().working = None;
                }
                Ok(())
            }
        }
    }

    /// Moves to the second room, or stays there if nothing speaks against it.
    ///
    /// A failure elsewhere stops no cluster that is being worked on already: half rolled is no better.
    async fn work(&self) -> Result<(), NotBegun> {
        let (is_there, worked) = {
            let held = self.lock();
            (held.working.is_some(), held.worked)
        };
        let place = if is_there {
            None
        } else {
            Some(self.yard.place(&self.yard.working).await?)
        };
        match self.yard.over() {
            None => {}
            Some(NotBegun::Failures { .. }) if worked => {}
            Some(because) => return Err(because),
        }
        let mut held = self.lock();
        if let Some(place) = place {
            held.working = Some(place);
            held.preparing = None;
        }
        held.worked = true;
        Ok(())
    }

    fn member_is_over(&self) {
        if let Some(began) = self.lock().member.take() {
            let mut tally = self.yard.lock();
            tally.longest = tally.longest.max(began.elapsed());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn rounded(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}
