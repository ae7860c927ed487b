//! The downgrade as a plan: which release it leads to, when etcd is told, what takes it back, and what it refuses.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use runner::etcd::catalogue::Catalogue;
use runner::etcd::{Minor, Version};
use runner::facts::{Answer, Arch, FileFacts};
use runner::inventory::TemplateSource;
use runner::plan::path::Available;
use runner::plan::rollback::{self, Past};
use runner::plan::upgrade::Request;
use runner::plan::{
    Action, Downgrade, Finding, Kind, Plan, Planned, Purpose, Severity, Undo, downgrade, lint,
};

use crate::scenarios::is_documented;
use crate::world::{World, version};

const UNIT: &str = "/etc/systemd/system/etcd.service";

fn three() -> World {
    let mut world = World::healthy(3, "3.6.14", "3.5.30");
    world.resume = true;
    world
}

fn down(world: &World) -> Planned {
    downgrade::plan(&world.request())
}

fn up(world: &World, past: &Past) -> Planned {
    let target = rollback::release(&world.cluster, &world.facts).unwrap();
    let request = Request {
        target,
        ..world.request()
    };
    rollback::plan(&request, past)
}

/// What the members say once etcd was told.
fn enable(world: &mut World, to: &str) {
    for view in world.views() {
        view.downgrade = Some(version(to));
        view.storage = Some(version(to));
        view.cluster_version = Some(version(to));
    }
}

fn target(world: &World, wanted: Option<&str>) -> Result<Version, Box<Finding>> {
    let wanted = wanted.map(version);
    let rules = Catalogue::embedded();
    downgrade::target(&world.facts, wanted.as_ref(), &world.available, rules)
}

fn listed(world: &mut World, versions: &[&str]) {
    let list = versions.iter().map(|text| version(text)).collect();
    world.available = Available::Listed(list);
}

fn code(planned: &Planned) -> Vec<&str> {
    let blocks = |finding: &&Finding| finding.severity == Severity::Block;
    let findings = planned.findings.iter().inspect(|one| is_documented(one));
    findings
        .filter(blocks)
        .map(|one| one.code.as_str())
        .collect()
}

#[test]
fn the_newest_release_of_the_minor_before_that_can_be_used_and_had_is_chosen() {
    let mut world = three();
    assert_eq!(target(&world, None).unwrap(), version("3.5.33"));
    listed(
        &mut world,
        &["3.4.45", "3.5.4", "3.5.16", "3.5.30", "3.6.14"],
    );
    assert_eq!(target(&world, None).unwrap(), version("3.5.30"));
    assert_eq!(target(&world, Some("3.5.16")).unwrap(), version("3.5.16"));
    listed(&mut world, &["3.5.4", "3.6.14"]);
    assert_eq!(target(&world, None).unwrap_err().code, "RELEASE_MISSING");
    enable(&mut world, "3.5.0");
    world.runs("etcd-2", "3.5.16");
    assert_eq!(
        target(&world, None).unwrap(),
        version("3.5.16"),
        "as it has begun"
    );
}

#[test]
fn one_minor_at_a_time_and_none_below_3_6() {
    let refusal = |world: &World, wanted: Option<&str>| target(world, wanted).unwrap_err();
    let world = World::healthy(3, "3.7.1", "3.6.14");
    let two = refusal(&world, Some("3.5.30"));
    assert_eq!(two.code, "DOWNGRADE_TARGET");
    assert!(two.hint.contains("downgrade again"), "{two:?}");
    for wanted in ["3.7.0", "3.7.2", "4.0.0"] {
        assert_eq!(
            refusal(&world, Some(wanted)).code,
            "DOWNGRADE_TARGET",
            "{wanted}"
        );
    }
    assert!(target(&world, Some("3.7.1")).is_ok(), "it is there already");
    assert!(target(&world, Some("3.6.11")).is_ok());
    for (runs, wanted) in [
        ("3.5.30", None),
        ("3.5.30", Some("3.4.45")),
        ("2.3.8", None),
    ] {
        let none = refusal(&World::healthy(3, runs, "3.4.45"), wanted);
        assert_eq!(none.code, "NO_DOWNGRADE");
        assert!(none.hint.contains("`runner restore`"), "{none:?}");
    }
}

type Change = fn(&mut World);

