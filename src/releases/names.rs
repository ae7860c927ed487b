//! What the names of files and folders say about version and architecture.

use crate::etcd::Version;
use crate::facts::Arch;

/// What is known of a file or folder so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) version: Option<Version>,
    pub(super) arch: Option<Arch>,
}

/// A name of the form `PACKAGE_VERSION_ARCH.deb`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DebName {
    pub(super) package: String,
    pub(super) version: Version,
    pub(super) arch: Arch,
}

impl Known {
    /// What this says, and where it is silent, what `outer` says.
    pub(super) fn or(self, outer: &Self) -> Self {
        Self {
            version: self.version.or_else(|| outer.version.clone()),
            arch: self.arch.or(outer.arch),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.version.is_none() && self.arch.is_none()
    }
}

const ARCHES: [(&str, Arch); 8] = [
    ("amd64", Arch::Amd64),
    ("x86_64", Arch::Amd64),
    ("arm64", Arch::Arm64),
    ("aarch64", Arch::Arm64),
    ("ppc64le", Arch::Ppc64le),
    ("ppc64el", Arch::Ppc64le),
    ("powerpc64", Arch::Ppc64le),
    ("s390x", Arch::S390x),
];

/// The architecture that a word names, in the words of etcd, Debian or the kernel.
pub(super) fn arch_of(word: &str) -> Option<Arch> {
    let known = ARCHES.iter().find(|(name, _)| *name == word);
    known.map(|(_, arch)| *arch)
}

/// The word that etcd's archives use.
pub(super) fn arch_word(arch: Arch) -> &'static str {
    let known = ARCHES.iter().find(|(_, known)| *known == arch);
    known.map_or("", |(name, _)| name)
}

/// The etcd version in a text such as `v3.5.16`, `3.6.0-rc.1` or Debian's `3.5.16+dfsg-4`.
///
/// What a distribution adds is dropped: it is no prerelease, although it looks like one to semver.
pub(super) fn version_of(text: &str) -> Option<Version> {
    let bare = text.strip_prefix('v').unwrap_or(text);
    let bare = bare.split_once(':').map_or(bare, |(_epoch, rest)| rest);
    let core = bare
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(bare.len());
    let (numbers, rest) = bare.split_at(core);
    let version: Version = numbers.parse().ok()?;
    let Some(rest) = rest.strip_prefix(['-', '~', '+']) else {
        return rest.is_empty().then_some(version);
    };
    let stage = rest.split(['-', '+']).next().unwrap_or(rest);
    if ["alpha", "beta", "rc"]
        .iter()
        .any(|name| stage.starts_with(name))
    {
        return format!("{numbers}-{stage}").parse().ok();
    }
    let ours = rest.starts_with(|c: char| c.is_ascii_digit())
        || rest.starts_with("dfsg")
        || rest.starts_with("ds");
    ours.then_some(version)
}

/// The name without what says that it is an archive; `None` if nothing does.
pub(super) fn archive_stem(name: &str) -> Option<&str> {
    [".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tar"]
        .iter()
        .find_map(|extension| name.strip_suffix(extension))
}

/// Whether one of the name's words is `etcd`.
pub(super) fn says_etcd(name: &str) -> bool {
    name.split(['-', '_']).any(|word| word == "etcd")
}

/// What the words of a name say, separated by `-` or `_`.
pub(super) fn known_of(stem: &str) -> Known {
    let starts = std::iter::once(0).chain(stem.match_indices(['-', '_']).map(|(at, _)| at + 1));
    let mut known = Known::default();
    for start in starts {
        let rest = &stem[start..];
        known.arch = known.arch.or_else(|| arch_at(rest));
        known.version = known.version.or_else(|| version_at(rest));
    }
    known
}

fn arch_at(rest: &str) -> Option<Arch> {
    let ends = |name: &str| {
        let after = rest.strip_prefix(name);
        after.is_some_and(|after| after.is_empty() || after.starts_with(['-', '_', '.']))
    };
    let known = ARCHES.iter().find(|(name, _)| ends(name));
    known.map(|(_, arch)| *arch)
}

/// A version at the start: two words if the second belongs to it (`3.6.0-rc.1`), else one.
fn version_at(rest: &str) -> Option<Version> {
    let mut ends = rest.match_indices(['-', '_']).map(|(at, _)| at);
    let first = ends.next().unwrap_or(rest.len());
    let second = ends.next().unwrap_or(rest.len());
    version_of(&rest[..second]).or_else(|| version_of(&rest[..first]))
}

/// What the name of a package says; `None` if it is none of etcd's, or for no architecture in particular.
pub(super) fn deb_of(name: &str) -> Option<DebName> {
    let mut parts = name.strip_suffix(".deb")?.splitn(3, '_');
    let (package, version, arch) = (parts.next()?, parts.next()?, parts.next()?);
    let version = version.replace("%3a", ":");
    ["etcd", "etcd-server", "etcd-client"]
        .contains(&package)
        .then(|| {
            Some(DebName {
                package: package.to_owned(),
                version: version_of(&version)?,
                arch: arch_of(arch)?,
            })
        })?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn what_a_distribution_adds_is_no_prerelease() {
        for text in [
            "3.5.16",
            "v3.5.16",
            "3.5.16-4",
            "3.5.16+dfsg-6+b6",
            "1:3.5.16-1",
        ] {
            assert_eq!(version_of(text), Some(version("3.5.16")), "{text}");
        }
        for text in ["3.6.0-rc.1", "3.6.0~rc.1-1"] {
            assert_eq!(version_of(text), Some(version("3.6.0-rc.1")), "{text}");
        }
        for text in ["3.5", "3.5.x", "3.5.16-linux", "linux", "", "3.5.16."] {
            assert_eq!(version_of(text), None, "{text}");
        }
    }

    #[test]
    fn archive_names_say_version_and_architecture_in_any_order() {
        let wanted = Known {
            version: Some(version("3.5.16")),
            arch: Some(Arch::Amd64),
        };
        for name in [
            "etcd-v3.5.16-linux-amd64.tar.gz",
            "etcd-3.5.16-1_x86_64.tgz",
            "etcd_amd64_3.5.16.tar.xz",
            "linux-x86_64-etcd-v3.5.16.tar",
        ] {
            let stem = archive_stem(name).unwrap();
            assert!(says_etcd(stem), "{name}");
            assert_eq!(known_of(stem), wanted, "{name}");
        }
        let early = known_of("etcd-v3.6.0-rc.1-linux-arm64");
        assert_eq!(early.version, Some(version("3.6.0-rc.1")));
        assert_eq!(early.arch, Some(Arch::Arm64));
        assert!(!says_etcd("etcdkeeper-v0.7.6-linux-amd64"));
    }

    #[test]
    fn packages_of_others_and_for_no_architecture_are_not_ours() {
        let deb = deb_of("etcd-server_3.3.25+dfsg-6+b6_amd64.deb").unwrap();
        assert_eq!(deb.package, "etcd-server");
        assert_eq!(deb.version, version("3.3.25"));
        assert_eq!(deb.arch, Arch::Amd64);
        assert_eq!(deb_of("etcd_3.4.23-4_all.deb"), None);
        assert_eq!(deb_of("etcd-discovery_2.0.0-1_amd64.deb"), None);
        assert_eq!(deb_of("etcd-server.deb"), None);
    }

    #[test]
    fn every_architecture_has_its_word() {
        for arch in [Arch::Amd64, Arch::Arm64, Arch::Ppc64le, Arch::S390x] {
            assert_eq!(arch_of(arch_word(arch)), Some(arch));
        }
    }
}
