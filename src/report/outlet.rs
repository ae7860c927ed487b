//! stdout and stderr, each with a thread that alone writes to it. Whoever reads may be slow, stopped or gone: nobody
//! waits for him longer than he means to, and everything comes out in the order in which it was put.
//!
//! A run never waits for its readers; only the very end does ([`Patience::LAST`]), when locks are released and the
//! journal is complete.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::terminal::is_muted;

/// As much as is written at once: small enough that a slow reader is seen to move.
const CHUNK: usize = 4096;
/// Conditions that are not the outlets' own are looked at this often.
const LOOK: Duration = Duration::from_millis(100);
/// What is left to a stream once a signal or the end of patience has said that the process shall end.
const GRACE: Duration = Duration::from_millis(200);

/// Which stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlet {
    /// stdout, for data.
    Out,
    /// stderr, for talk.
    Err,
}

/// How long a stream may take nothing at all before nobody waits for it any longer. One that moves is awaited.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    out: Duration,
    err: Duration,
    is_last: bool,
}

impl Patience {
    /// Just looks.
    pub const NONE: Self = Self {
        out: Duration::ZERO,
        err: Duration::ZERO,
        is_last: false,
    };
    /// Within a run: what is not taken yet stays in memory, and the run goes on.
    pub const SOON: Self = Self {
        out: Duration::from_secs(1),
        err: Duration::from_secs(1),
        is_last: false,
    };
    /// At the end. Talk is in the journal too, so a terminal that stands still (Ctrl-S) is worth seconds. Data may be
    /// nowhere else, and its reader may be a pager with a person before it, so they are worth minutes; but not for ever:
    /// a job that never ends keeps the next one of its timer from beginning.
    pub const LAST: Self = Self {
        out: Duration::from_secs(600),
        err: Duration::from_secs(5),
        is_last: true,
    };
}

/// The two streams.
pub struct Outlets {
    state: Mutex<State>,
    changed: Condvar,
    fds: [Box<dyn AsFd + Send + Sync>; 2],
}

struct State {
    lanes: [Lane; 2],
    signals: u64,
    /// The process shall end.
    over: bool,
}

struct Lane {
    queue: VecDeque<u8>,
    /// Bytes that the thread has in hand.
    in_hand: usize,
    /// When something was taken last, or was put where nothing was.
    moved: Instant,
    failed: Option<Errno>,
    has_thread: bool,
}

impl Lane {
    fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            in_hand: 0,
            moved: Instant::now(),
            failed: None,
            has_thread: false,
        }
    }

    fn pending(&self) -> usize {
        self.queue.len() + self.in_hand
    }
}

/// Those of this process.
pub fn outlets() -> &'static Outlets {
    static OURS: OnceLock<&Outlets> = OnceLock::new();
    OURS.get_or_init(|| Outlets::new([Box::new(io::stdout()), Box::new(io::stderr())]))
}

