//! Why a release cannot be had.

use std::io;
use std::path::{Path, PathBuf};

use super::names::arch_word;
use crate::etcd::Version;
use crate::facts::Arch;

/// Why a release cannot be had. Nothing has been asked of any host yet.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The text of `source` or `sha256sums` is of no known form.
    #[error("`{text}` is no source of releases: {problem}")]
    SourceUnusable {
        /// The text.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A path of the source does not exist.
    #[error("`{}` does not exist", path.display())]
    SourceMissing {
        /// The path.
        path: PathBuf,
    },
    /// An archive's name does not say which version it is.
    #[error("the name of `{}` does not say a version, or it is no archive", path.display())]
    NamelessVersion {
        /// The file.
        path: PathBuf,
    },
    /// The source has other releases.
    #[error("no etcd {version} for {} in `{source_text}`, which has {}", arch_word(*arch), list(has))]
    NothingFor {
        /// The version asked for.
        version: Version,
        /// The architecture asked for.
        arch: Arch,
        /// The source as the inventory spells it.
        source_text: String,
        /// What there is.
        has: Vec<String>,
    },
    /// Several files claim to be the same release.
    #[error("etcd {version} is there more than once: {}", paths_list(paths))]
    Ambiguous {
        /// The version.
        version: Version,
        /// The files.
        paths: Vec<PathBuf>,
    },
    /// A file is not an archive.
    #[error("`{}` is no archive: it starts with {found}, expected gzip, xz, zstd, tar or a Debian package", file.display())]
    NotAnArchive {
        /// The file.
        file: PathBuf,
        /// Its first bytes, for people.
        found: String,
    },
    /// An archive ends early or its own check sums do not hold.
    #[error("archive `{}` is truncated or damaged", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What the unpacker said.
        #[source]
        cause: io::Error,
    },
    /// An archive unpacks to more than a release of etcd ever has.
    #[error("archive `{}` has more than {limit}", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// The limit with its unit.
        limit: String,
    },
    /// A binary in an archive is a link or device, or lies outside of it.
    #[error("archive `{}` has `{entry}` as {what}, expected a plain file inside", file.display())]
    UnsafeEntry {
        /// The archive.
        file: PathBuf,
        /// The entry's name.
        entry: String,
        /// What it is.
        what: &'static str,
    },
    /// The same binary is there twice.
    #[error("`{}` has a second `{binary}`", file.display())]
    Twice {
        /// The archive or folder.
        file: PathBuf,
        /// The binary.
        binary: String,
    },
    /// A binary is not there.
    #[error("{origin} has no `{binary}`, which etcd {version} must have")]
    MissingBinary {
        /// Where it was looked for.
        origin: String,
        /// The binary.
        binary: &'static str,
        /// The release.
        version: Version,
    },
    /// A file is not what the list of digests says.
    #[error("`{file}` has SHA-256 {found}, expected {expected} by `{sums}`")]
    WrongHash {
        /// The file.
        file: String,
        /// Its digest.
        found: String,
        /// The digest in the list.
        expected: String,
        /// The list.
        sums: String,
    },
    /// The list of digests does not know the file.
    #[error("`{sums}` has no line for `{file}`")]
    NoSum {
        /// The file.
        file: String,
        /// The list.
        sums: String,
    },
    /// The list of digests has two lines for the file.
    #[error("`{sums}` has two different digests for `{file}`")]
    TwoSums {
        /// The file.
        file: String,
        /// The list.
        sums: String,
    },
    /// A binary is not a Linux executable.
    #[error("`{binary}` of {origin} is no Linux executable: it starts with {found}")]
    NotElf {
        /// The binary.
        binary: String,
        /// Where it comes from.
        origin: String,
        /// Its first bytes, for people.
        found: String,
    },
    /// A binary is for another architecture.
    #[error("`{binary}` of {origin} is for {found}, expected {}", arch_word(*expected))]
    WrongArchitecture {
        /// The binary.
        binary: String,
        /// Where it comes from.
        origin: String,
        /// What it is for.
        found: String,
        /// What was asked for.
        expected: Arch,
    },
    /// A binary reports another version than its name.
    #[error("`{command}` of {origin} reports {found}, expected {expected}")]
    WrongVersion {
        /// What was run.
        command: String,
        /// Where it comes from.
        origin: String,
        /// What it reports, for people.
        found: String,
        /// The version it was found under.
        expected: Version,
    },
    /// A binary could not be asked.
    #[error("`{command}` of {origin} cannot be asked for its version")]
    CannotAsk {
        /// What was run.
        command: String,
        /// Where it comes from.
        origin: String,
        /// What happened.
        #[source]
        cause: io::Error,
    },
    /// The server has no such file.
    #[error("`{url}` does not exist (HTTP 404); there may be no etcd {version} for {}", arch_word(*arch))]
    NotFound {
        /// The address.
        url: String,
        /// The version asked for.
        version: Version,
        /// The architecture asked for.
        arch: Arch,
    },
    /// The server answers something else than the file.
    #[error("`{url}` answers HTTP {status}")]
    Http {
        /// The address.
        url: String,
        /// The status.
        status: u16,
    },
    /// The server cannot be reached, or the transfer broke off.
    #[error("`{url}` cannot be fetched")]
    Transfer {
        /// The address.
        url: String,
        /// What happened.
        #[source]
        cause: Box<ureq::Error>,
    },
    /// Fewer bytes came than were announced.
    #[error("`{url}` ended after {found} bytes, expected {expected}")]
    Short {
        /// The address.
        url: String,
        /// Bytes that came.
        found: u64,
        /// Bytes that were announced.
        expected: u64,
    },
    /// More bytes came than a release has.
    #[error("`{url}` is larger than {limit_mib} MiB")]
    TooLong {
        /// The address.
        url: String,
        /// The limit.
        limit_mib: u64,
    },
    /// A file of this machine cannot be used.
    #[error("cannot {what} `{}`", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

