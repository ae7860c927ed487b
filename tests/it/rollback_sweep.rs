//! The fault sweep of a rollback: every kind of fault at every command, and what must hold whatever happens.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;

use runner::etcd::Version;
use runner::etcd::catalogue::Catalogue;
use runner::event::Ending;
use runner::facts::Arch;
use runner::inventory::{Cluster, TemplateSource};
use runner::plan::path::Available;
use runner::plan::rollback::{self, Past};
use runner::plan::upgrade::{self, Releases, Request};
use runner::plan::{OnFailure, Plan, Planned, Purpose};

use crate::engine_rig::{Rig, new, old};
use crate::sim::facts::facts;
use crate::sim::inventory::UNIT_FILE;
use crate::sim::model::State;
use crate::sim::{Fault, inventory};
use crate::sweeping::{cases, on_all_cores, paused};

#[test]
/// Every command fails, in four of the eight ways in turn; the next one has all of them.
fn whatever_fails_after_the_first_of_three_the_next_rollback_gets_home() {
    sweep(3, 1, 2);
}

#[test]
fn whatever_fails_after_the_second_of_three_the_next_rollback_gets_home() {
    sweep(3, 2, 1);
}

/// Every command fails, in one of the eight ways in turn.
#[test]
fn whatever_fails_after_the_fourth_of_five_the_next_rollback_gets_home() {
    sweep(5, 4, 8);
}

