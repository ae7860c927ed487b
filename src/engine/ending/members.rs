//! Every member's state from a look at the cluster, and from its unit where a member is silent.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use crate::engine::act::OBSERVE;
use crate::engine::act::unit::{self, Unit};
use crate::engine::{End, Engine, Ledger, Repair};
use crate::etcd::MemberId;
use crate::event::MemberState;
use crate::facts::observe::{observe, observe_host};
use crate::facts::{Answer, MemberView};
use crate::inventory::{Cluster, Host};
use crate::plan::{Kind, MemberRef, Plan};

/// The most that looking at a member's unit may take.
pub(super) const LOOK: Duration = Duration::from_secs(10);

/// How often a member that does not seem well is looked at.
pub(super) const LOOKS: u32 = 3;

/// The time between two of these looks.
pub(super) const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// Every member's state, and whether all are well. Silent ones are told by their unit.
pub(crate) async fn members(
    engine: &Engine,
    cluster: &Cluster,
    plan: &Plan,
    ledger: &Ledger,
    end: &End,
) -> (Vec<MemberState>, bool) {
    let put_back = |host: &str| match end {
        End::Failed(stop) if matches!(stop.repair, Repair::PutBack) => {
            stop.host == host || plan.kind == Kind::Restore
        }
        _ => false,
    };
    let seen = match (end, ledger.seen()) {
        (End::Done, Some(seen)) => seen,
        _ => observe(engine.transport.as_ref(), cluster, OBSERVE).await,
    };
    let states = cluster.hosts.iter().map(|host| {
        let put_back = put_back(&host.name);
        member(
            engine,
            host,
            plan,
            seen.hosts.get(&host.name).cloned(),
            put_back,
        )
    });
    let states = join_all(states).await;
    let all_well = states.iter().all(|(_, well)| *well);
    (
        states.into_iter().map(|(state, _)| state).collect(),
        all_well,
    )
}

async fn member(
    engine: &Engine,
    host: &Host,
    plan: &Plan,
    answer: Option<Answer>,
    put_back: bool,
) -> (MemberState, bool) {
    let (view, state, well) = state(engine, host, answer, put_back).await;
    let planned = planned_member(plan, &host.name);
    let state = MemberState {
        host: host.name.clone(),
        member: planned.map_or(host.member.clone(), |member| member.name.clone()),
        id: view.or(planned
            .map(|member| member.id)
            .filter(|id| *id != MemberId::UNKNOWN)),
        state,
    };
    (state, well)
}

/// Looks again, a few times, at a member that does not seem well although its unit runs: one lost answer must not
/// become a wrong last word.
async fn state(
    engine: &Engine,
    host: &Host,
    answer: Option<Answer>,
    put_back: bool,
) -> (Option<MemberId>, String, bool) {
    let mut answer = answer.unwrap_or_default();
    let mut looks = 1;
    loop {
        let (id, state, well, last) = if let Some(view) = answer.view() {
            let well = view.health.is_ok();
            let (id, state) = (Some(view.id), speaks(view, put_back));
            (id, state, well || view.learner, well)
        } else {
            let (state, is_down) = silent(engine, host).await;
            (None, state, false, is_down)
        };
        if last || looks == LOOKS {
            return (id, state, well);
        }
        looks += 1;
        sleep(BETWEEN_LOOKS).await;
        answer = observe_host(engine.transport.as_ref(), host, OBSERVE).await;
    }
}

fn planned_member<'a>(plan: &'a Plan, host: &str) -> Option<&'a MemberRef> {
    let lanes = plan
        .hops
        .iter()
        .flat_map(|hop| &hop.waves)
        .flat_map(|wave| &wave.lanes);
    lanes
        .into_iter()
        .find(|lane| lane.host == host)
        .map(|lane| &lane.member)
}

fn speaks(view: &MemberView, put_back: bool) -> String {
    let verb = if put_back { "was put back on" } else { "runs" };
    let runs = format!("{verb} {}", view.version);
    match &view.health {
        Ok(()) => format!("{runs} and is healthy"),
        Err(_) if view.learner => format!("{runs} as a learner"),
        Err(why) => format!("{runs} and is not healthy: {why}"),
    }
}

/// The state of a member that does not answer, and whether there is no use in asking again.
async fn silent(engine: &Engine, host: &Host) -> (String, bool) {
    let look = unit::look(LOOK, &host.unit, &host.bin_dir);
    let began = Instant::now();
    match engine.transport.run(&host.name, look).await {
        // A host that cannot be reached for so long is no lost answer, and whoever waits for the last word waits for this.
        Err(unreachable) => (
            format!("is unknown: {unreachable}"),
            began.elapsed() >= LOOK,
        ),
        Ok(output) if !output.is_success() => {
            let status = output.status;
            let said = format!(
                "is unknown: `{}` ended with status {status}",
                unit::LOOK_TITLE
            );
            (said, false)
        }
        Ok(output) => {
            let unit = Unit::parse(&output.text());
            (stopped(&unit, host), unit.is_down())
        }
    }
}

fn stopped(unit: &Unit, host: &Host) -> String {
    let state = match (unit.active.as_str(), unit.is_down()) {
        ("inactive", true) => format!("is stopped, exit status {}", unit.status),
        (_, true) => format!("is down, {}", unit.words(&host.unit, &host.name)),
        _ => format!("does not answer, {}", unit.words(&host.unit, &host.name)),
    };
    if unit.installed.is_empty() {
        return state;
    }
    format!("{state}; `{}` is installed", unit.installed)
}
