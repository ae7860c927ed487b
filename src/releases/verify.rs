//! Binaries checked against what they are said to be.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use super::elf::{self, Head};
use super::error::{self, ReleaseError};
use super::probe::{self, Said};
use super::{Binary, binaries_of, digest, is_needed};
use crate::etcd::Version;
use crate::facts::Arch;

/// How a binary is asked for its version; `None` where this machine cannot run it.
pub(super) type Ask<'a> = Option<&'a (dyn Fn(&Path, &[&str]) -> io::Result<Said> + Sync)>;

/// What is to be checked.
pub(super) struct Claim<'a> {
    pub(super) version: &'a Version,
    pub(super) arch: Arch,
    /// Where it comes from, for people.
    pub(super) origin: &'a str,
}

/// Checks the binaries in a folder, side by side, and returns their digests.
pub(super) fn verify(
    folder: &Path,
    claim: &Claim<'_>,
    ask: Ask<'_>,
) -> Result<BTreeMap<String, Binary>, ReleaseError> {
    let there = |name: &&str| is_needed(name) || folder.join(name).exists();
    let names: Vec<&'static str> = binaries_of(claim.version)
        .iter()
        .copied()
        .filter(there)
        .collect();
    for name in &names {
        claim.check_machine(name, &folder.join(name))?;
    }
    thread::scope(|scope| {
        let checks: Vec<_> = names
            .iter()
            .map(|&name| scope.spawn(move || claim.check(name, folder.join(name), ask)))
            .collect();
        let checked = names.iter().zip(checks).map(|(name, check)| {
            let binary = check.join().unwrap_or_else(|panic| resume_unwind(panic))?;
            Ok(((*name).to_owned(), binary))
        });
        checked.collect()
    })
}

