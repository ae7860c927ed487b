//! Locks on hosts: one run at a time, and what happens when a lock is lost.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use runner::engine::act::unit::STOP_TITLE;
use runner::engine::lock::{HOLD_TITLE, Locks};
use runner::transport::Transport;
use tokio::time::Instant;

use crate::engine_rig::{Rig, holder, new};
use crate::sim::inventory;
use crate::sim::model::State;

/// What another run writes into its lock.
fn other() -> String {
    format!(
        "other\n{}\n",
        serde_json::to_string(&holder("other")).unwrap()
    )
}

#[tokio::test(start_paused = true)]
async fn a_run_that_finds_a_lock_names_its_holder_and_changes_nothing() {
    let mut rig = Rig::new(3);
    rig.sim.state().host("etcd-2").lock = Some(other());
    let ending = rig.upgrade().await;
    assert_eq!(ending.status, 7, "{ending:?}");
    assert!(!ending.changed);
    assert_eq!(
        ending.summary,
        "not begun: run other of ada on ops-1 holds the lock on `etcd-2`, since 2026-11-20T12:01:02Z"
    );
    assert_eq!(rig.sim.state().stops, Vec::<String>::new());
    assert_eq!(locked(&rig.sim.state()), 1, "its own ones are let go");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_began_later_and_has_a_lock_already_is_waited_for() {
    let mut rig = Rig::new(3);
    let mut later = holder("later");
    later.since = "2026-11-20T12:01:03Z".parse().unwrap();
    let words = serde_json::to_string(&later).unwrap();
    rig.sim.state().host("etcd-2").lock = Some(format!("later\n{words}\n"));
    let began = Instant::now();
    rig.sim.before_each(move |_, _, state| {
        // It has found a lock of ours meanwhile.
        if began.elapsed() > Duration::from_millis(300) && state.stops.is_empty() {
            let lock = &mut state.host("etcd-2").lock;
            lock.take_if(|lock| lock.starts_with("later\n"));
        }
    });
    let ending = rig.upgrade().await;
    assert_eq!(ending.status, 0, "{ending:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_works_already_is_not_waited_for_beyond_a_few_seconds() {
    let mut rig = Rig::new(3);
    let mut later = holder("later");
    later.since = "2026-11-20T12:01:03Z".parse().unwrap();
    let words = serde_json::to_string(&later).unwrap();
    rig.sim.state().host("etcd-2").lock = Some(format!("later\n{words}\n"));
    let began = Instant::now();
    let ending = rig.upgrade().await;
    assert_eq!(ending.status, 7, "{ending:?}");
    assert!(ending.summary.contains("run later of ada"), "{ending:?}");
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn of_two_runs_that_begin_together_exactly_one_works() {
    let mut rig = Rig::new(3);
    let plan = rig.plan();
    let (first, second) = (rig.engine(), rig.engine());
    let cluster = inventory::cluster(3);
    let (one, two) = tokio::join!(first.run(&cluster, &plan), second.run(&cluster, &plan));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [0, 7], "{one:?} {two:?}");
    assert_eq!(rig.sim.state().stops.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn locks_are_let_go_when_they_are_released_or_dropped() {
    let rig = Rig::new(3);
    let transport: Arc<dyn Transport> = Arc::new(rig.sim.clone());
    let cluster = inventory::cluster(3);
    let locks = Locks::new(holder("a"));
    locks.take(&transport, &cluster).await.unwrap();
    assert!(locks.are_held(&cluster).await);
    assert_eq!(locked(&rig.sim.state()), 3);
    locks.release().await;
    assert_eq!(locked(&rig.sim.state()), 0);
    locks.take(&transport, &cluster).await.unwrap();
    drop(locks);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(locked(&rig.sim.state()), 0);
}

fn locked(state: &State) -> usize {
    state
        .hosts
        .values()
        .filter(|host| host.lock.is_some())
        .count()
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_lost_is_taken_again_before_the_next_member_is_stopped() {
    let mut rig = Rig::new(3);
    let mut cut = false;
    rig.sim.before_each(move |host, command, state| {
        if command.title == STOP_TITLE {
            let locks = locked(state);
            if locks < 3 {
                state
                    .violations
                    .push(format!("{host} was stopped with {locks} locks"));
            }
            // For longer than the lock needs to notice, shorter than the wait for the member.
            if !cut {
                cut = true;
                state.host("etcd-3").gone_until = Some(Instant::now() + Duration::from_secs(2));
            }
        }
    });
    let ending = rig.upgrade().await;
    assert_eq!(ending.status, 0, "{ending:?}");
    assert_eq!(rig.sim.state().violations, Vec::<String>::new());
    assert_eq!(titled(&rig, HOLD_TITLE).len(), 4);
    assert_eq!(inventory::at(&rig.sim.state(), &new()).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_lost_its_lock_to_another_stops_at_the_safe_point() {
    let mut rig = Rig::new(3);
    rig.sim.before_each(move |_, command, state| {
        if command.title == STOP_TITLE {
            state.host("etcd-3").gone_until = Some(Instant::now() + Duration::from_secs(2));
        }
        if command.title == HOLD_TITLE && !state.stops.is_empty() {
            state.host("etcd-3").lock = Some(other());
        }
    });
    let ending = rig.upgrade().await;
    assert_eq!(ending.status, 7, "{ending:?}");
    assert!(ending.changed);
    assert!(
        ending.summary.contains("run other of ada on ops-1"),
        "{ending:?}"
    );
    let state = rig.sim.state();
    assert_eq!(state.stops, ["etcd-1"]);
    assert!(state.hosts.keys().all(|name| state.healthy(name)));
    assert_eq!(
        inventory::at(&state, &new())
            .into_iter()
            .collect::<Vec<_>>(),
        ["etcd-1"]
    );
}

fn titled(rig: &Rig, title: &str) -> Vec<String> {
    let ran = rig.sim.ran().into_iter();
    ran.filter(|ran| ran.title == title)
        .map(|ran| ran.host)
        .collect()
}
