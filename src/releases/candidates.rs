//! What local sources hold: archives, packages and folders of binaries, by version and architecture.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::ReleaseError;
use super::names::{self, Known};
use super::source;
use crate::etcd::Version;
use crate::facts::Arch;

/// Versions that a source can give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Available {
    /// Whatever exists: the source is a URL.
    Any,
    /// These.
    Listed(BTreeSet<Version>),
}

/// Something that a release, or half of one, can be taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) version: Version,
    /// `None` if no name says it; the binaries then do.
    pub(super) arch: Option<Arch>,
    pub(super) form: Form,
    pub(super) path: PathBuf,
}

/// In which form, preferred ones first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    Tarball,
    /// With the package's name.
    Deb(String),
    Folder,
}

/// What a release is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    Archives(Vec<PathBuf>),
    Folder(PathBuf),
}

/// How deep a folder is looked into: `<version>/<arch>/bin/`.
const DEPTH: usize = 3;

/// All that the paths of a source hold.
pub(super) fn list(patterns: &[PathBuf]) -> Result<Vec<Candidate>, ReleaseError> {
    let mut found = Vec::new();
    for pattern in patterns {
        for (path, known) in expand(pattern)? {
            look_at(&path, &known, &mut found)?;
        }
    }
    Ok(found)
}

/// The paths that a pattern stands for, with what their names say.
fn expand(pattern: &Path) -> Result<Vec<(PathBuf, Known)>, ReleaseError> {
    let mut at = vec![(PathBuf::new(), Known::default())];
    for component in pattern.components() {
        let text = component.as_os_str().to_string_lossy();
        let mut next = Vec::new();
        for (path, known) in at {
            if source::is_pattern(&text) {
                let names = entries(&path)?.into_iter();
                next.extend(names.filter_map(|name| {
                    let known = source::matches(&text, &name, &known)?;
                    Some((path.join(&name), known))
                }));
            } else {
                next.push((path.join(component), known));
            }
        }
        at = next;
    }
    let literal = !source::is_pattern(&pattern.to_string_lossy());
    match at.first() {
        Some((path, _)) if literal && !path.exists() => {
            Err(ReleaseError::SourceMissing { path: path.clone() })
        }
        _ => Ok(at.into_iter().filter(|(path, _)| path.exists()).collect()),
    }
}

/// Names in a folder, in order; none if it is not one.
fn entries(folder: &Path) -> Result<Vec<String>, ReleaseError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let names = fs::read_dir(folder)
        .and_then(|entries| {
            let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
            names.collect::<std::io::Result<Vec<_>>>()
        })
        .map_err(|cause| ReleaseError::io("read the folder", folder, cause))?;
    let mut names: Vec<String> = names.into_iter().flatten().collect();
    names.sort();
    Ok(names)
}

fn look_at(path: &Path, known: &Known, found: &mut Vec<Candidate>) -> Result<(), ReleaseError> {
    if path.is_dir() {
        return scan(path, known, DEPTH, found);
    }
    let candidate = of_file(path, known, true);
    found.push(candidate.ok_or_else(|| ReleaseError::NamelessVersion {
        path: path.to_owned(),
    })?);
    Ok(())
}

/// What a folder holds: binaries, or archives and folders whose names we can read.
fn scan(
    folder: &Path,
    known: &Known,
    depth: usize,
    found: &mut Vec<Candidate>,
) -> Result<(), ReleaseError> {
    if folder.join("etcd").is_file() {
        found.extend(of_folder(folder, known));
    }
    for name in entries(folder)? {
        let path = folder.join(&name);
        if !path.is_dir() {
            found.extend(of_file(&path, known, false));
            continue;
        }
        let said = names::known_of(&name);
        if depth > 0 && (!said.is_empty() || name == "bin") {
            scan(&path, &said.or(known), depth - 1, found)?;
        }
    }
    Ok(())
}

/// A folder of binaries; the names of it and of the folder above it are asked if nothing has said the version.
fn of_folder(folder: &Path, known: &Known) -> Option<Candidate> {
    let said = |path: Option<&Path>| {
        let name = path.and_then(Path::file_name).unwrap_or_default();
        names::known_of(&name.to_string_lossy())
    };
    let known = match known.version {
        Some(_) => known.clone(),
        None => said(Some(folder)).or(&said(folder.parent())),
    };
    Some(Candidate {
        version: known.version?,
        arch: known.arch,
        form: Form::Folder,
        path: folder.to_owned(),
    })
}

