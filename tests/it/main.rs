//! Scenarios, the simulated cluster, reporters, the command line and the layering.

mod cli;
mod engine;
mod engine_bench;
mod engine_rig;
mod engine_scripts;
mod engine_stops;
mod engine_undo;
mod facts;
mod fleet;
mod inventory;
mod layering;
mod lint;
mod local_shell;
mod preflight;
mod readme;
mod releases;
mod releases_kit;
mod releases_server;
mod releases_url;
mod reporters;
mod scenarios;
mod sim;
mod sweep;
mod transport;
mod undo;
mod world;
