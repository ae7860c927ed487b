//! End-to-end tests: real sshd, real systemd, real etcd, on hosts of the lab. They need root.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests fail and talk as tests do"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a test process that a signal ends has no `main` of its own to return from"
)]

mod common;
mod lab;
mod refusals;
mod rehearse;
mod upgrade;
mod writer;
