//! What the planner knows of etcd's releases: hops, floors, faults and options that went away. Plain data.
//!
//! [`Rules::default`] holds the hop that this build has proven on real clusters, 3.4 to 3.5, and patch steps in
//! both lines. A hop that is not listed is refused, never guessed.

use crate::etcd::{Minor, Version};

use super::{Rule, Severity};

/// The whole table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Hops that this build knows.
    pub hops: Vec<HopRule>,
    /// The last release of each line that this build knows.
    pub latest: Vec<Version>,
    /// Releases with known faults.
    pub faults: Vec<Fault>,
    /// Options that a line no longer takes.
    pub gone: Vec<Gone>,
}

/// What one minor hop asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HopRule {
    /// From this line.
    pub from: Minor,
    /// To this line.
    pub to: Minor,
    /// The least patch that every member must run before the first one is touched.
    pub source_floor: u64,
    /// The least patch to install.
    pub target_floor: u64,
    /// Whether this build was proven on a real cluster for this hop.
    pub proven: bool,
    /// Rules that the plan keeps and cites.
    pub rules: Vec<Rule>,
}

/// A known fault of some patches of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line.
    pub minor: Minor,
    /// The first patch that has it.
    pub first: u64,
    /// The first patch that has it no more.
    pub fixed: u64,
    /// What it means to install such a patch.
    pub severity: Severity,
    /// What goes wrong.
    pub what: String,
    /// Where it is written.
    pub source: String,
}

/// An option, or one value of it, that went away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// The flag's name without dashes.
    pub flag: String,
    /// The value that went away; `None` for the whole flag.
    pub value: Option<String>,
    /// The first line that refuses it.
    pub since: Minor,
    /// What to use instead.
    pub instead: String,
    /// Whether dropping it silently takes protection away.
    pub protects: bool,
}

impl Rules {
    /// The rule for the hop between two lines.
    pub fn hop(&self, from: Minor, to: Minor) -> Option<&HopRule> {
        self.hops
            .iter()
            .find(|hop| hop.from == from && hop.to == to)
    }

    /// The last known release of a line.
    pub fn latest(&self, minor: Minor) -> Option<&Version> {
        self.latest.iter().find(|version| version.minor() == minor)
    }

    /// The known faults of a release.
    pub fn faults<'a>(&'a self, version: &'a Version) -> impl Iterator<Item = &'a Fault> {
        self.faults.iter().filter(|fault| {
            fault.minor == version.minor() && (fault.first..fault.fixed).contains(&version.patch())
        })
    }

    /// Whether a release must not be installed.
    pub fn is_bad(&self, version: &Version) -> bool {
        self.faults(version)
            .any(|fault| fault.severity == Severity::Block)
    }

    /// Options that a release of `to` refuses and one of `from` still took.
    pub fn gone(&self, from: Minor, to: Minor) -> impl Iterator<Item = &Gone> {
        self.gone
            .iter()
            .filter(move |gone| from < gone.since && gone.since <= to)
    }
}

/// The line after this one: 2.3 is followed by 3.0, every other one by the next number.
pub fn next(minor: Minor) -> Minor {
    if (minor.major, minor.minor) == (2, 3) {
        return Minor::new(3, 0);
    }
    Minor::new(minor.major, minor.minor + 1)
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            hops: vec![hop_34_35()],
            latest: vec![Version::new(3, 4, 45), Version::new(3, 5, 33)],
            faults: faults(),
            gone: gone(),
        }
    }
}

/// Rules that hold for every change of release.
pub fn always() -> Vec<Rule> {
    vec![
        rule(
            "all members are healthy and a backup exists before the first stop; one member at a time",
            "etcd.io/docs/v3.5/upgrades/upgrade_3_5",
        ),
        rule(
            "followers first, the leader last",
            "etcd.io/docs/v3.6/downgrades/downgrade_3_6",
        ),
    ]
}

fn hop_34_35() -> HopRule {
    HopRule {
        from: Minor::new(3, 4),
        to: Minor::new(3, 5),
        source_floor: 22,
        target_floor: 6,
        proven: true,
        rules: vec![
            rule(
                "one minor at a time: from 3.1 on no release of etcd refuses a peer that skipped one",
                "etcd: api/version/version.go, MinClusterVersion",
            ),
            rule(
                "while mixed, the old binary on the same data leads back; after the last start only the backup",
                "etcd.io/docs/v3.5/upgrades/upgrade_3_5",
            ),
        ],
    }
}

fn rule(text: &str, source: &str) -> Rule {
    Rule {
        text: text.to_owned(),
        source: source.to_owned(),
    }
}

