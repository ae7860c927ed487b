//! What holds for every plan, whoever made it; the engine asks before it starts.

use std::collections::BTreeSet;

use super::{Action, Hop, Kind, Lane, Plan, Purpose, Step, StepId, Undo};

mod downgrade;
mod rebuild;

/// Checks a plan.
///
/// * No wave has two lanes with a disruptive step, and no host two lanes in a wave.
/// * A disruptive step is followed by a settle in its lane, and can be undone.
/// * A backup is taken before the first disruptive step.
/// * A release is staged on a host before it is switched to there.
/// * Step numbers increase from 1; the point of no return is the last start, and behind it is nothing but waiting.
/// * A release that is passed is never lower than the one before; in a rollback or a downgrade never higher, unless
///   etcd's own downgrade is given up with it.
/// * etcd is told of a downgrade before a member is stopped, and told to forget it when the last has started.
/// * A restore stops all members, and has rules of its own in the place of the first three.
///
/// # Errors
/// Every invariant that does not hold, in words.
pub fn lint(plan: &Plan) -> Result<(), Vec<String>> {
    let mut wrong = numbers(plan);
    wrong.extend(directions(plan));
    for hop in &plan.hops {
        wrong.extend(hosts(hop));
        if plan.kind == Kind::Restore {
            wrong.extend(rebuild::restore(hop));
        } else {
            wrong.extend(waves(hop));
            wrong.extend(lanes(hop));
            wrong.extend(backup(hop));
        }
        wrong.extend(downgrade::told(hop));
        wrong.extend(staged(hop));
        wrong.extend(no_return(hop));
        wrong.extend(pending(hop));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

fn numbers(plan: &Plan) -> Vec<String> {
    let steps = plan.hops.iter().flat_map(Hop::steps);
    let mut last = StepId(0);
    let mut wrong = Vec::new();
    for (_, step) in steps {
        if step.id <= last {
            wrong.push(format!("step {} comes after step {}", step.id.0, last.0));
        }
        last = step.id;
    }
    wrong
}

fn directions(plan: &Plan) -> Vec<String> {
    let wrong = |hop: &&Hop| match plan.kind {
        Kind::Upgrade | Kind::Backup => hop.to < hop.from,
        Kind::Rollback => hop.from < hop.to && !downgrade::is_given_up(hop),
        Kind::Downgrade => hop.from < hop.to,
        Kind::Restore => false,
    };
    let way = match plan.kind {
        Kind::Upgrade | Kind::Backup => "down",
        Kind::Rollback | Kind::Downgrade => "up",
        Kind::Restore => "astray",
    };
    plan.hops
        .iter()
        .filter(wrong)
        .map(|hop| format!("the hop from {} to {} leads {way}", hop.from, hop.to))
        .collect()
}

fn waves(hop: &Hop) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, wave) in (1..).zip(&hop.waves) {
        let disruptive = wave.lanes.iter().filter(|lane| is_disruptive(lane)).count();
        if disruptive > 1 {
            wrong.push(format!(
                "wave {number} has {disruptive} lanes with a disruptive step"
            ));
        }
    }
    wrong
}

fn hosts(hop: &Hop) -> Vec<String> {
    let doubled = (1..).zip(&hop.waves).filter(|(_, wave)| {
        let hosts: BTreeSet<&str> = wave.lanes.iter().map(|lane| lane.host.as_str()).collect();
        hosts.len() != wave.lanes.len()
    });
    doubled
        .map(|(number, _)| format!("wave {number} has two lanes on one host"))
        .collect()
}

fn lanes(hop: &Hop) -> Vec<String> {
    let mut wrong = Vec::new();
    for lane in hop.waves.iter().flat_map(|wave| &wave.lanes) {
        for (at, step) in lane.steps.iter().enumerate() {
            wrong.extend(disruptive(lane, at, step));
        }
    }
    wrong
}

