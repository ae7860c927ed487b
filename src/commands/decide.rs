//! Deciding: from facts to a plan and the verified releases that it needs. Changes nothing on hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Instant;

use super::look::{LockUse, Looked, Undecided, facts_of, look_with_lock};
use super::session::Session;
use super::shelf::Shelf;
pub(super) use super::shelf::fetch;
use super::telling::Telling;
use crate::cli::{Care, Target};
use crate::engine::lock::{LOCKED_HINT, Taken};
use crate::error::{Failure, Problem, Result};
use crate::etcd::Version;
use crate::etcd::catalogue::Catalogue;
use crate::exit::Exit;
use crate::facts::Observation;
use crate::inventory::Selected;
use crate::plan::upgrade::{self, Binary, Releases, Request};
use crate::plan::{Finding, Planned, Severity};
use crate::releases::{Release, ReleaseError};
use crate::report::text::count;

/// What to reach, and how carefully.
#[derive(Clone, Debug)]
pub struct Goal {
    /// Flags of the command line.
    pub target: Target,
    /// Codes that may not refuse the run.
    pub acknowledged: BTreeSet<String>,
    /// What to do about the lock of each cluster.
    pub lock: LockUse,
}

/// A plan, or why there is none, and what carrying it out needs.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The release to reach.
    pub target: Version,
    /// What planning came to.
    pub planned: Planned,
    /// Binaries of the first hop's releases on this machine, by SHA-256.
    pub binaries: BTreeMap<String, PathBuf>,
    /// The lock that another run holds.
    pub taken: Option<Taken>,
    /// When the hosts were asked.
    pub looked: Instant,
    /// What their members said.
    pub seen: Observation,
    /// Whether the lock was held from then on.
    pub is_locked: bool,
}

impl Goal {
    /// From the command line.
    pub fn new(target: &Target) -> Self {
        Self {
            acknowledged: target.care.acknowledge.iter().cloned().collect(),
            target: target.clone(),
            lock: LockUse::See,
        }
    }

    /// A release, in spite of these findings.
    pub fn to(release: Option<Version>, acknowledge: &[String]) -> Self {
        Self::new(&Target {
            to: release,
            care: Care {
                acknowledge: acknowledge.to_vec(),
                ..Care::default()
            },
            ..Target::default()
        })
    }

    /// A way back, which takes up whatever an interrupted run has left.
    pub fn back(care: &Care) -> Self {
        Self::new(&Target {
            care: care.clone(),
            resume: true,
            ..Target::default()
        })
    }

    /// The same, for a run that is going to change hosts.
    #[must_use]
    pub fn locking(self) -> Self {
        Self {
            lock: LockUse::Take,
            ..self
        }
    }

    /// The release that a cluster is to reach.
    ///
    /// # Errors
    /// Neither the command line nor the inventory says.
    pub fn release(&self, selected: &Selected) -> Result<Version> {
        let wanted = self
            .target
            .to
            .as_ref()
            .or(selected.cluster.version.as_ref());
        wanted.cloned().ok_or_else(|| {
            let what = format!(
                "no version to reach for cluster `{}`",
                selected.cluster.name
            );
            let hint = "pass `--to VERSION` or set the cluster's `version` in the inventory";
            Failure::new(Exit::Usage, Problem::new(what).hint(hint))
        })
    }
}

/// Looks at a cluster and plans its way to `target`; tells the plan.
///
/// # Errors
/// A host cannot be asked, a release cannot be had, or an interrupt.
pub async fn decide(
    session: &Session<'_>,
    telling: &Telling<'_>,
    selected: &Selected,
    goal: &Goal,
    target: &Version,
) -> Result<Decision> {
    let versions = std::slice::from_ref(target);
    let (cluster, shelf) = (&selected.cluster, Shelf::default());
    let (seen, ()) = tokio::join!(
        look_with_lock(session, cluster, versions, goal.lock),
        shelf.warm(session, &cluster.releases, target),
    );
    match draft(session, &shelf, selected, goal, target, seen?).await {
        Ok(decision) => {
            telling.plan(&selected.cluster.name, &decision.planned)?;
            Ok(decision)
        }
        Err(undecided) => {
            if undecided.failure.exit != Exit::Interrupted {
                telling.no_plan(&selected.cluster.name, undecided.findings)?;
            }
            Err(*undecided.failure)
        }
    }
}

