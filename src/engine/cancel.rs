//! Interrupts with safe points: the first finishes the member in hand, the second abandons waiting.

use std::sync::Arc;

use tokio::sync::watch;

/// A handle that asks a run to stop. Clones share one state.
#[derive(Clone, Debug)]
pub struct Interrupt {
    times: Arc<watch::Sender<u32>>,
}

impl Default for Interrupt {
    fn default() -> Self {
        Self::new()
    }
}

impl Interrupt {
    /// Makes one that has not been raised.
    pub fn new() -> Self {
        let times = Arc::new(watch::Sender::new(0));
        Self { times }
    }

    /// Asks once more; gives how often it was asked by now.
    pub fn raise(&self) -> u32 {
        self.times
            .send_modify(|times| *times = times.saturating_add(1));
        self.times()
    }

    /// How often it was asked.
    pub fn times(&self) -> u32 {
        *self.times.borrow()
    }

    /// Whether the run shall stop at the next safe point.
    pub fn is_raised(&self) -> bool {
        self.times() > 0
    }

    /// Waits for the first time.
    pub async fn raised(&self) {
        let mut times = self.times.subscribe();
        // As in `abandoned`.
        let _ = times.wait_for(|times| *times >= 1).await;
    }

    /// Waits for the second time.
    pub async fn abandoned(&self) {
        let mut times = self.times.subscribe();
        // The sender lives as long as `self`, so the wait ends by the condition alone.
        let _ = times.wait_for(|times| *times >= 2).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_interrupt_asks_for_a_safe_point_and_two_abandon() {
        let interrupt = Interrupt::new();
        assert!(!interrupt.is_raised());
        interrupt.clone().raise();
        assert!(interrupt.is_raised());
        tokio::select! {
            biased;
            () = interrupt.abandoned() => panic!("abandoned after one"),
            () = tokio::task::yield_now() => {}
        }
        interrupt.raise();
        interrupt.abandoned().await;
    }
}
