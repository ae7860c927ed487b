//! The transport against a real sshd on loopback.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which end a test when they fail"
)]

use std::path::PathBuf;
use std::time::Duration;

use runner::inventory::Host;
use runner::transport::ssh::{Settings, Ssh};
use runner::transport::{Command, Input, Output, Sink, Stage, Transport as _, Unreachable};

use sshd::Sshd;

mod ahead;
mod commands;
mod held;
mod jump;
mod keys;
mod life;
mod live;
mod password;
mod reach;
mod sshd;

/// A transport to these hosts whose folder is one of its own.
struct Reach {
    ssh: Ssh,
    runtime: tempfile::TempDir,
}

impl Reach {
    fn new(hosts: &[Host]) -> Self {
        let runtime = runtime();
        let settings = settings(runtime.path().to_owned());
        Self {
            ssh: Ssh::new(hosts, settings).unwrap(),
            runtime,
        }
    }

    async fn run(&self, host: &str, command: Command) -> Result<Output, Unreachable> {
        self.ssh.run(host, command).await
    }

    /// Processes that have to do with this transport.
    fn processes(&self) -> Vec<u32> {
        sshd::running(self.runtime.path().to_str().unwrap())
    }

    fn is_empty(&self) -> bool {
        std::fs::read_dir(self.runtime.path())
            .unwrap()
            .next()
            .is_none()
    }
}

fn runtime() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("rt")
        .rand_bytes(6)
        .tempdir_in("/tmp")
        .unwrap()
}

fn settings(runtime: PathBuf) -> Settings {
    Settings {
        forks: 20,
        connect_timeout: Duration::from_secs(5),
        runtime_dir: Some(runtime),
        become_password: None,
    }
}

fn read(script: &str) -> Command {
    Command::read("try", script, Duration::from_secs(20))
}

/// Runs a script on the one host of a transport made for it, and expects it to fail to reach it.
async fn refusal(host: Host) -> Unreachable {
    let reach = Reach::new(std::slice::from_ref(&host));
    let error = reach
        .run(&host.name, read("echo reached"))
        .await
        .unwrap_err();
    assert_eq!(error.host, host.name);
    error
}
