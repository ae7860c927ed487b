//! The entries of a tar stream, of which only etcd's binaries are taken.
//!
//! Entries are read raw: long names and other extensions are never followed, so nothing in the stream decides where
//! a byte is written. What is written has one of three names that are constants of ours.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use tar::EntryType;

use super::error::ReleaseError;

/// What an archive may come to. A release of etcd has below 100 MiB and 100 entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) bytes: u64,
    pub(super) entries: usize,
}

impl Limits {
    pub(super) const RELEASE: Self = Self {
        bytes: 1 << 30,
        entries: 10_000,
    };
}

/// Where in an archive binaries are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// At the top, in one folder at the top, or in some `bin`.
    Tarball,
    /// In some `bin`: a package also has `etc/default/etcd` and the like.
    Package,
}

/// A reader that fails beyond a limit, so that a small archive cannot fill the disk.
struct Limited<R> {
    inner: R,
    left: u64,
}

/// The error that [`Limited`] fails with.
#[derive(Debug, thiserror::Error)]
#[error("it unpacks to more than a release has")]
struct LimitReached;

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other(LimitReached))?;
        Ok(read)
    }
}

/// Takes etcd's binaries out of a tar stream into `into`, and reads it to its end, so that its check sums are tried.
pub(super) fn take(
    stream: impl Read,
    file: &Path,
    into: &Path,
    layout: Layout,
    limits: Limits,
) -> Result<(), ReleaseError> {
    let limited = Limited {
        inner: stream,
        left: limits.bytes,
    };
    let mut archive = tar::Archive::new(limited);
    let fault = |cause| fault(file, limits, cause);
    let entries = archive.entries().map_err(fault)?.raw(true);
    for (index, entry) in entries.enumerate() {
        if index >= limits.entries {
            return Err(too_large(file, format!("{} entries", limits.entries)));
        }
        take_entry(entry.map_err(fault)?, file, into, layout, limits)?;
    }
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(fault)?;
    Ok(())
}

fn take_entry(
    mut entry: tar::Entry<'_, impl Read>,
    file: &Path,
    into: &Path,
    layout: Layout,
    limits: Limits,
) -> Result<(), ReleaseError> {
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let kind = entry.header().entry_type();
    let Some(binary) = wanted(&name, layout).filter(|_| kind != EntryType::Directory) else {
        return Ok(());
    };
    if let Some(what) = unsafe_because(&name, kind) {
        return Err(ReleaseError::UnsafeEntry {
            file: file.to_owned(),
            entry: name,
            what,
        });
    }
    let path = into.join(binary);
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o755).open(&path);
    let mut target = opened.map_err(|cause| match cause.kind() {
        io::ErrorKind::AlreadyExists => ReleaseError::Twice {
            file: file.to_owned(),
            binary: binary.to_owned(),
        },
        _ => ReleaseError::io("write", &path, cause),
    })?;
    copy(&mut entry, &mut target).map_err(|side| match side {
        Side::Read(cause) => fault(file, limits, cause),
        Side::Write(cause) => ReleaseError::io("write", &path, cause),
    })
}

/// On which side a copy failed: a full disk is not a damaged archive.
enum Side {
    Read(io::Error),
    Write(io::Error),
}

fn copy(from: &mut impl Read, to: &mut impl io::Write) -> Result<(), Side> {
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => to.write_all(&buffer[..read]).map_err(Side::Write)?,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(Side::Read(cause)),
        }
    }
}

/// The binary that an entry is, judged by its place and name.
fn wanted(name: &str, layout: Layout) -> Option<&'static str> {
    let plain = |part: &Component<'_>| *part != Component::CurDir;
    let parts: PathBuf = Path::new(name).components().filter(plain).collect();
    let last = parts.file_name()?;
    let binary = ["etcd", "etcdctl", "etcdutl"]
        .into_iter()
        .find(|binary| last == *binary)?;
    let above = parts.parent()?;
    let in_bin = above
        .file_name()
        .is_some_and(|folder| folder == "bin" || folder == "sbin");
    let at_top = layout == Layout::Tarball && above.components().count() <= 1;
    (in_bin || at_top).then_some(binary)
}

fn unsafe_because(name: &str, kind: EntryType) -> Option<&'static str> {
    let mut parts = Path::new(name).components();
    if parts.any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Some("a path that leads out of the archive");
    }
    match kind {
        EntryType::Regular | EntryType::Continuous => None,
        EntryType::Symlink | EntryType::Link => Some("a link"),
        EntryType::Char | EntryType::Block | EntryType::Fifo => Some("a device"),
        _ => Some("an entry of another kind"),
    }
}

fn too_large(file: &Path, limit: String) -> ReleaseError {
    ReleaseError::TooLarge {
        file: file.to_owned(),
        limit,
    }
}

/// What a failed read means.
fn fault(file: &Path, limits: Limits, cause: io::Error) -> ReleaseError {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(&cause);
    while let Some(error) = next {
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        let reached =
            |inner: &(dyn std::error::Error + Send + Sync + 'static)| inner.is::<LimitReached>();
        if error.is::<LimitReached>() || inner.is_some_and(reached) {
            return too_large(file, format!("{} bytes unpacked", limits.bytes));
        }
        next = error.source();
    }
    ReleaseError::Damaged {
        file: file.to_owned(),
        cause,
    }
}

#[cfg(test)]
#[path = "tarball_tests.rs"]
mod tests;
