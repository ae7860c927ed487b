//! End-to-end tests: real sshd, real systemd, real etcd, on hosts of the lab. They need root.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests fail and talk as tests do"
)]

mod backup;
mod chaos;
mod common;
mod discover;
mod exec;
mod faults;
mod fleet;
mod hostile;
mod hosts;
mod jumps;
mod lab;
mod locks;
mod password;
mod refusals;
mod rehearse;
mod releases;
#[path = "../it/releases_server.rs"]
mod releases_server;
mod rescue;
mod restore;
mod rollback;
mod templates;
mod tls;
mod upgrade;
mod v2;
mod writer;
