//! The fault sweep of a restore: every kind of fault at every command, and what must hold whatever happens.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;

use runner::engine::act::backup::hex;
use runner::engine::act::rebuild;
use runner::etcd::catalogue::Catalogue;
use runner::etcd::{Member, MemberId};
use runner::event::Ending;
use runner::plan::path::Available;
use runner::plan::restore::{self, Backup, File, Past, Source};
use runner::plan::upgrade::{Releases, Request};
use runner::plan::{OnFailure, Plan, Severity, lint};
use sha2::{Digest, Sha256};

use crate::climb::with_v2_keys;
use crate::engine_rig::{Rig, new, old};
use crate::sim::eras;
use crate::sim::facts::facts;
use crate::sim::model::{Behaviour, Host, State};
use crate::sim::restore::ORIGINAL;
use crate::sim::{Fault, inventory};
use crate::sweeping::{cases, on_all_cores, paused};

/// What is restored: a snapshot that all members begin from, or with it a copy of the v2 store, from which one begins and
/// the others join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keys {
    OfApi3,
    OfBoth,
}

/// Every command fails, in four of the eight ways in turn.
#[test]
fn whatever_fails_in_a_restore_of_three_all_are_on_one_side_and_the_next_gets_home() {
    sweep(Keys::OfApi3, 3, 2);
}

#[test]
fn whatever_fails_in_a_restore_of_one_the_next_gets_home() {
    sweep(Keys::OfApi3, 1, 1);
}

/// Every command fails, in one of the eight ways in turn.
#[test]
fn whatever_fails_in_a_restore_of_five_all_are_on_one_side_and_the_next_gets_home() {
    sweep(Keys::OfApi3, 5, 8);
}

/// Every command fails, in four of the eight ways in turn.
#[test]
fn whatever_fails_where_two_join_the_first_all_are_on_one_side_and_the_next_restore_gets_home() {
    sweep(Keys::OfBoth, 3, 2);
}

#[test]
fn whatever_fails_where_one_begins_alone_the_next_restore_gets_home() {
    sweep(Keys::OfBoth, 1, 1);
}

/// Every command fails, in one of the eight ways in turn.
#[test]
fn whatever_fails_where_four_join_the_first_all_are_on_one_side_and_the_next_restore_gets_home() {
    sweep(Keys::OfBoth, 5, 8);
}

/// The plans that are carried out here.
pub async fn swept() -> [Plan; 2] {
    let of = async |keys| plan(&upgraded(keys, 3).await);
    [of(Keys::OfApi3).await, of(Keys::OfBoth).await]
}

