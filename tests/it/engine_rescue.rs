//! A host brings its member up by itself if its run is gone, and only then.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use runner::engine::act::release::SWITCH_TITLE;
use runner::engine::act::unit::{START_TITLE, STOP_TITLE};
use runner::engine::wait::AWAIT_TITLE;
use tokio::time::{Instant, sleep};

use crate::engine_rig::{Rig, new, old};
use crate::sim::inventory;
use crate::sim::model::Behaviour;
use crate::sim::{Fault, SimCluster};

/// The number of the first command of that title on a host, of an upgrade in which nothing goes wrong.
async fn number_of(title: &str, host: &str) -> usize {
    let mut rig = Rig::forgetful(3);
    assert_eq!(rig.upgrade().await.status, 0);
    let mut ran = rig.sim.ran().into_iter();
    let is_it = |ran: crate::sim::Ran| ran.title == title && ran.host == host;
    ran.position(is_it).unwrap()
}

/// Upgrades until the runner is killed right after a command; gives when.
async fn killed_after(rig: &mut Rig, title: &str, host: &str) -> Instant {
    rig.sim
        .fail_at(&[(number_of(title, host).await, Fault::KilledAfter)]);
    let sim = rig.sim.clone();
    tokio::select! {
        ending = rig.upgrade() => panic!("{ending:?}"),
        () = sim.killed() => {}
    }
    rig.sim.mend();
    Instant::now()
}

async fn up(sim: &SimCluster, host: &str) -> Instant {
    while !sim.state().healthy(host) {
        sleep(Duration::from_millis(100)).await;
    }
    Instant::now()
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_run_is_gone_after_the_stop_is_up_within_a_minute_on_the_old_release() {
    let mut rig = Rig::new(3);
    let killed = killed_after(&mut rig, STOP_TITLE, "etcd-1").await;
    assert!(!rig.sim.state().healthy("etcd-1"));
    let up = up(&rig.sim, "etcd-1").await;
    assert!(up - killed < Duration::from_secs(60), "{:?}", up - killed);
    assert_eq!(rig.sim.state().hosts["etcd-1"].answers(), Some(&old()));
    assert_eq!(rig.upgrade().await.status, 0);
    assert_eq!(rig.sim.state().violations, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn where_the_new_release_does_not_come_up_the_old_one_and_its_files_are_put_back() {
    let mut rig = Rig::new(3);
    let crashes = Behaviour::CrashesAtStart;
    rig.sim.state().behaviours.insert(new(), crashes);
    let before = rig.sim.state().hosts["etcd-1"].files.clone();
    killed_after(&mut rig, START_TITLE, "etcd-1").await;
    assert_eq!(rig.sim.state().hosts["etcd-1"].installed(), Some(&new()));
    up(&rig.sim, "etcd-1").await;
    rig.sim.rescued().await;
    let state = rig.sim.state();
    assert_eq!(state.hosts["etcd-1"].answers(), Some(&old()));
    assert_eq!(state.hosts["etcd-1"].files, before);
    assert_eq!(state.violations, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_is_half_done_is_never_started_not_even_on_the_last_member() {
    for host in ["etcd-1", "etcd-2"] {
        let mut rig = Rig::new(3);
        let before = rig.sim.state().hosts[host].files.clone();
        killed_after(&mut rig, SWITCH_TITLE, host).await;
        assert_eq!(rig.sim.state().hosts[host].installed(), Some(&new()));
        up(&rig.sim, host).await;
        let now = rig.sim.state().hosts[host].clone();
        assert_eq!(now.answers(), Some(&old()), "{host}");
        assert_eq!(now.files, before, "{host}");
        assert_eq!(rig.upgrade().await.status, 0, "{host}");
    }
}

#[tokio::test(start_paused = true)]
async fn behind_the_start_of_the_last_member_the_old_release_never_comes_back() {
    let mut rig = Rig::new(3);
    rig.sim.before_each(|host, command, state| {
        if command.title == START_TITLE && host == "etcd-2" {
            state.behaviours.insert(new(), Behaviour::CrashesAtStart);
        }
    });
    let at = number_of(START_TITLE, "etcd-2").await;
    rig.sim.fail_at(&[(at, Fault::KilledAfter)]);
    let sim = rig.sim.clone();
    tokio::select! {
        ending = rig.upgrade() => panic!("{ending:?}"),
        () = sim.killed() => {}
    }
    rig.sim.rescued().await;
    let state = rig.sim.state();
    assert_eq!(state.hosts["etcd-2"].installed(), Some(&new()));
    assert!(!state.healthy("etcd-2"));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_merely_slow_keeps_its_host_from_acting() {
    let mut rig = Rig::new(3);
    let at = number_of(SWITCH_TITLE, "etcd-1").await;
    rig.sim.fail_at(&[(at, Fault::Hang)]);
    rig.sim.before_each(|host, command, state| {
        // Once to the new release and, after a minute, back.
        if command.title == SWITCH_TITLE && state.hosts[host].process.is_some() {
            state.violations.push("the host has acted".to_owned());
        }
    });
    let ending = rig.upgrade().await;
    assert_eq!(ending.status, 5, "{ending:?}");
    let state = rig.sim.state();
    assert_eq!(state.violations, Vec::<String>::new());
    assert!(state.hosts.values().all(|host| host.rescue.is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_host_has_acted_while_it_was_cut_off_puts_the_member_back() {
    let mut rig = Rig::new(3);
    let mut is_cut = false;
    rig.sim.before_each(move |host, command, state| {
        if command.title == SWITCH_TITLE && host == "etcd-1" && !is_cut {
            is_cut = true;
            let until = Instant::now() + Duration::from_secs(30);
            state.host("etcd-1").gone_until = Some(until);
        }
    });
    let ending = rig.upgrade().await;
    assert_eq!(ending.status, 5, "{ending:?}");
    let causes = ending.summary + &ending.causes.join(" ");
    assert!(
        causes.contains("brought its member up by itself"),
        "{causes}"
    );
    let state = rig.sim.state();
    assert_eq!(inventory::at(&state, &old()).len(), 3);
    assert!(
        state.stops.iter().all(|host| host == "etcd-1"),
        "{:?}",
        state.stops
    );
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_was_made_before_a_host_acted_is_not_carried_out() {
    let mut rig = Rig::new(3);
    killed_after(&mut rig, AWAIT_TITLE, "etcd-1").await;
    rig.sim.state().host("etcd-1").process = None;
    rig.sim.state().host("etcd-1").unit = crate::sim::model::Unit::STOPPED;
    let plan = rig.plan();
    let ending = rig.execute(&plan).await;
    assert_eq!(ending.status, 3, "{ending:?}");
    assert!(
        ending.summary.contains("brought its member up by itself"),
        "{ending:?}"
    );
    assert!(rig.sim.state().healthy("etcd-1"));
    assert_eq!(rig.upgrade().await.status, 0);
}