/// Plans a cluster's way to `target` from what its hosts answered; tells nothing.
///
/// # Errors
/// A host could not be asked, a release cannot be had, or an interrupt.
pub async fn draft(
    session: &Session<'_>,
    shelf: &Shelf,
    selected: &Selected,
    goal: &Goal,
    target: &Version,
    seen: Looked,
) -> Result<Decision, Undecided> {
    let facts = facts_of(&selected.cluster, seen.answers)?;
    let prepared = shelf.prepare(session, selected, &facts, target).await?;
    let (available, found) = prepared.map_err(|error| unusable(target, &error))?;
    let mut planned = upgrade::plan(&Request {
        cluster: &selected.cluster,
        chosen: &selected.chosen,
        facts: &facts,
        target,
        available: &available,
        releases: &binaries(&found),
        rules: Catalogue::embedded(),
        on_failure: goal.target.care.on_failure.into(),
        settle_least_s: goal.target.care.settle.map_or(0, |least| least.as_secs()),
        step_timeout_s: session
            .context
            .global
            .timeout
            .map(|most| most.as_secs().max(1)),
        resume: goal.target.resume,
        run_id: &session.context.run,
    });
    planned
        .findings
        .extend(seen.taken.as_ref().map(in_progress));
    Ok(Decision {
        target: target.clone(),
        planned,
        binaries: paths(&found),
        taken: seen.taken,
        looked: seen.since,
        seen: facts.observation(),
        is_locked: seen.is_locked,
    })
}

/// Another run that holds the lock, as a finding.
pub fn in_progress(taken: &Taken) -> Finding {
    Finding::warn("RUN_IN_PROGRESS", &taken.host, taken.to_string()).hint(LOCKED_HINT)
}

pub(super) fn binaries(found: &[Release]) -> Releases {
    let all = found.iter().map(|release| {
        let files = release.binaries.iter().map(|(name, binary)| {
            let binary = Binary {
                sha256: binary.sha256.clone(),
                bytes: binary.bytes,
            };
            (name.clone(), binary)
        });
        ((release.version.clone(), release.arch), files.collect())
    });
    all.collect()
}

pub(super) fn paths(found: &[Release]) -> BTreeMap<String, PathBuf> {
    let all = found.iter().flat_map(|release| release.binaries.values());
    all.map(|binary| (binary.sha256.clone(), binary.path.clone()))
        .collect()
}

/// Tells that a release cannot be had, and says so.
pub(super) fn no_release(
    telling: &Telling,
    selected: &Selected,
    target: &Version,
    error: &ReleaseError,
) -> Failure {
    let undecided = unusable(target, error);
    match telling.no_plan(&selected.cluster.name, undecided.findings) {
        Ok(()) => *undecided.failure,
        Err(failure) => failure,
    }
}

fn unusable(target: &Version, error: &ReleaseError) -> Undecided {
    let problem = Problem::of(error).hint(error.hint());
    let reason = std::iter::once(problem.what.clone()).chain(problem.because.clone());
    let reason = reason.collect::<Vec<_>>().join(": ");
    Undecided {
        findings: vec![Finding::block(
            "RELEASE_UNUSABLE",
            target.to_string(),
            reason,
        )],
        failure: Box::new(Failure::new(Exit::Refused, problem)),
    }
}

/// Says why findings refuse the run, if they do.
///
/// # Errors
/// They do: a block, or something that is not acknowledged.
pub fn accepted(cluster: &str, planned: &Planned, goal: &Goal) -> Result<()> {
    let refusing: Vec<&Finding> = planned
        .findings
        .iter()
        .filter(|finding| finding.refuses(&goal.acknowledged))
        .collect();
    if refusing.is_empty() {
        return Ok(());
    }
    let findings = count(refusing.len(), "finding");
    let mut problem = Problem::new(format!(
        "cluster `{cluster}`: the preflight refuses, {findings}"
    ));
    for finding in &refusing {
        problem = problem.because(format!(
            "{} {}: {}",
            finding.code, finding.subject, finding.reason
        ));
    }
    Err(Failure::new(
        Exit::Refused,
        problem.hint(way_out(&refusing)),
    ))
}

/// What to do about findings: their own hints, and the flags for those that may be waved through.
fn way_out(refusing: &[&Finding]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for finding in refusing.iter().filter(|finding| !finding.hint.is_empty()) {
        if !lines.contains(&finding.hint) {
            lines.push(finding.hint.clone());
        }
    }
    let open = refusing
        .iter()
        .filter(|finding| finding.severity == Severity::Acknowledge);
    let codes: BTreeSet<&str> = open.map(|finding| finding.code.as_str()).collect();
    if !codes.is_empty() {
        let flags: Vec<String> = codes
            .iter()
            .map(|code| format!("--acknowledge {code}"))
            .collect();
        lines.push(format!("if that is meant, pass `{}`", flags.join(" ")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Severity;

    #[test]
    fn a_release_that_is_not_there_is_a_finding_that_names_it_and_where_it_was_sought() {
        let error = ReleaseError::SourceMissing {
            path: "/mnt/releases".into(),
        };
        let undecided = unusable(&Version::new(3, 5, 16), &error);
        let found = &undecided.findings[0];
        assert_eq!(found.code, "RELEASE_UNUSABLE");
        assert_eq!(found.severity, Severity::Block);
        assert_eq!(found.subject, "3.5.16");
        assert!(found.reason.contains("/mnt/releases"), "{}", found.reason);
        assert_eq!(undecided.failure.exit, Exit::Refused);
    }
}
