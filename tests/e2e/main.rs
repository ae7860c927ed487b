//! End-to-end tests: real sshd, real systemd, real etcd, on hosts of the lab. They need root.

mod common;
mod lab;
mod writer;
