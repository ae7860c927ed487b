//! Scenarios, the simulated cluster, reporters, the command line and the layering.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod engine;
mod engine_rig;
mod engine_scripts;
mod facts;
mod local_shell;
mod sim;
mod sweep;
