//! End-to-end tests: real sshd, real systemd, real etcd, on hosts of the lab. They need root.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests fail and talk as tests do"
)]

mod common;
mod fleet;
mod lab;
mod refusals;
mod rehearse;
mod upgrade;
mod writer;