impl ReleaseError {
    pub(super) fn io(what: &'static str, path: &Path, cause: io::Error) -> Self {
        Self::Io {
            what,
            path: path.to_owned(),
            cause,
        }
    }

    /// What to do about it, in one sentence; may be empty.
    pub fn hint(&self) -> String {
        match self {
            Self::SourceUnusable { .. } | Self::SourceMissing { .. } => {
                "set `source` of `[releases]` to a URL, a folder of archives, a folder `<version>/` of binaries, an \
                 archive, or a pair of .deb files"
            }
            Self::NamelessVersion { .. } => {
                "name it like etcd's own archives, such as `etcd-v3.5.16-linux-amd64.tar.gz`"
            }
            Self::NothingFor { .. } => {
                "put that release there, or ask for one that is there with `--to`"
            }
            Self::Ambiguous { .. } | Self::Twice { .. } => "keep one of them, or name it as the source",
            Self::NotAnArchive { .. }
            | Self::Damaged { .. }
            | Self::TooLarge { .. }
            | Self::UnsafeEntry { .. }
            | Self::WrongHash { .. } => "fetch the archive again from a source that you trust",
            Self::MissingBinary { .. } => {
                "a pair of .deb files is needed together: `etcd-server` has etcd, `etcd-client` has the others"
            }
            Self::NoSum { .. } | Self::TwoSums { .. } => {
                "add a line `<sha256>  <file name>`, correct it, or leave `sha256sums` empty"
            }
            Self::NotElf { .. } | Self::WrongArchitecture { .. } => {
                "take the release for Linux and the host's architecture"
            }
            Self::WrongVersion { .. } => "correct the name of the file or folder, or fetch that release again",
            Self::CannotAsk { .. } => {
                "the binary must run on this machine: is the cache on a file system mounted `noexec`?"
            }
            Self::NotFound { .. } | Self::Http { .. } => {
                "open the address in a browser; correct the version, or `source` and `sha256sums` of `[releases]`"
            }
            Self::Transfer { .. } | Self::Short { .. } => {
                "check the network and `https_proxy`, or put the archive into a folder and name that as `source`"
            }
            Self::TooLong { .. } => "check that the address is that of a release archive",
            Self::Io { .. } => "",
        }
        .to_owned()
    }
}

fn list(has: &[String]) -> String {
    if has.is_empty() {
        return "none".to_owned();
    }
    has.join(", ")
}

fn paths_list(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths
        .iter()
        .map(|path| format!("`{}`", path.display()))
        .collect();
    names.join(" and ")
}

/// The first bytes of a file in words.
pub(super) fn first_bytes(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(16)];
    if head.is_empty() {
        return "nothing, it is empty".to_owned();
    }
    if let Ok(text) = std::str::from_utf8(head) {
        return format!("{text:?}");
    }
    let hex = head.iter().take(8).map(|byte| format!("{byte:02x}"));
    format!("bytes {}", hex.collect::<Vec<_>>().join(" "))
}
