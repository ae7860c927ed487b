//! Events in words, one small function a kind.

use std::time::Duration;

use super::board::Board;
use super::log;
use super::text::{bytes, count, duration, one_line};
use crate::event::{Ending, Kind};
use crate::plan::{Finding, Outcome, Plan, Severity, StepId};

/// Puts events into words.
#[derive(Clone, Copy)]
pub struct Phrases<'a> {
    /// What is known of the run, this event included.
    pub board: &'a Board,
    /// The number of `-v`.
    pub verbose: u8,
}

impl Phrases<'_> {
    /// The lines that an event is worth, without the time; none for what only matters with `-v`.
    pub fn of(self, kind: &Kind) -> Vec<String> {
        match kind {
            Kind::Plan {
                cluster,
                plan,
                findings,
                ..
            } => planned(cluster, plan.as_ref(), findings),
            Kind::StepStarted {
                cluster,
                host,
                step,
                what,
                undo,
            } => {
                vec![self.step(cluster, host, *step, &format!("{}{what}", undo_mark(*undo)))]
            }
            Kind::StepProgress {
                cluster,
                host,
                step,
                what,
                bytes,
            } => {
                vec![self.step(cluster, host, *step, &progress(what, *bytes))]
            }
            Kind::StepEnded {
                cluster,
                host,
                step,
                outcome,
                took_ms,
                undo,
            } => {
                let text = format!("{}{}", undo_mark(*undo), ended(outcome, *took_ms));
                vec![self.step(cluster, host, *step, &text)]
            }
            Kind::Guarded {
                cluster,
                host,
                step,
                refused,
            } => self.guarded(cluster, host, *step, refused.as_deref()),
            Kind::LogRead {
                cluster,
                host,
                hosts,
                ..
            } => {
                let told = log::told(host, hosts, self.verbose);
                let line = |text: String| one_line(&format!("{cluster}/{host}: log: {text}"));
                told.into_iter().map(line).collect()
            }
            Kind::UndoStarted {
                cluster,
                host,
                because,
            } => {
                vec![undo_started(cluster, host, because)]
            }
            Kind::Interrupted { times } => vec![interrupted(*times).to_owned()],
            Kind::ClusterEnded { ending } => vec![cluster_ended(ending)],
            Kind::Ended { .. } => Vec::new(),
        }
    }

    fn step(self, cluster: &str, host: &str, step: StepId, text: &str) -> String {
        let steps = self.board.cluster(cluster).map_or(0, |row| row.steps);
        let text = one_line(text);
        format!(
            "{}/{}: step {} of {steps}: {text}",
            one_line(cluster),
            one_line(host),
            step.0
        )
    }

    fn guarded(
        self,
        cluster: &str,
        host: &str,
        step: StepId,
        refused: Option<&str>,
    ) -> Vec<String> {
        match refused {
            Some(why) => vec![self.step(cluster, host, step, &format!("guard refused: {why}"))],
            None if self.verbose > 0 => vec![self.step(cluster, host, step, "guard passed")],
            None => Vec::new(),
        }
    }
}

fn undo_mark(undo: bool) -> &'static str {
    if undo { "undo: " } else { "" }
}

fn planned(cluster: &str, plan: Option<&Plan>, findings: &[Finding]) -> Vec<String> {
    let head = plan.map_or_else(
        || no_plan(findings).to_owned(),
        |plan| {
            let steps = count(
                plan.hops.first().map_or(0, |hop| hop.steps().count()),
                "step",
            );
            let hops = if plan.hops.len() > 1 {
                format!(
                    ", {} in the first of {}",
                    steps,
                    count(plan.hops.len(), "hop")
                )
            } else {
                format!(", {steps}")
            };
            format!("plan from {} to {}{hops}", plan.from, plan.to)
        },
    );
    let notes = findings.iter().map(|finding| {
        let severity = severity(finding.severity);
        format!(
            "{severity} {}: {}: {}",
            finding.code, finding.subject, finding.reason
        )
    });
    std::iter::once(head)
        .chain(notes)
        .map(|text| format!("{}: {}", one_line(cluster), one_line(&text)))
        .collect()
}

fn no_plan(findings: &[Finding]) -> &'static str {
    let blocked = findings
        .iter()
        .any(|finding| finding.severity == Severity::Block);
    if blocked {
        "no plan, a finding blocks"
    } else {
        "nothing to do"
    }
}

/// The severity in one word.
pub fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Block => "block",
        Severity::Acknowledge => "acknowledge",
        Severity::Warn => "warn",
        Severity::Note => "note",
    }
}

fn progress(what: &str, transfer: Option<(u64, u64)>) -> String {
    match transfer {
        Some((done, all)) => format!("{what}: {} of {}", bytes(done), bytes(all)),
        None => what.to_owned(),
    }
}

fn ended(outcome: &Outcome, took_ms: u64) -> String {
    let time = duration(Duration::from_millis(took_ms));
    match outcome {
        Outcome::Changed { what } if what.is_empty() => format!("done after {time}"),
        Outcome::Changed { what } => format!("done after {time}: {what}"),
        Outcome::Unchanged { why } => format!("ok after {time}: {why}"),
        Outcome::Failed { causes } => format!("failed after {time}: {}", causes.join(": ")),
        Outcome::NotRun { because } => format!("not run: {because}"),
    }
}

fn undo_started(cluster: &str, host: &str, because: &[String]) -> String {
    let why = because.join(": ");
    let why = if why.is_empty() {
        why
    } else {
        format!(" because {why}")
    };
    one_line(&format!("{cluster}/{host}: is put back{why}"))
}

fn interrupted(times: u32) -> &'static str {
    if times == 1 {
        "interrupted: the member in hand is finished, then the run stops; once more to abandon waiting"
    } else {
        "interrupted again: waiting is abandoned"
    }
}

fn cluster_ended(ending: &Ending) -> String {
    one_line(&format!("{}: {}", ending.cluster, ending.summary))
}