impl Claim<'_> {
    fn check(&self, name: &str, path: PathBuf, ask: Ask<'_>) -> Result<Binary, ReleaseError> {
        let (sha256, bytes) = digest::of_file(&path)?;
        if let Some(ask) = ask {
            self.check_version(name, &path, ask)?;
        }
        Ok(Binary {
            path,
            sha256,
            bytes,
        })
    }

    fn missing(&self, binary: &'static str) -> ReleaseError {
        ReleaseError::MissingBinary {
            origin: self.origin.to_owned(),
            binary,
            version: self.version.clone(),
        }
    }

    fn check_machine(&self, name: &'static str, path: &PathBuf) -> Result<(), ReleaseError> {
        if !path.is_file() {
            return Err(self.missing(name));
        }
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(elf::HEAD as u64).read_to_end(&mut bytes))
            .map_err(|cause| ReleaseError::io("read", path, cause))?;
        let found = match elf::head(&bytes) {
            Head::For(arch) if arch == self.arch => return Ok(()),
            Head::For(arch) => super::names::arch_word(arch).to_owned(),
            Head::Foreign(words) => words,
            Head::NotElf => {
                return Err(ReleaseError::NotElf {
                    binary: name.to_owned(),
                    origin: self.origin.to_owned(),
                    found: error::first_bytes(&bytes),
                });
            }
        };
        Err(ReleaseError::WrongArchitecture {
            binary: name.to_owned(),
            origin: self.origin.to_owned(),
            found,
            expected: self.arch,
        })
    }

    fn check_version(
        &self,
        name: &str,
        path: &Path,
        ask: &dyn Fn(&Path, &[&str]) -> io::Result<Said>,
    ) -> Result<(), ReleaseError> {
        let args = probe::args(name, self.version);
        let command = format!("{name} {}", args.join(" "));
        let said = ask(path, args).map_err(|cause| ReleaseError::CannotAsk {
            command: command.clone(),
            origin: self.origin.to_owned(),
            cause,
        })?;
        let found = match probe::version_in(name, &said.text) {
            Some(version) if version == *self.version && said.success => return Ok(()),
            Some(version) if said.success => version.to_string(),
            _ => format!("{:?}", said.text.lines().next().unwrap_or_default()),
        };
        Err(ReleaseError::WrongVersion {
            command,
            origin: self.origin.to_owned(),
            found,
            expected: self.version.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// The head of an executable, which is all that is looked at before it is run.
    fn folder(names: &[&str], machine: u8) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
            bytes.resize(18, 0);
            bytes.extend([machine, 0]);
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    fn verified(folder: &Path, version: &str, ask: Ask<'_>) -> Result<usize, ReleaseError> {
        let version = version.parse().unwrap();
        let claim = Claim {
            version: &version,
            arch: Arch::Amd64,
            origin: "`x.tar.gz`",
        };
        verify(folder, &claim, ask).map(|binaries| binaries.len())
    }

    fn says(etcd: &'static str, ctl: &'static str) -> impl Fn(&Path, &[&str]) -> io::Result<Said> {
        move |path, _| {
            let text = match path.file_name().unwrap().to_str().unwrap() {
                "etcd" => format!("etcd Version: {etcd}\n"),
                name => format!("{name} version: {ctl}\n"),
            };
            Ok(Said {
                success: true,
                text,
            })
        }
    }

    const THREE: [&str; 3] = ["etcd", "etcdctl", "etcdutl"];

    #[test]
    fn etcdutl_is_checked_from_three_five_on_where_it_is_there_and_may_be_left_out() {
        let count = |folder: &tempfile::TempDir, version| {
            verified(folder.path(), version, Some(&says(version, version))).unwrap()
        };
        let two = folder(&THREE[..2], 62);
        let three = folder(&THREE, 62);
        for (version, of_three) in [("3.4.23", 2), ("3.5.16", 3), ("3.7.1", 3)] {
            assert_eq!(count(&two, version), 2, "{version}");
            assert_eq!(count(&three, version), of_three, "{version}");
        }
        let error = verified(folder(&THREE[1..], 62).path(), "3.5.16", None).unwrap_err();
        assert!(matches!(
            error,
            ReleaseError::MissingBinary { binary: "etcd", .. }
        ));
    }

    #[test]
    fn a_binary_for_another_machine_names_both() {
        let arm = folder(&THREE, 183);
        let error = verified(arm.path(), "3.5.16", None)
            .unwrap_err()
            .to_string();
        assert_eq!(error, "`etcd` of `x.tar.gz` is for arm64, expected amd64");
    }

    #[test]
    fn a_script_is_no_binary() {
        let scripts = folder(&THREE, 62);
        fs::write(
            scripts.path().join("etcd"),
            "#!/bin/sh\necho etcd Version: 3.5.16",
        )
        .unwrap();
        let error = verified(scripts.path(), "3.5.16", None).unwrap_err();
        assert!(matches!(error, ReleaseError::NotElf { .. }));
    }

    #[test]
    fn each_binary_must_report_the_version_of_its_name() {
        let three = folder(&THREE, 62);
        let error = verified(three.path(), "3.5.16", Some(&says("3.5.16", "3.5.15"))).unwrap_err();
        let text = error.to_string();
        assert_eq!(
            text,
            "`etcdctl version` of `x.tar.gz` reports 3.5.15, expected 3.5.16"
        );
        let error = verified(three.path(), "3.5.16", Some(&says("3.4.23", "3.5.16"))).unwrap_err();
        assert!(error.to_string().contains("`etcd --version`"), "{error}");
    }

    #[test]
    fn a_binary_that_fails_or_cannot_be_run_is_refused() {
        let three = folder(&THREE, 62);
        let fails = |_: &Path, _: &[&str]| {
            Ok(Said {
                success: false,
                text: "etcd Version: 3.5.16".to_owned(),
            })
        };
        assert!(matches!(
            verified(three.path(), "3.5.16", Some(&fails)),
            Err(ReleaseError::WrongVersion { .. })
        ));
        let cannot = |_: &Path, _: &[&str]| Err(io::Error::from(io::ErrorKind::PermissionDenied));
        assert!(matches!(
            verified(three.path(), "3.5.16", Some(&cannot)),
            Err(ReleaseError::CannotAsk { .. })
        ));
    }
}
