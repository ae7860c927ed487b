//! Scenarios, the simulated cluster, reporters, the command line and the layering.

mod lint;
mod scenarios;
mod undo;
mod world;
