//! Real sshd, real systemd, real etcd, in the lab.
