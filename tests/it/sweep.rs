//! The fault sweep: an upgrade with every kind of fault at every command, and what must hold whatever happens.
//!
//! The real planner plans each run, the next one too, from a fresh look at what the fault left. `RUNNER_SWEEP=all`
//! takes every case with five members as well and many more random ones; without it a sample by a seed that is
//! printed. `RUNNER_SEED` repeats a sample.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use runner::event::Ending;
use runner::plan::Plan;

use crate::chance::Chance;
use crate::engine_rig::{Rig, new, old};
use crate::sim::model::{Host, State};
use crate::sim::{FAULTS, Fault, inventory};
use crate::sweeping::{cases, chance, is_exhaustive, on_all_cores, paused, pick};

/// The plan that is carried out here.
pub fn swept() -> Plan {
    Rig::forgetful(3).plan()
}

type Faults = Vec<(usize, Fault)>;

/// What is upgraded.
#[derive(Clone, Copy, Debug)]
struct Cluster {
    members: usize,
    /// Whether links from here are slow, and hosts give to each other.
    slow: bool,
}

impl Cluster {
    fn of(members: usize) -> Self {
        let slow = false;
        Self { members, slow }
    }

    fn rig(self) -> Rig {
        let rig = Rig::forgetful(self.members);
        rig.sim.state().slow = self.slow;
        rig
    }
}

/// How many cases with five members a sample has.
const SAMPLE: usize = 400;

#[test]
fn whatever_fails_with_one_member_the_cluster_is_safe_and_a_second_upgrade_succeeds() {
    run_all(Cluster::of(1), &every_case(1));
}

#[test]
fn whatever_fails_with_three_members_the_cluster_is_safe_and_a_second_upgrade_succeeds() {
    run_all(Cluster::of(3), &every_case(3));
}

/// Every case with `RUNNER_SWEEP=all`.
#[test]
fn whatever_fails_with_five_members_the_cluster_is_safe_and_a_second_upgrade_succeeds() {
    let mut cases = every_case(5);
    if !is_exhaustive() {
        let mut chance = chance("five members");
        let sample = (0..SAMPLE).map(|_| pick(&mut chance, &cases).clone());
        cases = sample.collect();
    }
    run_all(Cluster::of(5), &cases);
}

#[test]
fn whatever_fails_where_hosts_give_a_release_to_each_other_it_arrives_or_is_sent() {
    let given = Cluster {
        members: 3,
        slow: true,
    };
    let commands = paused(commands_of_a_clean_run(given));
    let each = cases(commands, 4).into_iter();
    let cases: Vec<Vec<Faults>> = each.map(|case| vec![vec![case]]).collect();
    run_all(given, &cases);
}

/// Two faults strike the first upgrade, two more the second; the third one gets home.
#[test]
fn whatever_two_faults_a_run_come_together_the_cluster_is_safe_and_the_next_upgrade_succeeds() {
    let mut chance = chance("two faults a run");
    let each = if is_exhaustive() { 4000 } else { 120 };
    for members in [1, 3, 5] {
        let cluster = Cluster::of(members);
        let commands = paused(commands_of_a_clean_run(cluster));
        let mut two = || -> Faults {
            let one = |chance: &mut Chance| (chance.below(commands), *pick(chance, &FAULTS));
            vec![one(&mut chance), one(&mut chance)]
        };
        let cases: Vec<_> = (0..each).map(|_| vec![two(), two()]).collect();
        run_all(cluster, &cases);
    }
}

/// Every kind of fault at every command.
fn every_case(members: usize) -> Vec<Vec<Faults>> {
    let commands = paused(commands_of_a_clean_run(Cluster::of(members)));
    assert!(
        commands > 20 * members,
        "only {commands} commands: is it still an upgrade?"
    );
    let each = cases(commands, 1).into_iter();
    each.map(|case| vec![vec![case]]).collect()
}

/// Runs cases. A case is the faults of each run until the last one, which has none.
fn run_all(cluster: Cluster, cases: &[Vec<Faults>]) {
    on_all_cores(cases, |runs| paused(case(cluster, runs)));
}

