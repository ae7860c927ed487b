//! etcd as Debian packages it, by apt's own tools with a configuration and a state of the lab's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use super::dirs::{make, write};
use super::releases::has_binaries;
use super::tool::{Cancel, Tool};
use super::{LabError, apt};
use crate::etcd::Version;

/// The suites that have etcd, oldest first. The versions are read from their indexes, because they move.
const SUITES: [&str; 5] = ["bullseye", "bookworm", "trixie", "forky", "sid"];

/// The packages that make up a release.
const PACKAGES: [&str; 2] = ["etcd-server", "etcd-client"];

/// What one suite has.
pub(super) struct Index {
    pub(super) suite: &'static str,
    folder: PathBuf,
    pub(super) version: Result<Version, LabError>,
}

impl Index {
    /// Reads the indexes of all suites side by side; a suite that left the archive is told of, not passed over.
    pub(super) fn read_all(apt: &Path, cancel: &Cancel) -> Result<Vec<Self>, LabError> {
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

    pub(super) fn words(&self) -> String {
        match &self.version {
            Ok(version) => format!("{version} in {}", self.suite),
            Err(error) => format!("{} could not be read: {error}", self.suite),
        }
    }

    /// Downloads and unpacks the packages; the folder gets its name once it is complete.
    pub(super) fn fetch(&self, into: &Path, cancel: &Cancel) -> Result<(), LabError> {
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
}