#[tokio::test(start_paused = true)]
async fn after_a_rollback_the_upgrade_gets_to_its_end() {
    let mut rig = mixed(3, 2).await;
    let taken = back(&mut rig).await.unwrap();
    assert_eq!(taken.status, 0, "{taken:?}");
    assert_eq!(taken.summary, "all 3 members run 3.4.23");
    assert_eq!(rig.upgrade().await.status, 0);
    assert_eq!(inventory::at(&rig.sim.state(), &new()).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_somebody_else_left_mixed_is_finished_by_an_upgrade_too() {
    let mut rig = mixed(3, 1).await;
    assert_eq!(rig.upgrade().await.status, 0);
    assert_eq!(inventory::at(&rig.sim.state(), &new()).len(), 3);
    assert!(plan(&rig).plan.is_none());
}

/// The plan that is carried out here.
pub async fn swept() -> Plan {
    plan(&mixed(3, 2).await).plan.unwrap()
}

/// A cluster whose upgrade ended after that many members.
async fn mixed(members: usize, done: usize) -> Rig {
    let mut rig = Rig::forgetful(members);
    for at in 1..=members {
        let mut state = rig.sim.state();
        let files = &mut state.host(&format!("etcd-{at}")).files;
        files.insert(UNIT_FILE.into(), unit_text(&old()));
    }
    let mut plan = asked(&rig, upgrade::plan).plan.unwrap();
    let mut left = done;
    plan.hops[0].point_of_no_return = None;
    plan.hops[0].waves.retain(|wave| match wave.purpose {
        Purpose::Member if left > 0 => {
            left -= 1;
            true
        }
        Purpose::Member | Purpose::Rebuild | Purpose::Finish => false,
        Purpose::Stage | Purpose::Backup | Purpose::Prepare => true,
    });
    let ending = rig.execute(&plan).await;
    assert_eq!(ending.status, 0, "{ending:?}");
    assert_eq!(inventory::at(&rig.sim.state(), &new()).len(), done);
    rig.sim.state().stops.clear();
    rig
}

/// The text of the unit file that goes with a release.
fn unit_text(version: &Version) -> String {
    format!("[Service]\nExecStart=/usr/local/bin/etcd # {version}\n")
}

/// The simulated cluster as the inventory has it; its template tells the release.
fn cluster(members: usize) -> Cluster {
    let mut cluster = inventory::cluster(members);
    for host in &mut cluster.hosts {
        host.templates.unit = Some(TemplateSource {
            path: "unit.j2".into(),
            text: "[Service]\nExecStart={{ bin_dir }}/etcd # {{ version }}\n".to_owned(),
        });
    }
    cluster
}

/// What a planner makes of the simulation; releases that hosts have not kept are to be had only where they are new.
fn asked(rig: &Rig, planner: impl FnOnce(&Request) -> Planned) -> Planned {
    let state = rig.sim.state();
    let (facts, cluster) = (facts(&state), cluster(state.hosts.len()));
    let chosen: BTreeSet<String> = state.hosts.keys().cloned().collect();
    let files = inventory::release(&new());
    let releases = Releases::from([((new(), Arch::Amd64), files)]);
    let run = format!("20261120T1301{:02}Z-4f2a", state.verified);
    planner(&Request {
        cluster: &cluster,
        chosen: &chosen,
        facts: &facts,
        target: &new(),
        available: &Available::Any,
        releases: &releases,
        rules: Catalogue::embedded(),
        on_failure: OnFailure::Undo,
        settle_least_s: 0,
        step_timeout_s: None,
        resume: true,
        run_id: &run,
    })
}

/// What the planner itself makes of the simulation.
fn plan(rig: &Rig) -> Planned {
    asked(rig, |request| {
        let target = rollback::release(request.cluster, request.facts).unwrap();
        let request = Request { target, ..*request };
        rollback::plan(&request, &Past::default())
    })
}

/// Takes the cluster back; `None` if nothing is to be done.
async fn back(rig: &mut Rig) -> Option<Ending> {
    let planned = plan(rig);
    let blocks =
        |finding: &&runner::plan::Finding| finding.severity == runner::plan::Severity::Block;
    let block = planned.findings.iter().find(blocks);
    assert_eq!(block, None, "a finding blocks");
    Some(rig.execute(&planned.plan?).await)
}

fn sweep(members: usize, done: usize, stride: usize) {
    let commands = paused(commands_of_a_clean_run(members, done));
    assert!(
        commands > 15 * done,
        "only {commands} commands: is it still a rollback?"
    );
    on_all_cores(&cases(commands, stride), |(at, fault)| {
        paused(case(members, done, *at, *fault));
    });
}

async fn commands_of_a_clean_run(members: usize, done: usize) -> usize {
    let mut rig = mixed(members, done).await;
    let leads = {
        let state = rig.sim.state();
        state.name_of(state.leader.unwrap()).to_owned()
    };
    let leads_new = rig.sim.state().hosts[&leads].answers() == Some(&new());
    rig.sim.mend();
    let ending = back(&mut rig).await.unwrap();
    assert_eq!(ending.status, 0, "{ending:?}");
    let state = rig.sim.state();
    holds(&state, "a clean run");
    assert_eq!(state.stops.len(), done);
    if leads_new {
        assert_eq!(state.stops.last(), Some(&leads), "the leader goes last");
    }
    drop(state);
    rig.sim.ran().len()
}

/// All members are on the old release with its unit, and no rule was broken.
fn holds(state: &State, context: &str) {
    assert_eq!(state.violations, Vec::<String>::new(), "{context}");
    assert_eq!(
        inventory::at(state, &old()).len(),
        state.hosts.len(),
        "{context}"
    );
    for (name, host) in &state.hosts {
        let text = host.files.get(UNIT_FILE);
        assert_eq!(text, Some(&unit_text(&old())), "{context}: {name}");
        assert_eq!(host.installed(), Some(&old()), "{context}: {name}");
        assert!(!host.bin.contains_key("etcdutl"), "{context}: {name}");
    }
}

async fn case(members: usize, done: usize, at: usize, fault: Fault) {
    let context = format!("{done} of {members} members, {fault:?} at command {at}");
    let mut rig = mixed(members, done).await;
    rig.sim.mend();
    rig.sim.fail_at(&[(at, fault)]);
    let sim = rig.sim.clone();
    let ending = tokio::select! {
        ending = back(&mut rig) => ending,
        () = sim.killed() => None,
    };
    {
        let state = rig.sim.state();
        assert_eq!(state.violations, Vec::<String>::new(), "{context}");
        if let Some(ending) = &ending {
            is_true(ending, &state, &context);
        }
    }
    rig.sim.mend();
    // As the command does, which looks only once no host is about to act by itself.
    rig.sim.rescued().await;
    if let Some(again) = back(&mut rig).await {
        assert_eq!(again.status, 0, "{context}: the second rollback: {again:?}");
    }
    holds(&rig.sim.state(), &context);
}

fn is_true(ending: &Ending, state: &State, context: &str) {
    let mut names = state.hosts.keys();
    let healthy = names.all(|name| state.healthy(name) && !state.hosts[name].is_gone());
    match ending.status {
        0 => holds(state, context),
        3 | 4 => assert_eq!(state.stops, Vec::<String>::new(), "{context}: {ending:?}"),
        5 => assert!(healthy, "{context}: {ending:?}"),
        6 => {}
        other => panic!("{context}: status {other}: {ending:?}"),
    }
}
