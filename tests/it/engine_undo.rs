//! When a failed member is put back, and when the cluster has gone on without the old release.

use std::time::Duration;

use runner::engine::act::unit::{START_TITLE, STOP_TITLE};
use runner::etcd::Minor;
use runner::event::Ending;

use crate::engine::{set_least, state};
use crate::engine_rig::{Rig, new, old};
use crate::sim::model::{Behaviour, Unit};

/// The leader goes last: by the order of the simulation it is the second of three.
const LAST: &str = "etcd-2";

/// From the last member's start on, the new release behaves like this.
fn spoil_the_last_start(rig: &Rig, behaviour: Behaviour) {
    rig.sim.before_each(move |host, command, state| {
        if host == LAST && command.title == START_TITLE {
            state.behaviours.insert(new(), behaviour);
        }
    });
}

fn is_left_on_the_new_release(rig: &Rig, ending: &Ending) {
    assert_eq!(ending.status, 6, "{ending:?}");
    let said = "member `etcd-2` was left as it is and not put back on 3.4.23";
    assert!(
        ending.causes.iter().any(|cause| cause.starts_with(said)),
        "{ending:?}"
    );
    assert!(
        ending
            .causes
            .iter()
            .any(|cause| cause.contains("cluster version 3.5 already")),
        "{ending:?}"
    );
    assert!(
        ending
            .hint
            .starts_with("repair the member on `etcd-2`, then run the same command again"),
        "{}",
        ending.hint
    );
    let way_back = "go back to 3.4.23 with `runner restore --from prod-";
    assert!(ending.hint.contains(way_back), "{}", ending.hint);
    assert!(
        ending.hint.contains("3.4.23.db on this machine"),
        "{}",
        ending.hint
    );
    let sim = rig.sim.state();
    assert_eq!(sim.hosts[LAST].installed(), Some(&new()));
    assert_eq!(sim.violations, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn the_last_member_is_put_back_while_the_cluster_version_has_not_risen() {
    let mut rig = Rig::new(3);
    spoil_the_last_start(&rig, Behaviour::CrashesAtStart);
    let ending = rig.upgrade().await;
    assert_eq!(ending.status, 5, "{ending:?}");
    assert_eq!(
        state(&ending, LAST),
        "was put back on 3.4.23 and is healthy"
    );
    assert_eq!(state(&ending, "etcd-1"), "runs 3.5.16 and is healthy");
    assert_eq!(rig.sim.state().cluster_version, old().minor());
}

#[tokio::test(start_paused = true)]
async fn the_last_member_is_left_as_it_is_once_the_cluster_version_has_risen() {
    let mut rig = Rig::new(3);
    spoil_the_last_start(&rig, Behaviour::NeverHealthy);
    let ending = rig.upgrade().await;
    is_left_on_the_new_release(&rig, &ending);
    let told = state(&ending, LAST);
    assert!(told.starts_with("runs 3.5.16 and is not healthy"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_version_that_rises_while_the_member_is_being_stopped_brings_it_up_as_it_was() {
    let mut rig = Rig::new(3);
    rig.sim.before_each(move |host, command, state| {
        if host != LAST {
            return;
        }
        if command.title == START_TITLE && state.cluster_version == old().minor() {
            state.host(LAST).process = None;
            state.host(LAST).unit = Unit::FAILED;
            state.behaviours.insert(new(), Behaviour::CrashesAtStart);
        }
        // The second stop of this host is that of its undo.
        if command.title == STOP_TITLE && state.hosts[LAST].installed() == Some(&new()) {
            state.cluster_version = Minor::new(3, 5);
            state.behaviours.clear();
        }
    });
    let ending = rig.upgrade().await;
    is_left_on_the_new_release(&rig, &ending);
}

#[tokio::test(start_paused = true)]
async fn a_risen_cluster_version_is_remembered_when_nobody_answers_any_more() {
    let mut rig = Rig::new(1);
    let dies = Behaviour::DiesAfter(Duration::from_secs(10));
    rig.sim.state().behaviours.insert(new(), dies);
    let mut plan = rig.plan();
    set_least(&mut plan, 30);
    let ending = rig.execute(&plan).await;
    assert_eq!(ending.status, 6, "{ending:?}");
    let said = "not put back on 3.4.23: the cluster version was 3.5 already";
    assert!(
        ending.causes.iter().any(|cause| cause.ends_with(said)),
        "{ending:?}"
    );
    assert_eq!(rig.sim.state().hosts["etcd-1"].installed(), Some(&new()));
}

#[tokio::test(start_paused = true)]
async fn the_last_old_member_does_not_start_while_another_one_is_not_well_at_the_new_release() {
    let mut rig = Rig::new(3);
    rig.sim.before_each(move |host, command, state| {
        if host == LAST && command.title == STOP_TITLE {
            state.alarm = true;
        }
    });
    let ending = rig.upgrade().await;
    assert!(
        ending.summary.contains("was refused on `etcd-2`: member ")
            && ending.summary.contains("has raised the alarm NOSPACE"),
        "{ending:?}"
    );
    let sim = rig.sim.state();
    assert_eq!(sim.hosts[LAST].answers(), Some(&old()), "{ending:?}");
    assert_eq!(sim.cluster_version, old().minor());
}
