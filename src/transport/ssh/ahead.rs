//! Shells that wait for a script: those that have run one and can run another, and one that is opened ahead of need.
//!
//! A channel, the login shell and sudo take two round trips and some 30 ms before a script can begin, and sudo writes to
//! the host's log each time. Which script it will be need not be known for that, because scripts come on stdin. A shell that
//! waits in vain ends with its channel.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::link::Opened;
use super::remote::Wrapper;

/// How long a shell may have waited for a script to be used: a host may end those that idle.
const FRESH: Duration = Duration::from_secs(20);

/// How many wait at most. Two run beside each other while one member's log is read in another's turn.
const WAITING: usize = 2;

/// The places for channels that are open, or are being opened.
#[derive(Default)]
pub(super) struct Ahead(Mutex<State>);

#[derive(Default)]
struct State {
    /// How many expect that further scripts follow.
    wanted: usize,
    waiting: Vec<Next>,
    /// Shells that were opened before are not used again.
    renewed: Option<Instant>,
}

struct Next {
    wrapper: Wrapper,
    since: Instant,
    shell: Shell,
}

enum Shell {
    Opening(JoinHandle<Option<Ready>>),
    Open(Box<Ready>),
}

/// A shell that waits for its script.
pub(super) struct Ready {
    /// Its channel.
    pub(super) opened: Opened,
    /// The mark that it was started with.
    pub(super) mark: String,
}

impl Ahead {
    /// Notes that somebody expects further scripts.
    pub(super) fn begin(&self) {
        self.with(|state| state.wanted += 1);
    }

    /// Notes that somebody expects no more. A shell that nobody wants is let go.
    pub(super) fn end(&self) {
        self.with(|state| {
            state.wanted = state.wanted.saturating_sub(1);
            if state.wanted == 0 {
                state.waiting.drain(..).for_each(Next::let_go);
            }
        });
    }

    /// Lets all shells go that were opened until now.
    pub(super) fn renew(&self) {
        self.with(|state| {
            state.renewed = Some(Instant::now());
            state.waiting.drain(..).for_each(Next::let_go);
        });
    }

    /// Whether somebody expects further scripts.
    pub(super) fn is_wanted(&self) -> bool {
        self.with(|state| state.wanted > 0)
    }

    /// A shell that waits, if one is of this kind: the one that has waited least.
    pub(super) async fn take(&self, wrapper: Wrapper) -> Option<Ready> {
        let next = self.with(|state| {
            let stale = |next: &mut Next| next.since.elapsed() > FRESH;
            state.waiting.extract_if(.., stale).for_each(Next::let_go);
            let fits = |next: &Next| next.wrapper == wrapper;
            let at = state.waiting.iter().rposition(fits)?;
            Some(state.waiting.remove(at))
        })?;
        match next.shell {
            Shell::Opening(opening) => opening.await.ok().flatten(),
            Shell::Open(ready) => Some(*ready),
        }
    }

    /// Takes back a shell that can run another script, if there is room; else it ends.
    pub(super) fn put(&self, wrapper: Wrapper, ready: Ready) {
        self.with(|state| {
            let is_old = state
                .renewed
                .is_some_and(|renewed| ready.opened.since < renewed);
            if state.wanted > 0 && state.waiting.len() < WAITING && !is_old {
                state.waiting.push(Next {
                    wrapper,
                    since: Instant::now(),
                    shell: Shell::Open(Box::new(ready)),
                });
            }
        });
    }

    /// Starts opening a channel unless one is there, or nobody expects further scripts.
    pub(super) fn open<F>(&self, wrapper: Wrapper, opening: impl FnOnce() -> F)
    where
        F: Future<Output = Option<Ready>> + Send + 'static,
    {
        self.with(|state| {
            if state.wanted > 0 && state.waiting.is_empty() {
                state.waiting.push(Next {
                    wrapper,
                    since: Instant::now(),
                    shell: Shell::Opening(tokio::spawn(opening())),
                });
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Next {
    /// What is open already is closed when it, or the task's result, is dropped.
    fn let_go(self) {
        if let Shell::Opening(opening) = self.shell {
            opening.abort();
        }
    }
}
