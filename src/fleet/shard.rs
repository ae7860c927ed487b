//! A fleet split between control machines.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// One of several parts of a fleet, such as `2/3`.
///
/// A cluster's part follows from its name alone, so that a cluster that comes or goes moves no other one, and
/// control machines need not agree on anything but the number of parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    part: NonZeroU32,
    of: NonZeroU32,
}

/// A text that names no part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a part of a fleet such as `1/3`, `2/3` or `3/3`")]
pub struct ShardError(String);

impl Shard {
    /// Whether a cluster of that name is in this part.
    pub fn holds(&self, cluster: &str) -> bool {
        let digest = Sha256::digest(cluster.as_bytes());
        let head = digest
            .iter()
            .take(8)
            .fold(0, |head: u64, byte| (head << 8) | u64::from(*byte));
        head % u64::from(self.of.get()) == u64::from(self.part.get() - 1)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.part, self.of)
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let parsed = text.split_once('/').and_then(|(part, of)| {
            let (part, of): (NonZeroU32, NonZeroU32) = (part.parse().ok()?, of.parse().ok()?);
            (part <= of).then_some(Self { part, of })
        });
        parsed.ok_or_else(|| ShardError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cluster_is_in_exactly_one_part_and_the_parts_are_about_equal() {
        let parts: Vec<Shard> = ["1/3", "2/3", "3/3"]
            .map(|text| text.parse().unwrap())
            .to_vec();
        let names: Vec<String> = (0..3000).map(|n| format!("cluster-{n:04}")).collect();
        let mut sizes = [0_usize; 3];
        for name in &names {
            let holding: Vec<usize> = (0..3).filter(|at| parts[*at].holds(name)).collect();
            assert_eq!(holding.len(), 1, "{name}");
            sizes[holding[0]] += 1;
        }
        assert!(
            sizes.iter().all(|size| (900..=1100).contains(size)),
            "{sizes:?}"
        );
    }

    #[test]
    fn a_cluster_stays_in_its_part_for_ever() {
        let first: Shard = "1/2".parse().unwrap();
        let held = ["prod", "prod-eu", "prod-us", "lab"].map(|name| first.holds(name));
        assert_eq!(held, [true, true, true, false]);
    }

    #[test]
    fn what_is_no_part_is_refused_with_examples() {
        for text in ["", "1", "0/3", "4/3", "1/0", "a/b", "-1/3"] {
            let error = text.parse::<Shard>().unwrap_err().to_string();
            assert!(error.contains("`2/3`"), "{text}: {error}");
        }
    }
}
