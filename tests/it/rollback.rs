//! The way back of a mixed cluster, as a plan: what comes back, in which order, and when it is too late.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use runner::facts::FileFacts;
use runner::inventory::{FileTemplate, TemplateSource, Templates};
use runner::plan::rollback::{self, Past};
use runner::plan::upgrade::Request;
use runner::plan::{Action, Kind, Plan, Planned, Purpose, Undo, lint};

use crate::world::{World, binaries, version};

const UNIT: &str = "/etc/systemd/system/etcd.service";
const EXTRA: &str = "/etc/etcd/new";

fn back(world: &World, past: &Past) -> Planned {
    let target = rollback::release(&world.cluster, &world.facts).unwrap();
    let request = Request {
        target,
        resume: true,
        ..world.request()
    };
    rollback::plan(&request, past)
}

/// Three members with templates; the unit on the hosts is not what the template makes for any release.
fn templated() -> World {
    let mut world = World::healthy(3, "3.4.23", "3.5.16");
    let source = |text: &str| TemplateSource {
        path: "t.j2".into(),
        text: text.to_owned(),
    };
    for host in &mut world.cluster.hosts {
        host.templates = Templates {
            unit: Some(source(
                "[Service]\nExecStart={{ bin_dir }}/etcd # {{ version }}\n",
            )),
            files: vec![FileTemplate {
                source: source("minor={{ minor }}\n"),
                dest: EXTRA.into(),
                mode: 0o640,
                owner: "etcd:etcd".into(),
            }],
        };
    }
    for facts in world.facts.hosts.values_mut() {
        let file = FileFacts {
            text: Some("[Service]\nExecStart=/usr/local/bin/etcd --debug=false\n".into()),
            mode: 0o600,
            owner: "root:adm".into(),
        };
        facts.files.insert(UNIT.into(), file);
    }
    world
}

/// Does to the facts what a plan's lane does to the host.
fn carry_out(world: &mut World, plan: &Plan, name: &str) {
    let release = plan.to.to_string();
    let old = world.host(name).binaries.clone().into_iter();
    let kept = old.map(|(name, binary)| (name, binary.sha256)).collect();
    world.host(name).staged.insert(plan.from.clone(), kept);
    world.runs(name, &release);
    let steps = plan.hops[0].steps().filter(|(lane, _)| lane.host == name);
    for (_, step) in steps {
        if let Action::WriteFile {
            dest,
            text,
            owner,
            mode,
            ..
        } = &step.action
        {
            let file = FileFacts {
                text: Some(text.clone()),
                mode: *mode,
                owner: owner.clone(),
            };
            world.host(name).files.insert(dest.clone(), file);
        }
    }
}

fn member_steps<'p>(plan: &'p Plan, host: &str) -> Vec<&'p Action> {
    let mut waves = plan.hops[0].waves.iter();
    let lane = waves
        .find(|wave| wave.purpose == Purpose::Member && wave.lanes[0].host == host)
        .unwrap();
    lane.lanes[0]
        .steps
        .iter()
        .map(|step| &step.action)
        .collect()
}

#[test]
fn files_come_back_as_the_upgrade_found_them_with_owner_and_mode() {
    let mut world = templated();
    let before = world.host("etcd-2").files[UNIT].clone();
    let upgrade = world.plan().plan.unwrap();
    carry_out(&mut world, &upgrade, "etcd-2");
    let past = Past {
        plans: vec![upgrade],
    };
    let plan = back(&world, &past).plan.unwrap();
    assert_eq!((plan.kind, lint::lint(&plan)), (Kind::Rollback, Ok(())));
    let steps = member_steps(&plan, "etcd-2");
    let unit = steps.iter().find_map(|action| match action {
        Action::WriteFile {
            dest,
            text,
            owner,
            mode,
            ..
        } if dest == UNIT => Some((text, owner, mode)),
        _ => None,
    });
    assert_eq!(
        unit,
        Some((before.text.as_ref().unwrap(), &before.owner, &before.mode))
    );
    let gone = steps
        .iter()
        .any(|action| matches!(action, Action::RemoveFile { dest } if dest == EXTRA));
    assert!(gone, "what the upgrade created is taken away: {steps:?}");
}

