//! The fault sweep of a downgrade: every kind of fault at every command, and what must hold whatever happens. From each
//! end both ways lead home: another `downgrade` to the older release, a `rollback` to the newer one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::time::Duration;

use runner::etcd::Version;
use runner::etcd::catalogue::Catalogue;
use runner::event::Ending;
use runner::facts::Arch;
use runner::inventory::{Cluster, TemplateSource};
use runner::plan::path::Available;
use runner::plan::rollback::{self, Past};
use runner::plan::upgrade::{Releases, Request};
use runner::plan::{OnFailure, Plan, Planned, Purpose, Severity, downgrade};
use tokio::time::sleep;

use crate::engine_rig::Rig;
use crate::sim::facts::facts;
use crate::sim::inventory::UNIT_FILE;
use crate::sim::model::{Behaviour, State};
use crate::sim::{Fault, inventory};
use crate::sweeping::{cases, on_all_cores, paused};

/// From where to where.
type Pair = (&'static str, &'static str);

const TO_3_5: Pair = ("3.6.14", "3.5.30");
const TO_3_6: Pair = ("3.7.1", "3.6.14");

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

/// The text of the unit file that goes with a release.
fn unit_text(version: &Version) -> String {
    format!("[Service]\nExecStart=/usr/local/bin/etcd # {version}\n")
}

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

/// A cluster that runs the newer release.
fn upgraded(members: usize, (from, to): Pair) -> Rig {
    let rig = Rig::down(members, from, to);
    for host in rig.sim.state().hosts.values_mut() {
        let text = unit_text(&version(from));
        host.files.insert(UNIT_FILE.to_owned(), text);
        host.reload();
    }
    rig
}

