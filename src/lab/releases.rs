//! etcd releases for the lab: from a folder of binaries, else from Debian's packages by apt's own tools.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use super::dirs::{Dirs, Locked, make, write};
use super::tool::{Cancel, Tool};
use super::{LabError, apt};
use crate::etcd::Version;

/// The suites that have etcd, oldest first. The versions are read from their indexes, because they move.
const SUITES: [&str; 5] = ["bullseye", "bookworm", "trixie", "forky", "sid"];

/// The packages that make up a release.
const PACKAGES: [&str; 2] = ["etcd-server", "etcd-client"];

/// The variable that names a folder with a folder of binaries for each version.
pub const VARIABLE: &str = "RUNNER_RELEASES";

/// Where to look for releases.
#[derive(Clone, Debug)]
pub struct Places {
    /// Folders that hold `<version>/etcd` and its tools; the first that has a version wins.
    pub folders: Vec<PathBuf>,
    /// Where unpacked Debian packages are kept.
    pub dirs: Dirs,
}

impl Places {
    /// The given folder, then that of [`VARIABLE`], then Debian.
    pub fn new(given: Option<&Path>, dirs: &Dirs) -> Self {
        let variable = env::var_os(VARIABLE).map(PathBuf::from);
        let folders = given.map(Path::to_owned).into_iter().chain(variable);
        Self {
            folders: folders.collect(),
            dirs: dirs.clone(),
        }
    }

    /// Finds the releases, fetching what is not here yet, and returns the folder of binaries of each.
    ///
    /// # Errors
    /// [`LabError::NoRelease`] with what each source has instead.
    pub fn find(
        &self,
        versions: &[&Version],
        cancel: &Cancel,
        say: &dyn Fn(&str),
    ) -> Result<BTreeMap<Version, PathBuf>, LabError> {
        if versions.iter().any(|version| self.here(version).is_none()) {
            self.fetch(versions, cancel, say)?;
        }
        let pair = |version: &&Version| Some(((*version).clone(), self.here(version)?));
        Ok(versions.iter().filter_map(pair).collect())
    }

    fn here(&self, version: &Version) -> Option<PathBuf> {
        let name = version.to_string();
        let given = self.folders.iter().map(|folder| folder.join(&name));
        let mut all = given.chain([self.unpacked(version)]);
        let folder = all.find(|folder| has_binaries(folder))?;
        std::path::absolute(folder).ok()
    }

    fn unpacked(&self, version: &Version) -> PathBuf {
        self.dirs.cache.join("releases").join(version.to_string())
    }

    /// Fetches from Debian what is not here, one run at a time.
    fn fetch(
        &self,
        versions: &[&Version],
        cancel: &Cancel,
        say: &dyn Fn(&str),
    ) -> Result<(), LabError> {
        make(&self.dirs.cache)?;
        let lock = self.dirs.cache.join("releases.lock");
        let waiting = || say("waiting for another run that fetches releases");
        let _lock = Locked::take(&lock, cancel, &waiting)?;
        let mut indexes = None;
        for version in versions {
            // Looked at again: the run that held the lock, or the round before, may have fetched it.
            if self.here(version).is_some() {
                continue;
            }
            if indexes.is_none() {
                say("looking for etcd in Debian's suites");
                indexes = Some(Index::read_all(&self.dirs.cache.join("apt"), cancel)?);
            }
            let indexes = indexes.as_deref().unwrap_or_default();
            let has_it = |index: &&Index| index.version.as_ref().ok() == Some(*version);
            let index = indexes.iter().find(has_it);
            let index = index.ok_or_else(|| self.nowhere(version, indexes))?;
            say(&format!("fetching etcd {version} from {}", index.suite));
            index.fetch(&self.unpacked(version), cancel)?;
        }
        Ok(())
    }

    fn nowhere(&self, version: &Version, indexes: &[Index]) -> LabError {
        let folders = self.folders.iter().map(|folder| in_folder(folder));
        let suites = indexes.iter().map(Index::words);
        LabError::NoRelease {
            version: version.clone(),
            available: folders.chain(suites).collect(),
        }
    }
}

