//! Failures in words.

use std::time::Duration;

use super::Failure;
use super::wait::human;
use crate::transport::Unreachable;

impl Failure {
    /// A failure with one cause.
    pub fn because(cause: impl Into<String>) -> Self {
        Self::Failed(vec![cause.into()])
    }

    /// A script was ended because its step's time was over.
    pub(super) fn late(title: &str, host: &str, time: Duration) -> Self {
        let time = human(time);
        Self::because(format!(
            "`{title}` on `{host}` did not end within {time}; `--timeout` gives more"
        ))
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
