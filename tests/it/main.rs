//! Scenarios, the simulated cluster, reporters, the command line and the layering.

mod inventory;
