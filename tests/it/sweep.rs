//! The fault sweep: an upgrade with every kind of fault at every command, and what must hold whatever happens.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use runner::event::Ending;

use crate::engine_rig::{Rig, new, old};
use crate::sim::model::{Host, State};
use crate::sim::{FAULTS, Fault, plans};

#[test]
fn whatever_fails_with_one_member_the_cluster_is_safe_and_a_second_upgrade_succeeds() {
    sweep(1, 1);
}

#[test]
fn whatever_fails_with_three_members_the_cluster_is_safe_and_a_second_upgrade_succeeds() {
    sweep(3, 1);
}

/// Every command fails, in two of the eight ways in turn; the next one has all of them.
#[test]
fn whatever_fails_with_five_members_the_cluster_is_safe_and_a_second_upgrade_succeeds() {
    sweep(5, 4);
}

#[test]
#[ignore = "takes a minute; to be run by hand after changes to the engine"]
fn whatever_fails_in_whatever_way_with_five_members_the_same_holds() {
    sweep(5, 1);
}

/// Strikes every command with each `stride`th kind of fault, on all cores.
fn sweep(members: usize, stride: usize) {
    let commands = paused(commands_of_a_clean_run(members));
    assert!(
        commands > 20 * members,
        "only {commands} commands: is it still an upgrade?"
    );
    let kinds =
        |at: usize| (0..FAULTS.len()).filter(move |kind| (at + kind).is_multiple_of(stride));
    let cases: Vec<(usize, Fault)> = (0..commands)
        .flat_map(|at| kinds(at).map(move |kind| (at, FAULTS[kind])))
        .collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for part in cases.chunks(cases.len().div_ceil(threads)) {
            scope.spawn(move || {
                for (at, fault) in part {
                    paused(case(members, *at, *fault));
                }
            });
        }
    });
}

fn paused<T>(work: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(work)
}

async fn case(members: usize, at: usize, fault: Fault) {
    let mut rig = Rig::new(members);
    let context = format!("{members} members, {fault:?} at command {at}");
    strike(&mut rig, at, fault, &context).await;
    recover(&mut rig, &context).await;
}

async fn commands_of_a_clean_run(members: usize) -> usize {
    let mut rig = Rig::new(members);
    let leader = rig.sim.state().leader.unwrap();
    let leader = rig.sim.state().name_of(leader).to_owned();
    let ending = rig.upgrade().await;
    assert_eq!(ending.status, 0, "{ending:?}");
    let state = rig.sim.state();
    assert_eq!(state.violations, Vec::<String>::new());
    assert_eq!(plans::at(&state, &new()).len(), members);
    assert_eq!(state.stops.len(), members);
    assert_eq!(state.stops.last(), Some(&leader), "the leader goes last");
    drop(state);
    rig.sim.ran().len()
}

async fn strike(rig: &mut Rig, at: usize, fault: Fault, context: &str) {
    let before = on_disk(&rig.sim.state());
    rig.sim.fail_at(at, fault);
    let sim = rig.sim.clone();
    let ending = tokio::select! {
        ending = rig.upgrade() => Some(ending),
        () = sim.killed() => None,
    };
    let state = rig.sim.state();
    assert_eq!(state.violations, Vec::<String>::new(), "{context}");
    if let Some(ending) = ending {
        status_is_true(&ending, &state, context);
        told_is_true(&ending, &state, context);
        if !ending.changed {
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
        0 => assert_eq!(plans::at(state, &new()).len(), all, "{context}: {ending:?}"),
        3 | 4 => assert_eq!(state.stops, Vec::<String>::new(), "{context}: {ending:?}"),
        5 => assert!(healthy, "{context}: {ending:?}"),
        6 => {}
        other => panic!("{context}: status {other}: {ending:?}"),
    }
}

/// The `changed:` line against the model.
fn told_is_true(ending: &Ending, state: &State, context: &str) {
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

/// A cluster that does not answer at all cannot be backed up, so no plan begins there: a person starts the unit.
fn start_the_only_member(rig: &Rig) {
    let mut state = rig.sim.state();
    if state.hosts.len() > 1 || state.hosts["etcd-1"].serves() {
        return;
    }
    if state.hosts["etcd-1"].process.is_none() {
        state.start("etcd-1");
    }
    let process = state.host("etcd-1").process.as_mut().unwrap();
    process.started -= std::time::Duration::from_secs(60);
}

async fn recover(rig: &mut Rig, context: &str) {
    rig.sim.mend();
    start_the_only_member(rig);
    let ending = rig.upgrade().await;
    assert_eq!(
        ending.status, 0,
        "{context}: the second upgrade: {ending:?}"
    );
    let state = rig.sim.state();
    assert_eq!(state.violations, Vec::<String>::new(), "{context}");
    assert_eq!(
        plans::at(&state, &new()).len(),
        state.hosts.len(),
        "{context}"
    );
}
