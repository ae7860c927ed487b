//! A unit of the simulation, and how its process behaves.

use std::time::Duration;

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