/// The plan that is carried out here.
pub async fn swept() -> Plan {
    let rig = upgraded(3, TO_3_5);
    asked(&rig, Back::Down, "swept").await.plan.unwrap()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Back {
    Down,
    Up,
}

/// What the planner makes of the simulation.
fn planned(rig: &Rig, way: Back) -> Planned {
    let state = rig.sim.state();
    let (facts, cluster) = (facts(&state), cluster(state.hosts.len()));
    let chosen: BTreeSet<String> = state.hosts.keys().cloned().collect();
    let files = inventory::release(&rig.to);
    let releases = Releases::from([((rig.to.clone(), Arch::Amd64), files)]);
    let run = format!("20261120T1301{:02}Z-4f2a", state.verified);
    let request = |target| Request {
        cluster: &cluster,
        chosen: &chosen,
        facts: &facts,
        target,
        available: &Available::Any,
        releases: &releases,
        rules: Catalogue::embedded(),
        on_failure: OnFailure::Undo,
        settle_least_s: 0,
        step_timeout_s: None,
        resume: true,
        run_id: &run,
    };
    match way {
        Back::Down => downgrade::plan(&request(&rig.to)),
        Back::Up => {
            let target = rollback::release(&cluster, &facts).unwrap();
            rollback::plan(&request(target), &Past::default())
        }
    }
}

/// Plans as a person would who does what findings say: waits for the leader, starts the only member.
async fn asked(rig: &Rig, way: Back, context: &str) -> Planned {
    for _ in 0..20 {
        let planned = planned(rig, way);
        let blocks = |code: Option<&str>| {
            let mut findings = planned.findings.iter();
            let is = |known: &str| code.is_none_or(|code| known == code);
            findings.any(|one| one.severity == Severity::Block && is(&one.code))
        };
        if blocks(Some("CLUSTER_VERSION")) {
            sleep(Duration::from_secs(1)).await;
        } else if blocks(Some("MEMBER_DOWN")) || blocks(Some("NO_MEMBER")) {
            start_all(&mut rig.sim.state());
            sleep(Duration::from_secs(2)).await;
        } else {
            assert!(!blocks(None), "{context}: {:#?}", planned.findings);
            return planned;
        }
    }
    panic!("{context}: the preflight refuses for ever");
}

fn start_all(state: &mut State) {
    let names: Vec<String> = state.hosts.keys().cloned().collect();
    for name in names {
        if state.hosts[&name].process.is_none() {
            let host = state.host(&name);
            host.reload();
            state.start(&name);
        }
    }
}

/// Takes the cluster that way; `None` if nothing is to be done.
async fn take(rig: &mut Rig, way: Back, context: &str) -> Option<Ending> {
    let plan = asked(rig, way, context).await.plan?;
    Some(rig.execute(&plan).await)
}

/// All members are at a release with its unit, no downgrade runs, and no rule was broken.
fn holds(state: &State, at: &Version, context: &str) {
    assert_eq!(state.violations, Vec::<String>::new(), "{context}");
    let there = inventory::at(state, at).len();
    assert_eq!(there, state.hosts.len(), "{context}: at {at}");
    assert_eq!(state.formal.to, None, "{context}: a downgrade runs");
    assert_eq!(state.cluster_version, at.minor(), "{context}");
    for (name, host) in &state.hosts {
        let text = host.files.get(UNIT_FILE);
        assert_eq!(text, Some(&unit_text(at)), "{context}: {name}");
        assert_eq!(host.installed(), Some(at), "{context}: {name}");
    }
}

#[test]
/// Every command fails, in two of the eight ways in turn.
fn whatever_fails_on_the_way_of_three_to_3_5_the_next_run_gets_home() {
    sweep(3, TO_3_5, 4);
}

#[test]
fn whatever_fails_on_the_way_of_one_to_3_5_the_next_run_gets_home() {
    sweep(1, TO_3_5, 4);
}

/// Every command fails, in one of the eight ways in turn.
#[test]
fn whatever_fails_on_the_way_of_five_to_3_6_the_next_run_gets_home() {
    sweep(5, TO_3_6, 8);
}

fn sweep(members: usize, pair: Pair, stride: usize) {
    let commands = paused(commands_of_a_clean_run(members, pair));
    assert!(commands > 15 * members, "only {commands} commands");
    on_all_cores(&cases(commands, stride), |(at, fault)| {
        for way in [Back::Down, Back::Up] {
            paused(case(members, pair, (*at, *fault), way));
        }
    });
}

async fn commands_of_a_clean_run(members: usize, pair: Pair) -> usize {
    let mut rig = upgraded(members, pair);
    let leads = {
        let state = rig.sim.state();
        state.name_of(state.leader.unwrap()).to_owned()
    };
    let ending = take(&mut rig, Back::Down, "a clean run").await.unwrap();
    assert_eq!(ending.status, 0, "{ending:?}");
    let state = rig.sim.state();
    holds(&state, &version(pair.1), "a clean run");
    assert_eq!(state.stops.len(), members);
    assert_eq!(state.stops.last(), Some(&leads), "the leader goes last");
    drop(state);
    rig.sim.ran().len()
}

async fn case(members: usize, pair: Pair, (at, fault): (usize, Fault), way: Back) {
    let context = format!("{members} members from {pair:?}, {fault:?} at command {at}, {way:?}");
    let mut rig = upgraded(members, pair);
    rig.sim.fail_at(&[(at, fault)]);
    let sim = rig.sim.clone();
    let ending = tokio::select! {
        ending = take(&mut rig, Back::Down, &context) => ending,
        () = sim.killed() => None,
    };
    {
        let state = rig.sim.state();
        assert_eq!(state.violations, Vec::<String>::new(), "{context}");
        if let Some(ending) = &ending {
            is_true(ending, &state, pair, &context);
        }
    }
    rig.sim.mend();
    // As the command does, which looks only once no host is about to act by itself.
    rig.sim.rescued().await;
    let home = match way {
        Back::Up if remembers(&rig.sim.state(), &rig.to) => version(pair.0),
        _ => version(pair.1),
    };
    if let Some(again) = take(&mut rig, way, &context).await {
        assert_eq!(again.status, 0, "{context}: the second run: {again:?}");
    }
    // A downgrade that all members have gone through is ended by the leader, and so is the rise of the version.
    sleep(Duration::from_secs(10)).await;
    holds(&rig.sim.state(), &home, &context);
}

/// Whether a member is there that has not gone. Where none is, the way back is the end of the downgrade.
fn remembers(state: &State, to: &Version) -> bool {
    let mut answers = state.hosts.values().filter_map(|host| host.answers());
    answers.any(|runs| runs.minor() > to.minor())
}

fn is_true(ending: &Ending, state: &State, pair: Pair, context: &str) {
    let mut names = state.hosts.keys();
    let healthy = names.all(|name| state.healthy(name) && !state.hosts[name].is_gone());
    match ending.status {
        0 => holds(state, &version(pair.1), context),
        3 | 4 => assert_eq!(state.stops, Vec::<String>::new(), "{context}: {ending:?}"),
        5 => assert!(healthy, "{context}: {ending:?}"),
        6 => {}
        other => panic!("{context}: status {other}: {ending:?}"),
    }
}

/// A cluster whose downgrade ended after that many members.
async fn mixed(members: usize, pair: Pair, done: usize) -> Rig {
    let mut rig = upgraded(members, pair);
    let mut plan = asked(&rig, Back::Down, "mixed").await.plan.unwrap();
    let mut left = done;
    plan.hops[0].waves.retain(|wave| match wave.purpose {
        Purpose::Member if left > 0 => {
            left -= 1;
            true
        }
        Purpose::Stage | Purpose::Backup => true,
        _ => false,
    });
    let ending = rig.execute(&plan).await;
    assert_eq!(ending.status, 0, "{ending:?}");
    assert_eq!(inventory::at(&rig.sim.state(), &rig.to).len(), done);
    rig
}

#[tokio::test(start_paused = true)]
async fn a_downgrade_that_was_left_half_way_is_finished_or_taken_back_from_wherever_it_is() {
    for pair in [TO_3_5, TO_3_6] {
        for done in 0..3 {
            for (way, home) in [(Back::Down, pair.1), (Back::Up, pair.0)] {
                let context = format!("{pair:?}, {done} of 3 gone, {way:?}");
                let mut rig = mixed(3, pair, done.max(1)).await;
                if done == 0 {
                    // Somebody else has enabled it and gone away.
                    rig = upgraded(3, pair);
                    rig.sim.state().formal.to = Some(version(pair.1).minor());
                    rig.sim.state().verified = 1;
                }
                let ending = take(&mut rig, way, &context).await.unwrap();
                assert_eq!(ending.status, 0, "{context}: {ending:?}");
                holds(&rig.sim.state(), &version(home), &context);
                assert!(ending.summary.contains("3 members run"), "{ending:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_member_that_fails_is_put_back_and_etcd_is_told_to_forget_it() {
    for pair in [TO_3_5, TO_3_6] {
        let mut rig = upgraded(3, pair);
        let crash = Behaviour::CrashesAtStart;
        rig.sim.state().behaviours.insert(version(pair.1), crash);
        let ending = take(&mut rig, Back::Down, "crash").await.unwrap();
        assert_eq!(ending.status, 5, "{ending:?}");
        holds(&rig.sim.state(), &version(pair.0), "put back");
    }
}

#[tokio::test(start_paused = true)]
async fn a_later_member_that_fails_is_put_back_and_the_downgrade_stays() {
    let mut rig = mixed(3, TO_3_5, 1).await;
    let crash = Behaviour::CrashesAtStart;
    rig.sim.state().behaviours.insert(version("3.5.30"), crash);
    let ending = take(&mut rig, Back::Down, "crash").await.unwrap();
    assert_eq!(ending.status, 5, "{ending:?}");
    assert!(rig.sim.state().formal.to.is_some());
    rig.sim.state().behaviours.clear();
    let ending = take(&mut rig, Back::Up, "up").await.unwrap();
    assert_eq!(ending.status, 0, "{ending:?}");
    holds(&rig.sim.state(), &version("3.6.14"), "taken back");
}

#[tokio::test(start_paused = true)]
async fn after_a_downgrade_the_upgrade_leads_up_again() {
    // The last patch of 3.5 is high enough to leave from.
    let mut rig = upgraded(3, ("3.6.14", "3.5.33"));
    let ending = take(&mut rig, Back::Down, "down").await.unwrap();
    assert_eq!(ending.summary, "all 3 members run 3.5.33");
    rig.to = version("3.6.14");
    let ending = rig.upgrade().await;
    assert_eq!(ending.status, 0, "{ending:?}");
    assert_eq!(inventory::at(&rig.sim.state(), &rig.to).len(), 3);
}
