//! Hosts in etcd's addresses that a line refuses.

use serde::Deserialize;

use super::super::Minor;

/// Hosts in addresses that a line refuses.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostRule {
    /// The options with the addresses.
    pub keys: Vec<String>,
    /// Which hosts.
    pub host: RefusedHost,
    /// The first line that refuses them.
    pub from: Minor,
    /// Why, in words.
    pub what: String,
    /// What to do.
    pub instead: String,
    /// Where it is written.
    pub source: String,
}

/// A kind of host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefusedHost {
    /// A name other than `localhost`.
    Domain,
    /// None.
    Empty,
}

impl HostRule {
    /// Whether this address has such a host.
    pub fn refuses(&self, url: &str) -> bool {
        let Some((_, rest)) = url.trim().split_once("://") else {
            return false;
        };
        let host = rest.rsplit_once(':').map_or(rest, |(host, _)| host);
        let host = host.trim_matches(['[', ']']);
        let is_address =
            host.contains(':') || host.bytes().all(|c| c.is_ascii_digit() || c == b'.');
        match self.host {
            RefusedHost::Empty => host.is_empty(),
            RefusedHost::Domain => !is_address && host != "localhost",
        }
    }
}
