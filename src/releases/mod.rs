//! Releases of etcd on this machine: found, fetched, verified, unpacked once into a cache.
//!
//! # Where a release may come from
//!
//! `source` of [`ReleaseSource`] is one of the following; `{version}` (such as
//! `3.5.16`), `{arch}` (such as `amd64`) and, in paths, `*` may stand in any part of it. A relative path starts at
//! its `base`; `file://` is a path.
//!
//! * an `http://` or `https://` URL of an archive, or of two `.deb` files separated by a comma or white space;
//! * a folder of archives whose names say `etcd`, the version and the architecture, as those of etcd do;
//! * a folder of `<version>/`, `v<version>/` or `<version>/<arch>/`, each with binaries or archives in it, or of
//!   unpacked archives;
//! * one archive (`.tar.gz`, `.tar.xz`, `.tar.zst`, `.tar`, told by content, not by name);
//! * a folder of `.deb` files (`etcd-server_3.5.16-4_amd64.deb` and `etcd-client_…`), of one version or of many, or
//!   the two files, separated by a comma or white space.
//!
//! Where a folder has a release in several forms, an archive is preferred to `.deb` files and those to binaries,
//! because an archive can be compared with published digests. Two files of the same form are an error.
//!
//! # What is checked, before any host is touched
//!
//! The SHA-256 of each archive against `sha256sums` (a line that is missing is an error), the archive's own check
//! sums to its last byte, that the binaries are there, are ELF for the architecture, and, where this machine can run
//! them, that they report the version that they were found under. `etcdutl`, which releases have from 3.5 on, may be
//! left out: what it does here is done by hand then, and a restore at 3.6 and later, which is not, says so.
//!
//! `sha256sums` that equals [`DEFAULT_SHA256SUMS`] says nothing about a local source and is not fetched for one;
//! any other is used for every source. The name in a line may have folders before it, such as `3.5.16/etcd`, as long
//! as the file's path ends with it.
//!
//! # The cache
//!
//! `<cache>/<version>-<arch>-<digest>/` holds the binaries and `release.json` with their origin and digests. It
//! appears by one rename, under a lock, and every use hashes the binaries again (68 MB take 0.06 s with SHA
//! instructions, which is why sizes and times are not trusted instead). A damaged entry is thrown away and made
//! anew. A release from a URL is taken from the cache without asking the network.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::etcd::{Minor, Version};
use crate::facts::Arch;
use crate::inventory::ReleaseSource;

mod cache;
mod candidates;
mod digest;
mod elf;
mod error;
mod fetch;
mod locate;
mod names;
mod probe;
mod source;
mod sums;
mod tarball;
mod unpack;
mod verify;

pub use candidates::Available;
pub use error::ReleaseError;
pub use locate::{available, locate, locate_with};

/// Where releases come from if the inventory says nothing.
pub const DEFAULT_SOURCE: &str = "https://github.com/etcd-io/etcd/releases/download/v{version}/etcd-v{version}-linux-{arch}.tar.gz";

/// The digests that belong to [`DEFAULT_SOURCE`].
pub const DEFAULT_SHA256SUMS: &str =
    "https://github.com/etcd-io/etcd/releases/download/v{version}/SHA256SUMS";

/// A release, unpacked and verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Its version.
    pub version: Version,
    /// Its architecture.
    pub arch: Arch,
    /// Binaries by name: `etcd`, `etcdctl`, and `etcdutl` where the release has it.
    pub binaries: BTreeMap<String, Binary>,
    /// Where it came from, for people.
    pub origin: String,
    /// The archives it was unpacked from: one, or a pair of `.deb` files; none for a folder of binaries.
    pub archives: Vec<Archive>,
    /// Whether `sha256sums` confirmed it.
    pub confirmed: bool,
    /// Whether its binaries were run here and reported the version; `false` for an architecture that is not ours.
    pub version_asked: bool,
}

/// One binary of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// The file here.
    pub path: PathBuf,
    /// SHA-256 in hex.
    pub sha256: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// An archive that a release was unpacked from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// Its file name.
    pub name: String,
    /// SHA-256 in hex.
    pub sha256: String,
}

/// What is going on, for whoever shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// Another run is working on the same release and is waited for.
    Waiting,
    /// An archive is coming in.
    Downloading {
        /// From here.
        url: &'a str,
        /// Bytes so far.
        done: u64,
        /// Bytes in all, if the server says so.
        total: Option<u64>,
    },
    /// An archive is being unpacked.
    Unpacking {
        /// The file.
        file: &'a Path,
    },
    /// A cache entry is not what it was and is made anew.
    CacheDamaged {
        /// What is wrong with it.
        what: &'a str,
    },
}

/// Whoever is told of progress.
pub type Watch<'a> = dyn Fn(Progress<'_>) + 'a;

/// The binaries of a release of this version; those that are [needed](is_needed) must be there.
pub fn binaries_of(version: &Version) -> &'static [&'static str] {
    if version.minor() < Minor::new(3, 5) {
        &["etcd", "etcdctl"]
    } else {
        &["etcd", "etcdctl", "etcdutl"]
    }
}

/// Whether a release without this binary is none. `etcdutl` only works on files.
fn is_needed(binary: &str) -> bool {
    binary != "etcdutl"
}

/// The architecture of this machine, if etcd is released for it.
pub fn own_arch() -> Option<Arch> {
    names::arch_of(std::env::consts::ARCH)
}

/// Whether a source is on this machine's disks.
pub fn is_local(source: &ReleaseSource) -> bool {
    matches!(source::parse(source), Ok(source::Source::Paths(_)))
}
