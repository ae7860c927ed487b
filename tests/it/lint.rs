//! Each invariant of plans, broken on purpose; and that no plan breaks one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use proptest::prelude::*;
use runner::plan::{Action, Hop, Lane, Plan, Purpose, StepId, Undo, Wave, lint, seats};

use crate::world::{World, id};

fn sound() -> Plan {
    World::healthy(3, "3.4.23", "3.5.16").plan().plan.unwrap()
}

fn waves(plan: &mut Plan) -> &mut Vec<Wave> {
    &mut plan.hops[0].waves
}

fn member_lane(plan: &mut Plan) -> &mut Lane {
    let mut waves = waves(plan).iter_mut();
    let wave = waves.find(|wave| wave.purpose == Purpose::Member).unwrap();
    &mut wave.lanes[0]
}

#[track_caller]
fn breaks(plan: &Plan, words: &str) {
    let wrong = lint::lint(plan).unwrap_err();
    assert!(
        wrong.iter().any(|one| one.contains(words)),
        "{wrong:#?} does not say {words:?}"
    );
}

#[test]
fn a_plan_as_made_is_sound() {
    assert_eq!(lint::lint(&sound()), Ok(()));
    assert_eq!(lint::leader_last(&sound(), id(1)), Ok(()));
}

#[test]
fn two_members_in_one_wave_are_found() {
    let mut plan = sound();
    let waves = waves(&mut plan);
    let at = waves
        .iter()
        .position(|wave| wave.purpose == Purpose::Member)
        .unwrap();
    let second = waves.remove(at + 1);
    waves[at].lanes.extend(second.lanes);
    breaks(&plan, "has 2 lanes with a disruptive step");
}

#[test]
fn two_lanes_on_one_host_are_found() {
    let mut plan = sound();
    let stage = &mut waves(&mut plan)[0].lanes;
    stage[1].host = stage[0].host.clone();
    breaks(&plan, "two lanes on one host");
}

#[test]
fn a_stop_without_a_settle_is_found() {
    let mut plan = sound();
    member_lane(&mut plan)
        .steps
        .retain(|step| !matches!(step.action, Action::Settle { .. }));
    breaks(&plan, "no settle follows");
}

#[test]
fn a_stop_that_is_not_marked_is_found() {
    let mut plan = sound();
    for step in &mut member_lane(&mut plan).steps {
        step.disruptive = false;
    }
    breaks(&plan, "is not marked disruptive");
}

#[test]
fn a_stop_that_cannot_be_undone_is_found() {
    let mut plan = sound();
    for step in &mut member_lane(&mut plan).steps {
        step.undo = Undo::Nothing;
    }
    breaks(&plan, "is disruptive and has no undo");
}

#[test]
fn a_stop_before_the_backup_is_found() {
    let mut plan = sound();
    waves(&mut plan).retain(|wave| wave.purpose != Purpose::Backup);
    breaks(&plan, "before a backup is taken");
}

#[test]
fn a_switch_to_what_is_not_staged_is_found() {
    let mut plan = sound();
    waves(&mut plan)[0].lanes.remove(0);
    breaks(&plan, "which is not staged");
}

#[test]
fn numbers_that_do_not_increase_are_found() {
    let mut plan = sound();
    member_lane(&mut plan).steps[0].id = StepId(1);
    breaks(&plan, "comes after step");
}

#[test]
fn a_start_behind_the_point_of_no_return_is_found() {
    let mut plan = sound();
    plan.hops[0].point_of_no_return = Some(StepId(16));
    breaks(&plan, "the point of no return is step 16");
}

#[test]
fn a_hop_that_leads_down_is_found() {
    let mut plan = sound();
    let hop: &mut Hop = &mut plan.hops[0];
    std::mem::swap(&mut hop.from, &mut hop.to);
    breaks(&plan, "leads down");
}

#[test]
fn a_leader_that_is_not_last_is_found() {
    assert_eq!(
        lint::leader_last(&sound(), id(2)),
        Err("etcd-3 comes after the leader".to_owned())
    );
}

/// Releases whose hops are proven, so that a plan comes out most of the time.
const RELEASES: [&str; 4] = ["3.4.23", "3.4.45", "3.5.16", "3.5.30"];

proptest! {
    #[test]
    fn whatever_the_cluster_a_plan_is_sound_and_the_same_each_time(
        members in 1_usize..=5,
        leader in 1_usize..=5,
        running in proptest::collection::vec(0_usize..4, 5),
        learner in proptest::option::of(1_usize..=5),
        down in proptest::option::of(1_usize..=5),
        left_out in proptest::option::of(1_usize..=5),
        resume: bool,
    ) {
        let mut world = World::healthy(members, "3.4.23", "3.5.30");
        let name = |number: usize| format!("etcd-{}", (number - 1) % members + 1);
        for number in 1..=members {
            world.runs(&name(number), RELEASES[running[number - 1]]);
        }
        for view in world.views() {
            view.leader = Some(id((leader - 1) % members + 1));
        }
        if let Some(number) = learner.filter(|number| name(*number) != name(leader)) {
            world.view(&name(number)).learner = true;
        }
        if let Some(number) = left_out {
            world.chosen.remove(&name(number));
        }
        if let Some(number) = down.filter(|number| name(*number) != name(leader)) {
            world.host(&name(number)).answer = runner::facts::Answer::default();
        }
        world.resume = resume;

        let planned = world.plan();
        let bytes = serde_json::to_string(&planned).unwrap();
        prop_assert_eq!(&bytes, &serde_json::to_string(&world.plan()).unwrap());
        if let Some(plan) = &planned.plan {
            prop_assert_eq!(lint::lint(plan), Ok(()));
            let leader = seats::leader(&world.facts).unwrap();
            prop_assert_eq!(lint::leader_last(plan, leader), Ok(()));
            let mut stops = plan.hops[0].steps().filter(|(_, step)| step.disruptive);
            let all_chosen = stops.all(|(lane, _)| world.chosen.contains(&lane.host));
            prop_assert!(all_chosen, "a host that was not chosen is stopped");
        }
    }
}
