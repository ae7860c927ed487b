//! Scenarios, the simulated cluster, reporters, the command line and the layering.

mod cli;
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod engine;
mod engine_rig;
mod facts;
mod inventory;
mod layering;
mod lint;
mod local_shell;
mod reporters;
mod scenarios;
mod sim;
mod sweep;
mod transport;
mod preflight;
mod undo;
mod world;
mod releases;
mod releases_kit;
mod releases_server;
mod releases_url;
