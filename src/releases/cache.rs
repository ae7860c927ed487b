//! Unpacked releases on this machine, each in a folder that appears by one rename.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::error::ReleaseError;
use super::names::arch_word;
use super::{Archive, Binary, Progress, Release, Watch, digest};
use crate::etcd::Version;
use crate::facts::Arch;

const FORMAT: u32 = 1;
const RECORD: &str = "release.json";

/// How much of the digest is in a folder's name: enough to tell releases apart; the record has all of it.
const SHORT: usize = 12;

/// What is recorded beside the binaries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    format: u32,
    version: Version,
    arch: Arch,
    /// Where it came from.
    pub(super) origin: String,
    /// The archives; none for a folder of binaries.
    pub(super) archives: Vec<Archive>,
    /// The list of digests that confirmed it.
    pub(super) confirmed_by: Option<String>,
    /// Whether the binaries were asked for their version here.
    version_asked: bool,
    binaries: BTreeMap<String, Recorded>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    sha256: String,
    bytes: u64,
}

/// The cache, locked for one version and architecture.
pub(super) struct Cache<'a> {
    folder: &'a Path,
    version: &'a Version,
    arch: Arch,
    watch: &'a Watch<'a>,
    _lock: Lock,
}

/// An entry that is whole.
pub(super) struct Entry {
    pub(super) record: Record,
    folder: PathBuf,
}

/// What is known of a release that is about to be put in.
pub(super) struct Arrival {
    pub(super) digest: String,
    pub(super) origin: String,
    pub(super) archives: Vec<Archive>,
    pub(super) confirmed_by: Option<String>,
    pub(super) version_asked: bool,
    pub(super) binaries: BTreeMap<String, Binary>,
}

impl<'a> Cache<'a> {
    /// Locks the cache, waiting for another run if need be, and clears away what a killed one left.
    pub(super) fn lock(
        folder: &'a Path,
        version: &'a Version,
        arch: Arch,
        watch: &'a Watch<'a>,
    ) -> Result<Self, ReleaseError> {
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(folder);
        made.map_err(|cause| ReleaseError::io("make the cache", folder, cause))?;
        let path = folder.join(format!(".{version}-{}.lock", arch_word(arch)));
        let lock =
            lock_file(&path, watch).map_err(|cause| ReleaseError::io("lock", &path, cause))?;
        let cache = Self {
            folder,
            version,
            arch,
            watch,
            _lock: lock,
        };
        cache.sweep()?;
        Ok(cache)
    }

    /// `3.5.16-amd64-`: how names of this release's entries begin.
    fn stem(&self) -> String {
        format!("{}-{}-", self.version, arch_word(self.arch))
    }

    fn sweep(&self) -> Result<(), ReleaseError> {
        let prefix = format!(".{}", self.stem());
        for path in self.with_prefix(&prefix)? {
            remove(&path)?;
        }
        Ok(())
    }