#[test]
fn what_stands_in_the_way_is_told_where_it_is_and_only_there() {
    let rows: [(&str, Change); 9] = [
        ("CLUSTER_VERSION", |world| {
            let lower = |view: &mut runner::facts::MemberView| {
                view.cluster_version = Some(version("3.5.0"));
            };
            world.views().for_each(lower);
        }),
        ("MEMBER_DOWN", |world| {
            let because = "connection refused".to_owned();
            world.host("etcd-2").answer = Answer::Silent { because };
        }),
        ("DOWNGRADE_TARGET", |world| enable(world, "3.4.0")),
        ("BAD_PATCH", |world| {
            let files = world.releases[&(version("3.5.30"), Arch::Amd64)].clone();
            world.target = version("3.5.4");
            let key = (world.target.clone(), Arch::Amd64);
            world.releases.insert(key, files);
        }),
        ("TARGET_MISSING", |world| listed(world, &["3.6.14"])),
        ("RELEASE_MISSING", |world| world.releases.clear()),
        ("FLAG_REMOVED", |world| {
            let flag = "--feature-gates=InitialCorruptCheck=true".to_owned();
            world.host("etcd-1").unit.argv.push(flag);
        }),
        ("MIXED_SPREAD", |world| world.runs("etcd-2", "3.4.45")),
        ("UNIT_NOT_ACTIVE", |world| {
            "failed".clone_into(&mut world.host("etcd-1").unit.active_state);
        }),
    ];
    for (wanted, change) in rows {
        let mut world = three();
        assert_eq!(code(&down(&world)), Vec::<&str>::new());
        change(&mut world);
        let planned = down(&world);
        assert_eq!(
            (code(&planned), planned.plan.as_ref()),
            (vec![wanted], None)
        );
    }
}

#[test]
fn options_that_only_the_newer_line_knows_are_found_outside_of_the_command_line_too() {
    let warned = |world: &World, wanted: &str| {
        let found = down(world).findings;
        found.iter().any(|finding| finding.code == wanted)
    };
    let mut world = three();
    assert!(!warned(&world, "ENV_DROPPED") && !warned(&world, "CONFIG_DROPPED"));
    let unit = &mut world.host("etcd-1").unit;
    unit.environment
        .insert("ETCD_FEATURE_GATES".into(), "CompactHashCheck=true".into());
    assert!(warned(&world, "ENV_DROPPED"));
    let mut world = three();
    let path = "/etc/etcd/etcd.yml";
    let host = world.host("etcd-1");
    host.unit.argv.push(format!("--config-file={path}"));
    let file = FileFacts {
        text: Some("name: etcd-1\nmemory-mlock: true\n".to_owned()),
        mode: 0o640,
        owner: "etcd:etcd".to_owned(),
    };
    host.files.insert(path.to_owned(), file);
    assert!(warned(&world, "CONFIG_DROPPED"));
}

/// The steps of the wave of a host.
fn steps<'p>(plan: &'p Plan, host: &str) -> Vec<&'p runner::plan::Step> {
    let members = plan.hops[0].waves.iter();
    let mut lanes = members
        .filter(|wave| wave.purpose == Purpose::Member)
        .flat_map(|wave| &wave.lanes);
    let lane = lanes.find(|lane| lane.host == host).unwrap();
    lane.steps.iter().collect()
}

const ENABLE: Action = Action::Downgrade(Downgrade::Enable {
    to: Minor { major: 3, minor: 5 },
});
const CANCEL: Action = Action::Downgrade(Downgrade::Cancel);

#[test]
fn etcd_is_told_in_the_first_lane_and_told_to_forget_it_by_that_lanes_undo() {
    let world = three();
    let plan = down(&world).plan.unwrap();
    assert_eq!((plan.kind, lint::lint(&plan)), (Kind::Downgrade, Ok(())));
    let first = steps(&plan, "etcd-2");
    let rises = Action::AwaitClusterVersion {
        minor: Minor::new(3, 6),
    };
    assert_eq!(first[0].action, ENABLE);
    assert_eq!(first[0].undo, Undo::Actions(vec![CANCEL, rises]));
    for host in ["etcd-3", "etcd-1"] {
        assert!(steps(&plan, host).iter().all(|step| step.action != ENABLE));
    }
    let last = plan.hops[0].waves.last().unwrap();
    let lowered = Action::AwaitClusterVersion {
        minor: Minor::new(3, 5),
    };
    assert_eq!(last.lanes[0].steps[0].action, lowered);
}