fn disruptive(lane: &Lane, at: usize, step: &Step) -> Vec<String> {
    let stops = matches!(step.action, Action::StopUnit { .. });
    let mut wrong = Vec::new();
    if stops && !step.disruptive {
        wrong.push(format!(
            "step {} stops a member and is not marked disruptive",
            step.id.0
        ));
    }
    if !step.disruptive {
        return wrong;
    }
    let behind = &lane.steps[at + 1..];
    let settles = behind
        .iter()
        .any(|later| matches!(later.action, Action::Settle { .. }));
    if !settles {
        wrong.push(format!(
            "no settle follows step {} on {}",
            step.id.0, lane.host
        ));
    }
    if matches!(step.undo, Undo::Nothing) {
        wrong.push(format!(
            "step {} on {} is disruptive and has no undo",
            step.id.0, lane.host
        ));
    }
    wrong
}

/// The files of a member that is stopped are its backup as well, as long as nothing was switched or started.
fn backup(hop: &Hop) -> Option<String> {
    let first = |wanted: fn(&Step) -> bool| hop.steps().position(|(_, step)| wanted(step));
    let disruptive = first(|step| step.disruptive)?;
    let running = first(|step| {
        matches!(
            step.action,
            Action::TakeBackup { .. } | Action::TakeV2Backup { stopped: false, .. }
        )
    });
    let stopped = first(|step| matches!(step.action, Action::TakeV2Backup { stopped: true, .. }));
    let touched = first(|step| {
        matches!(
            step.action,
            Action::SwitchRelease { .. } | Action::WriteFile { .. } | Action::StartUnit { .. }
        )
    });
    let before = |backup: Option<usize>, act: usize| backup.is_some_and(|backup| backup < act);
    let saved = before(running, disruptive) || before(stopped, touched.unwrap_or(usize::MAX));
    (!saved).then(|| {
        format!(
            "the hop to {} stops a member before a backup is taken",
            hop.to
        )
    })
}

fn staged(hop: &Hop) -> Vec<String> {
    let mut there = BTreeSet::new();
    let mut wrong = Vec::new();
    for (lane, step) in hop.steps() {
        match &step.action {
            Action::StageRelease { version, .. } | Action::KeepRelease { version, .. } => {
                there.insert((&lane.host, version));
            }
            Action::SwitchRelease { version, .. } if !there.contains(&(&lane.host, version)) => {
                wrong.push(format!(
                    "step {} switches {} to {version}, which is not staged",
                    step.id.0, lane.host
                ));
            }
            _ => {}
        }
    }
    wrong
}

/// What comes behind the point of no return must not stop another member of the old release.
fn no_return(hop: &Hop) -> Option<String> {
    let point = hop.point_of_no_return?;
    let member_waves = hop
        .waves
        .iter()
        .filter(|wave| wave.purpose == Purpose::Member);
    let last_stop = member_waves
        .flat_map(|wave| &wave.lanes)
        .flat_map(|lane| &lane.steps)
        .filter(|step| matches!(step.action, Action::StartUnit { .. }))
        .map(|step| step.id)
        .next_back();
    (last_stop != Some(point)).then(|| {
        format!(
            "the point of no return is step {}, and a member starts later",
            point.0
        )
    })
}

/// Nothing may be open at the point of no return: what comes behind it only waits, or writes a key of our own.
fn pending(hop: &Hop) -> Option<String> {
    let point = hop.point_of_no_return?;
    let waits = |action: &Action| {
        matches!(
            action,
            Action::Settle { .. } | Action::AwaitClusterVersion { .. } | Action::WriteKey { .. }
        )
    };
    let mut behind = hop.steps().filter(|(_, step)| step.id > point);
    let (lane, step) = behind.find(|(_, step)| !waits(&step.action))?;
    Some(format!(
        "step {} on {} is open behind the point of no return, step {}",
        step.id.0, lane.host, point.0
    ))
}

/// Tells whether the member that leads is worked on last.
///
/// Who leads is no part of a plan, so that this invariant needs the name from outside.
///
/// # Errors
/// The host that comes after the leader's.
pub fn leader_last(plan: &Plan, leader: crate::etcd::MemberId) -> Result<(), String> {
    for hop in &plan.hops {
        let lanes = hop
            .waves
            .iter()
            .filter(|wave| wave.purpose == Purpose::Member)
            .flat_map(|wave| &wave.lanes);
        let mut after = lanes.skip_while(|lane| lane.member.id != leader).skip(1);
        if let Some(lane) = after.next() {
            return Err(format!("{} comes after the leader", lane.host));
        }
    }
    Ok(())
}

fn is_disruptive(lane: &Lane) -> bool {
    lane.steps.iter().any(|step| step.disruptive)
}