#[tokio::test(start_paused = true)]
async fn after_a_restore_the_upgrade_gets_to_its_end_again() {
    let mut rig = upgraded(Keys::OfApi3, 3).await;
    assert_eq!(back(&mut rig).await.status, 0);
    rig.sim.state().restoring = false;
    assert_eq!(rig.upgrade().await.status, 0);
    assert_eq!(inventory::at(&rig.sim.state(), &new()).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_release_that_does_not_come_up_brings_all_members_back_to_their_data() {
    let mut rig = upgraded(Keys::OfApi3, 3).await;
    rig.sim
        .state()
        .behaviours
        .insert(old(), Behaviour::CrashesAtStart);
    let ending = back(&mut rig).await;
    assert_eq!(ending.status, 5, "{ending:?}");
    is_as_before(&rig.sim.state(), "put back");
    let back = |state: &runner::event::MemberState| state.state.contains("was put back on 3.5.16");
    assert!(ending.members.iter().all(back), "{ending:?}");
    assert!(
        ending.left.iter().all(|left| !left.contains("before")),
        "{ending:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_before_the_first_stop_leaves_nothing_prepared() {
    let mut rig = upgraded(Keys::OfApi3, 3).await;
    let plan = plan(&rig);
    let interrupt = rig.interrupt.clone();
    let mut raised = false;
    rig.sim.before_each(move |_, command, _| {
        if command.title == rebuild::PREPARE_TITLE && !std::mem::replace(&mut raised, true) {
            interrupt.raise();
        }
    });
    let ending = rig.execute(&plan).await;
    assert_eq!(ending.status, 130, "{ending:?}");
    let state = rig.sim.state();
    is_as_before(&state, "interrupted");
    assert!(
        state
            .hosts
            .values()
            .all(|host| host.data.prepared.is_none())
    );
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_behind_the_first_stop_waits_until_the_cluster_is_there_again() {
    let mut rig = upgraded(Keys::OfApi3, 3).await;
    let plan = plan(&rig);
    let interrupt = rig.interrupt.clone();
    let mut raised = false;
    rig.sim.before_each(move |_, command, _| {
        if command.title == rebuild::EXCHANGE_TITLE && !std::mem::replace(&mut raised, true) {
            interrupt.raise();
        }
    });
    let ending = rig.execute(&plan).await;
    assert!(matches!(ending.status, 0 | 130), "{ending:?}");
    is_restored(&rig.sim.state(), "interrupted late");
}

/// A cluster whose upgrade is finished; the newest backup is that from before.
async fn upgraded(keys: Keys, members: usize) -> Rig {
    let mut rig = Rig::forgetful(members);
    if keys == Keys::OfBoth {
        with_v2_keys(&rig);
    }
    let ending = rig.upgrade().await;
    assert_eq!(ending.status, 0, "{ending:?}");
    let mut state = rig.sim.state();
    state.stops.clear();
    state.restoring = true;
    drop(state);
    rig
}

/// The backup as `restore` finds it described.
fn backup(state: &State) -> Backup {
    let held = |(name, host): (&String, &Host), kind: &str| {
        let path = host.backups.iter().find(|path| path.ends_with(kind))?;
        Some((name.clone(), path.clone()))
    };
    let file = |kind: &str| {
        let (host, path) = state.hosts.iter().find_map(|host| held(host, kind))?;
        Some(File {
            name: path.rsplit('/').next()?.to_owned(),
            bytes: 20_512,
            sha256: hex(&Sha256::digest(eras::held(&path))),
            here: false,
            on: Some((host, path)),
            damage: None,
        })
    };
    Backup {
        run: "20261120T120101Z-4f2a".to_owned(),
        version: Some(old()),
        cluster: Some("prod".to_owned()),
        cluster_id: Some(MemberId(ORIGINAL)),
        members: members(state),
        revision: Some(900),
        snapshot: file(".db"),
        store: file(".v2.tar.gz"),
    }
}

fn members(state: &State) -> Vec<Member> {
    let member = |name: &String| Member {
        id: MemberId::UNKNOWN,
        name: name.clone(),
        peer_urls: vec![format!("http://{name}:2380")],
        client_urls: Vec::new(),
        learner: false,
    };
    state.hosts.keys().map(member).collect()
}

fn plan(rig: &Rig) -> Plan {
    let state = rig.sim.state();
    let (facts, cluster) = (facts(&state), inventory::cluster(state.hosts.len()));
    let chosen: BTreeSet<String> = state.hosts.keys().cloned().collect();
    let run = format!("20261120T1301{:02}Z-4f2a", rig.runs());
    let request = Request {
        cluster: &cluster,
        chosen: &chosen,
        facts: &facts,
        target: &old(),
        available: &Available::Any,
        releases: &Releases::new(),
        rules: Catalogue::embedded(),
        on_failure: OnFailure::Undo,
        settle_least_s: 0,
        step_timeout_s: None,
        resume: true,
        run_id: &run,
    };
    let backup = backup(&state);
    let planned = restore::plan(
        &request,
        &Source {
            backup: Some(&backup),
            looked: &[],
            revision: Some(2000),
            aside: &[],
            bump: None,
            mark_compacted: false,
            past: &Past::default(),
        },
    );
    let block = planned
        .findings
        .iter()
        .find(|one| one.severity == Severity::Block);
    assert_eq!(block, None, "a finding blocks");
    let plan = planned.plan.unwrap();
    assert_eq!(lint::lint(&plan), Ok(()));
    plan
}

async fn back(rig: &mut Rig) -> Ending {
    let plan = plan(rig);
    rig.execute(&plan).await
}

fn sweep(keys: Keys, members: usize, stride: usize) {
    let commands = paused(commands_of_a_clean_run(keys, members));
    assert!(
        commands > 15 * members,
        "only {commands} commands: is it still a restore?"
    );
    on_all_cores(&cases(commands, stride), |(at, fault)| {
        paused(case((keys, members), *at, *fault));
    });
}

async fn commands_of_a_clean_run(keys: Keys, members: usize) -> usize {
    let mut rig = upgraded(keys, members).await;
    rig.sim.mend();
    let ending = back(&mut rig).await;
    assert_eq!(ending.status, 0, "{ending:?}");
    let state = rig.sim.state();
    is_restored(&state, "a clean run");
    // Who begins otherwise than it goes on is started twice.
    let stops = match keys {
        Keys::OfApi3 => members,
        Keys::OfBoth => 2 * members,
    };
    assert_eq!(state.stops.len(), stops);
    drop(state);
    rig.sim.ran().len()
}

/// All members are on the old release and on data of one new cluster, and the old data are kept on every host.
fn is_restored(state: &State, context: &str) {
    assert_eq!(state.violations, Vec::<String>::new(), "{context}");
    assert_eq!(
        inventory::at(state, &old()).len(),
        state.hosts.len(),
        "{context}"
    );
    let data: BTreeSet<u64> = state.hosts.values().map(|host| host.data.now).collect();
    assert_eq!(data.len(), 1, "{context}: {data:?}");
    assert!(!data.contains(&ORIGINAL), "{context}");
    let cluster = *data.first().unwrap();
    let had_keys = state.hosts.values().all(Host::saves_keys);
    assert_eq!(
        state.lists.contains_key(&cluster),
        had_keys,
        "{context}: keys of API 2"
    );
    let peers = state.peers(cluster);
    for (name, host) in &state.hosts {
        let kept = host.data.aside.iter().any(|(_, data)| *data == ORIGINAL);
        assert!(kept, "{context}: {name} has lost its data");
        let url = format!("http://{name}:2380");
        assert_eq!(peers.get(name), Some(&url), "{context}");
        is_as_usual(name, host, context);
    }
}

/// A member was started, and will be, with the flags that its unit gives it by itself.
fn is_as_usual(name: &str, host: &Host, context: &str) {
    let once = host.files.contains_key(inventory::ONCE) || host.needs_reload();
    let runs_once = host.process.as_ref().is_some_and(|process| process.first);
    assert!(!once && !runs_once, "{context}: {name} starts otherwise");
}

/// All members are on the new release and on their own data.
fn is_as_before(state: &State, context: &str) {
    assert_eq!(state.violations, Vec::<String>::new(), "{context}");
    assert_eq!(
        inventory::at(state, &new()).len(),
        state.hosts.len(),
        "{context}"
    );
    for (name, host) in &state.hosts {
        assert_eq!(host.data.now, ORIGINAL, "{context}: {name}");
        assert!(host.data.aside.is_empty(), "{context}: {name}");
        is_as_usual(name, host, context);
    }
}

async fn case((keys, members): (Keys, usize), at: usize, fault: Fault) {
    let context = format!("{members} members with keys {keys:?}, {fault:?} at command {at}");
    let mut rig = upgraded(keys, members).await;
    rig.sim.mend();
    rig.sim.fail_at(&[(at, fault)]);
    let sim = rig.sim.clone();
    let ending = tokio::select! {
        ending = back(&mut rig) => Some(ending),
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
    if ending.is_none_or(|ending| ending.status != 0) {
        let again = back(&mut rig).await;
        assert_eq!(again.status, 0, "{context}: the second restore: {again:?}");
    }
    is_restored(&rig.sim.state(), &context);
}

fn is_true(ending: &Ending, state: &State, context: &str) {
    match ending.status {
        0 => is_restored(state, context),
        3 | 4 => assert_eq!(state.stops, Vec::<String>::new(), "{context}: {ending:?}"),
        5 => is_as_before(state, context),
        6 => {}
        other => panic!("{context}: status {other}: {ending:?}"),
    }
}