#[test]
fn one_that_somebody_else_has_enabled_is_awaited_and_not_taken_back() {
    let mut world = three();
    enable(&mut world, "3.5.0");
    let plan = down(&world).plan.unwrap();
    let first = steps(&plan, "etcd-2")[0];
    assert_eq!((&first.action, &first.undo), (&ENABLE, &Undo::Nothing));
    world.runs("etcd-2", "3.5.30");
    let plan = down(&world).plan.unwrap();
    assert_eq!(steps(&plan, "etcd-3")[0].action, ENABLE);
}

#[test]
fn a_cluster_that_is_mixed_for_another_reason_needs_no_telling() {
    let mut world = three();
    world.runs("etcd-2", "3.5.30");
    for view in world.views() {
        view.cluster_version = Some(version("3.5.0"));
    }
    let plan = down(&world).plan.unwrap();
    let told = plan.hops[0].steps().any(|(_, step)| step.action == ENABLE);
    assert!(!told);
    assert_eq!(
        plan.hops[0]
            .steps()
            .filter(|(_, step)| step.disruptive)
            .count(),
        2
    );
}

#[test]
fn when_all_have_gone_nothing_is_to_be_done() {
    let mut world = World::healthy(3, "3.6.14", "3.6.14");
    world.cluster.version = None;
    enable(&mut world, "3.6.0");
    for way in [down(&world), up(&world, &Past::default())] {
        assert_eq!((code(&way), way.plan.as_ref()), (Vec::new(), None));
    }
}

#[test]
fn a_member_that_an_interrupted_run_left_down_is_worked_on_first() {
    let mut world = three();
    enable(&mut world, "3.5.0");
    let because = "connection refused".to_owned();
    world.host("etcd-3").answer = Answer::Silent { because };
    "inactive".clone_into(&mut world.host("etcd-3").unit.active_state);
    for planned in [down(&world), up(&world, &Past::default())] {
        let plan = planned.plan.unwrap();
        assert_eq!(lint::lint(&plan), Ok(()));
        let mut waves = plan.hops[0].waves.iter();
        let first = waves.find(|wave| wave.purpose == Purpose::Member).unwrap();
        assert_eq!(first.lanes[0].host, "etcd-3");
    }
}

#[test]
fn a_rollback_puts_the_newer_release_back_and_cancels_at_the_end() {
    let mut world = three();
    enable(&mut world, "3.5.0");
    world.runs("etcd-2", "3.5.30");
    let plan = up(&world, &Past::default()).plan.unwrap();
    assert_eq!((plan.kind, lint::lint(&plan)), (Kind::Rollback, Ok(())));
    assert_eq!(
        (plan.from.clone(), plan.to.clone()),
        (version("3.5.30"), version("3.6.14"))
    );
    let stops: Vec<&str> = plan.hops[0]
        .steps()
        .filter(|(_, step)| step.disruptive)
        .map(|(lane, _)| lane.host.as_str())
        .collect();
    assert_eq!(stops, ["etcd-2"]);
    let last = plan.hops[0].waves.last().unwrap();
    assert_eq!(last.lanes[0].steps[0].action, CANCEL);
    world.runs("etcd-2", "3.6.14");
    let plan = up(&world, &Past::default()).plan.unwrap();
    let actions: Vec<&Action> = plan.hops[0].steps().map(|(_, step)| &step.action).collect();
    assert_eq!((actions.len(), actions[0]), (2, &CANCEL), "none has gone");
}

#[test]
fn with_a_limit_the_downgrade_is_not_cancelled_while_others_need_it() {
    let mut world = three();
    enable(&mut world, "3.5.0");
    world.runs("etcd-2", "3.5.30");
    world.runs("etcd-3", "3.5.30");
    world.chosen = ["etcd-2".to_owned()].into();
    let planned = up(&world, &Past::default());
    assert!(planned.findings.iter().any(|one| one.code == "PARTIAL"));
    let plan = planned.plan.unwrap();
    assert!(plan.hops[0].steps().all(|(_, step)| step.action != CANCEL));
}

