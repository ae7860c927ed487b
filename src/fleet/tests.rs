use std::cell::RefCell;

use tokio::sync::Notify;

use super::*;
use crate::plan::{Purpose, Wave};

fn ending(cluster: &str, status: u8) -> Ending {
    let mut ending = not_begun(cluster, &NotBegun::Interrupted);
    ending.status = status;
    "told".clone_into(&mut ending.summary);
    ending
}

/// Runs clusters `0`, `1`, … that end with these statuses.
async fn fleet(statuses: &[u8], rules: &Rules) -> (Fleet, Vec<String>) {
    let parts: Vec<Part> = (0..statuses.len())
        .map(|n| Part::Due(n.to_string()))
        .collect();
    let begun = RefCell::new(Vec::new());
    let fleet = run(&parts, rules, &Interrupt::new(), |name, _| {
        let at: usize = name.parse().unwrap();
        begun.borrow_mut().push(name.clone());
        std::future::ready(ending(&name, statuses[at]))
    })
    .await;
    (fleet, begun.into_inner())
}

fn may_fail(max_failures: usize) -> Rules {
    Rules {
        max_failures,
        ..Rules::default()
    }
}

#[tokio::test]
async fn the_first_failure_stops_further_clusters_unless_more_may_fail() {
    let (strict, _) = fleet(&[0, 5, 0], &may_fail(0)).await;
    assert_eq!(strict.not_begun, ["2"]);
    assert_eq!(
        strict.summary(),
        "1 of 3 clusters done, failed: 1, not begun: 2 (1 failed, 0 may)"
    );
    let (lenient, _) = fleet(&[0, 5, 0], &may_fail(1)).await;
    assert_eq!(lenient.not_begun, Vec::<String>::new());
    assert_eq!(lenient.status(), 5);
}

#[tokio::test]
async fn the_worst_status_is_that_of_the_run() {
    assert_eq!(fleet(&[0, 0], &may_fail(0)).await.0.status(), 0);
    assert_eq!(fleet(&[5, 6, 3], &may_fail(9)).await.0.status(), 6);
    assert_eq!(fleet(&[4, 3], &may_fail(9)).await.0.status(), 4);
    assert_eq!(fleet(&[6, 1], &may_fail(9)).await.0.status(), 1);
    assert_eq!(fleet(&[7, 0], &may_fail(0)).await.0.status(), 7);
}

#[tokio::test]
async fn the_canary_goes_first_and_the_others_follow_only_if_it_ends_well() {
    let rules = Rules {
        canary: Some("2".to_owned()),
        max_failures: 9,
        ..Rules::default()
    };
    let (well, order) = fleet(&[0, 0, 0], &rules).await;
    assert_eq!(
        (well.status(), order),
        (0, vec!["2".into(), "0".into(), "1".into()])
    );
    let names: Vec<&str> = well.endings.iter().map(|e| e.cluster.as_str()).collect();
    assert_eq!(names, ["0", "1", "2"], "told in the order of the inventory");
    let (bad, order) = fleet(&[0, 0, 5], &rules).await;
    assert_eq!((bad.status(), order), (5, vec!["2".to_owned()]));
    assert_eq!(bad.not_begun, ["0", "1"]);
    assert!(bad.summary().contains("the canary `2` did not end well"));
}

#[tokio::test]
async fn clusters_that_were_refused_count_as_failed_and_those_with_nothing_to_do_do_not() {
    let parts = [
        Part::Settled(ending("a", 4)),
        Part::Settled(ending("b", 0)),
        Part::Due("c".to_owned()),
    ];
    let work = |name: String, _| std::future::ready(ending(&name, 0));
    let strict = run(&parts, &may_fail(0), &Interrupt::new(), work).await;
    assert_eq!(
        (strict.status(), strict.not_begun.as_slice()),
        (4, &["c".to_owned()][..])
    );
    let lenient = run(&parts, &may_fail(1), &Interrupt::new(), work).await;
    assert_eq!((lenient.status(), lenient.not_begun.len()), (4, 0));
}

