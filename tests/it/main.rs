//! Scenarios, the simulated cluster, reporters, the command line and the layering.

mod cli;
mod layering;
mod reporters;
mod transport;
mod lint;
mod scenarios;
mod world;