/// Makes one folder `into` with a link for each release: what an inventory's `[releases] source` names.
///
/// # Errors
/// When a link cannot be made.
pub fn gather(found: &BTreeMap<Version, PathBuf>, into: &Path) -> Result<(), LabError> {
    make(into)?;
    for (version, folder) in found {
        let link = into.join(version.to_string());
        std::os::unix::fs::symlink(folder, &link).map_err(LabError::io("link", &link))?;
    }
    Ok(())
}

fn has_binaries(folder: &Path) -> bool {
    ["etcd", "etcdctl"]
        .iter()
        .all(|name| folder.join(name).is_file())
}

fn in_folder(folder: &Path) -> String {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let full = entries.filter(|entry| has_binaries(&entry.path()));
    let names = full.filter_map(|entry| entry.file_name().to_str()?.parse::<Version>().ok());
    let mut versions: Vec<Version> = names.collect();
    versions.sort();
    let names: Vec<String> = versions.iter().map(Version::to_string).collect();
    let names = if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    };
    format!("{names} in `{}`", folder.display())
}

/// What one suite has.
struct Index {
    suite: &'static str,
    folder: PathBuf,
    version: Result<Version, LabError>,
}

impl Index {
    /// Reads the indexes of all suites side by side; a suite that left the archive is told of, not passed over.
    fn read_all(apt: &Path, cancel: &Cancel) -> Result<Vec<Self>, LabError> {
        let (mirror, arch) = (apt::mirror()?, apt::architecture()?);
        let read = |suite: &'static str| {
            let folder = apt.join(suite);
            let version = prepare(&folder, suite, &mirror, &arch)
                .and_then(|()| version_in(&folder, suite, cancel));
            Self {
                suite,
                folder,
                version,
            }
        };
        let indexes = thread::scope(|scope| {
            let read = &read;
            let begun = SUITES.map(|suite| scope.spawn(move || read(suite)));
            begun.map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
        });
        cancel.check()?;
        Ok(indexes.into())
    }

    fn words(&self) -> String {
        match &self.version {
            Ok(version) => format!("{version} in {}", self.suite),
            Err(error) => format!("{} could not be read: {error}", self.suite),
        }
    }

    /// Downloads and unpacks the packages; the folder gets its name once it is complete.
    fn fetch(&self, into: &Path, cancel: &Cancel) -> Result<(), LabError> {
        let work =
            tempfile::tempdir_in(&self.folder).map_err(LabError::io("write in", &self.folder))?;
        let download = apt_get(&self.folder).within(work.path());
        download.arg("download").args(PACKAGES).run_until(cancel)?;
        let unpacked = work.path().join("unpacked");
        for package in packages_in(work.path())? {
            Tool::new("dpkg-deb")
                .arg("-x")
                .args([&package, &unpacked])
                .run_until(cancel)?;
        }
        let binaries = unpacked.join("usr/bin");
        if !has_binaries(&binaries) {
            let binary = "etcd and etcdctl".to_owned();
            let folder = binaries;
            return Err(LabError::NoBinary { folder, binary });
        }
        if let Some(parent) = into.parent() {
            make(parent)?;
        }
        fs::rename(&binaries, into).map_err(LabError::io("name", into))
    }
}

fn packages_in(folder: &Path) -> Result<Vec<PathBuf>, LabError> {
    let entries = fs::read_dir(folder).map_err(LabError::io("read", folder))?;
    let files = entries.flatten().map(|entry| entry.path());
    let debs = files.filter(|file| file.extension().is_some_and(|ending| ending == "deb"));
    Ok(debs.collect())
}

