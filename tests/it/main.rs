//! Scenarios, the simulated cluster, reporters, the command line and the layering.

mod engine_rig;
mod sim;
mod sweep;
