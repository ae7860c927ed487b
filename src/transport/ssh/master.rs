//! Starts ssh masters.
//!
//! ssh goes to the background by itself once it is authenticated and its control socket listens, so that the end of
//! the first process says that all is ready. `ControlPersist` stays off: with it, ssh sends the words of its proxies to
//! /dev/null.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use openssh::Session;
use tokio::process::Command;

use super::config::{self, Files};
use super::words::{self, Failure, Said, Target};
use crate::transport::Stage;

/// What key exchange and authentication may take at each host on the way beyond the time to connect: agents and slow hosts
/// included.
const AUTHENTICATION: Duration = Duration::from_secs(20);

/// A connection that stands.
pub(super) struct Master {
    /// The way to it.
    pub(super) session: Arc<Session>,
    log: PathBuf,
}

impl Master {
    /// Connects once.
    pub(super) async fn start(
        folder: &Path,
        number: u64,
        target: &Target,
        timeout: Duration,
    ) -> Result<Self, Failure> {
        let files = config::write(folder, number, &target.ssh, timeout)
            .map_err(|said| unusable(target, &said))?;
        let jumps = u32::try_from(files.jumps.len()).unwrap_or(u32::MAX);
        let limit = (timeout + AUTHENTICATION).saturating_mul(jumps.saturating_add(1));
        let mut command = command(&files, target).map_err(|said| unusable(target, &said))?;
        let mut child = command
            .spawn()
            .map_err(|error| not_started(target, &error))?;
        match tokio::time::timeout(limit, child.wait()).await {
            Ok(Ok(status)) if status.success() => {
                let session = Session::resume_mux(files.socket.into_boxed_path(), None);
                Ok(Self {
                    session: Arc::new(session),
                    log: files.log,
                })
            }
            Ok(_) => Err(words::judge(target, &heard(&files))),
            Err(_) => {
                let mut said = heard(&files);
                let _ = write!(
                    said.log,
                    "
Connection to {} timed out after {} s",
                    target.address,
                    limit.as_secs()
                );
                Err(words::judge(target, &said))
            }
        }
    }

    /// What ssh said since the connection stood: why it was lost.
    pub(super) fn words(&self) -> String {
        read(&self.log)
    }
}

/// The command line. What differs between destination and jump hosts stands here, the rest in the configuration.
fn command(files: &Files, target: &Target) -> Result<Command, String> {
    let stderr = std::fs::File::create(&files.stderr)
        .map_err(|error| format!("{}: {error}", files.stderr.display()))?;
    let mut command = Command::new("ssh");
    command
        .arg("-F")
        .arg(&files.config)
        .args(["-M", "-S"])
        .arg(&files.socket);
    command.args(["-f", "-N", "-T", "-E"]).arg(&files.log);
    if let Some(user) = &target.ssh.user {
        command.arg("-l").arg(user);
    }
    if let Some(port) = target.ssh.port {
        command.arg("-p").arg(port.to_string());
    }
    command.args(["--", &target.address]);
    command.env("SSH_ASKPASS_REQUIRE", "never");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr);
    command.process_group(0).kill_on_drop(true);
    Ok(command)
}

/// Everything that was said.
fn heard(files: &Files) -> Said {
    Said {
        jumps: files
            .jumps
            .iter()
            .map(|(name, log)| (name.clone(), read(log)))
            .collect(),
        log: read(&files.log),
        helpers: read(&files.stderr),
    }
}

fn read(path: &Path) -> String {
    std::fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

fn unusable(target: &Target, said: &str) -> Failure {
    let hint = "correct the setting in the inventory or on the command line";
    Failure {
        unreachable: target.unreachable(Stage::Configuration, said, hint),
        is_dropped: false,
    }
}

fn not_started(target: &Target, error: &std::io::Error) -> Failure {
    let hint = "install OpenSSH's client (`apt-get install openssh-client`), and see that `ssh` is in PATH";
    Failure {
        unreachable: target.unreachable(Stage::Configuration, &format!("ssh: {error}"), hint),
        is_dropped: false,
    }
}