/// An archive or package; one that was not `named` by the user must look like etcd's.
fn of_file(path: &Path, known: &Known, named: bool) -> Option<Candidate> {
    let name = path.file_name()?.to_str()?;
    if let Some(deb) = names::deb_of(name) {
        return Some(Candidate {
            version: deb.version,
            arch: Some(deb.arch),
            form: Form::Deb(deb.package),
            path: path.to_owned(),
        });
    }
    let stem = match names::archive_stem(name) {
        Some(stem) if named || names::says_etcd(stem) => stem,
        _ => return None,
    };
    let said = names::known_of(stem).or(known);
    Some(Candidate {
        version: said.version?,
        arch: said.arch,
        form: Form::Tarball,
        path: path.to_owned(),
    })
}

/// Chooses what to make a release from.
pub(super) fn choose(
    found: &[Candidate],
    version: &Version,
    arch: Arch,
    source: &str,
) -> Result<Chosen, ReleaseError> {
    let of_version = found
        .iter()
        .filter(|candidate| candidate.version == *version);
    let exact = |candidate: &&Candidate| candidate.arch == Some(arch);
    let mut fit: Vec<_> = of_version.clone().filter(exact).collect();
    if fit.is_empty() {
        fit = of_version
            .filter(|candidate| candidate.arch.is_none())
            .collect();
    }
    let best = fit.iter().min_by(|a, b| a.form.cmp(&b.form));
    match best.map(|best| &best.form) {
        None => Err(nothing(found, version, arch, source)),
        Some(Form::Tarball) => Ok(Chosen::Archives(vec![only(&fit, &Form::Tarball)?])),
        Some(Form::Folder) => Ok(Chosen::Folder(only(&fit, &Form::Folder)?)),
        Some(Form::Deb(_)) => {
            let forms: BTreeSet<_> = fit.iter().map(|candidate| &candidate.form).collect();
            let debs = forms
                .into_iter()
                .filter(|form| matches!(form, Form::Deb(_)));
            let paths = debs
                .map(|form| only(&fit, form))
                .collect::<Result<_, _>>()?;
            Ok(Chosen::Archives(paths))
        }
    }
}

/// The one candidate of a form.
fn only(fit: &[&Candidate], form: &Form) -> Result<PathBuf, ReleaseError> {
    let same: Vec<_> = fit
        .iter()
        .filter(|candidate| candidate.form == *form)
        .collect();
    match same.as_slice() {
        [one] => Ok(one.path.clone()),
        several => Err(ReleaseError::Ambiguous {
            version: several[0].version.clone(),
            paths: several
                .iter()
                .map(|candidate| candidate.path.clone())
                .collect(),
        }),
    }
}

