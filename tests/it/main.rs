//! Scenarios, the simulated cluster, reporters, the command line and the layering.

mod releases;
mod releases_kit;
mod releases_server;
mod releases_url;
