//! The way from one release to another: one minor at a time, with patch steps where a floor asks for them.

use std::collections::BTreeSet;

use crate::etcd::{Minor, Version};

use super::Finding;
use super::rules::{self, HopRule, Rules};

/// The releases that can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Available {
    /// Any that exists: the source is a URL, and fetching will tell.
    Any,
    /// Exactly these.
    Listed(BTreeSet<Version>),
}

/// More lines than etcd has ever had: a bound for the walk.
const MOST_HOPS: usize = 32;

impl Available {
    fn has(&self, version: &Version) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(list) => list.contains(version),
        }
    }

    /// The newest usable release of a line at or above a patch.
    fn newest(&self, minor: Minor, floor: u64, rules: &Rules) -> Option<Version> {
        let usable = |version: &&Version| {
            version.minor() == minor && version.patch() >= floor && !version.is_prerelease()
        };
        match self {
            Self::Any => rules.latest(minor).filter(usable).cloned(),
            Self::Listed(list) => list
                .iter()
                .rev()
                .filter(usable)
                .find(|version| !rules.is_bad(version))
                .cloned(),
        }
    }

    fn listed(&self) -> String {
        match self {
            Self::Any => "any release".to_owned(),
            Self::Listed(list) if list.is_empty() => "no release".to_owned(),
            Self::Listed(list) => list
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", "),
        }
    }
}

/// Lists the releases to pass, in order, the last one being `to`; empty if `from` is `to`.
///
/// # Errors
/// Findings that block: `TARGET_OLDER`, `TARGET_MISSING`, `HOP_UNPROVEN`, `RELEASE_MISSING`, `BAD_PATCH`.
pub fn path(
    from: &Version,
    to: &Version,
    available: &Available,
    rules: &Rules,
) -> Result<Vec<Version>, Vec<Finding>> {
    if from == to {
        return Ok(Vec::new());
    }
    if to < from {
        return Err(vec![older(from, to)]);
    }
    let mut findings = Vec::new();
    if !available.has(to) {
        findings.push(target_missing(to, available));
    }
    let mut walk = Walk {
        at: from.clone(),
        path: Vec::new(),
        findings,
        available,
        rules,
    };
    walk.go(to);
    if walk.findings.is_empty() {
        Ok(walk.path)
    } else {
        Err(walk.findings)
    }
}

struct Walk<'a> {
    at: Version,
    path: Vec<Version>,
    findings: Vec<Finding>,
    available: &'a Available,
    rules: &'a Rules,
}

impl Walk<'_> {
    fn go(&mut self, to: &Version) {
        for _ in 0..MOST_HOPS {
            if self.at.minor() == to.minor() {
                break;
            }
            self.hop(to);
        }
        if self.rules.is_bad(to) {
            self.findings.push(bad(to, self.rules));
        }
        if self.at != *to {
            self.step(to.clone());
        }
    }

    fn hop(&mut self, to: &Version) {
        let next = rules::next(self.at.minor());
        let rule = self.rules.hop(self.at.minor(), next).cloned();
        match rule.filter(|rule| rule.proven) {
            Some(rule) => self.proven_hop(&rule, to),
            None => {
                self.findings
                    .push(unproven(self.at.minor(), next, self.rules));
                self.at = Version::new(next.major, next.minor, 0);
            }
        }
    }

    fn proven_hop(&mut self, rule: &HopRule, to: &Version) {
        if self.at.patch() < rule.source_floor {
            self.line_release(rule.from, rule.source_floor, rule);
        }
        if rule.to == to.minor() {
            self.last_hop(rule, to);
        } else {
            self.line_release(rule.to, rule.target_floor, rule);
        }
    }

    fn last_hop(&mut self, rule: &HopRule, to: &Version) {
        if to.patch() < rule.target_floor && !self.rules.is_bad(to) {
            self.findings.push(
                Finding::block(
                    "BAD_PATCH",
                    to.to_string(),
                    format!(
                        "the hop to {} needs at least {}.{}",
                        rule.to, rule.to, rule.target_floor
                    ),
                )
                .hint(format!("choose a later {} release with `--to`", rule.to)),
            );
        }
        self.step(to.clone());
    }

    fn line_release(&mut self, minor: Minor, floor: u64, rule: &HopRule) {
        match self.available.newest(minor, floor, self.rules) {
            Some(version) => self.step(version),
            None => {
                self.findings
                    .push(release_missing(minor, floor, rule, self.available));
                self.at = Version::new(minor.major, minor.minor, floor);
            }
        }
    }

    fn step(&mut self, version: Version) {
        self.at = version.clone();
        self.path.push(version);
    }
}

pub(super) fn older(from: &Version, to: &Version) -> Finding {
    Finding::block(
        "TARGET_OLDER",
        to.to_string(),
        format!("members run {from}, and an upgrade does not lead to the older {to}"),
    )
    .hint(
        "while the cluster is mixed `runner rollback` puts the previous release back; \
         afterwards `runner restore` leads back to a backup",
    )
}

