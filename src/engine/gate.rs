//! What a run of several clusters may say before each wave of one of them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, ready};

use crate::plan::{Action, Purpose, Wave};

/// Asked at each safe point whether the next wave may begin; may wait before it answers.
///
/// The engine knows one cluster. Whose turn it is among several, and whether there is time left for one more
/// member, is for whoever runs them all.
#[derive(Clone)]
pub struct Gate {
    answer: Arc<Answer>,
    overlaps: bool,
}

type Answer = dyn Fn(Asked) -> BoxFuture<'static, Result<(), String>> + Send + Sync;

/// The wave that is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What it is for.
    pub purpose: Purpose,
    /// The time that it takes at the very least: what its settles wait.
    pub least: Duration,
}

impl Gate {
    /// A gate that lets every wave begin at once.
    pub fn open() -> Self {
        Self::new(|_| Box::pin(ready(Ok(())))).overlapping(true)
    }

    /// A gate that answers as `answer` does: `Err` says why the wave is not begun.
    pub fn new(
        answer: impl Fn(Asked) -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            answer: Arc::new(answer),
            overlaps: false,
        }
    }

    /// The same, and whether a wave may begin while the one before it goes on, where neither needs the other. It may
    /// not where waves of other clusters wait for the same place.
    #[must_use]
    pub fn overlapping(self, overlaps: bool) -> Self {
        Self { overlaps, ..self }
    }

    /// Whether a wave may begin while the one before it goes on.
    pub(crate) fn overlaps(&self) -> bool {
        self.overlaps
    }

    /// Waits until the wave may begin.
    ///
    /// # Errors
    /// Why it may not.
    pub(crate) async fn enter(&self, wave: &Wave) -> Result<(), String> {
        (self.answer)(Asked::about(wave)).await
    }
}

impl Asked {
    fn about(wave: &Wave) -> Self {
        let steps = wave.lanes.iter().flat_map(|lane| &lane.steps);
        let waits = steps.map(|step| match step.action {
            Action::Settle { least_s, .. } => least_s,
            _ => 0,
        });
        Self {
            purpose: wave.purpose,
            least: Duration::from_secs(waits.max().unwrap_or(0)),
        }
    }
}
