//! From a source to a verified release in the cache.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::cache::{Arrival, Cache, Entry};
use super::candidates::{self, Available, Chosen};
use super::digest::Hashing;
use super::error::ReleaseError;
use super::fetch::{self, Wanted};
use super::source::{self, Source};
use super::sums::{self, Sums};
use super::tarball::Limits;
use super::verify::{self, Claim};
use super::{Archive, Progress, Release, Watch, binaries_of, digest, own_arch, probe, unpack};
use crate::etcd::Version;
use crate::facts::Arch;
use crate::inventory::ReleaseSource;

/// Finds a release, verifies it and unpacks it into the cache, if it is not there yet. Blocks.
///
/// # Errors
/// There is no such release, it cannot be fetched, or it is not what it is said to be. Nothing is left half done.
pub fn locate(
    source: &ReleaseSource,
    version: &Version,
    arch: Arch,
    cache: &Path,
) -> Result<Release, ReleaseError> {
    locate_with(source, version, arch, cache, &|_| ())
}

/// [`locate`], telling what is going on.
///
/// # Errors
/// Those of [`locate`].
pub fn locate_with(
    source: &ReleaseSource,
    version: &Version,
    arch: Arch,
    cache: &Path,
    watch: &Watch<'_>,
) -> Result<Release, ReleaseError> {
    let parsed = source::parse(source)?;
    let local = matches!(parsed, Source::Paths(_));
    let job = Job {
        version,
        arch,
        sums: sums::applicable(source, local, version, arch)?,
        watch,
    };
    match parsed {
        Source::Urls(patterns) => {
            let urls: Vec<_> = patterns
                .iter()
                .map(|url| source::fill(url, version, arch))
                .collect();
            job.by_urls(&Cache::lock(cache, version, arch, watch)?, &urls)
        }
        Source::Paths(patterns) => {
            let found = candidates::list(&patterns)?;
            let chosen = candidates::choose(&found, version, arch, &source.source)?;
            let cache = Cache::lock(cache, version, arch, watch)?;
            match chosen {
                Chosen::Archives(paths) => job.by_archives(&cache, &paths),
                Chosen::Folder(folder) => job.by_folder(&cache, &folder),
            }
        }
    }
}

/// Versions that a source can give, whatever the architecture.
///
/// # Errors
/// The source is of no known form, or cannot be read.
pub fn available(source: &ReleaseSource) -> Result<Available, ReleaseError> {
    match source::parse(source)? {
        Source::Urls(_) => Ok(Available::Any),
        Source::Paths(patterns) => {
            let found = candidates::list(&patterns)?;
            let versions = found.into_iter().map(|candidate| candidate.version);
            Ok(Available::Listed(versions.collect()))
        }
    }
}

/// One release to be had.
struct Job<'a> {
    version: &'a Version,
    arch: Arch,
    sums: Option<Sums>,
    watch: &'a Watch<'a>,
}

/// A file with its digest.
struct Hashed {
    path: PathBuf,
    sha256: String,
}

