//! Failures in words.

use super::Failure;
use crate::transport::Unreachable;

impl Failure {
    /// A failure with one cause.
    pub fn because(cause: impl Into<String>) -> Self {
        Self::Failed(vec![cause.into()])
    }

    /// From the nearest cause to the furthest.
    pub fn causes(&self) -> Vec<String> {
        match self {
            Self::Unreachable(unreachable) => {
                let mut causes = vec![unreachable.to_string()];
                causes.extend(said(unreachable));
                causes
            }
            Self::Refused(reason) | Self::Locked(reason) => vec![reason.clone()],
            Self::Failed(causes) => causes.clone(),
            Self::Journal(error) => chain(error),
            Self::Abandoned => vec!["abandoned by a second interrupt".to_owned()],
        }
    }
}

fn said(unreachable: &Unreachable) -> Option<String> {
    let said = unreachable.said.trim();
    (!said.is_empty()).then(|| format!("\"{said}\""))
}

fn chain(error: &dyn std::error::Error) -> Vec<String> {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect()
}
