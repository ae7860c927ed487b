//! Scenarios, the simulated cluster, reporters, the command line and the layering.

mod engine;
mod engine_bench;
mod engine_rig;
mod engine_scripts;
mod engine_stops;
mod facts;
mod lint;
mod local_shell;
mod preflight;
mod scenarios;
mod sim;
mod sweep;
mod undo;
mod world;