    fn with_prefix(&self, prefix: &str) -> Result<Vec<PathBuf>, ReleaseError> {
        let entries = fs::read_dir(self.folder)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|cause| ReleaseError::io("read the folder", self.folder, cause))?;
        let fits = |entry: &fs::DirEntry| {
            let name = entry.file_name();
            name.to_string_lossy().starts_with(prefix) && entry.path().is_dir()
        };
        let mut paths: Vec<_> = entries
            .iter()
            .filter(|entry| fits(entry))
            .map(fs::DirEntry::path)
            .collect();
        paths.sort();
        Ok(paths)
    }

    /// A private folder in the cache, gone when dropped.
    pub(super) fn work_folder(&self) -> Result<TempDir, ReleaseError> {
        tempfile::Builder::new()
            .prefix(&format!(".{}", self.stem()))
            .tempdir_in(self.folder)
            .map_err(|cause| ReleaseError::io("make a folder in", self.folder, cause))
    }

    fn path_of(&self, digest: &str) -> PathBuf {
        self.folder
            .join(format!("{}{}", self.stem(), &digest[..SHORT]))
    }

    /// The entry made from this digest, if there is one and it is whole; a damaged one is removed.
    pub(super) fn find(&self, digest: &str) -> Result<Option<Entry>, ReleaseError> {
        let path = self.path_of(digest);
        if path.is_dir() {
            return self.open(path);
        }
        Ok(None)
    }

    /// An entry that came from this address, if there is one and it is whole; a damaged one is removed.
    pub(super) fn find_origin(&self, origin: &str) -> Result<Option<Entry>, ReleaseError> {
        for path in self.with_prefix(&self.stem())? {
            if let Some(entry) = self
                .open(path)?
                .filter(|entry| entry.record.origin == origin)
            {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    fn open(&self, folder: PathBuf) -> Result<Option<Entry>, ReleaseError> {
        match self.read(&folder) {
            Ok(record) => Ok(Some(Entry { record, folder })),
            Err(what) => {
                (self.watch)(Progress::CacheDamaged { what: &what });
                remove(&folder)?;
                Ok(None)
            }
        }
    }

    /// Reads an entry and hashes its binaries; the error says in words what is wrong with it.
    fn read(&self, folder: &Path) -> Result<Record, String> {
        let name = |what: &str| format!("`{}` {what}", folder.display());
        let text = fs::read(folder.join(RECORD))
            .map_err(|cause| name(&format!("has no record: {cause}")))?;
        let record: Record = serde_json::from_slice(&text)
            .map_err(|cause| name(&format!("has a record that cannot be read: {cause}")))?;
        if record.format != FORMAT || record.version != *self.version || record.arch != self.arch {
            return Err(name("has the record of something else"));
        }
        let names = super::binaries_of(self.version);
        let lacks = |name: &&str| super::is_needed(name) && !record.binaries.contains_key(*name);
        let is_odd = |name: &String| !names.contains(&name.as_str());
        if names.iter().any(lacks) || record.binaries.keys().any(is_odd) {
            return Err(name("does not record the binaries of this release"));
        }
        for (binary, recorded) in &record.binaries {
            let path = folder.join(binary);
            let (sha256, _) =
                digest::of_file(&path).map_err(|_| name(&format!("has no readable `{binary}`")))?;
            if sha256 != recorded.sha256 {
                return Err(format!(
                    "`{}` has SHA-256 {sha256}, was recorded with {}",
                    path.display(),
                    recorded.sha256
                ));
            }
        }
        Ok(record)
    }

    /// Puts the verified content of a work folder in place, by one rename.
    pub(super) fn put(&self, work: TempDir, arrival: Arrival) -> Result<Entry, ReleaseError> {
        let recorded = |binary: Binary| Recorded {
            sha256: binary.sha256,
            bytes: binary.bytes,
        };
        let folder = self.path_of(&arrival.digest);
        let record = Record {
            format: FORMAT,
            version: self.version.clone(),
            arch: self.arch,
            origin: arrival.origin,
            archives: arrival.archives,
            confirmed_by: arrival.confirmed_by,
            version_asked: arrival.version_asked,
            binaries: arrival
                .binaries
                .into_iter()
                .map(|(name, binary)| (name, recorded(binary)))
                .collect(),
        };
        write_record(work.path(), &record)?;
        if folder.exists() {
            remove(&folder)?;
        }
        fs::rename(work.path(), &folder)
            .map_err(|cause| ReleaseError::io("make", &folder, cause))?;
        drop(work.keep()); // it has another name now, so there is nothing to remove
        Ok(Entry { record, folder })
    }
}

impl Entry {
    /// Records which list has confirmed it.
    pub(super) fn confirm(&mut self, sums: &str) -> Result<(), ReleaseError> {
        self.record.confirmed_by = Some(sums.to_owned());
        write_record(&self.folder, &self.record)
    }

    /// The release, with where it was found this time.
    pub(super) fn release(self, origin: String, confirmed: bool) -> Release {
        let folder = self.folder;
        let binary = |(name, recorded): (String, Recorded)| {
            let path = folder.join(&name);
            let Recorded { sha256, bytes } = recorded;
            (
                name,
                Binary {
                    path,
                    sha256,
                    bytes,
                },
            )
        };
        Release {
            version: self.record.version,
            arch: self.record.arch,
            binaries: self.record.binaries.into_iter().map(binary).collect(),
            origin,
            archives: self.record.archives,
            confirmed,
            version_asked: self.record.version_asked,
        }
    }
}

/// Writes the record beside the binaries, by one rename.
fn write_record(folder: &Path, record: &Record) -> Result<(), ReleaseError> {
    let path = folder.join(RECORD);
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut file, record)?;
        file.persist(&path)?;
        Ok(())
    };
    write().map_err(|cause| ReleaseError::io("write", &path, cause))
}

fn remove(folder: &Path) -> Result<(), ReleaseError> {
    fs::remove_dir_all(folder).map_err(|cause| ReleaseError::io("remove", folder, cause))
}

/// A lock file, held. It is let go in so many words: a process that another thread is starting has a copy of the
/// descriptor for a moment, and closing ours alone would leave the lock to that.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        let _closing_does_it_too = flock(&self.0, FlockOperation::Unlock);
    }
}

fn lock_file(path: &Path, watch: &Watch<'_>) -> std::io::Result<Lock> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => {
            watch(Progress::Waiting);
            flock(&file, FlockOperation::LockExclusive)?;
        }
        other => other?,
    }
    Ok(Lock(file))
}
