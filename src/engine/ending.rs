//! How a cluster's part of a run ended: its status, and every member's state from a fresh look.

use std::time::Duration;

use super::lock::{LOCKED_HINT, UNLOCKABLE_HINT};
use super::{End, Engine, Failure, Ledger, Repair, Stop, wait, whole};
use crate::event::Ending;
use crate::exit::Exit;
use crate::inventory::Cluster;
use crate::journal::JournalError;
use crate::plan::{Action, Hop, Kind, Plan};

mod fallen;
mod members;
mod onwards;

use fallen::fallen;
pub(crate) use members::members;
use onwards::onwards;

/// How long a cluster may take to be well again after a member was put back, or after a failure elsewhere.
const RECOVER: Duration = Duration::from_secs(60);

/// Looks at the cluster and tells how the run ended for it.
pub(crate) async fn tell(
    engine: &Engine,
    cluster: &Cluster,
    plan: &Plan,
    ledger: &Ledger,
    end: End,
) -> Ending {
    let healthy = match &end {
        End::Done | End::Interrupted | End::Held(_) => true,
        End::Failed(stop) => is_well(engine, cluster, stop).await,
    };
    let (mut members, all_well) = members(engine, cluster, plan, ledger, &end).await;
    let fallen = match &end {
        End::Done if ledger.is_disrupted() => fallen(engine, cluster, ledger, &mut members).await,
        _ => None,
    };
    let healthy = healthy && all_well && fallen.is_none();
    let mut ending = Ending {
        cluster: cluster.name.clone(),
        status: status(&end, ledger, healthy).code(),
        summary: String::new(),
        causes: Vec::new(),
        members,
        changed: ledger.is_changed(),
        hint: String::new(),
        left: ledger.left(),
    };
    match &end {
        End::Done => {
            ending.summary = done(plan, cluster);
            if ending.status != Exit::Done.code() {
                fallen::tell(&mut ending, fallen.unwrap_or_default());
            }
        }
        End::Interrupted => {
            interrupted(
                &mut ending,
                plan,
                "interrupted, stopped at a safe point".to_owned(),
            );
        }
        End::Held(because) => {
            interrupted(
                &mut ending,
                plan,
                format!("stopped at a safe point: {because}"),
            );
        }
        End::Failed(stop) => {
            failed(&mut ending, plan, stop, healthy);
            if matches!(stop.repair, Repair::TooLate(_)) {
                ending.hint = onwards(stop, plan, ledger);
            }
            if engine.locks.is_armed(&stop.host) {
                ending.hint = rescued(&stop.host, &ending.hint);
            }
        }
    }
    ending
}

/// The ending of a plan that breaks an invariant; nothing was done.
pub(crate) fn unsound(cluster: &Cluster, broken: &[String]) -> Ending {
    Ending {
        cluster: cluster.name.clone(),
        status: Exit::Bug.code(),
        summary: "the plan breaks its own rules, nothing was done".to_owned(),
        causes: broken.to_vec(),
        members: Vec::new(),
        changed: false,
        hint: "this is a bug in runner; please report it with the journal".to_owned(),
        left: Vec::new(),
    }
}

/// The ending of a run that did not get its locks; nothing was done.
pub(crate) async fn not_begun(
    engine: &Engine,
    cluster: &Cluster,
    plan: &Plan,
    failure: &Failure,
) -> Ending {
    let (status, hint) = match failure {
        Failure::Locked(_) => (Exit::Locked, LOCKED_HINT.to_owned()),
        Failure::Unreachable(unreachable) => (Exit::Unreachable, unreachable.hint.clone()),
        Failure::Abandoned => (Exit::Interrupted, String::new()),
        Failure::Refused(_) => (Exit::Refused, "run the same command again".to_owned()),
        _ => (Exit::Refused, UNLOCKABLE_HINT.to_owned()),
    };
    let mut causes = failure.causes();
    let first = causes.remove(0);
    let ledger = Ledger::default();
    let (members, _) = members(engine, cluster, plan, &ledger, &End::Interrupted).await;
    Ending {
        cluster: cluster.name.clone(),
        status: status.code(),
        summary: format!("not begun: {first}"),
        causes,
        members,
        changed: false,
        hint,
        left: Vec::new(),
    }
}

/// Adds that the ending itself is not in the journal.
pub(crate) fn unrecorded(ending: &mut Ending, error: &JournalError) {
    let told = error.to_string();
    if !ending.causes.contains(&told) && !ending.summary.contains(&told) {
        ending.causes.push(told);
    }
}

