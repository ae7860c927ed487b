//! What the preflight found: a stable code, a severity, a subject and a reason with both numbers in it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// A stable name in capitals, such as `MEMBER_DOWN`.
    pub code: String,
    /// What it means for the run.
    pub severity: Severity,
    /// The cluster, host, member or file that it is about.
    pub subject: String,
    /// What was found and what was expected.
    pub reason: String,
    /// What to do about it; may be empty.
    pub hint: String,
    /// Where the rule is written; empty if it is not a rule of etcd.
    pub source: String,
}

/// What a finding means for the run, most severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The run is refused.
    Block,
    /// The run is refused unless the code is acknowledged.
    Acknowledge,
    /// Worth knowing before going on.
    Warn,
    /// Worth knowing.
    Note,
}

/// Every code that `--acknowledge` may name, with what is acknowledged by it.
pub const ACKNOWLEDGEABLE: &[(&str, &str)] = &[
    (
        "AUTH_FREEZE",
        "nobody changes users, roles or passwords during this hop",
    ),
    (
        "BACKUP_FOREIGN",
        "the backup is of another cluster, whose keys this one gets",
    ),
    ("BINARY_DRIFT", "the installed binaries are not what runs"),
    (
        "LEARNER",
        "a learner is present and is upgraded like a voter",
    ),
    (
        "NO_WAY_BACK",
        "only a backup of the whole cluster leads back from one of the hops",
    ),
    (
        "SIZE_WARN",
        "100 MB of v2 data or more make members slow to catch up",
    ),
    (
        "SOURCE_PATCH",
        "a hop begins at an older patch than its guide asks for",
    ),
    (
        "TWO_MEMBERS",
        "each stop of one of two voters stops the cluster",
    ),
    ("V2_BACKUP", "keys of the v2 store are in no backup"),
    (
        "V2_GONE",
        "keys of the v2 store are deleted before 3.6, which does not start on them",
    ),
    (
        "V2_NOT_RESTORED",
        "the restored cluster has no keys of the v2 store",
    ),
    ("V2_OFF", "no client reads keys of the v2 store any more"),
    (
        "V2_UNKNOWN",
        "keys of the v2 store, if any, are in no backup",
    ),
];

impl Finding {
    /// Makes a finding without hint and source.
    pub fn new(
        severity: Severity,
        code: &str,
        subject: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            code: code.to_owned(),
            severity,
            subject: subject.into(),
            reason: reason.into(),
            hint: String::new(),
            source: String::new(),
        }
    }

    /// Makes one that refuses the run.
    pub fn block(code: &str, subject: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(Severity::Block, code, subject, reason)
    }

    /// Makes one that refuses the run until it is acknowledged.
    pub fn acknowledge(code: &str, subject: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(Severity::Acknowledge, code, subject, reason)
    }

    /// Makes one that is worth knowing before going on.
    pub fn warn(code: &str, subject: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(Severity::Warn, code, subject, reason)
    }

    /// Makes one that is worth knowing.
    pub fn note(code: &str, subject: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(Severity::Note, code, subject, reason)
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Adds where the rule is written.
    #[must_use]
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = source.into();
        self
    }

    /// Whether it refuses a run that acknowledges these codes.
    pub fn refuses(&self, acknowledged: &BTreeSet<String>) -> bool {
        match self.severity {
            Severity::Block => true,
            Severity::Acknowledge => !acknowledged.contains(&self.code),
            Severity::Warn | Severity::Note => false,
        }
    }
}

/// Puts the most severe first; within a severity by code, then in the order found. Doubles are dropped.
pub fn sorted(findings: Vec<Finding>) -> Vec<Finding> {
    let mut unique: Vec<Finding> = Vec::with_capacity(findings.len());
    for finding in findings {
        if !unique.contains(&finding) {
            unique.push(finding);
        }
    }
    unique.sort_by(|a, b| (a.severity, &a.code).cmp(&(b.severity, &b.code)));
    unique
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_acknowledgement_of_its_own_code_lets_a_finding_pass() {
        let finding = Finding::acknowledge("LEARNER", "prod", "one learner");
        let named = |code: &str| BTreeSet::from([code.to_owned()]);
        assert!(finding.refuses(&BTreeSet::new()));
        assert!(finding.refuses(&named("V2_OFF")));
        assert!(!finding.refuses(&named("LEARNER")));
    }

    #[test]
    fn a_blocking_finding_cannot_be_waved_through() {
        let finding = Finding::block("ALARM", "prod", "NOSPACE");
        assert!(finding.refuses(&BTreeSet::from(["ALARM".to_owned()])));
    }

    #[test]
    fn findings_are_sorted_by_severity_and_said_once() {
        let note = Finding::note("A", "x", "");
        let block = Finding::block("Z", "x", "");
        let list = sorted(vec![note.clone(), block.clone(), note.clone()]);
        assert_eq!(list, vec![block, note]);
    }
}
