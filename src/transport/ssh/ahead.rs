//! Channels opened ahead of need: while one script runs, the shell of the next one is started.
//!
//! A channel, the login shell and sudo take two round trips and some 30 ms before a script can begin. Which script it will
//! be need not be known for that, because scripts come on stdin. One that waits in vain ends with its channel.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::link::Opened;
use super::remote::Wrapper;

/// How long a shell may have waited for a script to be used: a host may end those that idle.
const FRESH: Duration = Duration::from_secs(20);

/// The place for one channel that is open, or is being opened.
#[derive(Default)]
pub(super) struct Ahead(Mutex<State>);

#[derive(Default)]
struct State {
    /// How many expect that further scripts follow.
    wanted: usize,
    next: Option<Next>,
}

struct Next {
    wrapper: Wrapper,
    since: Instant,
    opening: JoinHandle<Option<Ready>>,
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
                state.next.take().inspect(Next::let_go);
            }
        });
    }

    /// The shell that waits, if it is of this kind.
    pub(super) async fn take(&self, wrapper: Wrapper) -> Option<Ready> {
        let next = self.with(|state| state.next.take())?;
        if next.wrapper != wrapper || next.since.elapsed() > FRESH {
            next.let_go();
            return None;
        }
        next.opening.await.ok().flatten()
    }

    /// Starts opening a channel unless one is there, or nobody expects further scripts.
    pub(super) fn open<F>(&self, wrapper: Wrapper, opening: impl FnOnce() -> F)
    where
        F: Future<Output = Option<Ready>> + Send + 'static,
    {
        self.with(|state| {
            if state.wanted > 0 && state.next.is_none() {
                state.next = Some(Next {
                    wrapper,
                    since: Instant::now(),
                    opening: tokio::spawn(opening()),
                });
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Next {
    /// What is open already is closed when the task's result is dropped.
    fn let_go(&self) {
        self.opening.abort();
    }
}
