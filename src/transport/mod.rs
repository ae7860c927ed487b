//! The one way to a host: run a POSIX script there. A trait, so that the simulator can stand in for SSH.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use crate::secret::Secret;
use growing::Growing;

pub mod growing;
pub mod ssh;

/// Runs scripts on hosts.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Runs `command` on `host` and waits for it.
    ///
    /// A script that ends with a non-zero status is an answer, not an error.
    ///
    /// # Errors
    /// [`Unreachable`] when the host could not be asked or its answer never came; what the script did until
    /// then is unknown.
    async fn run(&self, host: &str, command: Command) -> Result<Output, Unreachable>;

    /// Tells that commands for `host` follow closely on each other from now on, or no more: what they need may be prepared.
    fn expect(&self, _host: &str, _more: bool) {}

    /// Forgets what was prepared for `host` until now, so that what comes is asked for its rights again.
    fn renew(&self, _host: &str) {}
}

/// A script and what goes with it.
#[derive(Clone, Debug)]
pub struct Command {
    /// A few words for people: "gather facts". Goes into errors.
    pub title: String,
    /// POSIX sh. Sent on stdin ahead of `input`, never in argv.
    pub script: String,
    /// `$1`, `$2`, …: data, never interpreted by any shell on the way.
    pub args: Vec<String>,
    /// Exported to the script, sent on stdin only: never in argv.
    pub secrets: Vec<(String, Secret)>,
    /// What the script reads on stdin.
    pub input: Input,
    /// Where its stdout goes.
    pub output: Sink,
    /// Counts what was sent of a file, for whoever shows it.
    pub meter: Option<Meter>,
    /// The most it may take. The script is killed on the host when it is over.
    pub deadline: Duration,
    /// Whether root is needed; the transport uses the host's `become` if the login user is not root.
    pub privileged: bool,
}

/// Counts bytes of a transfer; clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<AtomicU64>);

/// What a script reads on stdin.
#[derive(Clone, Debug, Default)]
pub enum Input {
    /// Nothing: end of file at once.
    #[default]
    None,
    /// These bytes.
    Bytes(Vec<u8>),
    /// A local file, streamed.
    File(PathBuf),
    /// A local file that somebody still writes, streamed as it grows.
    Growing(Growing),
    /// Nothing, and no end of file either, until this turns true or its sender goes away. Also ends when we do, or the
    /// connection: so a script can tell that nobody waits for it any more.
    Held(tokio::sync::watch::Receiver<bool>),
    /// As [`Input::Held`], and an empty line every [`BEAT`]: so a script notices even a connection that is silently gone.
    /// Such a command is not counted among those that run at once, for it may last as long as everything else.
    Pulsed(tokio::sync::watch::Receiver<bool>),
}

/// The time between two lines of [`Input::Pulsed`].
pub const BEAT: Duration = Duration::from_secs(10);

/// Where a script's stdout goes.
#[derive(Clone, Debug, Default)]
pub enum Sink {
    /// Into [`Output::stdout`], at most 8 MiB; more is an [`Unreachable`] with [`Stage::Garbled`].
    #[default]
    Capture,
    /// Into a new local file with mode 0600, streamed.
    File(PathBuf),
    /// Line by line to a receiver while the script runs, its stderr too. A receiver that does not take them holds the
    /// script up; one that has gone away drops them.
    Lines(tokio::sync::mpsc::Sender<Line>),
}

/// A line of a script that is still running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The host that it came from.
    pub host: String,
    /// Where the script wrote it.
    pub stream: Stream,
    /// The line without its end. At most 64 KiB: a longer one comes in several pieces.
    pub text: Vec<u8>,
}

/// One of a script's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// stdout.
    Out,
    /// stderr.
    Err,
}

/// The status of a script that was ended because its time was over, as that of `timeout`.
pub const TIMED_OUT: i32 = 124;

/// How a script ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The exit status; 128 plus the signal's number if a signal ended it; [`TIMED_OUT`] when the deadline did.
    pub status: i32,
    /// What it printed, if captured.
    pub stdout: Vec<u8>,
    /// What it complained.
    pub stderr: Vec<u8>,
}

/// Why a host could not be asked, with the words of ssh and a fix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("host `{host}`: {stage}")]
pub struct Unreachable {
    /// The inventory's name of the host.
    pub host: String,
    /// What failed.
    pub stage: Stage,
    /// ssh's, sudo's or the system's own words, verbatim; may be empty.
    pub said: String,
    /// What to do about it.
    pub hint: String,
}

/// The stage of reaching a host that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stage {
    /// ssh refused its own configuration, or a file that it needs is missing.
    #[error("ssh's configuration is not usable")]
    Configuration,
    /// The name does not resolve.
    #[error("the name `{0}` does not resolve")]
    NameLookup(String),
    /// No TCP connection: refused, no route or timed out.
    #[error("no connection to `{0}`")]
    Tcp(String),
    /// A jump host on the way failed.
    #[error("jump host `{0}` failed")]
    Jump(String),
    /// The `ProxyCommand` of the user's ssh configuration did not get through to the host.
    #[error("`{0}` cannot be reached through the `ProxyCommand` of your ssh configuration")]
    BehindProxy(String),
    /// The host key is in no known_hosts file.
    #[error("its host key is not known")]
    HostKeyUnknown,
    /// The host key differs from the known one.
    #[error("its host key has changed")]
    HostKeyChanged,
    /// No key, certificate or agent was accepted.
    #[error("authentication failed")]
    Authentication,
    /// sudo or doas did not give root.
    #[error("`{0}` did not give root")]
    Become(String),
    /// sudo asked for a password and did not take the one that was given.
    #[error("sudo does not take the password")]
    Password,
    /// The connection was there and was lost while a command ran.
    #[error("the connection was lost during `{0}`")]
    Lost(String),
    /// The command gave no answer within its deadline.
    #[error("`{title}` gave no answer within {} s", .after.as_secs())]
    Deadline {
        /// The command's title.
        title: String,
        /// The time given.
        after: Duration,
    },
    /// sshd opens no session on a connection that stands.
    #[error("sshd opens no session")]
    NoSession,
    /// A file on this machine cannot be sent from or received into.
    #[error("the local file `{0}` cannot be used")]
    LocalFile(String),
    /// The answer cannot be understood, or the command cannot be sent as it is.
    #[error("`{0}` gave an answer that cannot be understood")]
    Garbled(String),
}

impl Command {
    /// A read-only script with captured output.
    pub fn read(title: &str, script: impl Into<String>, deadline: Duration) -> Self {
        Self {
            title: title.to_owned(),
            script: script.into(),
            args: Vec::new(),
            secrets: Vec::new(),
            input: Input::None,
            output: Sink::Capture,
            meter: None,
            deadline,
            privileged: true,
        }
    }

    /// Adds a positional parameter.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds positional parameters.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: Into<String>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }
}

impl Meter {
    /// Adds to the count.
    pub fn add(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Begins anew: what was sent before is sent again.
    pub fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Output {
    /// stdout as text, invalid UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// stderr as text, invalid UTF-8 replaced, surrounding white space dropped.
    pub fn complaint(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim().to_owned()
    }

    /// Whether the script ended with status 0.
    pub fn is_success(&self) -> bool {
        self.status == 0
    }
}