#[tokio::test]
async fn after_an_interrupt_nothing_is_begun() {
    let interrupt = Interrupt::new();
    let parts = ["a", "b"].map(|name| Part::Due(name.to_owned()));
    let fleet = run(&parts, &may_fail(9), &interrupt, |name, _| {
        interrupt.raise();
        std::future::ready(ending(&name, 130))
    })
    .await;
    assert_eq!(fleet.not_begun, ["b"]);
    assert_eq!(fleet.status(), 130);
    assert_eq!(
        fleet.summary(),
        "0 of 2 clusters done, stopped: a, not begun: b (interrupted)"
    );
}

#[tokio::test]
async fn outside_the_window_nothing_is_begun() {
    let noon: jiff::Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    let now = noon.to_zoned(jiff::tz::TimeZone::UTC);
    let rules = Rules {
        window: Some("22:00-04:00".parse().unwrap()),
        clock: Clock::new(move || now.clone()),
        ..Rules::default()
    };
    let (fleet, begun) = fleet(&[0, 0], &rules).await;
    assert_eq!((fleet.status(), begun.len()), (130, 0));
    assert_eq!(
        fleet.endings[0].summary,
        "not begun: it is 12:00, the window is 22:00-04:00"
    );
}

async fn enter(gate: &Gate, purpose: Purpose) -> Result<(), String> {
    let lanes = Vec::new();
    gate.enter(&Wave { purpose, lanes }).await
}

fn at_once(number: usize) -> Rules {
    Rules {
        at_once: NonZeroUsize::new(number).unwrap(),
        ..Rules::default()
    }
}

/// Runs as many clusters and one more through all waves; the last one's members are worked on while the first one's
/// end is awaited, or not before it has ended.
async fn order(number: usize) -> Vec<&'static str> {
    let parts: Vec<Part> = (0..=number).map(|n| Part::Due(n.to_string())).collect();
    let (last, told, over) = (number.to_string(), RefCell::new(Vec::new()), Notify::new());
    let work = async |name: String, gate: Gate| {
        for purpose in [Purpose::Stage, Purpose::Backup, Purpose::Member] {
            enter(&gate, purpose).await.unwrap();
        }
        if name == last {
            told.borrow_mut().push("last member");
            over.notify_waiters();
        }
        enter(&gate, Purpose::Finish).await.unwrap();
        if name != last && number > 1 {
            over.notified().await;
        }
        told.borrow_mut().push("ended");
        ending(&name, 0)
    };
    run(&parts, &at_once(number), &Interrupt::new(), &work).await;
    told.into_inner()
}

#[tokio::test]
async fn a_cluster_that_only_awaits_its_end_has_no_place_unless_it_goes_alone() {
    assert_eq!(order(2).await[0], "last member");
    assert_eq!(order(1).await, ["ended", "last member", "ended"]);
}

#[tokio::test]
async fn a_cluster_that_comes_back_for_another_hop_goes_on_whatever_fails_elsewhere() {
    let parts = ["a", "b"].map(|name| Part::Due(name.to_owned()));
    let (staged, failed) = (Notify::new(), Notify::new());
    let work = async |name: String, gate: Gate| {
        enter(&gate, Purpose::Member).await.unwrap();
        if name == "b" {
            staged.notified().await;
            failed.notify_one();
            return ending(&name, 6);
        }
        enter(&gate, Purpose::Finish).await.unwrap();
        enter(&gate, Purpose::Stage).await.unwrap();
        staged.notify_one();
        failed.notified().await;
        let came_back = enter(&gate, Purpose::Member).await;
        ending(&name, u8::from(came_back.is_err()))
    };
    let fleet = run(&parts, &at_once(2), &Interrupt::new(), &work).await;
    let statuses: Vec<u8> = fleet.endings.iter().map(|ending| ending.status).collect();
    assert_eq!(statuses, [0, 6]);
}
