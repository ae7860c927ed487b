//! Every hop from 2.0 to 3.7 on the simulator, whose members fall into etcd's traps as the real ones do.

use std::collections::BTreeSet;

use runner::etcd::{Minor, Version};
use runner::facts::V2Keys;
use runner::plan::{Action, Finding, Plan, Purpose, Severity};

use crate::engine_rig::Rig;
use crate::sim::inventory;
use crate::sim::traps::Log;

const LATEST: [&str; 12] = [
    "2.0.13", "2.1.3", "2.2.5", "2.3.8", "3.0.17", "3.1.20", "3.2.32", "3.3.27", "3.4.45",
    "3.5.33", "3.6.14", "3.7.1",
];

/// Three members from one release to another, with what that may need acknowledged.
pub fn rig(from: &str, to: &str) -> Rig {
    let mut rig = Rig::between(3, from, to);
    rig.acknowledged = ["NO_WAY_BACK", "V2_OFF"].map(str::to_owned).into();
    rig
}

async fn climbs(rig: &mut Rig, context: &str) {
    let ending = rig.upgrade_or_else(context).await;
    assert_eq!(ending.status, 0, "{context}: {ending:#?}");
    let state = rig.sim.state();
    assert_eq!(state.violations, Vec::<String>::new(), "{context}");
    assert_eq!(inventory::at(&state, &rig.to).len(), 3, "{context}");
    let dropped = state
        .hosts
        .values()
        .any(|host| host.files.contains_key(inventory::DROP_IN));
    assert!(!dropped, "{context}: a drop-in is left");
}

/// The steps of the first hop, by whether they are this.
fn has(plan: &Plan, wanted: fn(&Action) -> bool) -> bool {
    plan.hops[0].steps().any(|(_, step)| wanted(&step.action))
}

