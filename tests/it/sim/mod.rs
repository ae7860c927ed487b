//! A small deterministic model of a cluster behind [`Transport`], with faults at chosen commands.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use runner::etcd::Version;
use runner::transport::{Command, Output, Stage, Transport, Unreachable};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

pub mod cluster;
pub mod eras;
pub mod facts;
mod hold;
pub mod inventory;
mod joining;
pub mod journal;
pub mod model;
mod release;
pub mod rescue;
pub mod restore;
mod rules;
mod scripts;
pub mod traps;
pub mod unit;

/// What goes wrong at a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks before the command; it can be made again at once.
    LostBefore,
    /// The command does its work, the connection breaks before its answer.
    LostAfter,
    /// The host is cut off from this command on, for an hour.
    CutOff,
    /// The command does nothing and ends with status 1.
    NonZero,
    /// The command does its work and ends with status 1.
    HalfDone,
    /// The command does nothing until its deadline is over.
    Hang,
    /// The runner is killed before the command.
    KilledBefore,
    /// The runner is killed after the command has done its work.
    KilledAfter,
}

/// All faults.
pub const FAULTS: [Fault; 8] = [
    Fault::LostBefore,
    Fault::LostAfter,
    Fault::CutOff,
    Fault::NonZero,
    Fault::HalfDone,
    Fault::Hang,
    Fault::KilledBefore,
    Fault::KilledAfter,
];

/// A command that was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    pub host: String,
    pub title: String,
    pub at: Instant,
}

/// What is done when a command of that title is about to run.
type Hook = Box<dyn FnMut(&str, &Command, &mut model::State) + Send>;

/// The simulated cluster. Clones share one state.
#[derive(Clone)]
pub struct SimCluster {
    state: Arc<Mutex<model::State>>,
    control: Arc<Mutex<Control>>,
    killed: Arc<Notify>,
}

#[derive(Default)]
struct Control {
    faults: Vec<(usize, Fault)>,
    ran: Vec<Ran>,
    hook: Option<Hook>,
}

impl SimCluster {
    /// A healthy cluster of hosts `etcd-1`, `etcd-2`, …
    pub fn new(members: usize, version: &Version) -> Self {
        Self {
            state: Arc::new(Mutex::new(model::State::new(members, version))),
            control: Arc::default(),
            killed: Arc::new(Notify::new()),
        }
    }

    /// The state, with everything that is due done.
    pub fn state(&self) -> MutexGuard<'_, model::State> {
        let mut state = self.state.lock().unwrap();
        state.tick();
        state
    }

    /// Lets commands of these numbers (from 0, counted from now on) go wrong.
    pub fn fail_at(&self, faults: &[(usize, Fault)]) {
        let mut control = self.control.lock().unwrap();
        control.ran.clear();
        control.faults = faults.to_vec();
    }

    /// No fault any more, and every host can be reached.
    pub fn mend(&self) {
        *self.control.lock().unwrap() = Control::default();
        for host in self.state().hosts.values_mut() {
            host.gone_until = None;
        }
    }

    /// Calls `hook` before each command.
    pub fn before_each(
        &self,
        hook: impl FnMut(&str, &Command, &mut model::State) + Send + 'static,
    ) {
        self.control.lock().unwrap().hook = Some(Box::new(hook));
    }

    /// The commands that were run.
    pub fn ran(&self) -> Vec<Ran> {
        self.control.lock().unwrap().ran.clone()
    }

    /// Waits until a fault kills the runner.
    pub async fn killed(&self) {
        self.killed.notified().await;
    }

    /// Waits until no host has a rescue armed or at work.
    pub async fn rescued(&self) {
        let is_open = |host: &model::Host| host.rescue.is_some();
        while self.state().hosts.values().any(is_open) {
            sleep(Duration::from_secs(1)).await;
        }
    }

    fn note(&self, host: &str, command: &Command) -> Option<Fault> {
        let mut control = self.control.lock().unwrap();
        let at = control.ran.len();
        control.ran.push(Ran {
            host: host.to_owned(),
            title: command.title.clone(),
            at: Instant::now(),
        });
        if let Some(mut hook) = control.hook.take() {
            hook(host, command, &mut self.state());
            control.hook = Some(hook);
        }
        let mut due = control.faults.iter().filter(|(index, _)| *index == at);
        due.next().map(|(_, fault)| *fault)
    }

    async fn suffer(
        &self,
        fault: Fault,
        host: &str,
        command: Command,
    ) -> Result<Output, Unreachable> {
        match fault {
            Fault::LostBefore => Err(lost(host, &command)),
            Fault::LostAfter => {
                let gone = lost(host, &command);
                self.work(host, &command).await;
                Err(gone)
            }
            Fault::CutOff => {
                let until = Instant::now() + Duration::from_secs(3600);
                self.state().host(host).gone_until = Some(until);
                Err(lost(host, &command))
            }
            Fault::NonZero => Ok(refusal()),
            Fault::HalfDone => {
                self.work(host, &command).await;
                Ok(refusal())
            }
            Fault::Hang => Err(hang(host, &command).await),
            Fault::KilledBefore => self.kill().await,
            Fault::KilledAfter => {
                self.work(host, &command).await;
                self.kill().await
            }
        }
    }

    async fn kill(&self) -> Result<Output, Unreachable> {
        self.killed.notify_one();
        std::future::pending().await
    }

    async fn work(&self, host: &str, command: &Command) -> Output {
        if let Some(held) = hold::held(&self.state, host, command, true).await {
            return held.expect("a moment is too short to be cut off");
        }
        scripts::run(&self.state, host, command).await
    }
}

#[async_trait]
impl Transport for SimCluster {
    async fn run(&self, host: &str, command: Command) -> Result<Output, Unreachable> {
        // A round trip.
        sleep(Duration::from_millis(5)).await;
        let fault = self.note(host, &command);
        if self.state().hosts[host].is_gone() {
            return Err(unreachable(host, Stage::Tcp(host.to_owned())));
        }
        match fault {
            Some(fault) => self.suffer(fault, host, command).await,
            None => match hold::held(&self.state, host, &command, false).await {
                Some(held) => held.ok_or_else(|| lost(host, &command)),
                None => Ok(self.work(host, &command).await),
            },
        }
    }
}

async fn hang(host: &str, command: &Command) -> Unreachable {
    sleep(command.deadline).await;
    let stage = Stage::Deadline {
        title: command.title.clone(),
        after: command.deadline,
    };
    unreachable(host, stage)
}

fn lost(host: &str, command: &Command) -> Unreachable {
    unreachable(host, Stage::Lost(command.title.clone()))
}

fn unreachable(host: &str, stage: Stage) -> Unreachable {
    Unreachable {
        host: host.to_owned(),
        stage,
        said: String::new(),
        hint: String::new(),
    }
}

fn refusal() -> Output {
    Output {
        status: 1,
        stdout: Vec::new(),
        stderr: b"a fault of the simulation\n".to_vec(),
    }
}
