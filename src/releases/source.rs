//! The text of `source` taken apart: URLs, or paths with placeholders.

use std::path::{Path, PathBuf};

use super::error::ReleaseError;
use super::names::{self, Known};
use crate::etcd::Version;
use crate::facts::Arch;
use crate::inventory::ReleaseSource;

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// URLs with placeholders; two for a pair of packages.
    Urls(Vec<String>),
    /// Paths with placeholders.
    Paths(Vec<PathBuf>),
}

/// Takes the text of a source apart.
pub(super) fn parse(source: &ReleaseSource) -> Result<Source, ReleaseError> {
    let parts = split(&source.source, &source.base);
    let (urls, paths): (Vec<_>, Vec<_>) = parts.iter().partition(|part| is_url(part));
    match (urls.is_empty(), paths.is_empty()) {
        (false, true) => Ok(Source::Urls(urls.into_iter().cloned().collect())),
        (true, false) => paths
            .into_iter()
            .map(|part| local(part, &source.base))
            .collect::<Result<_, _>>()
            .map(Source::Paths),
        (true, true) => Err(unusable(source, "it is empty")),
        (false, false) => Err(unusable(source, "it mixes URLs and paths")),
    }
}

fn unusable(source: &ReleaseSource, problem: &'static str) -> ReleaseError {
    ReleaseError::SourceUnusable {
        text: source.source.clone(),
        problem: problem.to_owned(),
    }
}

/// Whether it is fetched over the network.
pub(super) fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// A path, absolute; `file://` is taken off.
pub(super) fn local(text: &str, base: &Path) -> Result<PathBuf, ReleaseError> {
    let path = match text.split_once("://") {
        Some(("file", path)) => path.strip_prefix("localhost").unwrap_or(path),
        Some((scheme, _)) => {
            return Err(ReleaseError::SourceUnusable {
                text: text.to_owned(),
                problem: format!("`{scheme}` is none of http, https and file"),
            });
        }
        None => text,
    };
    Ok(base.join(path))
}

/// Fills in the placeholders.
pub(super) fn fill(pattern: &str, version: &Version, arch: Arch) -> String {
    pattern
        .replace("{version}", &version.to_string())
        .replace("{arch}", names::arch_word(arch))
}

/// One part, or several that a comma or white space separates. A path that exists is one, whatever is in its name;
/// white space separates only what can stand alone: URLs, absolute paths and packages.
fn split(text: &str, base: &Path) -> Vec<String> {
    let text = text.trim();
    if text.is_empty() || base.join(text).exists() {
        return one(text);
    }
    let alone = |part: &str| {
        is_url(part)
            || part.starts_with("file://")
            || part.starts_with('/')
            || Path::new(part)
                .extension()
                .is_some_and(|extension| extension == "deb")
    };
    text.split(',')
        .map(str::trim)
        .flat_map(|part| {
            let words: Vec<_> = part.split_whitespace().map(str::to_owned).collect();
            if words.iter().all(|word| alone(word)) {
                words
            } else {
                one(part)
            }
        })
        .collect()
}

fn one(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    vec![text.to_owned()]
}

/// Whether a part of a path has something to be matched in it.
pub(super) fn is_pattern(component: &str) -> bool {
    ["{version}", "{arch}", "*"]
        .iter()
        .any(|hole| component.contains(hole))
}

/// What a name says under a pattern with `{version}`, `{arch}` and `*`; `None` if it does not match.
pub(super) fn matches(pattern: &str, name: &str, outer: &Known) -> Option<Known> {
    if let Some(rest) = pattern.strip_prefix("{version}") {
        return ends(name).find_map(|end| {
            let version = names::version_of(&name[..end])?;
            let same = outer.version.as_ref().is_none_or(|known| *known == version);
            let version = Some(version);
            same.then(|| matches(rest, &name[end..], &Known { version, ..*outer }))?
        });
    }
    if let Some(rest) = pattern.strip_prefix("{arch}") {
        return ends(name).find_map(|end| {
            let arch = names::arch_of(&name[..end])?;
            let same = outer.arch.is_none_or(|known| known == arch);
            let inner = Known {
                arch: Some(arch),
                ..outer.clone()
            };
            same.then(|| matches(rest, &name[end..], &inner))?
        });
    }
    if let Some(rest) = pattern.strip_prefix('*') {
        return ends(name).find_map(|end| matches(rest, &name[end..], outer));
    }
    let Some(first) = pattern.chars().next() else {
        return name.is_empty().then(|| outer.clone());
    };
    matches(
        &pattern[first.len_utf8()..],
        name.strip_prefix(first)?,
        outer,
    )
}

/// The places where a part of a name may end, longest first.
fn ends(name: &str) -> impl Iterator<Item = usize> + '_ {
    (0..=name.len())
        .rev()
        .filter(|at| name.is_char_boundary(*at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Source, ReleaseError> {
        parse(&ReleaseSource {
            source: text.to_owned(),
            sha256sums: None,
            base: PathBuf::from("/inventory"),
            fan_out: crate::inventory::FanOut::Control,
        })
    }

    fn paths(list: &[&str]) -> Source {
        Source::Paths(list.iter().map(PathBuf::from).collect())
    }

    #[test]
    fn relative_paths_start_at_the_inventory_and_file_urls_are_paths() {
        assert_eq!(parsed("debs").unwrap(), paths(&["/inventory/debs"]));
        assert_eq!(parsed("file:///srv/etcd").unwrap(), paths(&["/srv/etcd"]));
        assert_eq!(
            parsed("my debs/{version}").unwrap(),
            paths(&["/inventory/my debs/{version}"])
        );
    }

    #[test]
    fn a_pair_is_separated_by_a_comma_or_white_space() {
        let pair = paths(&["/inventory/a.deb", "/inventory/b.deb"]);
        for text in ["a.deb,b.deb", "a.deb b.deb", " a.deb ,\n b.deb "] {
            assert_eq!(parsed(text).unwrap(), pair, "{text}");
        }
        let urls = Source::Urls(vec!["https://x/a".to_owned(), "https://x/b".to_owned()]);
        assert_eq!(parsed("https://x/a https://x/b").unwrap(), urls);
    }

    #[test]
    fn other_schemes_and_mixtures_are_refused() {
        let error = parsed("ftp://x/etcd.tar.gz").unwrap_err();
        assert!(error.to_string().contains("`ftp`"), "{error}");
        assert!(parsed("https://x/a /srv/b").is_err());
        assert!(parsed(" ").is_err());
    }

    #[test]
    fn a_pattern_finds_version_and_architecture_in_a_name() {
        let found = matches(
            "etcd-*_{version}_{arch}.deb",
            "etcd-server_3.5.16-4_arm64.deb",
            &Known::default(),
        );
        let found = found.unwrap();
        assert_eq!(found.version, Some(Version::new(3, 5, 16)));
        assert_eq!(found.arch, Some(Arch::Arm64));
        assert_eq!(matches("v{version}", "3.5.16", &Known::default()), None);
        let other = Known {
            version: Some(Version::new(3, 4, 0)),
            arch: None,
        };
        assert_eq!(matches("{version}", "3.5.16", &other), None);
    }
}
