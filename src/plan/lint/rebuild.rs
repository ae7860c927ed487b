//! What holds for a restore, which stops all members at once: see [`crate::plan::restore`] for why it may.

use std::collections::BTreeSet;

use crate::plan::{Action, Hop, Lane, Purpose, Rebuild, Step, Undo};

/// * Members are stopped only in waves that work on all as one, and only once data are prepared: no backup is
///   brought and no data are made behind the first stop.
/// * Every member that is stopped settles behind that, and the keys are proven behind the last settle.
/// * Data are exchanged on every host, behind its stop and before any start, and can be put back.
/// * Every stop has an undo.
pub(super) fn restore(hop: &Hop) -> Vec<String> {
    let mut wrong = as_one(hop);
    wrong.extend(prepared(hop));
    wrong.extend(exchanged(hop));
    wrong.extend(settled(hop));
    wrong
}

fn as_one(hop: &Hop) -> Vec<String> {
    let elsewhere = hop
        .waves
        .iter()
        .filter(|wave| wave.purpose != Purpose::Rebuild);
    let steps = elsewhere
        .flat_map(|wave| &wave.lanes)
        .flat_map(|lane| &lane.steps);
    let touches = |step: &&Step| {
        step.disruptive
            || matches!(
                step.action,
                Action::Rebuild(Rebuild::Exchange { .. }) | Action::StartUnit { .. }
            )
    };
    steps
        .filter(touches)
        .map(|step| {
            format!(
                "step {} works on a member before all are worked on as one",
                step.id.0
            )
        })
        .collect()
}

fn prepared(hop: &Hop) -> Vec<String> {
    let makes = |step: &Step| {
        matches!(
            step.action,
            Action::Rebuild(
                Rebuild::Place { .. } | Rebuild::Prepare { .. } | Rebuild::Compose { .. }
            )
        )
    };
    let first = hop
        .steps()
        .find(|(_, step)| step.disruptive)
        .map(|(_, step)| step.id);
    let late = |step: &Step| makes(step) && first.is_some_and(|first| step.id > first);
    let mut wrong: Vec<String> = hop
        .steps()
        .filter(|(_, step)| late(step))
        .map(|(_, step)| format!("step {} prepares data behind the first stop", step.id.0))
        .collect();
    if !hop.steps().any(|(_, step)| makes(step)) {
        wrong.push("no data are prepared".to_owned());
    }
    wrong
}

fn exchanged(hop: &Hop) -> Vec<String> {
    let stopped: BTreeSet<&str> = hosts(hop, |step| step.disruptive);
    let is_exchange =
        |step: &Step| matches!(step.action, Action::Rebuild(Rebuild::Exchange { .. }));
    let exchanged: BTreeSet<&str> = hosts(hop, is_exchange);
    let started = hop
        .steps()
        .find(|(_, step)| matches!(step.action, Action::StartUnit { .. }));
    let mut wrong: Vec<String> = stopped
        .symmetric_difference(&exchanged)
        .map(|host| {
            format!("{host} is stopped and its data are not exchanged, or the other way round")
        })
        .collect();
    for (lane, step) in hop.steps().filter(|(_, step)| is_exchange(step)) {
        if started.is_some_and(|(_, start)| step.id > start.id) {
            wrong.push(format!("step {} exchanges data behind a start", step.id.0));
        }
        if !matches!(&step.undo, Undo::Actions(undo) if !undo.is_empty()) {
            wrong.push(format!(
                "step {} on {} cannot be undone",
                step.id.0, lane.host
            ));
        }
        let stops = |other: &(&Lane, &Step)| {
            other.0.host == lane.host && other.1.disruptive && other.1.id < step.id
        };
        if !hop.steps().any(|other| stops(&other)) {
            wrong.push(format!(
                "step {} exchanges the data of a running member",
                step.id.0
            ));
        }
    }
    wrong
}

fn settled(hop: &Hop) -> Vec<String> {
    let settles = |step: &Step| {
        matches!(
            step.action,
            Action::Settle { .. } | Action::Rebuild(Rebuild::SettleAmong { .. })
        )
    };
    let mut wrong = Vec::new();
    for (lane, step) in hop.steps().filter(|(_, step)| step.disruptive) {
        let behind = |other: &(&Lane, &Step)| {
            other.0.host == lane.host && other.1.id > step.id && settles(other.1)
        };
        if !hop.steps().any(|other| behind(&other)) {
            wrong.push(format!(
                "no settle follows step {} on {}",
                step.id.0, lane.host
            ));
        }
        if !matches!(step.undo, Undo::Actions(_)) {
            wrong.push(format!(
                "step {} on {} is disruptive and has no undo",
                step.id.0, lane.host
            ));
        }
    }
    let last = hop.steps().filter(|(_, step)| settles(step)).last();
    let proof = hop
        .steps()
        .find(|(_, step)| matches!(step.action, Action::Rebuild(Rebuild::Prove { .. })));
    if proof.is_none_or(|(_, proof)| last.is_some_and(|(_, last)| last.id > proof.id)) {
        wrong.push("the keys are not proven behind the last settle".to_owned());
    }
    wrong
}

fn hosts(hop: &Hop, wanted: impl Fn(&Step) -> bool) -> BTreeSet<&str> {
    let steps = hop.steps().filter(|(_, step)| wanted(step));
    steps.map(|(lane, _)| lane.host.as_str()).collect()
}
