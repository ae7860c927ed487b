//! Releases of etcd and the minor lines they belong to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A release of etcd, such as `3.5.16`. A leading `v` is accepted and dropped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(semver::Version);

/// A line of releases that speak the same cluster version, such as `3.5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Minor {
    /// The first number.
    pub major: u64,
    /// The second number.
    pub minor: u64,
}

/// A text that is not an etcd version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// The text is not `MAJOR.MINOR.PATCH`.
    #[error("`{0}` is not an etcd version such as `3.5.16`")]
    NotAVersion(String),
    /// The text is not `MAJOR.MINOR`.
    #[error("`{0}` is not an etcd minor line such as `3.5`")]
    NotAMinor(String),
}

impl Version {
    /// Makes a release version from its three numbers.
    pub fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self(semver::Version::new(major, minor, patch))
    }

    /// The line this release belongs to.
    pub fn minor(&self) -> Minor {
        Minor {
            major: self.0.major,
            minor: self.0.minor,
        }
    }

    /// The third number.
    pub fn patch(&self) -> u64 {
        self.0.patch
    }

    /// Whether this is a release candidate, an alpha or the like.
    pub fn is_prerelease(&self) -> bool {
        !self.0.pre.is_empty()
    }
}

impl Minor {
    /// Makes a minor line from its two numbers.
    pub fn new(major: u64, minor: u64) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}", self.major, self.minor))
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text.trim().strip_prefix('v').unwrap_or(text.trim());
        semver::Version::parse(bare)
            .map(Self)
            .map_err(|_| VersionError::NotAVersion(text.to_owned()))
    }
}

impl FromStr for Minor {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || VersionError::NotAMinor(text.to_owned());
        let (major, minor) = text.split_once('.').ok_or_else(wrong)?;
        match (major.parse(), minor.parse()) {
            (Ok(major), Ok(minor)) => Ok(Self { major, minor }),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for Version {
    type Error = VersionError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

impl TryFrom<String> for Minor {
    type Error = VersionError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Minor> for String {
    fn from(minor: Minor) -> Self {
        minor.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leading_v_is_dropped_and_order_is_numeric() {
        let old: Version = "v3.5.9".parse().unwrap();
        let new: Version = "3.5.16".parse().unwrap();
        assert!(old < new);
        assert_eq!(old.to_string(), "3.5.9");
        assert_eq!(new.minor().to_string(), "3.5");
    }

    #[test]
    fn a_text_that_is_no_version_says_what_one_looks_like() {
        let error = "3.5".parse::<Version>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`3.5` is not an etcd version such as `3.5.16`"
        );
    }
}
