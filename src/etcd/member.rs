//! Members of a cluster and what can be wrong with them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An etcd member id: 64 bits, written in hexadecimal without padding, as etcd's text output does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MemberId(pub u64);

/// A member as the cluster's own member list describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The id that the cluster gave it.
    pub id: MemberId,
    /// Its name; empty until the member has started for the first time.
    pub name: String,
    /// Where its peers reach it.
    pub peer_urls: Vec<String>,
    /// Where it says that clients reach it; empty until it has started.
    pub client_urls: Vec<String>,
    /// Whether it is a learner, which has no vote.
    pub learner: bool,
}

/// An alarm that a member has raised; it stays until an operator disarms it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// The member that raised it.
    pub member: MemberId,
    /// What it is about.
    pub kind: AlarmKind,
}

/// What an alarm is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlarmKind {
    /// The database has reached its quota; writes are refused.
    NoSpace,
    /// The member's data differ from its peers'.
    Corrupt,
    /// One that this build does not know, as etcd wrote it.
    Other(String),
}

/// The host in a URL, without brackets.
pub fn host_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let place = rest.split('/').next()?;
    let host = match place.strip_prefix('[') {
        Some(inner) => inner.split(']').next()?,
        None => place.rsplit_once(':').map_or(place, |(host, _)| host),
    };
    (!host.is_empty()).then(|| host.to_owned())
}

impl MemberId {
    /// The id of a member that nobody could be asked about; etcd gives none the number 0.
    pub const UNKNOWN: Self = Self(0);
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:x}", self.0))
    }
}

impl FromStr for MemberId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

impl TryFrom<String> for MemberId {
    type Error = std::num::ParseIntError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<MemberId> for String {
    fn from(id: MemberId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for AlarmKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSpace => "NOSPACE",
            Self::Corrupt => "CORRUPT",
            Self::Other(name) => name,
        })
    }
}

impl Member {
    /// Whether the member counts towards the quorum.
    pub fn is_voter(&self) -> bool {
        !self.learner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_taken_out_of_urls() {
        assert_eq!(
            host_of("https://[fd00::1]:2380").as_deref(),
            Some("fd00::1")
        );
        let name = "etcd-1.example.net";
        assert_eq!(
            host_of(&format!("http://{name}:2380/")).as_deref(),
            Some(name)
        );
        assert_eq!(host_of("unix:m1"), None);
    }
}
