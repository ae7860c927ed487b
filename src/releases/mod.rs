//! Releases of etcd on this machine: found, fetched, verified, unpacked once into a cache.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::etcd::Version;
use crate::facts::Arch;

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
    /// SHA-256 of the archive in hex; `None` for a folder of binaries.
    pub archive_sha256: Option<String>,
    /// Whether `sha256sums` confirmed the archive.
    pub confirmed: bool,
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
