//! Scenarios, the simulated cluster, reporters, the command line and the layering.

mod facts;
mod local_shell;
