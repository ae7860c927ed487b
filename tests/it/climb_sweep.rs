//! The fault sweep of the hops that need more than a switch: keys written, raft snapshots forced, files copied.

use runner::plan::Plan;

use crate::climb::{barriers, rig};
use crate::engine_rig::Rig;
use crate::sim::traps::Log;
use crate::sim::{Fault, inventory};
use crate::sweeping::{cases, on_all_cores, paused};

/// The hops of [`barriers`], and two around 3.0 that a key is written for and whose data is of API 2.
fn hops() -> Vec<(&'static str, &'static str, Option<Log>)> {
    let barriers = barriers().into_iter();
    barriers
        .map(|(from, to, log)| (from, to, Some(log)))
        .chain([("2.3.8", "3.0.17", None), ("3.0.17", "3.1.20", None)])
        .collect()
}

fn fresh(from: &str, to: &str, log: Option<&Log>) -> Rig {
    let rig = rig(from, to);
    if let Some(log) = log {
        let mut state = rig.sim.state();
        state
            .hosts
            .values_mut()
            .for_each(|host| host.raft = log.clone());
    }
    rig
}

/// The plans that are carried out here.
pub fn swept() -> Vec<Plan> {
    let hops = hops();
    hops.iter()
        .map(|(from, to, log)| fresh(from, to, log.as_ref()).plan())
        .collect()
}

fn has_more_than_a_switch(plan: &Plan) -> bool {
    let text = serde_json::to_string(plan).expect("plans are data");
    ["write_key", "force_snapshot", "take_v2_backup"]
        .iter()
        .any(|action| text.contains(&format!("\"do\":\"{action}\"")))
}

/// Every command fails, in one of the eight ways in turn.
#[test]
fn whatever_fails_on_a_hop_with_remedies_the_next_upgrade_gets_home() {
    for (from, to, log) in hops() {
        let commands = paused(async {
            let mut rig = fresh(from, to, log.as_ref());
            assert!(has_more_than_a_switch(&rig.plan()), "{from} to {to}");
            let ending = rig.upgrade().await;
            assert_eq!(ending.status, 0, "{from} to {to}: {ending:?}");
            rig.sim.ran().len()
        });
        on_all_cores(&cases(commands, 8), |(at, fault)| {
            paused(case((from, to, log.as_ref()), *at, *fault));
        });
    }
}

async fn case((from, to, log): (&str, &str, Option<&Log>), at: usize, fault: Fault) {
    let context = format!("{from} to {to}, {fault:?} at command {at}");
    let mut rig = fresh(from, to, log);
    rig.sim.fail_at(&[(at, fault)]);
    let sim = rig.sim.clone();
    let ending = tokio::select! {
        ending = rig.upgrade_or_else(&context) => Some(ending),
        () = sim.killed() => None,
    };
    assert_eq!(
        rig.sim.state().violations,
        Vec::<String>::new(),
        "{context}"
    );
    if let Some(ending) = ending {
        assert!(
            [0, 3, 4, 5, 6].contains(&ending.status),
            "{context}: {ending:?}"
        );
    }
    rig.sim.mend();
    let again = rig.upgrade_or_else(&context).await;
    assert_eq!(again.status, 0, "{context}: the next upgrade: {again:?}");
    let state = rig.sim.state();
    assert_eq!(state.violations, Vec::<String>::new(), "{context}");
    assert_eq!(inventory::at(&state, &rig.to).len(), 3, "{context}");
}
