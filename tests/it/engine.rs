//! The engine on the simulated cluster: failures, guards, interrupts, the journal.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use runner::engine::act::unit::START_TITLE;
use runner::etcd::Version;
use runner::event::{Ending, Kind};
use runner::facts::observe;
use runner::plan::{Action, OnFailure, Outcome, Plan};
use tokio::time::Instant;

use crate::engine_rig::{Rig, new, old};
use crate::sim::inventory;
use crate::sim::model::Behaviour;

/// A member's state as told.
pub fn state<'a>(ending: &'a Ending, host: &str) -> &'a str {
    &ending
        .members
        .iter()
        .find(|member| member.host == host)
        .unwrap()
        .state
}

/// Lets each settle wait at least so long.
pub fn set_least(plan: &mut Plan, seconds: u64) {
    let lanes = plan.hops[0]
        .waves
        .iter_mut()
        .flat_map(|wave| &mut wave.lanes);
    for step in lanes.flat_map(|lane| &mut lane.steps) {
        if let Action::Settle { least_s, .. } = &mut step.action {
            *least_s = seconds;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clean_upgrade_says_so_and_leaves_nobody_behind() {
    let mut rig = Rig::new(3);
    let ending = rig.upgrade().await;
    assert_eq!(
        (ending.status, ending.summary.as_str()),
        (0, "all 3 members run 3.5.16")
    );
    assert_eq!(state(&ending, "etcd-2"), "runs 3.5.16 and is healthy");
    assert_eq!(rig.sim.state().cluster_version.to_string(), "3.5");
    assert!(
        ending.left.iter().any(|left| left.starts_with("backup ")),
        "{:?}",
        ending.left
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_upgrade_stops_nobody() {
    let mut rig = Rig::new(3);
    rig.upgrade().await;
    let stops = rig.sim.state().stops.len();
    assert_eq!(rig.upgrade().await.status, 0);
    assert_eq!(rig.sim.state().stops.len(), stops);
}

#[tokio::test(start_paused = true)]
async fn a_release_that_crashes_at_start_is_noticed_at_once_quoted_and_put_back() {
    let mut rig = Rig::new(3);
    rig.sim
        .state()
        .behaviours
        .insert(new(), Behaviour::CrashesAtStart);
    let began = Instant::now();
    let ending = rig.upgrade().await;
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(ending.status, 5, "{ending:?}");
    assert!(
        ending
            .summary
            .contains("failed on `etcd-1`: member `etcd-1` has ended"),
        "{}",
        ending.summary
    );
    assert_eq!(
        ending.causes,
        [
            "unit `etcd.service` on `etcd-1` is activating (auto-restart), exit status 2, \
             restarted once by systemd",
            "\"flag provided but not defined: -enable-v2\""
        ]
    );
    assert_eq!(
        state(&ending, "etcd-1"),
        "was put back on 3.4.23 and is healthy"
    );
    assert_eq!(state(&ending, "etcd-2"), "runs 3.4.23 and is healthy");
    let files = &rig.sim.state().hosts["etcd-1"].files;
    assert!(files.is_empty(), "the unit file is gone again: {files:?}");
}

#[tokio::test(start_paused = true)]
async fn a_release_that_never_gets_healthy_is_put_back_after_its_deadline() {
    let mut rig = Rig::new(3);
    rig.sim
        .state()
        .behaviours
        .insert(new(), Behaviour::NeverHealthy);
    let ending = rig.upgrade().await;
    assert_eq!(ending.status, 5, "{ending:?}");
    let expected = "member `etcd-1` was not healthy at 3.5.16 within 3m 0s";
    assert!(ending.summary.contains(expected), "{}", ending.summary);
    assert!(
        ending.causes[0].contains("is not healthy: context deadline exceeded"),
        "{:?}",
        ending.causes
    );
    assert_eq!(rig.sim.state().violations, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_release_that_dies_within_the_least_wait_is_put_back() {
    let mut rig = Rig::new(3);
    rig.sim
        .state()
        .behaviours
        .insert(new(), Behaviour::DiesAfter(Duration::from_secs(20)));
    let mut plan = rig.plan();
    set_least(&mut plan, 30);
    let ending = rig.execute(&plan).await;
    assert_eq!(ending.status, 5, "{ending:?}");
    assert!(
        ending
            .causes
            .iter()
            .any(|cause| cause.contains("panic: runtime error")),
        "{ending:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_member_that_dies_while_another_is_in_turn_stops_the_run_and_costs_no_second_one() {
    let mut rig = Rig::new(3);
    rig.sim.before_each(|host, command, state| {
        if host == "etcd-3" && command.title == START_TITLE {
            state.host("etcd-1").process = None;
            state.host("etcd-1").unit = crate::sim::model::Unit::FAILED;
        }
    });
    let ending = rig.upgrade().await;
    assert_eq!(ending.status, 6, "{ending:?}");
    assert!(
        state(&ending, "etcd-1").starts_with("is down, unit `etcd.service` on `etcd-1` is failed")
    );
    assert_eq!(state(&ending, "etcd-3"), "runs 3.5.16 and is healthy");
    assert!(
        ending.hint.starts_with("see to `etcd-1` first"),
        "{ending:?}"
    );
    assert_eq!(rig.sim.state().violations, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn with_on_failure_stop_everything_stays_as_it_is() {
    let mut rig = Rig::new(3);
    rig.sim
        .state()
        .behaviours
        .insert(new(), Behaviour::CrashesAtStart);
    let mut plan = rig.plan();
    plan.on_failure = OnFailure::Stop;
    let ending = rig.execute(&plan).await;
    assert_eq!(ending.status, 6, "{ending:?}");
    assert_eq!(
        state(&ending, "etcd-1"),
        "is down, unit `etcd.service` on `etcd-1` is activating (auto-restart), exit status 2, \
         restarted once by systemd; `/opt/etcd/3.5.16/etcd` is installed"
    );
}

#[tokio::test(start_paused = true)]
async fn the_guard_refuses_before_any_member_is_touched_when_another_member_is_down() {
    let mut rig = Rig::new(3);
    let plan = rig.plan();
    rig.sim.state().stop("etcd-3");
    rig.sim.state().stops.clear();
    let ending = rig.execute(&plan).await;
    assert_eq!(ending.status, 3, "{ending:?}");
    assert!(
        ending
            .summary
            .contains("member `etcd-3` is not healthy, so 2 of 3 voters are left"),
        "{}",
        ending.summary
    );
    assert_eq!(rig.sim.state().stops, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_comes_up_ends_the_run_and_no_further_member_is_touched() {
    let mut rig = Rig::new(3);
    rig.sim.before_each(|_, _, state| {
        state.alarm = state.alarm || state.hosts["etcd-1"].answers() == Some(&new());
    });
    let ending = rig.upgrade().await;
    assert_eq!(ending.status, 6, "{ending:?}");
    assert!(
        ending.causes[0].contains("has raised the alarm NOSPACE"),
        "{ending:?}"
    );
    assert!(rig.sim.state().stops.iter().all(|host| host == "etcd-1"));
}

#[tokio::test(start_paused = true)]
async fn what_members_say_through_the_transport_is_what_the_facts_say() {
    let rig = Rig::new(3);
    let facts = crate::sim::facts::facts(&rig.sim.state());
    let seen = observe::observe(&rig.sim, &inventory::cluster(3), Duration::from_secs(5)).await;
    let told = facts.observation();
    for (host, answer) in &seen.hosts {
        let (seen, told) = (answer.view().unwrap(), told.hosts[host].view().unwrap());
        // The index moves on between the two.
        assert_eq!(
            (seen.id, &seen.version, seen.leader),
            (told.id, &told.version, told.leader)
        );
        assert_eq!((&seen.members, &seen.health), (&told.members, &told.health));
    }
}

#[tokio::test(start_paused = true)]
async fn the_leadership_is_moved_away_even_if_it_has_moved_since_the_plan_was_made() {
    let mut rig = Rig::new(5);
    let plan = rig.plan();
    let first = rig.sim.state().hosts["etcd-1"].id();
    rig.sim.state().leader = Some(first);
    let ending = rig.execute(&plan).await;
    assert_eq!(ending.status, 0, "{ending:?}");
    assert_eq!(rig.sim.state().violations, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn steps_behind_a_failed_one_are_told_as_not_run() {
    let mut rig = Rig::new(1);
    rig.sim
        .state()
        .behaviours
        .insert(new(), Behaviour::CrashesAtStart);
    rig.upgrade().await;
    let events = rig.events();
    let outcome = |wanted: fn(&Outcome) -> bool| {
        let ended = events.iter().filter_map(|event| match &event.kind {
            Kind::StepEnded {
                outcome,
                undo: false,
                ..
            } => Some(outcome),
            _ => None,
        });
        ended.filter(|outcome| wanted(outcome)).count()
    };
    assert_eq!(outcome(|o| matches!(o, Outcome::Failed { .. })), 1);
    let started = events
        .iter()
        .filter(|event| matches!(event.kind, Kind::StepStarted { undo: false, .. }));
    let ended = events
        .iter()
        .filter(|event| matches!(event.kind, Kind::StepEnded { undo: false, .. }));
    assert!(ended.count() >= started.count());
    assert!(matches!(
        events.last().unwrap().kind,
        Kind::ClusterEnded { .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn a_step_that_changed_since_the_plan_was_made_is_not_overwritten() {
    let mut rig = Rig::new(3);
    let plan = rig.plan();
    let theirs = "[Service]\n# someone else\n".to_owned();
    rig.sim
        .state()
        .host("etcd-1")
        .files
        .insert(inventory::UNIT_FILE.to_owned(), theirs.clone());
    let ending = rig.execute(&plan).await;
    assert!(
        ending
            .causes
            .iter()
            .any(|cause| cause.contains("has changed since the plan was made")),
        "{ending:?}"
    );
    assert_ne!(ending.status, 0);
    assert_eq!(
        rig.sim.state().hosts["etcd-1"]
            .answers()
            .map(Version::minor),
        Some(old().minor())
    );
}

#[tokio::test(start_paused = true)]
async fn a_link_counts_as_slow_only_if_a_second_probe_says_so_too() {
    for (busy, is_packed) in [(0, false), (1, false), (usize::MAX, true)] {
        let mut rig = Rig::new(1);
        rig.sim.state().busy = busy;
        assert_eq!(rig.upgrade().await.status, 0);
        assert_eq!(rig.sim.state().packed, if is_packed { 3 } else { 0 });
    }
}