impl Outlets {
    /// Outlets to two streams. They are never taken down, since a thread may be stuck in one of them.
    pub fn new(fds: [Box<dyn AsFd + Send + Sync>; 2]) -> &'static Self {
        let state = State {
            lanes: [Lane::new(), Lane::new()],
            signals: 0,
            over: false,
        };
        Box::leak(Box::new(Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            fds,
        }))
    }

    /// Puts bytes behind all that was put before, and does not wait.
    pub fn put(&'static self, outlet: Outlet, bytes: &[u8]) {
        let mut state = self.lock();
        let lane = &mut state.lanes[outlet as usize];
        if lane.pending() == 0 {
            lane.moved = Instant::now();
        }
        lane.queue.extend(bytes);
        if !lane.has_thread {
            let name = if outlet == Outlet::Out {
                "stdout"
            } else {
                "stderr"
            };
            let thread = std::thread::Builder::new().name(name.to_owned());
            // Without a thread nothing can be written; the next one may be had.
            lane.has_thread = thread.spawn(move || self.empty(outlet)).is_ok();
        }
        self.changed.notify_all();
    }

    /// Waits until everything is taken; says whether it was.
    pub fn drain(&self, patience: Patience) -> bool {
        self.wait_for(patience, |state| {
            state.lanes.iter().all(|lane| lane.pending() == 0)
        })
    }

    /// Waits for something that a thread does which writes here; says whether it was done.
    pub fn wait(&self, patience: Patience, is_done: impl Fn() -> bool) -> bool {
        self.wait_for(patience, |_| is_done())
    }

    /// What a stream has not taken yet.
    pub fn pending(&self, outlet: Outlet) -> usize {
        self.lock().lanes[outlet as usize].pending()
    }

    /// A signal came: whoever waits for readers leaves it.
    pub fn hurry(&self) {
        self.lock().signals += 1;
        self.changed.notify_all();
    }

    /// A signal came when all work was done: nobody waits for readers any more.
    pub fn leave(&self) {
        self.lock().over = true;
        self.hurry();
    }

    /// Whoever writes by other ways has got on.
    pub fn nudge(&self) {
        self.lock().lanes[Outlet::Err as usize].moved = Instant::now();
        self.changed.notify_all();
    }

    fn wait_for(&self, patience: Patience, is_done: impl Fn(&State) -> bool) -> bool {
        let began = Instant::now();
        let mut state = self.lock();
        let signals = state.signals;
        loop {
            if is_done(&state) {
                return true;
            }
            let hurried = state.signals != signals;
            if hurried || state.is_stuck(patience, began) {
                state.over |= patience.is_last;
                return false;
            }
            let waited = self.changed.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits without a bound until a stream has taken everything; the errors of that.
    fn through(&self, outlet: Outlet) -> io::Result<()> {
        let mut state = self.lock();
        while state.lanes[outlet as usize].pending() > 0 {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let failed = state.lanes[outlet as usize].failed.take();
        failed.map_or(Ok(()), |errno| Err(errno.into()))
    }

    /// The life of a stream's thread.
    fn empty(&self, outlet: Outlet) {
        let mut state = self.lock();
        loop {
            let lane = &mut state.lanes[outlet as usize];
            let most = lane.queue.len().min(CHUNK);
            if most == 0 {
                let waited = self.changed.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let chunk: Vec<u8> = lane.queue.drain(..most).collect();
            lane.in_hand = most;
            drop(state);
            let written = write_all(self.fds[outlet as usize].as_fd(), &chunk);
            state = self.lock();
            let lane = &mut state.lanes[outlet as usize];
            lane.in_hand = 0;
            lane.moved = Instant::now();
            if let Err(errno) = written {
                // The rest of a line whose beginning is lost would be noise.
                lane.queue.clear();
                lane.failed = Some(errno);
            }
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether everything that is awaited has stood still for too long.
    fn is_stuck(&self, patience: Patience, began: Instant) -> bool {
        let stands = |outlet: Outlet, most: Duration| {
            let most = if self.over { GRACE } else { most };
            let since = self.lanes[outlet as usize].moved.max(began);
            since.elapsed() >= most
        };
        let out = stands(Outlet::Out, patience.out);
        let err = stands(Outlet::Err, patience.err);
        let is_pending = |outlet: Outlet| self.lanes[outlet as usize].pending() > 0;
        match (is_pending(Outlet::Out), is_pending(Outlet::Err)) {
            (true, true) => out && err,
            (true, false) => out,
            (false, _) => err,
        }
    }
}

fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        // From the background of a terminal that stops those who write: a stopped run would leave its member down.
        if is_muted(fd) {
            return Ok(());
        }
        match rustix::io::write(fd, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            // Somebody else who has this stream has made it so.
            Err(Errno::AGAIN) => {
                poll(&mut [PollFd::new(&fd, PollFlags::OUT)], None)?;
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// A stream for a thread that may wait for its reader for ever.
#[derive(Clone, Copy, Debug)]
pub struct Through(pub Outlet);

impl Write for Through {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        outlets().put(self.0, bytes);
        outlets().through(self.0)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "outlet_tests.rs"]
mod tests;
