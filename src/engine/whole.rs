//! A plan that works on all members as one, a restore: its undo is that of the whole hop.
//!
//! A lane that fails there puts nothing back by itself: some members on the old data and some on the new would be two
//! clusters. So all lanes of the wave come to their end first; then what has begun is undone wave by wave, newest
//! first, the lanes of a wave side by side. A lane whose undo fails is left as it is from there on, the others go on:
//! with a quorum of the old members the cluster is there again.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures_util::future::join_all;

use super::act::{Task, Turn};
use super::lane::{act, started};
use super::undo::UNDO_LEAST;
use super::{End, Engine, Failure, Ledger, Repair, Stop, is_undone};
use crate::event::Kind as Event;
use crate::inventory::Cluster;
use crate::plan::{Hop, Kind, Lane, Plan, Purpose, Step, StepId, Undo, Wave};

/// A hop in execution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Works<'a> {
    pub engine: &'a Engine,
    pub cluster: &'a Cluster,
    pub plan: &'a Plan,
    pub hop: &'a Hop,
    pub ledger: &'a Ledger,
}

/// Whether a plan works on all members as one.
pub(super) fn is(plan: &Plan) -> bool {
    plan.kind == Kind::Restore
}

/// Whether an interrupt has to wait until the hop is done or undone: members of such a plan are stopped.
pub(super) fn goes_on(plan: &Plan, ledger: &Ledger) -> bool {
    is(plan) && ledger.is_disrupted()
}

/// Does what the end of a wave before its time asks for.
pub(super) async fn ended(works: &Works<'_>, wave: &Wave, end: End) -> End {
    match end {
        End::Failed(stop) => End::Failed(repaired(works, wave, stop).await),
        End::Interrupted | End::Held(_) => cleared(works, end).await,
        End::Done => End::Done,
    }
}

/// Undoes the hop after a failure in `wave`, if the plan says so and the cluster was not proven yet.
async fn repaired(works: &Works<'_>, wave: &Wave, mut stop: Stop) -> Stop {
    stop.repair = if !is_undone(works.plan, &stop.failure) || wave.purpose == Purpose::Finish {
        Repair::Left
    } else {
        let begun = works.ledger.begun(&stop.failure, stop.step);
        undo(works, &begun, &stop.host, stop.failure.causes()).await
    };
    stop
}

/// Stops at a safe point: no member was stopped yet, and what was prepared goes away.
async fn cleared(works: &Works<'_>, end: End) -> End {
    let begun = works.ledger.all_begun();
    let because = vec!["interrupted".to_owned()];
    let host = works
        .cluster
        .hosts
        .first()
        .map_or("", |host| host.name.as_str());
    match undo(works, &begun, host, because).await {
        Repair::Failed(causes) => End::Failed(Stop {
            host: host.to_owned(),
            step: begun.last().copied().unwrap_or(StepId(0)),
            failure: Failure::Failed(causes),
            repair: Repair::NotNeeded,
        }),
        _ => end,
    }
}

async fn undo(
    works: &Works<'_>,
    begun: &BTreeSet<StepId>,
    host: &str,
    because: Vec<String>,
) -> Repair {
    let due = |lane: &Lane| {
        lane.steps
            .iter()
            .any(|step| begun.contains(&step.id) && has_undo(step))
    };
    if !works.hop.waves.iter().flat_map(|wave| &wave.lanes).any(due) {
        return Repair::NotNeeded;
    }
    let event = Event::UndoStarted {
        cluster: works.cluster.name.clone(),
        host: host.to_owned(),
        because,
    };
    if let Err(error) = works.engine.recorder.record(event) {
        return Repair::Failed(Failure::Journal(error).causes());
    }
    let (mut broken, mut causes) = (BTreeSet::new(), Vec::new());
    for wave in works.hop.waves.iter().rev() {
        let lanes = wave
            .lanes
            .iter()
            .filter(|lane| !broken.contains(&lane.host));
        let undone = lanes.map(|lane| async move { (lane, undo_lane(works, lane, begun).await) });
        for (lane, result) in join_all(undone.collect::<Vec<_>>()).await {
            if let Err(why) = result {
                broken.insert(lane.host.clone());
                causes.extend(why);
            }
        }
    }
    match (causes.is_empty(), works.ledger.is_disrupted()) {
        (false, _) => Repair::Failed(causes),
        (true, true) => Repair::PutBack,
        (true, false) => Repair::NotNeeded,
    }
}

fn has_undo(step: &Step) -> bool {
    matches!(&step.undo, Undo::Actions(actions) if !actions.is_empty())
}

/// Undoes what a lane has begun, newest first.
async fn undo_lane(
    works: &Works<'_>,
    lane: &Lane,
    begun: &BTreeSet<StepId>,
) -> Result<(), Vec<String>> {
    let Some(host) = works.cluster.host(&lane.host) else {
        return Ok(());
    };
    let turn = Turn {
        engine: works.engine,
        cluster: works.cluster,
        plan: works.plan,
        hop: works.hop,
        lane,
        host,
        ledger: works.ledger,
        disrupted: AtomicBool::new(works.ledger.is_disrupted()),
        lost: AtomicBool::new(false),
    };
    let steps = lane.steps.iter().rev();
    for step in steps.filter(|step| begun.contains(&step.id)) {
        undo_step(&turn, step).await.map_err(|failure| {
            let what = format!("step {} on `{}` could not be undone", step.id.0, lane.host);
            std::iter::once(what)
                .chain(failure.causes())
                .collect::<Vec<_>>()
        })?;
    }
    Ok(())
}

async fn undo_step(turn: &Turn<'_>, step: &Step) -> Result<(), Failure> {
    let actions = match &step.undo {
        Undo::Actions(actions) => actions,
        Undo::Nothing => return Ok(()),
        Undo::Impossible(reason) => return Err(Failure::because(reason.clone())),
    };
    let time = Duration::from_secs(step.deadline_s).max(UNDO_LEAST);
    for action in actions {
        started(turn, step.id, action, true)?;
        act(&Task::new(turn, step.id, time), action, true).await?;
    }
    Ok(())
}

/// What to do after a restore that failed.
pub(super) fn hint(stop: &Stop, healthy: bool) -> String {
    match (&stop.repair, healthy) {
        (Repair::NotNeeded | Repair::PutBack, true) => {
            "mend the cause, then run the same command again: all members have their data of before".to_owned()
        }
        (Repair::NotNeeded | Repair::PutBack, false) => {
            "the members are as they were, and that is not well: mend the cause, then run the same command again"
                .to_owned()
        }
        _ => "no data were deleted: those of before are where `left` says, as `member.before-…` in the data folder; \
              mend the cause, then run the same command again to restore, or stop all members and move these back"
            .to_owned(),
    }
}
