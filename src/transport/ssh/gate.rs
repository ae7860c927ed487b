//! How many connect at once to one sshd, or through the proxies of the user's configuration.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Lets so many connect at once, and one fewer after each handshake that was dropped, down to one at a time.
///
/// sshd drops handshakes beyond its `MaxStartups`, which nobody tells us: as many as it drops were too many. So what is
/// tried again is tried with fewer others beside it, and at the end alone, when only other people's connections can
/// still be in its way.
pub(super) struct Gate {
    places: Semaphore,
    most: AtomicUsize,
}

impl Gate {
    /// For so many at once, at least one.
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self {
            places: Semaphore::new(most),
            most: AtomicUsize::new(most),
        }
    }

    /// Waits for a place.
    pub(super) async fn enter(&self) -> SemaphorePermit<'_> {
        let place = self.places.acquire().await;
        place.expect("the semaphore is never closed")
    }

    /// Takes a place away, unless it is the last.
    pub(super) fn narrow(&self, place: SemaphorePermit<'_>) {
        let less = |most: usize| (most > 1).then(|| most - 1);
        let narrowed = self
            .most
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        if narrowed.is_ok() {
            place.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_dropped_handshake_takes_a_place_away_but_never_the_last() {
        let gate = Gate::new(3);
        for left in [2, 1, 1, 1] {
            let place = gate.enter().await;
            gate.narrow(place);
            assert_eq!(gate.places.available_permits(), left);
        }
    }
}