fn nothing(found: &[Candidate], version: &Version, arch: Arch, source: &str) -> ReleaseError {
    let name = |candidate: &Candidate| match candidate.arch {
        Some(arch) => format!("{} for {}", candidate.version, names::arch_word(arch)),
        None => candidate.version.to_string(),
    };
    let has: BTreeSet<_> = found.iter().map(name).collect();
    ReleaseError::NothingFor {
        version: version.clone(),
        arch,
        source_text: source.to_owned(),
        has: has.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    fn chosen(folder: &Path, pattern: &str, version: &str) -> Result<Chosen, ReleaseError> {
        let found = list(&[folder.join(pattern)])?;
        choose(&found, &version.parse().unwrap(), Arch::Amd64, pattern)
    }

    fn archives(folder: &Path, names: &[&str]) -> Chosen {
        Chosen::Archives(names.iter().map(|name| folder.join(name)).collect())
    }

    #[test]
    fn the_archive_of_the_architecture_is_chosen_from_a_folder() {
        let folder = folder_with(&[
            "etcd-v3.5.16-linux-amd64.tar.gz",
            "etcd-v3.5.16-linux-arm64.tar.gz",
            "etcd-v3.5.30-linux-amd64.tar.gz",
            "etcdkeeper-v3.5.16-linux-amd64.tar.gz",
            "SHA256SUMS",
        ]);
        let found = chosen(folder.path(), "", "3.5.16").unwrap();
        assert_eq!(
            found,
            archives(folder.path(), &["etcd-v3.5.16-linux-amd64.tar.gz"])
        );
        assert_eq!(list(&[folder.path().to_owned()]).unwrap().len(), 3);
    }

    #[test]
    fn a_pair_of_packages_is_chosen_by_upstream_version() {
        let files = [
            "etcd-client_3.4.23-4+b4_amd64.deb",
            "etcd-client_3.5.16-4_amd64.deb",
            "etcd-server_3.4.23-4+b4_amd64.deb",
            "etcd-server_3.5.16-4_amd64.deb",
        ];
        let folder = folder_with(&files);
        let pair = archives(folder.path(), &[files[1], files[3]]);
        assert_eq!(chosen(folder.path(), "", "3.5.16").unwrap(), pair);
        assert_eq!(
            chosen(folder.path(), "etcd-*_{version}*_{arch}.deb", "3.5.16").unwrap(),
            pair
        );
    }

    #[test]
    fn folders_of_binaries_are_found_by_version_and_architecture() {
        let folder = folder_with(&[
            "3.4.23/etcd",
            "v3.5.16/amd64/etcd",
            "v3.5.16/arm64/etcd",
            "3.5.30/bin/etcd",
            "etcd-v3.6.5-linux-amd64/etcd",
        ]);
        for (version, place) in [
            ("3.4.23", "3.4.23"),
            ("3.5.16", "v3.5.16/amd64"),
            ("3.5.30", "3.5.30/bin"),
            ("3.6.5", "etcd-v3.6.5-linux-amd64"),
        ] {
            let found = chosen(folder.path(), "", version).unwrap();
            assert_eq!(found, Chosen::Folder(folder.path().join(place)));
        }
        let found = chosen(folder.path(), "v{version}/{arch}", "3.5.16").unwrap();
        assert_eq!(found, Chosen::Folder(folder.path().join("v3.5.16/amd64")));
        let found = chosen(folder.path(), "3.4.23", "3.4.23").unwrap();
        assert_eq!(found, Chosen::Folder(folder.path().join("3.4.23")));
    }

    #[test]
    fn an_archive_is_preferred_to_what_was_unpacked_from_it() {
        let folder = folder_with(&[
            "etcd-v3.5.16-linux-amd64/etcd",
            "etcd-v3.5.16-linux-amd64.tar.gz",
        ]);
        let found = chosen(folder.path(), "", "3.5.16").unwrap();
        assert_eq!(
            found,
            archives(folder.path(), &["etcd-v3.5.16-linux-amd64.tar.gz"])
        );
    }

    #[test]
    fn two_files_of_one_form_are_ambiguous() {
        let folder = folder_with(&[
            "etcd-server_3.5.16-4_amd64.deb",
            "etcd-server_3.5.16-5_amd64.deb",
        ]);
        let error = chosen(folder.path(), "", "3.5.16").unwrap_err();
        assert!(matches!(error, ReleaseError::Ambiguous { paths, .. } if paths.len() == 2));
    }

    #[test]
    fn a_missing_release_names_what_is_there() {
        let folder = folder_with(&["etcd-v3.5.16-linux-arm64.tar.gz", "3.4.23/etcd"]);
        let error = chosen(folder.path(), "", "3.5.16").unwrap_err().to_string();
        assert!(
            error.contains("3.5.16 for arm64") && error.contains("3.4.23"),
            "{error}"
        );
    }

    #[test]
    fn a_path_that_does_not_exist_and_a_name_without_a_version_are_errors() {
        let folder = folder_with(&["etcd.tar.gz"]);
        let error = chosen(folder.path(), "nowhere", "3.5.16").unwrap_err();
        assert!(matches!(error, ReleaseError::SourceMissing { .. }));
        let error = chosen(folder.path(), "etcd.tar.gz", "3.5.16").unwrap_err();
        assert!(matches!(error, ReleaseError::NamelessVersion { .. }));
    }
}
