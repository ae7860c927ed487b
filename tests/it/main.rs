//! Scenarios, the simulated cluster, reporters, the command line and the layering.

mod lint;
mod preflight;
mod scenarios;
mod undo;
mod world;
