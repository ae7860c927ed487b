//! What the preflight found: a stable code, a severity, a subject and a reason with both numbers in it.

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
