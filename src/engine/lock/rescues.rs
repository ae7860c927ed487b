//! The rescues that this run has armed: each is disarmed while the run goes on, and waits for as long as the lock is held.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex as Plain, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::{Held, How, Locks};
use crate::engine::act::{RECONNECT, may_come_back};
use crate::engine::{Failure, rescue};
use crate::inventory::Host;
use crate::transport::{Command, Transport};

/// The most that disarming may take once the host is asked.
const DISARM: Duration = Duration::from_secs(20);

/// Rescues by host.
#[derive(Debug, Default)]
pub(super) struct Rescues {
    armed: Plain<BTreeSet<String>>,
    /// By host; ended with us, as if the run were killed.
    disarming: Mutex<BTreeMap<String, JoinSet<()>>>,
}

impl Rescues {
    fn armed(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all that are to be disarmed are.
    pub(super) async fn settle(&self) {
        let disarming = std::mem::take(&mut *self.disarming.lock().await);
        join_all(disarming.into_values().map(ended)).await;
    }
}

async fn ended(mut disarming: JoinSet<()>) {
    let ended = async { while disarming.join_next().await.is_some() {} };
    let _ = timeout(DISARM, ended).await;
}

impl Locks {
    /// Waits until a rescue of the host that is being disarmed is: it must not meet the next one.
    pub(crate) async fn disarmed(&self, host: &str) {
        let disarming = self.rescues.disarming.lock().await.remove(host);
        if let Some(disarming) = disarming {
            ended(disarming).await;
        }
    }

    /// What the script that stops a member is told of the rescue: folder of the locks, and the run.
    pub(crate) fn rescue_keys(&self) -> (&str, &str) {
        (&self.dir, &self.holder.run)
    }

    /// Notes that a host brings its member up by itself if this run is gone.
    pub(crate) fn note_armed(&self, host: &str) {
        self.rescues.armed().insert(host.to_owned());
    }

    /// Whether a host still brings its member up by itself.
    pub(crate) fn is_armed(&self, host: &str) -> bool {
        self.rescues.armed().contains(host)
    }

    /// Disarms a host's rescue beside whatever comes next; [`Self::release`] waits for it. If the host cannot be asked
    /// any more, its rescue finds that there is nothing to do.
    pub(crate) async fn disarm(&self, transport: &Arc<dyn Transport>, host: &Host) {
        self.rescues.armed().remove(&host.name);
        let command = rescue::disarm(host, &self.dir, &self.holder.run, DISARM);
        let (transport, name) = (Arc::clone(transport), host.name.clone());
        let mut disarming = self.rescues.disarming.lock().await;
        let disarming = disarming.entry(host.name.clone()).or_default();
        disarming.spawn(async move { insist(&*transport, &name, command).await });
    }

    /// Makes sure that this run still has the lock of the host whose member is in hand: without it, the host may be
    /// about to bring the member up by itself. Asks once: whoever wants more asks again.
    ///
    /// # Errors
    /// It cannot be had, or the host has acted.
    pub(crate) async fn keep(
        &self,
        transport: &Arc<dyn Transport>,
        host: &Host,
    ) -> Result<(), Failure> {
        let held = self.held.lock().await;
        if held.get(&host.name).is_some_and(Held::is_held) {
            return Ok(());
        }
        drop(held);
        let only = std::slice::from_ref(host);
        self.take_of(transport, only, Duration::ZERO).await?;
        let held = self.held.lock().await;
        let how = held.get(&host.name).map_or(How::Plainly, |held| held.how);
        if how != How::Armed && self.rescues.armed().remove(&host.name) {
            return Err(Failure::because(format!(
                "`{}` could not be reached for so long that it brought its member up by itself",
                host.name
            )));
        }
        Ok(())
    }
}

/// Asks again if the connection was lost.
async fn insist(transport: &dyn Transport, host: &str, command: Command) {
    let began = Instant::now();
    while let Err(gone) = transport.run(host, command.clone()).await {
        if !may_come_back(&gone) || began.elapsed() >= RECONNECT {
            return;
        }
        sleep(Duration::from_millis(500)).await;
    }
}
