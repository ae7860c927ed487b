//! The way from one release to another: one minor at a time, with patch steps where a floor asks for them.

use std::collections::BTreeSet;

use crate::etcd::catalogue::{BadPatch, Catalogue, Hop};
use crate::etcd::{Minor, Version};

use super::Finding;

/// The releases that can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Available {
    /// Any that exists: the source is a URL, and fetching will tell.
    Any,
    /// Exactly these.
    Listed(BTreeSet<Version>),
}

impl Available {
    fn has(&self, version: &Version) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(list) => list.contains(version),
        }
    }

    /// The release of a line to go by: the usual one, or the newest usable one that is listed.
    pub(super) fn choose(
        &self,
        floor: &Version,
        usual: &Version,
        rules: &Catalogue,
    ) -> Option<Version> {
        let usable = |version: &&Version| {
            version.minor() == floor.minor() && *version >= floor && !version.is_prerelease()
        };
        match self {
            Self::Any => Some(usual.clone()),
            Self::Listed(list) => list
                .iter()
                .rev()
                .filter(usable)
                .find(|version| rules.bad(version).is_none())
                .cloned(),
        }
    }

    pub(super) fn listed(&self) -> String {
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
/// Findings that block: `TARGET_OLDER`, `TARGET_MISSING`, `HOP_UNKNOWN`, `RELEASE_MISSING`, `BAD_PATCH`.
pub fn path(
    from: &Version,
    to: &Version,
    available: &Available,
    rules: &Catalogue,
) -> Result<Vec<Version>, Vec<Finding>> {
    if from == to {
        return Ok(Vec::new());
    }
    if to < from {
        return Err(vec![older(from, to, rules)]);
    }
    let mut walk = Walk {
        at: from.clone(),
        path: Vec::new(),
        findings: Vec::new(),
        available,
        rules,
    };
    if !available.has(to) {
        walk.findings.push(target_missing(to, available));
    }
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
    rules: &'a Catalogue,
}

impl<'a> Walk<'a> {
    fn go(&mut self, to: &Version) {
        if let Some(bad) = self.rules.bad(to) {
            self.findings.push(bad_target(to, bad, self.rules));
        }
        while self.at.minor() < to.minor() {
            let Some(next) = self.rules.next_minor(self.at.minor()) else {
                self.findings.push(unknown_line(self.at.minor(), to));
                return;
            };
            self.hop(next, to);
        }
        if self.at < *to {
            self.step(to.clone());
        }
    }

    /// Takes one hop, or says why not and goes on as if, to find what else is in the way. The catalogue has a hop
    /// between each two of its lines.
    fn hop(&mut self, next: Minor, to: &Version) {
        if let Some(rule) = self.rules.hop(self.at.minor(), next) {
            self.by_rule(rule, to);
        } else {
            self.at = Version::new(next.major, next.minor, 0);
        }
    }

    fn by_rule(&mut self, rule: &'a Hop, to: &Version) {
        if self.at < rule.least_source && !self.stays_above_hard(rule) {
            self.line(&rule.least_source, &rule.use_source, rule);
        }
        if rule.to != to.minor() {
            self.line(&rule.least_target, &rule.use_target, rule);
            return;
        }
        if *to < rule.least_target && self.rules.bad(to).is_none() {
            self.findings.push(low_target(to, rule));
        }
        self.step(to.clone());
    }

    /// Whether the guides' floor cannot be had, and the one below which it goes wrong is met: the preflight asks.
    fn stays_above_hard(&self, rule: &Hop) -> bool {
        let choice = self
            .available
            .choose(&rule.least_source, &rule.use_source, self.rules);
        choice.is_none() && self.at >= *rule.hard_source()
    }

    fn line(&mut self, floor: &Version, usual: &Version, rule: &Hop) {
        if let Some(version) = self.available.choose(floor, usual, self.rules) {
            self.step(version);
            return;
        }
        let missing = release_missing(floor, rule, self.available);
        self.findings.push(missing);
        self.at = floor.clone();
    }

    fn step(&mut self, version: Version) {
        self.at = version.clone();
        self.path.push(version);
    }
}

/// Why a release cannot be gone to, however one came there.
pub(super) fn unusable(to: &Version, available: &Available, rules: &Catalogue) -> Vec<Finding> {
    let missing = (!available.has(to)).then(|| target_missing(to, available));
    let bad = rules.bad(to).map(|bad| bad_target(to, bad, rules));
    missing.into_iter().chain(bad).collect()
}

pub(super) fn older(from: &Version, to: &Version, rules: &Catalogue) -> Finding {
    let formal = rules
        .downgrade(from.minor())
        .filter(|hop| hop.from == to.minor());
    let back = match formal {
        Some(_) => format!("`runner downgrade --to {to}` leads there"),
        None => "`runner restore` leads back, to a backup".to_owned(),
    };
    Finding::block(
        "TARGET_OLDER",
        to.to_string(),
        format!("members run {from}, and an upgrade does not lead to the older {to}"),
    )
    .hint(format!(
        "choose {from} or a newer release with `--to` or as the cluster's `version`; {back}"
    ))
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

fn release_missing(floor: &Version, rule: &Hop, available: &Available) -> Finding {
    let line = floor.minor();
    Finding::block(
        "RELEASE_MISSING",
        format!("{line}"),
        format!(
            "the way passes {line} at {floor} or later on the hop from {} to {}, \
             and the source of releases has {}; a minor cannot be skipped",
            rule.from,
            rule.to,
            available.listed()
        ),
    )
    .hint(format!("add a {line} release to `[releases] source`"))
    .source(&rule.source)
}

fn low_target(to: &Version, rule: &Hop) -> Finding {
    Finding::block(
        "BAD_PATCH",
        to.to_string(),
        format!(
            "the hop from {} to {} needs {} or later, the target is {to}",
            rule.from, rule.to, rule.least_target
        ),
    )
    .hint(format!("choose {} with `--to`", rule.use_target))
    .source(&rule.source)
}

fn unknown_line(from: Minor, to: &Version) -> Finding {
    Finding::block(
        "HOP_UNKNOWN",
        to.to_string(),
        format!("this build knows no line after {from}, the target is {to}"),
    )
    .hint("choose an older target, or use a runner that knows this line")
}

fn bad_target(version: &Version, bad: &BadPatch, rules: &Catalogue) -> Finding {
    let finding = Finding::block(
        "BAD_PATCH",
        version.to_string(),
        format!("{version}: {}", bad.what),
    );
    let finding = finding.source(&bad.source);
    match sound(version, rules) {
        Some(fixed) => finding.hint(format!("choose {fixed} or later with `--to`")),
        None => finding.hint("choose another line with `--to`"),
    }
}

/// The first release of the line, from this one on, that no fault keeps from being a target.
fn sound(version: &Version, rules: &Catalogue) -> Option<Version> {
    let mut at = version.clone();
    while let Some(bad) = rules.bad(&at) {
        at = bad
            .fixed_in(at.minor())
            .filter(|fixed| **fixed > at)?
            .clone();
    }
    Some(at)
}

#[cfg(test)]
mod tests;