async fn is_well(engine: &Engine, cluster: &Cluster, stop: &Stop) -> bool {
    if matches!(stop.failure, Failure::Abandoned) {
        return false;
    }
    let most = match stop.repair {
        Repair::PutBack => RECOVER,
        Repair::NotNeeded | Repair::Left | Repair::TooLate(_) | Repair::Failed(_) => {
            Duration::from_secs(5)
        }
    };
    matches!(wait::cluster_well(engine, cluster, most).await, Ok(None))
}

fn status(end: &End, ledger: &Ledger, healthy: bool) -> Exit {
    let stop = match end {
        // A backup does not depend on every member's health; what has stopped members does.
        End::Done if healthy || !ledger.is_disrupted() => return Exit::Done,
        End::Done => return Exit::NeedsPerson,
        End::Interrupted | End::Held(_) => return Exit::Interrupted,
        End::Failed(stop) => stop,
    };
    match (&stop.failure, &stop.repair) {
        (Failure::Abandoned, Repair::NotNeeded) => Exit::Interrupted,
        (Failure::Abandoned, _) => Exit::NeedsPerson,
        // No member was touched: what was staged or backed up before is told by `changed` and `left`.
        (Failure::Locked(_), Repair::NotNeeded) if healthy || !ledger.is_disrupted() => {
            Exit::Locked
        }
        (Failure::Refused(_), Repair::NotNeeded) if !ledger.is_disrupted() => Exit::Refused,
        (Failure::Unreachable(_), Repair::NotNeeded) if !ledger.is_disrupted() => Exit::Unreachable,
        (_, Repair::NotNeeded | Repair::PutBack) if healthy => Exit::PutBack,
        _ => Exit::NeedsPerson,
    }
}

fn done(plan: &Plan, cluster: &Cluster) -> String {
    if plan.kind == Kind::Backup {
        return format!("a backup at {} was taken and verified", plan.from);
    }
    let to = plan.hops.first().map_or(&plan.to, |hop| &hop.to);
    if plan.kind == Kind::Restore {
        let members = cluster.hosts.len();
        return format!("the cluster is restored: {members} of {members} members run {to}");
    }
    let steps = || plan.hops.iter().take(1).flat_map(Hop::steps);
    let worked_on = steps().filter(|(_, step)| step.disruptive).count();
    let whole = steps().any(|(_, step)| matches!(step.action, Action::AwaitClusterVersion { .. }));
    match cluster.hosts.len() {
        n if !whole => format!("{worked_on} of {n} members were taken to {to}"),
        1 => format!("the only member runs {to}"),
        n => format!("all {n} members run {to}"),
    }
}

fn interrupted(ending: &mut Ending, plan: &Plan, summary: String) {
    ending.summary = summary;
    ending.hint = match plan.kind {
        Kind::Restore => format!("run the same command again to restore `{}`", ending.cluster),
        _ => format!(
            "run the same command again to take cluster `{}` to {}",
            ending.cluster, plan.to
        ),
    };
}

fn failed(ending: &mut Ending, plan: &Plan, stop: &Stop, healthy: bool) {
    let mut causes = stop.failure.causes();
    let first = if causes.is_empty() {
        String::new()
    } else {
        causes.remove(0)
    };
    let verb = match stop.failure {
        Failure::Refused(_) => "was refused",
        Failure::Abandoned => "was abandoned",
        _ => "failed",
    };
    ending.summary = format!(
        "step {} of {} {verb} on `{}`: {first}",
        stop.step.0,
        plan.step_count(),
        stop.host
    );
    ending.causes = causes;
    if let Repair::Failed(more) | Repair::TooLate(more) = &stop.repair {
        ending.causes.extend(more.iter().cloned());
    }
    ending.hint = hint(ending, stop, healthy, plan);
}

fn rescued(host: &str, hint: &str) -> String {
    format!("if its member is down, `{host}` brings it up within a minute\n{hint}")
}

fn hint(ending: &Ending, stop: &Stop, healthy: bool, plan: &Plan) -> String {
    if let Failure::Unreachable(unreachable) = &stop.failure
        && !unreachable.hint.is_empty()
    {
        return unreachable.hint.clone();
    }
    if matches!(stop.failure, Failure::Locked(_)) {
        return LOCKED_HINT.to_owned();
    }
    if plan.kind == Kind::Restore {
        return whole::hint(stop, healthy);
    }
    if healthy {
        return format!(
            "mend the cause, then run the same command again to reach {}",
            plan.to
        );
    }
    let unwell = fallen::unwell(ending).map(|member| format!("`{}`", member.host));
    let mut unwell: Vec<String> = unwell.collect();
    if unwell.is_empty() {
        unwell.push(format!("`{}`", stop.host));
    }
    format!(
        "see to {} first: `runner status` shows the members; then run the same command again to reach {}",
        unwell.join(", "),
        plan.to
    )
}
