//! A unit of the simulation, and how its process behaves.

use std::time::Duration;

use runner::etcd::Version;
use tokio::time::Instant;

use super::inventory::{DROP_IN, ONCE};
use super::model::{Process, State};
use super::traps::Trap;

/// How a release behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// As it should.
    #[default]
    Sound,
    /// Its process ends right after the start and systemd starts it again and again.
    CrashesAtStart,
    /// It answers, but no linearizable read.
    NeverHealthy,
    /// It is well for this long, then its process ends.
    DiesAfter(Duration),
}

/// A unit as systemd would tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    pub active: &'static str,
    pub sub: &'static str,
    pub status: i32,
    pub restarts: u32,
}

impl Unit {
    pub const RUNNING: Self = Self {
        active: "active",
        sub: "running",
        status: 0,
        restarts: 0,
    };
    pub const STOPPED: Self = Self {
        active: "inactive",
        sub: "dead",
        status: 0,
        restarts: 0,
    };
    pub const FAILED: Self = Self {
        active: "failed",
        sub: "failed",
        status: 2,
        restarts: 0,
    };
    pub const LOOPING: Self = Self {
        active: "activating",
        sub: "auto-restart",
        status: 2,
        restarts: 1,
    };
}

impl State {
    /// Starts the unit with whatever `bin_dir/etcd` leads to.
    pub fn start(&mut self, name: &str) {
        self.judge_start(name);
        let Some(version) = self.hosts[name].installed().cloned() else {
            self.host(name).unit = Unit {
                status: 203,
                ..Unit::FAILED
            };
            return;
        };
        match self.fails(name, &version) {
            Some((said, unit)) => {
                let host = self.host(name);
                host.log.push(said);
                host.unit = unit;
            }
            None => self.comes_up(name, version),
        }
        self.log_start(name);
        self.tick();
    }

    /// What its last words and its unit are if its process ends right after the start.
    fn fails(&mut self, name: &str, version: &Version) -> Option<(String, Unit)> {
        let fatal = Unit {
            status: 1,
            ..Unit::FAILED
        };
        let raised = self.least_line(name);
        if version.minor() < raised {
            let said = format!(
                "C | etcdserver/membership: cluster cannot be downgraded (current version: {version} is lower than determined cluster version: {raised})."
            );
            return Some((said, fatal));
        }
        if self.behaviours.get(version) == Some(&Behaviour::CrashesAtStart) {
            let said = "flag provided but not defined: -enable-v2".to_owned();
            return Some((said, Unit::LOOPING));
        }
        if let Some(Trap::Panics(said)) = self.hosts[name].raft.trap(version) {
            return Some((said.to_owned(), Unit::FAILED));
        }
        Some((self.begin(name).err()?, fatal))
    }

    fn comes_up(&mut self, name: &str, version: Version) {
        let usual = self.behaviours.get(&version).copied().unwrap_or_default();
        let index = self.index;
        let host = self.host(name);
        let behaviour = match host.raft.trap(&version) {
            Some(Trap::NotCapable) => Behaviour::NeverHealthy,
            _ => usual,
        };
        host.raft.started(&version, index);
        let lowered = host.loaded.get(DROP_IN);
        host.process = Some(Process {
            version,
            started: Instant::now(),
            behaviour,
            lowered: lowered.is_some(),
            opened: lowered.is_some_and(|text| text.contains("ETCD_ENABLE_V2=true")),
            first: host.loaded.contains_key(ONCE),
        });
        host.unit = Unit::RUNNING;
    }

    /// Stops the unit; notes every rule that this breaks.
    pub fn stop(&mut self, name: &str) {
        self.tick();
        if self.hosts[name].process.is_some() {
            self.judge_stop(name);
            self.log_stop(name);
            self.stops.push(name.to_owned());
        }
        let host = self.host(name);
        host.process = None;
        host.unit = Unit::STOPPED;
        self.tick();
    }
}
