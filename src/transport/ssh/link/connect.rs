//! The connection of one host: made when there is none, by way of its jump hosts, and made again after a loss.

use std::sync::Arc;
use std::time::Duration;

use super::super::master::Master;
use super::super::words::Failure;
use super::{ATTEMPTS, Link};
use crate::transport::Unreachable;

impl Link {
    /// The connection, made if there is none.
    pub(super) async fn master(&self) -> Result<Arc<Master>, Unreachable> {
        let mut slot = self.master.lock().await;
        if let Some(master) = &*slot {
            return Ok(Arc::clone(master));
        }
        let master = Arc::new(self.connect().await?);
        *slot = Some(Arc::clone(&master));
        Ok(master)
    }

    /// Makes the next command connect anew, unless that happened already. A master that still runs is ended with us.
    pub(super) async fn forget(&self, master: &Arc<Master>) {
        let mut slot = self.master.lock().await;
        if slot
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, master))
        {
            *slot = None;
        }
    }

    /// Connects, again if the handshake is dropped; nothing else is worth a second attempt.
    async fn connect(&self) -> Result<Master, Unreachable> {
        let mut attempt = 0;
        loop {
            match self.connect_once().await {
                Err(failure) if failure.is_dropped && attempt + 1 < ATTEMPTS => {
                    tokio::time::sleep(pause(attempt)).await;
                    attempt += 1;
                }
                other => return other.map_err(|failure| self.own(failure)),
            }
        }
    }

    async fn connect_once(&self) -> Result<Master, Failure> {
        let through = self.way.stand(&self.shared).await?;
        self.shared.connect(&self.target, through.as_ref()).await
    }

    /// A failure as one of this host: that of a jump host belongs to all behind it.
    fn own(&self, failure: Failure) -> Unreachable {
        Unreachable {
            host: self.target.host.clone(),
            ..failure.unreachable
        }
    }
}

/// The pause before another attempt: doubles, with some chance in it, so that hosts do not come back in step.
pub(super) fn pause(attempt: u32) -> Duration {
    let chance = super::super::random_mark()
        .ok()
        .and_then(|mark| u64::from_str_radix(&mark[..2], 16).ok())
        .unwrap_or(128);
    Duration::from_millis((100 << attempt) + (100 << attempt) * chance / 256)
}
