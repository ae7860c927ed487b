//! Scenarios, the simulated cluster, reporters, the command line and the layering.

mod layering;
mod reporters;
