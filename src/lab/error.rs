//! What can go wrong with the lab.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use crate::etcd::Version;

/// Why the lab could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The process is not root.
    #[error("the lab boots real hosts in containers, which only root may do")]
    NotRoot,
    /// Tools are missing and were not, or could not be, installed.
    #[error("tools are missing: {}; install them with `{install}`", tools.join(", "))]
    ToolsMissing {
        /// The programs that were not found.
        tools: Vec<String>,
        /// The line that installs them.
        install: String,
    },
    /// A program ended with an error.
    #[error("`{command}` ended with {status}: {}", words(output))]
    Failed {
        /// Program and arguments.
        command: String,
        /// Its status.
        status: ExitStatus,
        /// What it said.
        output: String,
    },
    /// A file or process operation failed.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The machine's apt configuration names no Debian archive.
    #[error("no Debian archive with suite `{suite}` is configured in `{}`", folder.display())]
    NoMirror {
        /// The machine's own suite.
        suite: String,
        /// apt's configuration folder.
        folder: PathBuf,
    },
    /// No source has the release.
    #[error("etcd {version} was not found; there is: {}", listed(available))]
    NoRelease {
        /// The version.
        version: Version,
        /// What each source has, in words.
        available: Vec<String>,
    },
    /// A given release is there but cannot be used.
    #[error("a release cannot be used")]
    Release(#[from] crate::releases::ReleaseError),
    /// A release folder lacks a binary.
    #[error("`{}` holds no `{binary}`", folder.display())]
    NoBinary {
        /// The folder.
        folder: PathBuf,
        /// The binary.
        binary: String,
    },
    /// The lab has no such host.
    #[error("the lab has no host `{0}`")]
    NoHost(String),
    /// The host is off.
    #[error("host `{0}` has no power")]
    PowerOff(String),
    /// What was awaited did not come.
    #[error("{what} within {after:?}; last seen: {last}")]
    TooLate {
        /// What was awaited, as "host `x` did not answer ssh".
        what: String,
        /// How long.
        after: Duration,
        /// The last thing seen.
        last: String,
    },
    /// Something is still mounted, so its folder was left alone.
    #[error("`{}` is still mounted, so the lab's folder was left in place", .0.display())]
    StillMounted(PathBuf),
    /// Several hosts failed.
    #[error("{}", listed(.0))]
    Hosts(Vec<String>),
    /// The shape needs what the lab does not offer.
    #[error("{0}")]
    Unsupported(String),
    /// An interrupt arrived.
    #[error("interrupted")]
    Interrupted,
}

impl LabError {
    /// An operation on a file that failed.
    pub(super) fn io(verb: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let what = format!("cannot {verb} `{}`", path.display());
        move |source| Self::Io { what, source }
    }
}

fn words(output: &str) -> &str {
    match output.trim() {
        "" => "it said nothing",
        said => said,
    }
}

fn listed(items: &[String]) -> String {
    if items.is_empty() {
        return "nothing".to_owned();
    }
    items.join("; ")
}