fn codes(findings: &[Finding]) -> BTreeSet<&str> {
    findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn every_hop_from_2_0_to_3_7_is_gone_alone() {
    for pair in LATEST.windows(2) {
        climbs(
            &mut rig(pair[0], pair[1]),
            &format!("{} to {}", pair[0], pair[1]),
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_of_2_0_2_climbs_to_3_7_1_in_one_go_over_all_traps() {
    let mut rig = rig("2.0.2", "3.7.1");
    rig.sim.state().copies_stopped = true;
    climbs(&mut rig, "2.0.2 to 3.7.1").await;
    assert_eq!(rig.sim.state().cluster_version, Minor::new(3, 7));
    let stops = rig.sim.state().stops.len();
    // Twelve hops, and one more restart of each member before 3.5 and before 3.7.
    assert_eq!(stops, 3 * (12 + 2));
}

/// Gives every member keys of API 2, in its store and in its newest raft snapshot.
pub fn with_v2_keys(rig: &Rig) {
    for host in rig.sim.state().hosts.values_mut() {
        host.v2_keys = V2Keys::Present;
        host.raft.keys = true;
        host.raft.snapshot = 500;
    }
}

#[tokio::test(start_paused = true)]
async fn keys_of_api_2_are_deleted_before_3_6_if_that_is_acknowledged() {
    for from in ["2.0.2", "3.5.33"] {
        let mut rig = rig(from, "3.7.1");
        rig.acknowledged.insert("V2_GONE".to_owned());
        rig.sim.state().copies_stopped = true;
        with_v2_keys(&rig);
        climbs(&mut rig, from).await;
        let hosts = rig.sim.state().hosts.clone();
        assert!(hosts.values().all(|host| host.v2_keys == V2Keys::Absent));
    }
}

#[tokio::test(start_paused = true)]
async fn keys_of_api_2_are_backed_up_on_every_member_before_the_first_is_deleted() {
    let rig = rig("3.5.33", "3.6.14");
    let position = |plan: &Plan, wanted: fn(&Action) -> bool| -> Vec<usize> {
        let steps = plan.hops[0].steps().enumerate();
        let found = steps.filter(|(_, (_, step))| wanted(&step.action));
        found.map(|(at, _)| at).collect()
    };
    let drops: fn(&Action) -> bool = |action| matches!(action, Action::DropV2);
    assert!(!has(&rig.plan(), drops));
    with_v2_keys(&rig);
    let plan = rig.plan();
    let copies = position(&plan, |action| {
        matches!(action, Action::TakeV2Backup { .. })
    });
    let dropped = position(&plan, drops);
    let proven = position(&plan, |action| {
        matches!(
            action,
            Action::ForceSnapshot {
                without_v2: true,
                ..
            }
        )
    });
    assert_eq!((copies.len(), dropped.len(), proven.len()), (3, 1, 3));
    assert!(copies.iter().all(|at| *at < dropped[0]));
    assert!(proven.iter().all(|at| *at > dropped[0]));
}

#[tokio::test(start_paused = true)]
async fn one_member_and_five_members_climb_too() {
    for members in [1, 5] {
        let mut rig = Rig::between(members, "2.3.8", "3.1.20");
        rig.acknowledged = ["NO_WAY_BACK"].map(str::to_owned).into();
        let ending = rig.upgrade().await;
        assert_eq!(ending.status, 0, "{members}: {ending:#?}");
    }
}

/// The hops that a raft snapshot must come before, each with a log that asks for it.
pub fn barriers() -> [(&'static str, &'static str, Log); 3] {
    [
        (
            "3.4.45",
            "3.5.33",
            Log {
                from_2: Some(900),
                ..Log::default()
            },
        ),
        (
            "3.5.33",
            "3.6.14",
            Log {
                client: Some(900),
                ..Log::default()
            },
        ),
        (
            "3.6.14",
            "3.7.1",
            Log {
                any: Some(900),
                ..Log::default()
            },
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn without_their_remedies_the_traps_strike() {
    let unwritten = Log {
        unwritten: true,
        opened: true,
        ..Log::default()
    };
    let before_3_1 = ("3.0.17", "3.1.20", unwritten);
    for (from, to, log) in barriers().into_iter().chain([before_3_1]) {
        let mut rig = rig(from, to);
        rig.sim
            .state()
            .hosts
            .values_mut()
            .for_each(|host| host.raft = log.clone());
        let mut plan = rig.plan();
        plan.hops[0]
            .waves
            .retain(|wave| wave.purpose != Purpose::Prepare);
        let ending = rig.execute(&plan).await;
        assert_ne!(ending.status, 0, "{from} to {to}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_raft_snapshot_is_forced_where_the_log_asks_for_it_and_only_there() {
    let forces: fn(&Action) -> bool = |action| matches!(action, Action::ForceSnapshot { .. });
    for (from, to, log) in barriers() {
        let mut rig = rig(from, to);
        for (taken, asked) in [(0, true), (901, false)] {
            let log = Log {
                snapshot: taken,
                ..log.clone()
            };
            rig.sim
                .state()
                .hosts
                .values_mut()
                .for_each(|host| host.raft = log.clone());
            let planned = rig.planned();
            let found = codes(&planned.findings).contains("RAFT_SNAPSHOT");
            assert_eq!(found, asked, "{from} to {to}, snapshot at {taken}");
            assert_eq!(has(&planned.plan.unwrap(), forces), asked, "{from} to {to}");
        }
        rig.sim
            .state()
            .hosts
            .values_mut()
            .for_each(|host| host.raft = log.clone());
        climbs(&mut rig, from).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_v3_write_goes_with_the_two_hops_around_3_0_and_with_no_other() {
    let writes: fn(&Action) -> bool = |action| matches!(action, Action::WriteKey { .. });
    for pair in LATEST.windows(2) {
        let rig = rig(pair[0], pair[1]);
        let wanted = ["3.0.17", "3.1.20"].contains(&pair[1]);
        assert_eq!(
            has(&rig.plan(), writes),
            wanted,
            "{} to {}",
            pair[0],
            pair[1]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn leadership_is_moved_from_3_3_on_and_left_to_an_election_before() {
    let moves: fn(&Action) -> bool = |action| matches!(action, Action::MoveLeader { .. });
    for pair in LATEST.windows(2) {
        let rig = rig(pair[0], pair[1]);
        let from: Version = pair[0].parse().unwrap();
        let wanted = from.minor() >= Minor::new(3, 3);
        assert_eq!(
            has(&rig.plan(), moves),
            wanted,
            "{} to {}",
            pair[0],
            pair[1]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_data_is_backed_up_by_what_can_copy_it() {
    for (from, to, v3, running, stopped) in [
        ("2.0.2", "2.0.13", false, 0, 1),
        ("2.0.13", "2.1.3", false, 3, 0),
        ("2.3.8", "3.0.17", false, 3, 0),
        ("3.0.17", "3.1.20", true, 0, 1),
        ("3.2.32", "3.3.27", true, 0, 1),
        ("3.3.27", "3.4.45", true, 3, 0),
    ] {
        let rig = rig(from, to);
        for host in rig.sim.state().hosts.values_mut() {
            host.raft.snapshot = 500;
            host.v2_keys = V2Keys::Present;
        }
        let plan = rig.plan();
        let copies = |stop: bool| {
            let steps = plan.hops[0].steps();
            steps.filter(|(_, step)| {
                matches!(&step.action, Action::TakeV2Backup { stopped, .. } if *stopped == stop)
            }).count()
        };
        assert_eq!(
            (copies(false), copies(true)),
            (running, stopped),
            "{from} to {to}"
        );
        assert_eq!(
            has(&plan, |action| matches!(action, Action::TakeBackup { .. })),
            v3,
            "{from}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_hop_without_a_way_back_asks_first_and_any_other_does_not() {
    for pair in LATEST.windows(2) {
        let rig = Rig::between(3, pair[0], pair[1]);
        let planned = rig.planned();
        let asks = planned.findings.iter().any(|finding| {
            finding.code == "NO_WAY_BACK" && finding.severity == Severity::Acknowledge
        });
        assert_eq!(asks, pair[1] == "3.0.17", "{}", pair[1]);
    }
}

/// Three members of which somebody else has taken that many to the next release.
async fn left_mixed(from: &str, to: &str, done: usize) -> Rig {
    let mut rig = rig(from, to);
    let mut plan = rig.plan();
    let mut left = done;
    plan.hops[0].point_of_no_return = None;
    plan.hops[0].waves.retain(|wave| match wave.purpose {
        Purpose::Member => {
            let stays = left > 0;
            left = left.saturating_sub(1);
            stays
        }
        other => other != Purpose::Finish,
    });
    let ending = rig.execute(&plan).await;
    assert_eq!(ending.status, 0, "{from} to {to}: {ending:?}");
    assert_eq!(inventory::at(&rig.sim.state(), &rig.to).len(), done);
    rig
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_found_mixed_on_any_hop_is_finished() {
    for pair in LATEST.windows(2) {
        for done in [1, 2] {
            let mut rig = left_mixed(pair[0], pair[1], done).await;
            let found = rig.planned().findings;
            assert!(codes(&found).contains("MIXED"), "{}", pair[1]);
            climbs(&mut rig, &format!("{done} of 3 at {}", pair[1])).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_found_mixed_is_taken_back_on_any_hop_but_that_to_3_0() {
    for pair in LATEST.windows(2) {
        for done in [1, 2] {
            let mut rig = left_mixed(pair[0], pair[1], done).await;
            let planned = inventory::plan_back(&rig.sim.state());
            if pair[1] == "3.0.17" {
                assert!(codes(&planned.findings).contains("NO_MIXED_ROLLBACK"));
                continue;
            }
            let context = format!("{done} of 3 back from {} to {}", pair[1], pair[0]);
            let plan = planned.plan;
            let plan = plan.unwrap_or_else(|| panic!("{context}: {:#?}", planned.findings));
            let ending = rig.execute(&plan).await;
            assert_eq!(ending.status, 0, "{context}: {ending:#?}");
            let old: Version = pair[0].parse().unwrap();
            let state = rig.sim.state();
            assert_eq!(inventory::at(&state, &old).len(), 3, "{context}");
            assert_eq!(state.violations, Vec::<String>::new(), "{context}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn single_hops_and_parts_of_the_way_are_gone_from_where_the_cluster_is() {
    for (from, to, hops) in [
        ("2.3.8", "3.0.17", 1),
        ("2.3.8", "3.7.1", 8),
        ("3.0.17", "3.7.1", 7),
        ("3.2.32", "3.7.1", 5),
        // A patch step comes first where the guides ask for it.
        ("2.0.2", "2.1.3", 2),
        ("3.4.20", "3.5.33", 2),
        ("3.5.16", "3.6.14", 2),
        ("3.6.5", "3.7.1", 2),
    ] {
        let mut rig = rig(from, to);
        rig.sim.state().copies_stopped = from == "2.0.2";
        assert_eq!(rig.plan().hops.len(), hops, "{from} to {to}");
        climbs(&mut rig, &format!("{from} to {to}")).await;
    }
}
