//! How steps are undone and how they end, and what planning comes to.

use serde::{Deserialize, Serialize};

use super::{Action, Finding, Plan};

/// What happens when a member fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The failed member is put back.
    #[default]
    Undo,
    /// Everything stays as it is.
    Stop,
}

/// How a step is undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// It left nothing that needs undoing.
    Nothing,
    /// By these actions, in order. Undo runs over the executed steps of a lane, newest first.
    Actions(Vec<Action>),
    /// It cannot be undone, because.
    Impossible(String),
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Something is different now.
    Changed {
        /// What, in a few words; may be empty.
        what: String,
    },
    /// It was so already.
    Unchanged {
        /// Why nothing was to be done.
        why: String,
    },
    /// It failed.
    Failed {
        /// From the nearest cause to the furthest.
        causes: Vec<String>,
    },
    /// It was not begun.
    NotRun {
        /// Why.
        because: String,
    },
}

/// What planning comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// The plan; `None` when a finding blocks or there is nothing to do.
    pub plan: Option<Plan>,
    /// What was found, most severe first.
    pub findings: Vec<Finding>,
}