/// A cluster whose unit is rendered, and the text that it has for a release.
fn templated() -> (World, fn(&str) -> String) {
    let mut world = three();
    let source = "[Service]\nExecStart={{ bin_dir }}/etcd # {{ version }}\n";
    for host in &mut world.cluster.hosts {
        host.templates.unit = Some(TemplateSource {
            path: "t.j2".into(),
            text: source.to_owned(),
        });
    }
    for facts in world.facts.hosts.values_mut() {
        let file = FileFacts {
            text: Some("[Service]\nExecStart=/usr/local/bin/etcd # mine\n".to_owned()),
            mode: 0o600,
            owner: "root:adm".to_owned(),
        };
        facts.files.insert(UNIT.to_owned(), file);
    }
    (world, |release| {
        format!("[Service]\nExecStart=/usr/local/bin/etcd # {release}\n")
    })
}

fn written(plan: &Plan, host: &str) -> Option<String> {
    let steps = steps(plan, host).into_iter();
    let mut texts = steps.filter_map(|step| match &step.action {
        Action::WriteFile { dest, text, .. } if dest == UNIT => Some(text.clone()),
        _ => None,
    });
    texts.next()
}

#[test]
fn files_are_rendered_for_the_older_release_and_come_back_as_the_downgrade_found_them() {
    let (mut world, rendered) = templated();
    let plan = down(&world).plan.unwrap();
    let text = rendered("3.5.30");
    assert_eq!(written(&plan, "etcd-2"), Some(text.clone()));
    let mine = world.host("etcd-2").files[UNIT].clone();
    enable(&mut world, "3.5.0");
    world.runs("etcd-2", "3.5.30");
    let file = FileFacts {
        text: Some(text),
        mode: 0o644,
        owner: "root:root".to_owned(),
    };
    world.host("etcd-2").files.insert(UNIT.to_owned(), file);
    let past = Past { plans: vec![plan] };
    let back = up(&world, &past).plan.unwrap();
    assert_eq!(written(&back, "etcd-2"), mine.text);
    let back = up(&world, &Past::default()).plan.unwrap();
    assert_eq!(written(&back, "etcd-2"), Some(rendered("3.6.14")));
}

#[test]
fn a_release_that_the_hosts_have_kept_is_not_fetched() {
    let mut world = three();
    let to = version("3.5.30");
    let needed =
        |world: &World| downgrade::needed(&world.cluster, &world.chosen, &world.facts, &to).len();
    assert_eq!(needed(&world), 1);
    let kept = crate::world::binaries("3.5.30").into_iter();
    let kept: std::collections::BTreeMap<String, String> =
        kept.map(|(name, binary)| (name, binary.sha256)).collect();
    for facts in world.facts.hosts.values_mut() {
        facts.staged.insert(to.clone(), kept.clone());
    }
    assert_eq!(needed(&world), 0);
    world.releases.clear();
    assert!(down(&world).plan.is_some());
}

#[test]
fn an_upgrade_of_such_a_cluster_is_refused_and_names_both_ways() {
    let mut world = three();
    enable(&mut world, "3.5.0");
    world.target = version("3.7.1");
    let planned = world.plan();
    let refusal = planned
        .findings
        .iter()
        .find(|one| one.code == "DOWNGRADE_RUNS");
    let hint = &refusal.unwrap().hint;
    assert!(
        hint.contains("`runner downgrade`") && hint.contains("`runner rollback`"),
        "{hint}"
    );
}

#[test]
fn what_is_too_late_or_too_old_names_the_downgrade_where_there_is_one() {
    for (runs, before, named) in [("3.6.14", "3.5.30", true), ("3.5.30", "3.4.45", false)] {
        let mut world = World::healthy(3, runs, before);
        let older = world.plan().findings.remove(0);
        assert_eq!(older.code, "TARGET_OLDER");
        assert_eq!(
            older.hint.contains("`runner downgrade --to"),
            named,
            "{older:?}"
        );
        world.cluster.version = Some(version(runs));
        let found = up(&world, &Past::default()).findings;
        let late = found.iter().find(|one| one.code == "POINT_OF_NO_RETURN");
        let hint = &late.unwrap().hint;
        assert_eq!(hint.contains("`runner downgrade`"), named, "{hint}");
        assert!(hint.contains("`runner restore`"), "{hint}");
    }
}
