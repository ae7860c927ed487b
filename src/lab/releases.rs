//! etcd releases for the lab: from given folders, else from Debian's packages, else from where the inventory
//! says.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::{Path, PathBuf};

use super::LabError;
use super::debian::Index;
use super::dirs::{Dirs, Locked, make};
use super::tool::Cancel;
use crate::etcd::Version;
use crate::facts::Arch;
use crate::inventory::ReleaseSource;
use crate::releases::{Available, available, locate};

/// The variable that names a folder of releases.
pub const VARIABLE: &str = "RUNNER_RELEASES";

/// Where to look for releases.
#[derive(Clone, Debug)]
pub struct Places {
    /// Folders of releases, and the inventory's own source; the first that has a version wins. Those that
    /// cannot say what they have, such as a URL, are asked last.
    pub sources: Vec<ReleaseSource>,
    /// Where unpacked releases are kept.
    pub dirs: Dirs,
}

impl Places {
    /// The given folder, that of [`VARIABLE`], the inventory's source.
    pub fn new(given: Option<&Path>, inventory: Option<&ReleaseSource>, dirs: &Dirs) -> Self {
        let variable = env::var_os(VARIABLE).map(PathBuf::from);
        let folders = given.map(Path::to_owned).into_iter().chain(variable);
        let sources = folders.map(|folder| source(&folder));
        Self {
            sources: sources.chain(inventory.cloned()).collect(),
            dirs: dirs.clone(),
        }
    }

    /// Finds the releases, fetching what is not here yet, and returns the folder of binaries of each.
    ///
    /// # Errors
    /// [`LabError::NoRelease`] with what each source has instead, or [`LabError::Release`] for one that is
    /// there but unusable.
    pub fn find(
        &self,
        versions: &[&Version],
        cancel: &Cancel,
        say: &dyn Fn(&str),
    ) -> Result<BTreeMap<Version, PathBuf>, LabError> {
        let mut found = BTreeMap::new();
        let mut missing = Vec::new();
        for version in versions {
            match self.here(version)? {
                Some(folder) => drop(found.insert((*version).clone(), folder)),
                None => missing.push(*version),
            }
        }
        if !missing.is_empty() {
            self.fetch(&missing, &mut found, cancel, say)?;
        }
        Ok(found)
    }

    fn here(&self, version: &Version) -> Result<Option<PathBuf>, LabError> {
        for source in &self.sources {
            if matches!(available(source)?, Available::Listed(there) if there.contains(version)) {
                return self.located(source, version).map(Some);
            }
        }
        let unpacked = self.unpacked(version);
        Ok(has_binaries(&unpacked).then_some(unpacked))
    }

    fn located(&self, source: &ReleaseSource, version: &Version) -> Result<PathBuf, LabError> {
        let cache = self.dirs.cache.join("archives");
        make(&cache)?;
        let release = locate(source, version, own_arch(), &cache)?;
        let folder = release
            .binaries
            .get("etcd")
            .and_then(|etcd| etcd.path.parent());
        let folder = folder.ok_or_else(|| LabError::NoBinary {
            folder: cache,
            binary: "etcd".to_owned(),
        })?;
        std::path::absolute(folder).map_err(LabError::io("find", folder))
    }

    fn unpacked(&self, version: &Version) -> PathBuf {
        self.dirs.cache.join("releases").join(version.to_string())
    }

    /// Fetches what is not here, one run at a time.
    fn fetch(
        &self,
        versions: &[&Version],
        found: &mut BTreeMap<Version, PathBuf>,
        cancel: &Cancel,
        say: &dyn Fn(&str),
    ) -> Result<(), LabError> {
        make(&self.dirs.cache)?;
        let lock = self.dirs.cache.join("releases.lock");
        let waiting = || say("waiting for another run that fetches releases");
        let _lock = Locked::take(&lock, cancel, &waiting)?;
        let mut indexes = None;
        for version in versions {
            let folder = self.unpacked(version);
            // Looked at again: the run that held the lock, or the round before, may have fetched it.
            if has_binaries(&folder) {
                found.insert((*version).clone(), folder);
                continue;
            }
            if indexes.is_none() {
                say("looking for etcd in Debian's suites");
                indexes = Some(Index::read_all(&self.dirs.cache.join("apt"), cancel)?);
            }
            let indexes = indexes.as_deref().unwrap_or_default();
            let has_it = |index: &&Index| index.version.as_ref().ok() == Some(*version);
            let folder = if let Some(index) = indexes.iter().find(has_it) {
                say(&format!("fetching etcd {version} from {}", index.suite));
                index.fetch(&folder, cancel).map(|()| folder)?
            } else {
                self.download(version, indexes, say)?
            };
            found.insert((*version).clone(), folder);
        }
        Ok(())
    }