fn target_missing(to: &Version, available: &Available) -> Finding {
    Finding::block(
        "TARGET_MISSING",
        to.to_string(),
        format!(
            "the source of releases has {}, not {to}",
            available.listed()
        ),
    )
    .hint("add the release to `[releases] source`, or choose another one with `--to`")
}

fn release_missing(minor: Minor, floor: u64, rule: &HopRule, available: &Available) -> Finding {
    Finding::block(
        "RELEASE_MISSING",
        format!("{minor}"),
        format!(
            "the way passes {minor} at {minor}.{floor} or later on the hop from {} to {}, \
             and the source of releases has {}; a minor cannot be skipped",
            rule.from,
            rule.to,
            available.listed()
        ),
    )
    .hint(format!("add a {minor} release to `[releases] source`"))
    .source("etcd.io/docs/v3.5/upgrades/upgrading-etcd")
}

fn unproven(from: Minor, to: Minor, rules: &Rules) -> Finding {
    let known: Vec<String> = rules
        .hops
        .iter()
        .filter(|hop| hop.proven)
        .map(|hop| format!("{} to {}", hop.from, hop.to))
        .collect();
    Finding::block(
        "HOP_UNPROVEN",
        format!("{from} to {to}"),
        format!(
            "the way takes the hop from {from} to {to}; this build is proven for {} and for patch steps",
            known.join(", ")
        ),
    )
    .hint("choose a target within the proven hops, or use a runner that knows this hop")
}

fn bad(version: &Version, rules: &Rules) -> Finding {
    let faults: Vec<_> = rules.faults(version).collect();
    let fixed = faults
        .iter()
        .map(|fault| fault.fixed)
        .max()
        .unwrap_or_default();
    let said: Vec<String> = faults
        .iter()
        .map(|fault| format!("{} ({})", fault.what, fault.source))
        .collect();
    Finding::block("BAD_PATCH", version.to_string(), said.join("; ")).hint(format!(
        "choose {}.{fixed} or later with `--to`",
        version.minor()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn listed(texts: &[&str]) -> Available {
        Available::Listed(texts.iter().map(|text| version(text)).collect())
    }

    fn way(from: &str, to: &str, available: &Available) -> Result<Vec<String>, Vec<String>> {
        path(&version(from), &version(to), available, &Rules::default())
            .map(|list| list.iter().map(ToString::to_string).collect())
            .map_err(|list| list.into_iter().map(|finding| finding.code).collect())
    }

    #[test]
    fn a_minor_hop_goes_straight_when_the_floor_is_met() {
        assert_eq!(
            way("3.4.23", "3.5.16", &Available::Any),
            Ok(vec!["3.5.16".into()])
        );
    }

    #[test]
    fn a_source_below_its_floor_gets_a_patch_step_first() {
        assert_eq!(
            way("3.4.10", "3.5.16", &Available::Any),
            Ok(vec!["3.4.45".into(), "3.5.16".into()])
        );
        assert_eq!(
            way("3.4.10", "3.5.16", &listed(&["3.4.23", "3.5.16"])),
            Ok(vec!["3.4.23".into(), "3.5.16".into()])
        );
    }

    #[test]
    fn a_patch_step_needs_no_hop_rule() {
        assert_eq!(
            way("3.5.16", "3.5.30", &Available::Any),
            Ok(vec!["3.5.30".into()])
        );
        assert_eq!(way("3.5.16", "3.5.16", &Available::Any), Ok(vec![]));
    }

    #[test]
    fn a_missing_patch_step_is_named() {
        assert_eq!(
            way("3.4.10", "3.5.16", &listed(&["3.5.16"])),
            Err(vec!["RELEASE_MISSING".into()])
        );
    }

    #[test]
    fn a_missing_target_is_named_with_what_is_there() {
        let findings = path(
            &version("3.4.23"),
            &version("3.5.16"),
            &listed(&["3.4.23", "3.5.30"]),
            &Rules::default(),
        )
        .unwrap_err();
        assert_eq!(findings[0].code, "TARGET_MISSING");
        assert!(findings[0].reason.contains("3.4.23, 3.5.30, not 3.5.16"));
    }

    #[test]
    fn hops_that_are_not_proven_are_refused_each_by_name() {
        assert_eq!(
            way("3.3.25", "3.6.14", &Available::Any),
            Err(vec!["HOP_UNPROVEN".into(), "HOP_UNPROVEN".into()])
        );
    }

    #[test]
    fn an_older_target_is_refused() {
        assert_eq!(
            way("3.5.16", "3.4.23", &Available::Any),
            Err(vec!["TARGET_OLDER".into()])
        );
        assert_eq!(
            way("3.5.30", "3.5.16", &Available::Any),
            Err(vec!["TARGET_OLDER".into()])
        );
    }

    #[test]
    fn a_bad_patch_is_refused_as_a_target_and_avoided_on_the_way() {
        assert_eq!(
            way("3.4.23", "3.5.2", &Available::Any),
            Err(vec!["BAD_PATCH".into()])
        );
        assert_eq!(
            way("3.4.10", "3.5.16", &listed(&["3.4.22", "3.4.21", "3.5.16"])),
            Ok(vec!["3.4.22".into(), "3.5.16".into()])
        );
    }
}
