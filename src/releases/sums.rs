//! Lists of digests, as `sha256sum` writes them: `<hash>  <file name>`.

use std::path::{Path, PathBuf};

use super::error::ReleaseError;
use super::source;
use super::{DEFAULT_SHA256SUMS, fetch};
use crate::etcd::Version;
use crate::facts::Arch;
use crate::inventory::ReleaseSource;

/// A list that is to be asked, not read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sums {
    Url(String),
    File(PathBuf),
}

/// A list that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    name: String,
    lines: Vec<(String, String)>,
}

/// The list that applies: none if the inventory has none, or only the default, which is about etcd's own URL.
pub(super) fn applicable(
    source: &ReleaseSource,
    local: bool,
    version: &Version,
    arch: Arch,
) -> Result<Option<Sums>, ReleaseError> {
    let text = source
        .sha256sums
        .as_deref()
        .map(str::trim)
        .unwrap_or_default();
    if text.is_empty() || (local && text == DEFAULT_SHA256SUMS) {
        return Ok(None);
    }
    let text = source::fill(text, version, arch);
    if source::is_url(&text) {
        return Ok(Some(Sums::Url(text)));
    }
    source::local(&text, &source.base).map(|path| Some(Sums::File(path)))
}

impl Sums {
    /// Its address, for people and for the record.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Url(url) => url.clone(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// Reads the list.
    pub(super) fn read(&self, version: &Version, arch: Arch) -> Result<Listed, ReleaseError> {
        let text = match self {
            Self::Url(url) => fetch::text(url, version, arch)?,
            Self::File(path) => std::fs::read_to_string(path)
                .map_err(|cause| ReleaseError::io("read the digests in", path, cause))?,
        };
        Ok(Listed {
            name: self.name(),
            lines: text.lines().filter_map(line).collect(),
        })
    }
}

/// Digest and file name of a line; `None` for anything else, such as a comment.
fn line(text: &str) -> Option<(String, String)> {
    let (hash, name) = text.trim().split_once(char::is_whitespace)?;
    let hex = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    let name = name.trim_start();
    let name = name.strip_prefix('*').unwrap_or(name);
    let name = name.strip_prefix("./").unwrap_or(name);
    (hex && !name.is_empty()).then(|| (hash.to_lowercase(), name.to_owned()))
}

impl Listed {
    /// Checks a file's digest against its line: the one whose name ends the path, the longest name first.
    pub(super) fn check(&self, path: &Path, digest: &str) -> Result<(), ReleaseError> {
        let file = || path.display().to_string();
        let fits = |name: &String| path.ends_with(name);
        let named: Vec<_> = self.lines.iter().filter(|(_, name)| fits(name)).collect();
        let longest = named.iter().map(|(_, name)| name.len()).max();
        let mut best = named.iter().filter(|(_, name)| Some(name.len()) == longest);
        let Some((expected, _)) = best.next() else {
            return Err(ReleaseError::NoSum {
                file: file(),
                sums: self.name.clone(),
            });
        };
        if best.any(|(other, _)| other != expected) {
            return Err(ReleaseError::TwoSums {
                file: file(),
                sums: self.name.clone(),
            });
        }
        if expected == digest {
            return Ok(());
        }
        Err(ReleaseError::WrongHash {
            file: file(),
            found: digest.to_owned(),
            expected: expected.clone(),
            sums: self.name.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn listed(text: &str) -> Listed {
        Listed {
            name: "SHA256SUMS".to_owned(),
            lines: text.lines().filter_map(line).collect(),
        }
    }

    #[test]
    fn a_file_is_checked_against_the_line_with_its_name() {
        let list = listed(&format!(
            "# comment\n{A}  etcd.tar.gz\n{B} *./other.tar.gz\n"
        ));
        assert!(list.check(Path::new("/x/etcd.tar.gz"), A).is_ok());
        assert!(list.check(Path::new("/x/other.tar.gz"), B).is_ok());
        let wrong = list.check(Path::new("/x/etcd.tar.gz"), B).unwrap_err();
        assert!(matches!(wrong, ReleaseError::WrongHash { .. }));
        let text = wrong.to_string();
        assert!(
            text.contains("/x/etcd.tar.gz") && text.contains(A) && text.contains(B),
            "{text}"
        );
    }

    #[test]
    fn a_missing_line_is_an_error_even_if_another_name_ends_alike() {
        let list = listed(&format!("{A}  d.tar.gz\n"));
        let error = list.check(Path::new("/x/etcd.tar.gz"), A).unwrap_err();
        assert!(matches!(error, ReleaseError::NoSum { .. }));
    }

    #[test]
    fn the_longest_name_wins_and_two_digests_for_it_are_an_error() {
        let list = listed(&format!("{A}  3.5.16/etcd\n{B}  3.4.23/etcd\n{B}  etcd\n"));
        assert!(list.check(Path::new("/x/3.5.16/etcd"), A).is_ok());
        let twice = listed(&format!("{A}  etcd\n{B}  etcd\n"));
        let error = twice.check(Path::new("/x/etcd"), A).unwrap_err();
        assert!(matches!(error, ReleaseError::TwoSums { .. }));
    }

    proptest! {
        #[test]
        fn no_list_makes_it_fall_over_and_only_whole_digests_count(
            text in "([0-9a-fA-F]{60,66}[ *\\t]{0,3}[./a-z\u{e9}]{0,9}|\\PC{0,70}|\n|\r\n){0,12}",
            digest in "[ab]{64}",
        ) {
            let list = listed(&text);
            for (hash, name) in &list.lines {
                prop_assert!(hash.len() == 64 && !name.is_empty());
            }
            let _ = list.check(Path::new("/x/a"), &digest);
        }
    }

    #[test]
    fn the_default_list_says_nothing_about_a_local_source() {
        let of = |sums: Option<&str>, local| {
            let source = ReleaseSource {
                source: String::new(),
                sha256sums: sums.map(str::to_owned),
                base: PathBuf::from("/inventory"),
                fan_out: crate::inventory::FanOut::Control,
            };
            applicable(&source, local, &Version::new(3, 5, 16), Arch::Amd64).unwrap()
        };
        assert_eq!(of(Some(DEFAULT_SHA256SUMS), true), None);
        let url = DEFAULT_SHA256SUMS.replace("{version}", "3.5.16");
        assert_eq!(of(Some(DEFAULT_SHA256SUMS), false), Some(Sums::Url(url)));
        let file = Sums::File(PathBuf::from("/inventory/3.5.16.sums"));
        assert_eq!(of(Some("{version}.sums"), true), Some(file));
        assert_eq!(of(Some(" "), false), None);
        assert_eq!(of(None, false), None);
    }
}
