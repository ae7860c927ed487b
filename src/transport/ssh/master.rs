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
use super::way::Through;
use super::words::{self, Failure, Said, Target};
use crate::transport::Stage;

/// What key exchange and authentication may take beyond the time to connect: agents and slow hosts included.
const AUTHENTICATION: Duration = Duration::from_secs(20);
/// How long a master may take to say that it is alive.
const ALIVE: Duration = Duration::from_secs(2);

/// A connection that stands.
pub(super) struct Master {
    /// The way to it.
    pub(super) session: Arc<Session>,
    /// Its control socket.
    pub(super) socket: PathBuf,
    /// What it says.
    pub(super) log: PathBuf,
}

impl Master {
    /// Connects once, through the last jump host if there is one.
    pub(super) async fn start(
        folder: &Path,
        number: u64,
        target: &Target,
        timeout: Duration,
        through: Option<&Through>,
    ) -> Result<Self, Failure> {
        let files = config::write(folder, number, &target.ssh, timeout, through)
            .map_err(|said| unusable(target, &said))?;
        let mut command = command(&files, target).map_err(|said| unusable(target, &said))?;
        let heard = Heard::new(&files, through);
        let mut child = command
            .spawn()
            .map_err(|error| not_started(target, &error))?;
        let limit = timeout + AUTHENTICATION;
        match tokio::time::timeout(limit, child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(Self {
                session: Arc::new(Session::resume_mux(files.socket.clone().into(), None)),
                socket: files.socket,
                log: files.log,
            }),
            Ok(_) => Err(words::judge(target, &heard.said())),
            Err(_) => {
                let mut said = heard.said();
                let (address, limit) = (&target.address, limit.as_secs());
                let _ = write!(
                    said.log,
                    "\nConnection to {address} timed out after {limit} s"
                );
                Err(words::judge(target, &said))
            }
        }
    }

    /// Whether its process and its connection are there, as far as it knows.
    pub(super) async fn is_alive(&self) -> bool {
        matches!(
            tokio::time::timeout(ALIVE, self.session.check()).await,
            Ok(Ok(()))
        )
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

/// Where what is said about one attempt is found.
struct Heard<'a> {
    files: &'a Files,
    through: Option<&'a Through>,
    /// How much the jump host's master had said before.
    before: usize,
}

impl<'a> Heard<'a> {
    fn new(files: &'a Files, through: Option<&'a Through>) -> Self {
        let before = through.map_or(0, |through| read(&through.log).len());
        Self {
            files,
            through,
            before,
        }
    }

    /// Everything that was said.
    fn said(&self) -> Said {
        Said {
            jump: self
                .through
                .map(|through| (through.jump.clone(), self.of_jump(&through.log))),
            log: read(&self.files.log),
            helpers: read(&self.files.stderr),
        }
    }

    /// What was said on the way through the jump host. Why it could not go on from there, its master alone says, and for
    /// all that goes through it: that counts only if it did not go on.
    fn of_jump(&self, log: &Path) -> String {
        let own = read(&self.files.proxy);
        if !own.contains(words::NOT_FORWARDED) {
            return own;
        }
        let since = read(log).split_off(self.before);
        format!("{since}{own}")
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
        is_proxied: false,
    }
}

fn not_started(target: &Target, error: &std::io::Error) -> Failure {
    let hint = "install OpenSSH's client (`apt-get install openssh-client`), and see that `ssh` is in PATH";
    Failure {
        unreachable: target.unreachable(Stage::Configuration, &format!("ssh: {error}"), hint),
        is_dropped: false,
        is_proxied: false,
    }
}