    /// Asks the sources that cannot say what they have.
    fn download(
        &self,
        version: &Version,
        indexes: &[Index],
        say: &dyn Fn(&str),
    ) -> Result<PathBuf, LabError> {
        let mut told = Vec::new();
        for source in &self.sources {
            match available(source)? {
                Available::Any => {
                    say(&format!(
                        "fetching etcd {version} from the inventory's source"
                    ));
                    match self.located(source, version) {
                        Ok(folder) => return Ok(folder),
                        Err(error) => told.push(error.to_string()),
                    }
                }
                Available::Listed(there) => {
                    let names: Vec<String> = there.iter().map(Version::to_string).collect();
                    told.push(format!("{} in `{}`", names.join(", "), source.source));
                }
            }
        }
        told.extend(indexes.iter().map(Index::words));
        Err(LabError::NoRelease {
            version: version.clone(),
            available: told,
        })
    }
}

impl Places {
    /// Releases newer than `version`, for a lab that is kept: those of the given folders, else those that Debian
    /// has. One that cannot be had is told and left out, because nothing depends on it.
    ///
    /// # Errors
    /// [`LabError::Interrupted`] alone.
    pub fn newer(
        &self,
        version: &Version,
        cancel: &Cancel,
        say: &dyn Fn(&str),
    ) -> Result<BTreeMap<Version, PathBuf>, LabError> {
        let mut found = BTreeMap::new();
        let wanted = self.offered(cancel).unwrap_or_else(|error| {
            say(&format!(
                "note: no newer releases for the kept lab: {error}"
            ));
            BTreeSet::new()
        });
        for newer in wanted.into_iter().filter(|offered| offered > version) {
            match self.find(&[&newer], cancel, say) {
                Ok(folders) => found.extend(folders),
                Err(error) => say(&format!("note: etcd {newer} is left out: {error}")),
            }
        }
        cancel.check()?;
        Ok(found)
    }

    /// Versions that the given folders have; without folders, those of Debian's suites.
    ///
    /// # Errors
    /// When a folder or the list of a suite cannot be read.
    pub fn offered(&self, cancel: &Cancel) -> Result<BTreeSet<Version>, LabError> {
        let mut offered = BTreeSet::new();
        let mut is_listed = false;
        for source in &self.sources {
            if let Available::Listed(there) = available(source)? {
                is_listed = true;
                offered.extend(there);
            }
        }
        if is_listed {
            return Ok(offered);
        }
        make(&self.dirs.cache)?;
        let lock = self.dirs.cache.join("releases.lock");
        let _lock = Locked::take(&lock, cancel, &|| ())?;
        let indexes = Index::read_all(&self.dirs.cache.join("apt"), cancel)?;
        Ok(indexes
            .into_iter()
            .filter_map(|index| index.version.ok())
            .collect())
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

/// Whether a folder holds what every release has.
pub(super) fn has_binaries(folder: &Path) -> bool {
    ["etcd", "etcdctl"]
        .iter()
        .all(|name| folder.join(name).is_file())
}

/// The hosts of the lab have the machine's own architecture.
fn own_arch() -> Arch {
    match env::consts::ARCH {
        "aarch64" => Arch::Arm64,
        "powerpc64" => Arch::Ppc64le,
        "s390x" => Arch::S390x,
        _ => Arch::Amd64,
    }
}

fn source(folder: &Path) -> ReleaseSource {
    ReleaseSource {
        source: folder.display().to_string(),
        sha256sums: None,
        base: env::current_dir().unwrap_or_default(),
        fan_out: crate::inventory::FanOut::Control,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_gathered_as_links_by_their_versions() {
        let folder = tempfile::tempdir().unwrap();
        let release = folder.path().join("some-where");
        std::fs::create_dir(&release).unwrap();
        std::fs::write(release.join("etcd"), "").unwrap();
        let found = BTreeMap::from([("3.5.16".parse().unwrap(), release)]);
        gather(&found, &folder.path().join("all")).unwrap();
        assert!(folder.path().join("all/3.5.16/etcd").is_file());
        assert!(!has_binaries(&folder.path().join("all/3.5.16")));
    }

    #[test]
    fn a_kept_lab_gets_the_newer_releases_of_the_given_folder_alone() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["3.4.23", "3.5.16", "3.5.30"] {
            let release = folder.path().join(version);
            std::fs::create_dir(&release).unwrap();
            std::fs::write(release.join("etcd"), "not etcd").unwrap();
            std::fs::write(release.join("etcdctl"), "not etcdctl").unwrap();
        }
        let places = Places {
            sources: vec![source(folder.path())],
            dirs: Dirs {
                state: folder.path().join("state"),
                cache: folder.path().join("cache"),
            },
        };
        let offered = places.offered(&Cancel::default()).unwrap();
        assert_eq!(offered.len(), 3);
        let told = std::cell::RefCell::new(Vec::new());
        let say = |text: &str| told.borrow_mut().push(text.to_owned());
        let newer = places.newer(&"3.5.16".parse().unwrap(), &Cancel::default(), &say);
        assert!(newer.unwrap().is_empty(), "what is no etcd is left out");
        let told = told.into_inner();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with("note: etcd 3.5.30 is left out"),
            "{told:?}"
        );
    }
}
