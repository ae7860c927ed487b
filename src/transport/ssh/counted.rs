//! How a channel counts among those of its connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use crate::transport::{Command, Input};

/// Keeps a channel counted until it is dropped.
pub(super) type Counted = Box<dyn Send + Sync>;

/// A channel that nobody else waits for, because its command may last as long as the run; shared again when dropped.
pub(super) struct Aside {
    /// Channels that commands share.
    pub(super) channels: Arc<Semaphore>,
    /// How many these are.
    pub(super) capacity: Arc<AtomicUsize>,
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.capacity.fetch_add(1, Ordering::Relaxed);
        self.channels.add_permits(1);
    }
}

/// Whether a command may last as long as the run.
pub(super) fn is_pulsed(command: &Command) -> bool {
    matches!(command.input, Input::Pulsed(_))
}
