//! What stops the engine from outside: interrupts, and a journal that cannot be written.

use std::fs::File;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use runner::engine::Gate;
use runner::engine::act::unit::{LOOK_TITLE, STOP_TITLE};
use runner::engine::lane::ROOT_TITLE;
use runner::engine::lock::HOLD_TITLE;
use runner::engine::log::READ_TITLE;
use runner::engine::rescue::DISARM_TITLE;
use runner::engine::wait::AWAIT_TITLE;
use runner::event::{Event, Kind};
use runner::facts::observe;
use runner::journal::Journal;

use crate::engine::state;
use crate::engine_rig::{Rig, new};
use crate::sim::inventory;
use crate::sim::model::{Behaviour, Unit};

#[tokio::test(start_paused = true)]
async fn the_first_interrupt_finishes_the_member_in_hand_and_stops_at_a_safe_point() {
    let mut rig = Rig::new(3);
    let interrupt = rig.interrupt.clone();
    rig.sim.before_each(move |_, command, _| {
        if command.title == STOP_TITLE && !interrupt.is_raised() {
            interrupt.raise();
        }
    });
    let ending = rig.upgrade().await;
    assert_eq!(ending.status, 130);
    assert_eq!(rig.sim.state().stops, ["etcd-1"]);
    assert_eq!(state(&ending, "etcd-1"), "runs 3.5.16 and is healthy");
    assert_eq!(state(&ending, "etcd-2"), "runs 3.4.23 and is healthy");
}

#[tokio::test(start_paused = true)]
async fn the_second_interrupt_abandons_waiting_and_reports_every_member() {
    let mut rig = Rig::new(3);
    rig.sim
        .state()
        .behaviours
        .insert(new(), Behaviour::NeverHealthy);
    let interrupt = rig.interrupt.clone();
    rig.sim.before_each(move |_, command, _| {
        if command.title == AWAIT_TITLE {
            interrupt.raise();
            interrupt.raise();
        }
    });
    let ending = rig.upgrade().await;
    assert_eq!(ending.status, 6, "{ending:?}");
    assert!(
        ending.summary.contains("was abandoned"),
        "{}",
        ending.summary
    );
    assert!(state(&ending, "etcd-1").starts_with("runs 3.5.16 and is not healthy"));
    assert_eq!(ending.members.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn every_command_of_a_step_comes_after_the_journal_has_its_start() {
    let mut rig = Rig::new(3);
    let plan = rig.plan();
    let engine = rig.engine();
    let journal = engine.recorder.path().to_owned();
    rig.sim.before_each(move |host, command, state| {
        // A rescue is disarmed beside the next steps: it is part of the lock. Looks and logs read are no acts.
        let no_acts = [
            observe::TITLE,
            LOOK_TITLE,
            HOLD_TITLE,
            DISARM_TITLE,
            READ_TITLE,
            ROOT_TITLE,
        ];
        if no_acts.contains(&command.title.as_str()) {
            return;
        }
        let events = runner::journal::read(&journal).unwrap().events;
        let open = events.iter().fold(0, |open, event| match &event.kind {
            Kind::StepStarted { host: on, .. } if on == host => open + 1,
            Kind::StepEnded { host: on, .. } if on == host => open - 1,
            _ => open,
        });
        if open == 0 {
            state
                .violations
                .push(format!("`{}` on {host} was not announced", command.title));
        }
    });
    let ending = engine.run(&inventory::cluster(3), &plan).await;
    assert_eq!(ending.status, 0, "{ending:?}");
    assert_eq!(rig.sim.state().violations, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn when_the_journal_cannot_be_written_the_next_act_is_not_done() {
    let rig = Rig::new(3);
    let plan = rig.plan();
    let (reader, writer) = UnixStream::pair().unwrap();
    let journal = Journal::over(File::from(OwnedFd::from(writer)), "pipe".into(), "r");
    let engine = rig.engine_with(journal);
    // The reader goes away while the first member is being stopped. It is shut down rather than dropped, for a
    // child of another test may have inherited it for a moment.
    let mut reader = Some(reader);
    rig.sim.before_each(move |_, command, state| {
        if reader.is_none()
            && ![observe::TITLE, LOOK_TITLE, ROOT_TITLE].contains(&command.title.as_str())
        {
            state
                .violations
                .push(format!("`{}` ran without a journal", command.title));
        }
        if command.title == STOP_TITLE
            && let Some(reader) = reader.take()
        {
            reader.shutdown(Shutdown::Both).unwrap();
        }
    });
    let ending = engine.run(&inventory::cluster(3), &plan).await;
    assert_eq!(ending.status, 6, "{ending:?}");
    assert!(
        ending
            .summary
            .contains("the journal `pipe` cannot be written"),
        "{}",
        ending.summary
    );
    assert!(
        state(&ending, "etcd-1").starts_with("is stopped"),
        "{ending:?}"
    );
    assert_eq!(rig.sim.state().violations, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_member_that_has_ended_since_it_settled_is_told_at_the_end_even_if_it_runs_again() {
    let ends: [(Unit, bool); 2] = [
        (
            Unit {
                restarts: 1,
                ..Unit::RUNNING
            },
            true,
        ),
        (Unit::FAILED, false),
    ];
    for (unit, runs) in ends {
        let mut rig = Rig::new(3);
        // A unit is looked at when all is done, and before only where something is wrong.
        rig.sim.before_each(move |host, command, state| {
            if command.title == LOOK_TITLE && host == "etcd-1" {
                let host = state.host(host);
                host.unit = unit.clone();
                host.process = host.process.take().filter(|_| runs);
            }
        });
        let ending = rig.upgrade().await;
        assert_eq!(ending.status, 6, "{ending:?}");
        assert_eq!(
            ending.summary,
            "all 3 members run 3.5.16, but not all are well"
        );
        assert_eq!(
            ending.causes[0],
            "member `etcd-1` has ended since it settled"
        );
        assert!(ending.causes[1].starts_with("unit `etcd.service` on `etcd-1` is "));
    }
}

/// Whether the snapshot was begun before any step was done.
fn overlapped(events: &[Event]) -> bool {
    let place = |found: &dyn Fn(&Kind) -> bool| events.iter().position(|event| found(&event.kind));
    let begun = |word: &'static str| move |kind: &Kind| matches!(kind, Kind::StepStarted { what, .. } if what.starts_with(word));
    let staged = place(&|kind| matches!(kind, Kind::StepEnded { .. }));
    place(&begun("take a backup")) < staged
}

#[tokio::test(start_paused = true)]
async fn the_snapshot_is_taken_beside_the_staging_unless_clusters_wait_for_each_other() {
    for overlaps in [true, false] {
        let mut rig = Rig::new(3);
        let plan = rig.plan();
        let engine = rig.engine();
        let gate = Gate::new(|_| Box::pin(std::future::ready(Ok(())))).overlapping(overlaps);
        let ending = engine
            .run_through(&inventory::cluster(3), &plan, &gate)
            .await;
        assert_eq!(ending.status, 0, "{ending:?}");
        assert_eq!(overlapped(&rig.events()), overlaps);
    }
}
