//! Clusters one after another: when to stop starting further ones, and what the run comes to.

use std::time::Duration;

use crate::engine::Interrupt;
use crate::event::{Ending, Kind};
use crate::exit::Exit;

/// What a run over several clusters came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// The endings of the clusters that were begun, in order.
    pub endings: Vec<Ending>,
    /// The clusters that were not begun.
    pub not_begun: Vec<String>,
    /// Why they were not.
    pub because: Option<NotBegun>,
}

/// Why no further cluster was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotBegun {
    /// More clusters failed than may.
    #[error("{failed} failed, {allowed} may")]
    Failures {
        /// Clusters that failed.
        failed: usize,
        /// `--max-failures`.
        allowed: usize,
    },
    /// An interrupt was asked for.
    #[error("interrupted")]
    Interrupted,
}

/// Works on `clusters` one after another until more than `max_failures` have failed or an interrupt comes.
///
/// A cluster that was interrupted has not failed, but nothing is begun after it.
pub async fn run<W, F>(
    clusters: &[String],
    max_failures: usize,
    interrupt: &Interrupt,
    mut work: W,
) -> Fleet
where
    W: FnMut(String) -> F,
    F: Future<Output = Ending>,
{
    let mut fleet = Fleet {
        endings: Vec::new(),
        not_begun: Vec::new(),
        because: None,
    };
    for (at, cluster) in clusters.iter().enumerate() {
        fleet.because = fleet.stops(max_failures, interrupt);
        if fleet.because.is_some() {
            fleet.not_begun = clusters[at..].to_vec();
            break;
        }
        fleet.endings.push(work(cluster.clone()).await);
    }
    fleet
}

impl Fleet {
    fn stops(&self, allowed: usize, interrupt: &Interrupt) -> Option<NotBegun> {
        let failed = self.endings.iter().filter(|e| is_failed(e.status)).count();
        if failed > allowed {
            return Some(NotBegun::Failures { failed, allowed });
        }
        let stopped = interrupt.is_raised()
            || self
                .endings
                .iter()
                .any(|e| e.status == Exit::Interrupted.code());
        stopped.then_some(NotBegun::Interrupted)
    }

    /// The exit status of the whole run: the worst of its clusters'.
    pub fn status(&self) -> u8 {
        let interrupted =
            (self.because == Some(NotBegun::Interrupted)).then_some(Exit::Interrupted.code());
        let all = self
            .endings
            .iter()
            .map(|ending| ending.status)
            .chain(interrupted);
        all.max_by_key(|status| severity(*status))
            .unwrap_or(Exit::Done.code())
    }

    /// The run in one line.
    pub fn summary(&self) -> String {
        if let ([only], []) = (self.endings.as_slice(), self.not_begun.as_slice()) {
            return format!("{}: {}", only.cluster, only.summary);
        }
        let done = self
            .endings
            .iter()
            .filter(|e| e.status == Exit::Done.code())
            .count();
        let all = self.endings.len() + self.not_begun.len();
        let mut text = format!("{done} of {all} clusters done");
        if let Some(because) = &self.because {
            text = format!(
                "{text}, not begun: {} ({because})",
                self.not_begun.join(", ")
            );
        }
        text
    }

    /// The last event of the run.
    pub fn ended(&self, took: Duration) -> Kind {
        Kind::Ended {
            status: self.status(),
            summary: self.summary(),
            clusters: self.endings.clone(),
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

fn is_failed(status: u8) -> bool {
    status != Exit::Done.code() && status != Exit::Interrupted.code()
}

/// How bad a status is: a bug first, then what needs a person, then what is safe, most changed first.
fn severity(status: u8) -> usize {
    const MILDEST_FIRST: [Exit; 8] = [
        Exit::Done,
        Exit::Interrupted,
        Exit::Usage,
        Exit::Locked,
        Exit::Refused,
        Exit::Unreachable,
        Exit::PutBack,
        Exit::NeedsPerson,
    ];
    let found = MILDEST_FIRST.iter().position(|exit| exit.code() == status);
    found.unwrap_or(MILDEST_FIRST.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(cluster: &str, status: u8) -> Ending {
        Ending {
            cluster: cluster.to_owned(),
            status,
            summary: "told".to_owned(),
            causes: Vec::new(),
            members: Vec::new(),
            changed: false,
            hint: String::new(),
            left: Vec::new(),
        }
    }

    async fn fleet(statuses: &[u8], max_failures: usize) -> Fleet {
        let names: Vec<String> = (0..statuses.len()).map(|n| n.to_string()).collect();
        let interrupt = Interrupt::new();
        run(&names, max_failures, &interrupt, |name| {
            let at: usize = name.parse().unwrap();
            std::future::ready(ending(&name, statuses[at]))
        })
        .await
    }

    #[tokio::test]
    async fn the_first_failure_stops_further_clusters_unless_more_may_fail() {
        let strict = fleet(&[0, 5, 0], 0).await;
        assert_eq!(strict.not_begun, ["2"]);
        assert_eq!(
            strict.summary(),
            "1 of 3 clusters done, not begun: 2 (1 failed, 0 may)"
        );
        let lenient = fleet(&[0, 5, 0], 1).await;
        assert_eq!(lenient.not_begun, Vec::<String>::new());
        assert_eq!(lenient.status(), 5);
    }

    #[tokio::test]
    async fn the_worst_status_is_that_of_the_run() {
        assert_eq!(fleet(&[0, 0], 0).await.status(), 0);
        assert_eq!(fleet(&[5, 6, 3], 9).await.status(), 6);
        assert_eq!(fleet(&[4, 3], 9).await.status(), 4);
        assert_eq!(fleet(&[6, 1], 9).await.status(), 1);
    }

    #[tokio::test]
    async fn an_interrupted_cluster_is_the_last_one() {
        let fleet = fleet(&[0, 130, 0], 3).await;
        assert_eq!(fleet.not_begun, ["2"]);
        assert_eq!(fleet.status(), 130);
    }
}
