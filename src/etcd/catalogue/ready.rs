//! Whether etcd tells systemd that it is ready, which its unit's type must fit.

use serde::Deserialize;

use super::Catalogue;
use crate::etcd::Version;

/// The first release that tells systemd that it is ready.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// That release.
    pub since: Version,
    /// Where it is written.
    pub source: String,
}

impl Catalogue {
    /// The rule about telling systemd.
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Whether a release tells systemd that it is ready.
    pub fn tells_ready(&self, version: &Version) -> bool {
        *version >= self.ready.since
    }

    /// The type of a unit that starts this release: with `notify`, one that tells nothing would time out.
    pub fn unit_type(&self, version: &Version) -> &'static str {
        if self.tells_ready(version) {
            "notify"
        } else {
            "simple"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_waits_for_word_of_etcd_from_2_2_on() {
        let of = |text: &str| Catalogue::embedded().unit_type(&text.parse().unwrap());
        assert_eq!((of("2.0.13"), of("2.1.3")), ("simple", "simple"));
        assert_eq!((of("2.2.0"), of("3.7.1")), ("notify", "notify"));
    }
}
