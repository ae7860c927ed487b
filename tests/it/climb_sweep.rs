//! The fault sweep of the hops that need more than a switch: keys written or dropped, raft snapshots forced, files copied.

use runner::event::Ending;
use runner::facts::V2Keys;
use runner::plan::Plan;

use crate::climb::{barriers, rig, with_v2_keys};
use crate::engine_rig::Rig;
use crate::sim::model::{Host, State};
use crate::sim::traps::Log;
use crate::sim::{Fault, inventory};
use crate::sweeping::{cases, on_all_cores, paused};

/// A hop, and what makes it need more.
#[derive(Clone, Debug)]
struct Need {
    from: &'static str,
    to: &'static str,
    log: Option<Log>,
    keys: bool,
}

/// The hops of [`barriers`], one before which keys of API 2 are dropped, and two around 3.0 that a key is written for and
/// whose data is of API 2.
fn hops() -> Vec<Need> {
    let need = |from, to, log, keys| Need {
        from,
        to,
        log,
        keys,
    };
    let barriers = barriers().into_iter();
    barriers
        .map(|(from, to, log)| need(from, to, Some(log), false))
        .chain([
            need("3.5.33", "3.6.14", None, true),
            need("2.3.8", "3.0.17", None, false),
            need("3.0.17", "3.1.20", None, false),
        ])
        .collect()
}

fn fresh(need: &Need) -> Rig {
    let mut rig = rig(need.from, need.to);
    rig.acknowledged.insert("V2_GONE".to_owned());
    if let Some(log) = &need.log {
        let mut state = rig.sim.state();
        state
            .hosts
            .values_mut()
            .for_each(|host| host.raft = log.clone());
    }
    if need.keys {
        with_v2_keys(&rig);
    }
    // With the unit as the inventory makes it, no other step happens to let systemd read it.
    for host in rig.sim.state().hosts.values_mut() {
        let file = (inventory::UNIT_FILE.to_owned(), inventory::unit_text());
        host.files.extend([file]);
        host.reload();
    }
    rig
}

#[tokio::test(start_paused = true)]
async fn a_lowered_count_that_systemd_has_not_forgotten_yet_is_not_started_with() {
    let mut rig = fresh(&hops()[0]);
    for host in rig.sim.state().hosts.values_mut() {
        // Its raft snapshot is taken already, and the drop-in is taken away again.
        host.raft = Log::default();
        let lowered = "[Service]\nEnvironment=ETCD_SNAPSHOT_COUNT=10\n";
        host.loaded
            .insert(inventory::DROP_IN.to_owned(), lowered.to_owned());
    }
    assert_eq!(rig.upgrade().await.status, 0);
    is_home(&rig, &hops()[0], "after a run that was killed");
}

/// The plans that are carried out here.
pub fn swept() -> Vec<Plan> {
    hops().iter().map(|need| fresh(need).plan()).collect()
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
    for need in hops() {
        let commands = paused(async {
            let mut rig = fresh(&need);
            assert!(has_more_than_a_switch(&rig.plan()), "{need:?}");
            let ending = rig.upgrade().await;
            assert_eq!(ending.status, 0, "{need:?}: {ending:?}");
            is_home(&rig, &need, "a clean run");
            rig.sim.ran().len()
        });
        on_all_cores(&cases(commands, 8), |(at, fault)| {
            paused(case(&need, *at, *fault));
        });
    }
}

async fn case(need: &Need, at: usize, fault: Fault) {
    let context = format!(
        "{} to {}, {fault:?} at command {at}, keys of API 2: {}",
        need.from, need.to, need.keys
    );
    let mut rig = fresh(need);
    rig.sim.fail_at(&[(at, fault)]);
    let sim = rig.sim.clone();
    let ending = tokio::select! {
        ending = rig.upgrade_or_else(&context) => Some(ending),
        () = sim.killed() => None,
    };
    {
        let state = rig.sim.state();
        assert_eq!(state.violations, Vec::<String>::new(), "{context}");
        if let Some(ending) = &ending {
            is_true(ending, &state, need, &context);
        }
    }
    rig.sim.mend();
    let again = rig.upgrade_or_else(&context).await;
    assert_eq!(again.status, 0, "{context}: the next upgrade: {again:?}");
    is_home(&rig, need, &context);
}

fn has_no_keys(host: &Host) -> bool {
    host.v2_keys == V2Keys::Absent
}

/// Whoever has lost keys is told so, and where their copies are.
fn is_true(ending: &Ending, state: &State, need: &Need, context: &str) {
    let status = ending.status;
    assert!([0, 3, 4, 5, 6].contains(&status), "{context}: {ending:?}");
    if !need.keys || !state.hosts.values().any(has_no_keys) {
        return;
    }
    assert!(![3, 4].contains(&status), "{context}: {ending:?}");
    for (name, host) in &state.hosts {
        let told = |path: &String| {
            let copy = format!("{path} on {name}");
            ending.left.iter().any(|left| left.contains(&copy))
        };
        assert!(host.with_keys.iter().any(told), "{context}: {ending:?}");
    }
}

/// All members run the new release and start next time as they do by themselves, and no key of API 2 is lost: it is in
/// a copy of every member's store.
fn is_home(rig: &Rig, need: &Need, context: &str) {
    let state = rig.sim.state();
    assert_eq!(state.violations, Vec::<String>::new(), "{context}");
    assert_eq!(inventory::at(&state, &rig.to).len(), 3, "{context}");
    for (name, host) in &state.hosts {
        let lowered = host.files.contains_key(inventory::DROP_IN);
        assert!(!lowered, "{context}: a drop-in is left on {name}");
        assert!(!host.needs_reload(), "{context}: {name}");
        assert_eq!(
            need.keys,
            has_no_keys(host) && host.saves_keys(),
            "{context}: {name}"
        );
    }
}
