//! What all hosts of a transport share: the folder, the limits, and whose turn it is to connect.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::gate::Gate;
use super::master::Master;
use super::way::{Posts, Through};
use super::words::{Failure, Target};
use crate::secret::Secret;

/// How many connect at once to one sshd, to begin with. It drops connections at random beyond ten unauthenticated ones
/// (`MaxStartups 10:30:100`).
const HANDSHAKES: usize = 8;

/// What all hosts share.
pub(super) struct Shared {
    /// Where sockets, configurations and logs are.
    pub(super) folder: PathBuf,
    /// For TCP and the banner, each host on the way.
    pub(super) connect_timeout: Duration,
    /// How many hosts are talked to at once.
    pub(super) forks: Semaphore,
    /// What sudo is told where it asks.
    pub(super) password: Option<Secret>,
    /// How many connect at once, by sshd.
    gates: Mutex<HashMap<String, Arc<Gate>>>,
    /// How many connect at once without a jump host of the inventory: the user's configuration may have proxies that they
    /// share.
    unguided: Gate,
    /// The jump hosts on their ways.
    pub(super) posts: Posts,
    serial: AtomicU64,
}

impl Shared {
    /// For this folder and these limits.
    pub(super) fn new(
        folder: PathBuf,
        connect_timeout: Duration,
        forks: usize,
        password: Option<Secret>,
    ) -> Self {
        Self {
            unguided: Gate::new(forks),
            posts: Posts::default(),
            folder,
            connect_timeout,
            forks: Semaphore::new(forks.max(1)),
            password,
            gates: Mutex::default(),
            serial: AtomicU64::new(0),
        }
    }

    /// The gate of an sshd. Addresses behind different jump hosts may be the same and mean different ones.
    fn gate(&self, target: &Target, through: Option<&Through>) -> Arc<Gate> {
        let behind = through.map_or(Path::new(""), |through| &through.socket);
        let Target { address, ssh, .. } = target;
        let sshd = format!("{} {address} {:?}", behind.display(), ssh.port);
        let mut gates = self.gates.lock().expect("no holder of this lock can panic");
        let gate = || Arc::new(Gate::new(HANDSHAKES));
        Arc::clone(gates.entry(sshd).or_insert_with(gate))
    }

    /// Connects once, when it is its turn.
    pub(super) async fn connect(
        &self,
        target: &Target,
        through: Option<&Through>,
    ) -> Result<Master, Failure> {
        let gate = self.gate(target, through);
        let place = gate.enter().await;
        let unguided = match through {
            None => Some(self.unguided.enter().await),
            Some(_) => None,
        };
        let number = self.serial.fetch_add(1, Ordering::Relaxed);
        let (folder, timeout) = (&self.folder, self.connect_timeout);
        let connected = Master::start(folder, number, target, timeout, through).await;
        if let Err(failure) = &connected
            && failure.is_dropped
        {
            match unguided {
                Some(unguided) if failure.is_proxied => self.unguided.narrow(unguided),
                _ => gate.narrow(place),
            }
        }
        connected
    }
}