fn faults() -> Vec<Fault> {
    use Severity::{Block, Warn};
    let fault = |minor, patches: std::ops::Range<u64>, severity, what: &str, source: &str| Fault {
        minor: Minor::new(3, minor),
        first: patches.start,
        fixed: patches.end,
        severity,
        what: what.to_owned(),
        source: source.to_owned(),
    };
    vec![
        fault(
            4,
            0..4,
            Block,
            "a WAL file that is still needed may be purged",
            "etcd #11308",
        ),
        fault(
            4,
            0..8,
            Block,
            "auth store and consistent index may diverge",
            "etcd #11652",
        ),
        fault(
            4,
            8..9,
            Block,
            "a restart may fail with `walpb: crc mismatch`",
            "etcd #11918",
        ),
        fault(
            4,
            10..13,
            Block,
            "it does not start unless the data folder's mode is 0700",
            "etcd: pkg/fileutil",
        ),
        fault(
            4,
            20..22,
            Block,
            "auth data may diverge when a member gets a snapshot",
            "etcd #14648",
        ),
        fault(
            4,
            0..38,
            Warn,
            "a snapshot received during a defrag may corrupt data",
            "etcd #20650",
        ),
        fault(
            4,
            0..42,
            Warn,
            "the API may be used without authentication",
            "GHSA-q8m4-xhhv-38mg",
        ),
        fault(
            5,
            0..3,
            Block,
            "data may diverge after a crash under load",
            "etcd #13766",
        ),
        fault(
            5,
            3..4,
            Block,
            "it panics at start when auth is on",
            "etcd #13946",
        ),
        fault(
            5,
            4..5,
            Block,
            "data may diverge after a reboot of all nodes",
            "etcd #14139",
        ),
        fault(
            5,
            5..6,
            Block,
            "a crash during a defrag may make revisions diverge",
            "etcd #14733",
        ),
        fault(
            5,
            1..20,
            Warn,
            "a learner's promotion is not kept in the v3 store",
            "etcd #19557",
        ),
        fault(
            5,
            0..23,
            Warn,
            "a snapshot received during a defrag may corrupt data",
            "etcd #20650",
        ),
        fault(
            5,
            0..28,
            Warn,
            "the API may be used without authentication",
            "GHSA-q8m4-xhhv-38mg",
        ),
    ]
}

fn gone() -> Vec<Gone> {
    let gone = |since, flag: &str, value: Option<&str>, instead: &str, protects| Gone {
        flag: flag.to_owned(),
        value: value.map(str::to_owned),
        since: Minor::new(3, since),
        instead: instead.to_owned(),
        protects,
    };
    vec![
        gone(
            4,
            "ca-file",
            None,
            "`trusted-ca-file` with `client-cert-auth`",
            true,
        ),
        gone(
            4,
            "peer-ca-file",
            None,
            "`peer-trusted-ca-file` with `peer-client-cert-auth`",
            true,
        ),
        gone(5, "debug", None, "`log-level=debug`", false),
        gone(5, "log-package-levels", None, "`log-level`", false),
        gone(5, "log-output", None, "`log-outputs`", false),
        gone(5, "logger", Some("capnslog"), "`logger=zap`", false),
        gone(
            5,
            "experimental-backend-bbolt-freelist-type",
            None,
            "`backend-bbolt-freelist-type`, which only 3.5 and later take",
            false,
        ),
        gone(5, "next-cluster-version-compatible", None, "nothing", false),
        gone(6, "enable-v2", None, "nothing: the v2 store is gone", false),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_after_2_3_is_3_0() {
        assert_eq!(next(Minor::new(2, 3)), Minor::new(3, 0));
        assert_eq!(next(Minor::new(3, 4)), Minor::new(3, 5));
    }

    #[test]
    fn early_3_5_releases_are_bad_and_3_5_16_is_not() {
        let rules = Rules::default();
        for patch in 0..6 {
            assert!(rules.is_bad(&Version::new(3, 5, patch)), "3.5.{patch}");
        }
        assert!(!rules.is_bad(&Version::new(3, 5, 16)));
        assert_eq!(rules.faults(&Version::new(3, 5, 16)).count(), 3);
        assert_eq!(rules.faults(&Version::new(3, 5, 33)).count(), 0);
    }

    #[test]
    fn an_option_is_gone_only_across_its_boundary() {
        let rules = Rules::default();
        let names = |from, to| -> Vec<&str> {
            rules
                .gone(Minor::new(3, from), Minor::new(3, to))
                .map(|gone| gone.flag.as_str())
                .collect()
        };
        assert!(names(4, 5).contains(&"debug"));
        assert!(!names(4, 5).contains(&"enable-v2"));
        assert!(names(5, 5).is_empty());
    }
}
