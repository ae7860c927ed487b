//! Scenarios, the simulated cluster, reporters, the command line and the layering.

mod cli;
mod layering;
mod lint;
mod reporters;
mod scenarios;
mod transport;
mod world;
mod facts;
mod local_shell;
mod inventory;
mod engine_rig;
mod sim;
mod sweep;
