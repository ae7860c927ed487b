//! The undo of a member's lane, newest first, leads back to where it started.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use runner::facts::FileFacts;
use runner::inventory::{FileTemplate, TemplateSource, Templates};
use runner::plan::{Action, Lane, Plan, Purpose, Undo};

use crate::world::{World, binaries, version};

fn lane(plan: &Plan) -> &Lane {
    let mut waves = plan.hops[0].waves.iter();
    &waves
        .find(|wave| wave.purpose == Purpose::Member)
        .unwrap()
        .lanes[0]
}

/// The actions that undo a whole lane.
fn undone(lane: &Lane) -> Vec<&Action> {
    let newest_first = lane.steps.iter().rev();
    newest_first
        .flat_map(|step| match &step.undo {
            Undo::Actions(actions) => actions.iter().collect(),
            Undo::Nothing => Vec::new(),
            Undo::Impossible(why) => panic!("{why}"),
        })
        .collect()
}

fn names(actions: &[&Action]) -> Vec<String> {
    let verb = |action: &&Action| {
        let value = serde_json::to_value(action).unwrap();
        value["do"].as_str().unwrap().to_owned()
    };
    actions.iter().map(verb).collect()
}

#[test]
fn a_lane_is_undone_by_stopping_switching_back_and_starting() {
    let plan = World::healthy(3, "3.4.23", "3.5.16").plan().plan.unwrap();
    let actions = undone(lane(&plan));
    assert_eq!(
        names(&actions),
        ["stop_unit", "switch_release", "start_unit", "settle"]
    );
    let Action::SwitchRelease {
        version: to,
        files,
        remove,
        ..
    } = actions[1]
    else {
        panic!("{actions:?}");
    };
    assert_eq!(*to, version("3.4.23"));
    assert_eq!(files, &["etcd", "etcdctl"]);
    assert_eq!(remove, &["etcdutl"], "3.4 has no such binary");
    assert!(matches!(actions[3], Action::Settle { version: to, .. } if *to == version("3.4.23")));
}

#[test]
fn files_are_put_back_before_the_units_are_read_again() {
    let mut world = World::healthy(3, "3.4.23", "3.5.16");
    let source = |text: &str| TemplateSource {
        path: "t.j2".into(),
        text: text.to_owned(),
    };
    for host in &mut world.cluster.hosts {
        host.templates = Templates {
            unit: Some(source("[Service]\nExecStart={{ bin_dir }}/etcd\n")),
            files: vec![FileTemplate {
                source: source("minor={{ minor }}\n"),
                dest: "/etc/etcd/new".into(),
                mode: 0o640,
                owner: "etcd:etcd".into(),
            }],
        };
    }
    let old = FileFacts {
        text: Some("[Service]\nExecStart=/usr/local/bin/etcd --debug=false\n".into()),
        mode: 0o600,
        owner: "root:adm".into(),
    };
    let unit = "/etc/systemd/system/etcd.service".to_owned();
    for facts in world.facts.hosts.values_mut() {
        facts.files = BTreeMap::from([(unit.clone(), old.clone())]);
    }
    let plan = world.plan().plan.unwrap();
    let actions = undone(lane(&plan));
    assert_eq!(
        names(&actions),
        [
            "stop_unit",
            "write_file",
            "reload_units",
            "remove_file",
            "switch_release",
            "start_unit",
            "settle"
        ]
    );
    let Action::WriteFile {
        dest,
        text,
        owner,
        mode,
        ..
    } = actions[1]
    else {
        panic!("{actions:?}");
    };
    assert_eq!(
        (dest, Some(text), owner, *mode),
        (&unit, old.text.as_ref(), &old.owner, old.mode)
    );
}

#[test]
fn a_member_whose_binary_was_replaced_goes_back_to_the_staged_release_that_runs() {
    let mut world = World::healthy(3, "3.4.23", "3.5.30");
    let host = world.host("etcd-2");
    host.binaries = binaries("3.5.16");
    let staged = binaries("3.4.23").into_iter();
    host.staged.insert(
        version("3.4.23"),
        staged.map(|(name, binary)| (name, binary.sha256)).collect(),
    );
    let plan = world.plan().plan.unwrap();
    let actions = undone(lane(&plan));
    assert!(
        matches!(actions[1], Action::SwitchRelease { version: to, .. } if *to == version("3.4.23"))
    );
}

#[test]
fn without_any_other_release_the_switch_says_that_it_cannot_be_undone() {
    let mut world = World::healthy(3, "3.4.23", "3.5.16");
    world.host("etcd-2").binaries = binaries("3.5.16");
    let plan = world.plan().plan.unwrap();
    let switch = lane(&plan)
        .steps
        .iter()
        .find(|step| matches!(step.action, Action::SwitchRelease { .. }));
    assert!(matches!(switch.unwrap().undo, Undo::Impossible(_)));
}
