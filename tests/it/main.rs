//! Scenarios, the simulated cluster, reporters, the command line and the layering.

mod engine_rig;
mod facts;
mod local_shell;
mod sim;
mod sweep;
