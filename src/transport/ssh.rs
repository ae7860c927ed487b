//! The transport over OpenSSH: one master connection a host, a few channels whose shells run one script after the other.
//!
//! ssh itself does names, keys, agents, jump hosts and encryption, so whatever works with `ssh` by hand works here.
//! This module starts the masters and keeps their words; the `openssh` crate speaks to their control sockets.
#![expect(
    clippy::disallowed_types,
    reason = "this is the one module that speaks SSH"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use self::folder::Folder;
use self::link::Link;
use self::shared::Shared;
use self::words::Target;
use super::{Command, Output, Stage, Transport, Unreachable};
use crate::inventory::Host;
use crate::secret::Secret;

mod ahead;
mod answer;
mod channel;
mod config;
mod counted;
mod escalation;
mod folder;
mod gate;
mod lines;
mod link;
mod master;
mod place;
mod quote;
mod remote;
mod shared;
mod way;
mod words;

/// Limits and places.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many hosts are talked to at once.
    pub forks: usize,
    /// The most that TCP and sshd's greeting may take, for each host on the way.
    pub connect_timeout: Duration,
    /// Where the private folder with the control sockets is made, if that is a short path that only we can write to.
    /// Else it is `$XDG_RUNTIME_DIR` or /tmp.
    pub runtime_dir: Option<PathBuf>,
    /// What sudo is told where it asks, in one line. Hosts where it does not ask never get it.
    pub become_password: Option<Secret>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            forks: 20,
            connect_timeout: Duration::from_secs(10),
            runtime_dir: None,
            become_password: None,
        }
    }
}

/// The private folder could not be made.
#[derive(Debug, thiserror::Error)]
#[error("no private folder for ssh's control sockets")]
pub struct NoFolder(#[from] std::io::Error);

/// Reaches hosts over OpenSSH. Needs a tokio runtime with I/O and time.
///
/// Connects to a host when a command for it is first run, keeps the connection, and connects again after a loss.
/// Nothing is left behind when it is closed or dropped, nor when the process is killed.
pub struct Ssh {
    links: BTreeMap<String, Arc<Link>>,
    folder: Arc<Mutex<Folder>>,
}

impl Ssh {
    /// Prepares for these hosts; contacts none.
    ///
    /// # Errors
    /// [`NoFolder`] when no private folder for the control sockets can be made here.
    pub fn new<'h>(
        hosts: impl IntoIterator<Item = &'h Host>,
        settings: Settings,
    ) -> Result<Self, NoFolder> {
        let Settings {
            forks,
            connect_timeout,
            runtime_dir,
            become_password,
        } = settings;
        let folder = Folder::new(runtime_dir.as_deref())?;
        let shared = Arc::new(Shared::new(
            folder.path().to_owned(),
            connect_timeout,
            forks,
            become_password,
        ));
        let links = hosts
            .into_iter()
            .map(|host| (host.name.clone(), link(host, &shared)))
            .collect();
        Ok(Self {
            links,
            folder: Arc::new(Mutex::new(folder)),
        })
    }

    /// Ends all connections and removes the private folder. Commands that still run lose their connection.
    pub async fn close(&self) {
        let folder = Arc::clone(&self.folder);
        let clean = move || folder.lock().expect("cleaning does not panic").clean();
        let _ = tokio::task::spawn_blocking(clean).await;
    }
}

fn link(host: &Host, shared: &Arc<Shared>) -> Arc<Link> {
    let target = Target {
        host: host.name.clone(),
        address: host.address.clone(),
        ssh: host.ssh.clone(),
    };
    Arc::new(Link::new(target, host.escalation, Arc::clone(shared)))
}

#[async_trait]
impl Transport for Ssh {
    async fn run(&self, host: &str, command: Command) -> Result<Output, Unreachable> {
        match self.links.get(host) {
            Some(link) => link.run(&command).await,
            None => Err(Unreachable {
                host: host.to_owned(),
                stage: Stage::Configuration,
                said: String::new(),
                hint: "the host is not in the inventory that this run was started with".into(),
            }),
        }
    }

    fn expect(&self, host: &str, more: bool) {
        if let Some(link) = self.links.get(host) {
            link.expect(more);
        }
    }

    fn renew(&self, host: &str) {
        if let Some(link) = self.links.get(host) {
            link.renew();
        }
    }
}

/// Sixteen random hexadecimal digits.
fn random_mark() -> std::io::Result<String> {
    let mut bytes = [0_u8; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}