impl Job<'_> {
    fn by_urls(&self, cache: &Cache<'_>, urls: &[String]) -> Result<Release, ReleaseError> {
        let origin = urls.join(" and ");
        if let Some(entry) = cache.find_origin(&origin)? {
            return self.known(entry, urls, origin);
        }
        let work = cache.work_folder()?;
        let mut files = Vec::new();
        for (index, url) in urls.iter().enumerate() {
            let path = work.path().join(index.to_string()).join(file_name(url));
            files.push(Hashed {
                sha256: self.fetch(url, &path)?,
                path,
            });
        }
        let confirmed_by = self.confirm(&files)?;
        self.by_hashed(cache, &files, origin, confirmed_by)
    }

    /// An entry from the same address: only a list of digests that has not confirmed it yet is asked.
    fn known(
        &self,
        mut entry: Entry,
        urls: &[String],
        origin: String,
    ) -> Result<Release, ReleaseError> {
        let asked = self.sums.as_ref().map(Sums::name);
        if let (Some(sums), true) = (&self.sums, entry.record.confirmed_by != asked) {
            let list = sums.read(self.version, self.arch)?;
            for (url, archive) in urls.iter().zip(&entry.record.archives) {
                list.check(Path::new(file_name(url)), &archive.sha256)?;
            }
            entry.confirm(&sums.name())?;
        }
        Ok(entry.release(origin, asked.is_some()))
    }

    fn fetch(&self, url: &str, path: &Path) -> Result<String, ReleaseError> {
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        let file = made.and_then(|()| File::create(path));
        let file = file.map_err(|cause| ReleaseError::io("write", path, cause))?;
        let wanted = Wanted {
            url,
            version: self.version,
            arch: self.arch,
        };
        fetch::download(&wanted, file, fetch::MOST, self.watch)
    }

    fn by_archives(&self, cache: &Cache<'_>, paths: &[PathBuf]) -> Result<Release, ReleaseError> {
        let files = hashed(paths.iter().cloned())?;
        let confirmed_by = self.confirm(&files)?;
        self.by_hashed(cache, &files, origin_of(paths), confirmed_by)
    }

    fn by_hashed(
        &self,
        cache: &Cache<'_>,
        files: &[Hashed],
        origin: String,
        confirmed_by: Option<String>,
    ) -> Result<Release, ReleaseError> {
        let digest = key(files);
        if let Some(entry) = cache.find(&digest)? {
            return again(entry, origin, confirmed_by);
        }
        let confirmed = confirmed_by.is_some();
        let work = cache.work_folder()?;
        for file in files {
            (self.watch)(Progress::Unpacking { file: &file.path });
            unpack::unpack(&file.path, work.path(), Limits::RELEASE)?;
        }
        let archives = files.iter().map(Hashed::archive).collect();
        let arrival = self.verified(work.path(), digest, origin.clone(), archives, confirmed_by)?;
        Ok(cache.put(work, arrival)?.release(origin, confirmed))
    }

    fn by_folder(&self, cache: &Cache<'_>, folder: &Path) -> Result<Release, ReleaseError> {
        let origin = origin_of(&[folder.to_owned()]);
        let present = binaries_of(self.version)
            .iter()
            .map(|name| folder.join(name));
        let files = hashed(present.filter(|path| path.is_file()))?;
        let confirmed_by = self.confirm(&files)?;
        let digest = key(&files);
        if let Some(entry) = cache.find(&digest)? {
            return again(entry, origin, confirmed_by);
        }
        let confirmed = confirmed_by.is_some();
        let work = cache.work_folder()?;
        for file in &files {
            file.copy_to(work.path())?;
        }
        let arrival = self.verified(
            work.path(),
            digest,
            origin.clone(),
            Vec::new(),
            confirmed_by,
        )?;
        Ok(cache.put(work, arrival)?.release(origin, confirmed))
    }

    /// Checks files against the list, if one applies, and returns its address.
    fn confirm(&self, files: &[Hashed]) -> Result<Option<String>, ReleaseError> {
        let Some(sums) = &self.sums else {
            return Ok(None);
        };
        let list = sums.read(self.version, self.arch)?;
        for file in files {
            list.check(&file.path, &file.sha256)?;
        }
        Ok(Some(sums.name()))
    }

    fn verified(
        &self,
        folder: &Path,
        digest: String,
        origin: String,
        archives: Vec<Archive>,
        confirmed_by: Option<String>,
    ) -> Result<Arrival, ReleaseError> {
        let ours = own_arch() == Some(self.arch);
        let claim = Claim {
            version: self.version,
            arch: self.arch,
            origin: &origin,
        };
        let binaries = verify::verify(folder, &claim, ours.then_some(&probe::ask))?;
        Ok(Arrival {
            digest,
            origin,
            archives,
            confirmed_by,
            version_asked: ours,
            binaries,
        })
    }
}

/// An entry that this run has come to by a digest, and a list perhaps has confirmed only now.
fn again(
    mut entry: Entry,
    origin: String,
    confirmed_by: Option<String>,
) -> Result<Release, ReleaseError> {
    let confirmed = confirmed_by.is_some();
    if let Some(sums) = confirmed_by.filter(|sums| entry.record.confirmed_by.as_ref() != Some(sums))
    {
        entry.confirm(&sums)?;
    }
    Ok(entry.release(origin, confirmed))
}

impl Hashed {
    /// Copies a binary, executable whatever it was, and fails if it has changed since it was hashed.
    fn copy_to(&self, folder: &Path) -> Result<(), ReleaseError> {
        let copy = || -> io::Result<()> {
            let to = folder.join(file_name(&self.path.to_string_lossy()));
            let mut options = File::options();
            let to = options.write(true).create_new(true).mode(0o755).open(to)?;
            let mut to = Hashing::new(to);
            io::copy(&mut File::open(&self.path)?, &mut to)?;
            if to.finish() == self.sha256 {
                return Ok(());
            }
            Err(io::Error::other("it has changed meanwhile"))
        };
        copy().map_err(|cause| ReleaseError::io("copy", &self.path, cause))
    }

    fn archive(&self) -> Archive {
        Archive {
            name: file_name(&self.path.to_string_lossy()).to_owned(),
            sha256: self.sha256.clone(),
        }
    }
}

fn hashed(paths: impl Iterator<Item = PathBuf>) -> Result<Vec<Hashed>, ReleaseError> {
    let hash = |path: PathBuf| {
        Ok(Hashed {
            sha256: digest::of_file(&path)?.0,
            path,
        })
    };
    paths.map(hash).collect()
}

/// The digest that names a cache entry: the archive's own, or that of all digests together.
fn key(files: &[Hashed]) -> String {
    match files {
        [one] => one.sha256.clone(),
        several => {
            let all: Vec<_> = several.iter().map(|file| file.sha256.as_str()).collect();
            digest::of_text(&all.join("\n"))
        }
    }
}

fn origin_of(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths
        .iter()
        .map(|path| format!("`{}`", path.display()))
        .collect();
    names.join(" and ")
}

/// The last part of a path or URL, without a query.
fn file_name(text: &str) -> &str {
    let path = text.split(['?', '#']).next().unwrap_or(text);
    path.rsplit('/')
        .find(|part| !part.is_empty())
        .unwrap_or(path)
}