async fn case(cluster: Cluster, runs: &[Faults]) {
    let mut rig = cluster.rig();
    let context = format!("{cluster:?}, {runs:?}");
    for faults in runs {
        strike(&mut rig, faults, &context).await;
        rig.sim.mend();
    }
    let ending = rig.upgrade().await;
    assert_eq!(ending.status, 0, "{context}: the last upgrade: {ending:?}");
    let state = rig.sim.state();
    assert_eq!(state.violations, Vec::<String>::new(), "{context}");
    assert_eq!(
        inventory::at(&state, &new()).len(),
        state.hosts.len(),
        "{context}: {ending:?}"
    );
}

async fn commands_of_a_clean_run(cluster: Cluster) -> usize {
    let mut rig = cluster.rig();
    let members = cluster.members;
    let leader = rig.sim.state().leader.unwrap();
    let leader = rig.sim.state().name_of(leader).to_owned();
    let ending = rig.upgrade().await;
    assert_eq!(ending.status, 0, "{ending:?}");
    let state = rig.sim.state();
    assert_eq!(state.violations, Vec::<String>::new());
    assert_eq!(inventory::at(&state, &new()).len(), members);
    assert_eq!(state.stops.len(), members);
    assert_eq!(state.stops.last(), Some(&leader), "the leader goes last");
    drop(state);
    rig.sim.ran().len()
}

async fn strike(rig: &mut Rig, faults: &Faults, context: &str) {
    let before = on_disk(&rig.sim.state());
    let rescued = rig.sim.state().rescued;
    rig.sim.state().stops.clear();
    rig.sim.fail_at(faults);
    let sim = rig.sim.clone();
    let ending = tokio::select! {
        ending = rig.upgrade_or_else(context) => Some(ending),
        () = sim.killed() => None,
    };
    let state = rig.sim.state();
    assert_eq!(state.violations, Vec::<String>::new(), "{context}");
    if let Some(ending) = ending {
        status_is_true(&ending, &state, context);
        told_is_true(&ending, &state, context);
        // What a host puts back for a run that was killed before is none of this run's doing.
        if !ending.changed && state.rescued == rescued {
            assert_eq!(on_disk(&state), before, "{context}: told as unchanged");
        }
    }
}

fn on_disk(state: &State) -> Vec<String> {
    state.hosts.values().map(Host::on_disk).collect()
}

fn status_is_true(ending: &Ending, state: &State, context: &str) {
    let healthy = state
        .hosts
        .keys()
        .all(|name| state.healthy(name) && !state.hosts[name].is_gone());
    let all = state.hosts.len();
    match ending.status {
        0 => assert_eq!(
            inventory::at(state, &new()).len(),
            all,
            "{context}: {ending:?}"
        ),
        3 | 4 => assert_eq!(state.stops, Vec::<String>::new(), "{context}: {ending:?}"),
        5 => assert!(healthy, "{context}: {ending:?}"),
        6 => {}
        other => panic!("{context}: status {other}: {ending:?}"),
    }
}

/// The `changed:` line against the model.
fn told_is_true(ending: &Ending, state: &State, context: &str) {
    if ending.members.is_empty() {
        assert!(
            !ending.changed && ending.status == 0,
            "{context}: {ending:?}"
        );
        return;
    }
    assert_eq!(ending.members.len(), state.hosts.len(), "{context}");
    for told in &ending.members {
        let host = &state.hosts[&told.host];
        let expected = match host.answers() {
            _ if host.is_gone() => vec!["is unknown: ".to_owned()],
            Some(version) if state.healthy(&told.host) => vec![
                format!("runs {version} and is healthy"),
                format!("was put back on {version} and is healthy"),
            ],
            Some(version) => vec![format!("runs {version} and is not healthy")],
            None => vec![
                "is stopped".to_owned(),
                "is down".to_owned(),
                "does not answer".to_owned(),
            ],
        };
        let matches = expected.iter().any(|words| told.state.starts_with(words));
        assert!(
            matches,
            "{context}: told {told:?}, is {expected:?}; {ending:?}"
        );
        let put_back = told.state.starts_with("was put back");
        assert!(
            !put_back || host.answers() == Some(&old()),
            "{context}: {told:?}"
        );
    }
}
