//! How steps end.

use serde::{Deserialize, Serialize};

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