/// Makes a private apt configuration and state, so that the machine's own is neither read nor changed.
fn prepare(folder: &Path, suite: &str, mirror: &str, arch: &str) -> Result<(), LabError> {
    let place = |name: &str, text: &str| write(&folder.join(name), text, 0o644);
    for part in ["lists/partial", "cache/archives/partial", "parts"] {
        make(&folder.join(part))?;
    }
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let source = format!("deb [signed-by={keyring} arch={arch}] {mirror} {suite} main\n");
    place("sources.list", &source)?;
    place("status", "")?;
    place("preferences", "")?;
    let dir = folder.display();
    let settings = format!(
        "Dir::Etc::SourceList \"{dir}/sources.list\";\nDir::Etc::SourceParts \"{dir}/parts\";\n\
         Dir::Etc::Preferences \"{dir}/preferences\";\nDir::Etc::PreferencesParts \"{dir}/parts\";\n\
         Dir::State \"{dir}\";\nDir::State::Lists \"{dir}/lists\";\nDir::State::Status \"{dir}/status\";\n\
         Dir::Cache \"{dir}/cache\";\nAPT::Architecture \"{arch}\";\nAPT::Architectures {{ \"{arch}\"; }};\n\
         APT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\nAcquire::Retries \"3\";\n"
    );
    place("apt.conf", &settings)
}

fn apt_get(folder: &Path) -> Tool {
    let tool = Tool::new("apt-get").env("APT_CONFIG", folder.join("apt.conf"));
    // `-o` wins over the machine's own files, which apt reads after `APT_CONFIG`.
    tool.args(options(folder)).arg("-qq")
}

fn options(folder: &Path) -> Vec<String> {
    let folder = folder.display();
    [
        format!("-oDir::Etc::SourceList={folder}/sources.list"),
        format!("-oDir::Etc::SourceParts={folder}/parts"),
        format!("-oDir::State={folder}"),
        format!("-oDir::Cache={folder}/cache"),
    ]
    .into()
}

fn version_in(folder: &Path, suite: &str, cancel: &Cancel) -> Result<Version, LabError> {
    apt_get(folder).arg("update").run_until(cancel)?;
    let show = Tool::new("apt-cache").env("APT_CONFIG", folder.join("apt.conf"));
    let show = show
        .args(options(folder))
        .args(["show", "--no-all-versions", PACKAGES[0]]);
    let said = show.run_until(cancel)?;
    version_of(&said).ok_or_else(|| {
        LabError::Unsupported(format!(
            "the index of {suite} names no version of {}",
            PACKAGES[0]
        ))
    })
}

/// The release that a package was built from: `3.3.25+dfsg-6+b6` is 3.3.25.
fn version_of(shown: &str) -> Option<Version> {
    let line = shown
        .lines()
        .find_map(|line| line.strip_prefix("Version: "))?;
    let without_epoch = line.split_once(':').map_or(line, |(_, rest)| rest);
    let upstream = without_epoch.split(['+', '-', '~']).next()?;
    upstream.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read_from_a_packages_version() {
        let shown = |version: &str| format!("Package: etcd-server\nVersion: {version}\nX: y\n");
        let read = |version: &str| version_of(&shown(version)).unwrap().to_string();
        assert_eq!(read("3.3.25+dfsg-6+b6"), "3.3.25");
        assert_eq!(read("1:3.5.30-2"), "3.5.30");
        assert!(version_of("nothing").is_none());
    }

    #[test]
    fn a_given_folder_wins_and_is_not_looked_up_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let release = folder.path().join("3.5.16");
        fs::create_dir(&release).unwrap();
        for name in ["etcd", "etcdctl"] {
            fs::write(release.join(name), "").unwrap();
        }
        let dirs = Dirs {
            state: folder.path().join("state"),
            cache: folder.path().join("cache"),
        };
        let places = Places {
            folders: vec![folder.path().to_owned()],
            dirs,
        };
        let version: Version = "3.5.16".parse().unwrap();
        let found = places
            .find(&[&version], &Cancel::default(), &|_| ())
            .unwrap();
        assert_eq!(found[&version], release);
        assert!(in_folder(folder.path()).starts_with("3.5.16 in "));
    }
}