#[test]
fn a_file_that_somebody_changed_since_comes_back_as_the_template_makes_it_for_the_old_release() {
    let mut world = templated();
    let upgrade = world.plan().plan.unwrap();
    carry_out(&mut world, &upgrade, "etcd-2");
    let unit = world.host("etcd-2").files.get_mut(UNIT).unwrap();
    unit.text = Some("[Service]\nExecStart=/usr/local/bin/etcd # mine\n".into());
    let past = Past {
        plans: vec![upgrade],
    };
    for past in [past, Past::default()] {
        let plan = back(&world, &past).plan.unwrap();
        let written = member_steps(&plan, "etcd-2")
            .into_iter()
            .find_map(|action| match action {
                Action::WriteFile { dest, text, .. } if dest == UNIT => Some(text.clone()),
                _ => None,
            });
        let rendered = "[Service]\nExecStart=/usr/local/bin/etcd # 3.4.23\n";
        assert_eq!(written.as_deref(), Some(rendered));
    }
}

#[test]
fn the_command_line_that_comes_back_is_shown_to_the_old_release_first() {
    let mut world = templated();
    let upgrade = world.plan().plan.unwrap();
    carry_out(&mut world, &upgrade, "etcd-2");
    let past = Past {
        plans: vec![upgrade],
    };
    let plan = back(&world, &past).plan.unwrap();
    let checked = plan.hops[0]
        .steps()
        .find_map(|(_, step)| match &step.action {
            Action::CheckFlags { version, args, .. } => Some((version.to_string(), args.clone())),
            _ => None,
        });
    assert_eq!(
        checked,
        Some(("3.4.23".to_owned(), vec!["--debug=false".to_owned()]))
    );
}

#[test]
fn a_member_that_fails_on_the_way_back_goes_forward_to_what_it_ran() {
    let mut world = World::healthy(3, "3.4.23", "3.5.16");
    let upgrade = world.plan().plan.unwrap();
    carry_out(&mut world, &upgrade, "etcd-2");
    let plan = back(&world, &Past::default()).plan.unwrap();
    let undone = plan.hops[0]
        .steps()
        .find_map(|(_, step)| match (&step.action, &step.undo) {
            (Action::SwitchRelease { .. }, Undo::Actions(actions)) => actions.first(),
            _ => None,
        });
    let Some(Action::SwitchRelease {
        version: to,
        files,
        remove,
        ..
    }) = undone
    else {
        panic!("{undone:?}");
    };
    assert_eq!(*to, version("3.5.16"));
    assert_eq!((files.len(), remove.len()), (3, 0));
}

#[test]
fn what_the_journal_says_decides_between_too_late_and_nothing_to_do() {
    let codes = |world: &World, past: &Past| -> Vec<String> {
        let found = back(world, past).findings.into_iter();
        found
            .map(|finding| finding.code)
            .filter(|code| code == "POINT_OF_NO_RETURN")
            .collect()
    };
    let before = World::healthy(3, "3.4.23", "3.5.16");
    let upgrade = Past {
        plans: vec![before.plan().plan.unwrap()],
    };
    let mut after = World::healthy(3, "3.5.16", "3.5.16");
    after.cluster.version = None;
    assert_eq!(codes(&after, &upgrade).len(), 1, "the upgrade is finished");
    assert_eq!(codes(&before, &upgrade).len(), 0, "it never began");
    assert_eq!(
        codes(&after, &Past::default()).len(),
        0,
        "nobody knows of one"
    );
    let mut same = World::healthy(3, "3.4.23", "3.4.23");
    same.cluster.version = Some(version("3.4.23"));
    let mut rollback = upgrade.plans[0].clone();
    (rollback.kind, rollback.from, rollback.to) =
        (Kind::Rollback, rollback.to.clone(), rollback.from.clone());
    let taken_back = Past {
        plans: vec![rollback, upgrade.plans[0].clone()],
    };
    assert_eq!(
        codes(&same, &taken_back).len(),
        0,
        "it was taken back already"
    );
}

#[test]
fn a_release_is_fetched_only_for_hosts_that_have_not_kept_it() {
    let mut world = World::healthy(3, "3.4.23", "3.5.16");
    let upgrade = world.plan().plan.unwrap();
    carry_out(&mut world, &upgrade, "etcd-2");
    let needed = |world: &World| rollback::needed(&world.cluster, &world.chosen, &world.facts);
    assert!(needed(&world).is_empty());
    world.releases.clear();
    assert!(back(&world, &Past::default()).plan.is_some());
    world.host("etcd-2").staged.clear();
    assert_eq!(needed(&world).len(), 1);
    let refused = back(&world, &Past::default());
    assert!(
        refused
            .findings
            .iter()
            .any(|finding| finding.code == "RELEASE_MISSING")
    );
    world.host("etcd-2").binaries = binaries("3.4.23");
    assert_eq!(
        needed(&world).len(),
        1,
        "what is installed is not what runs"
    );
}
