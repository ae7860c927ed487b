//! A restore as a plan: what is done in which order, and what is refused or said before.

use runner::etcd::{Member, MemberId};
use runner::facts::{Answer, V2Keys};
use runner::plan::render::{self, Style};
use runner::plan::restore::{self, Backup, File, Past, Source};
use runner::plan::upgrade::Request;
use runner::plan::{Action, Plan, Planned, Purpose, Rebuild, Severity, Undo, lint};

use crate::world::{World, version};

fn file(name: &str) -> File {
    File {
        name: name.to_owned(),
        bytes: 20 << 20,
        sha256: "5".repeat(64),
        here: true,
        on: None,
        damage: None,
    }
}

fn backup() -> Backup {
    let member = |number: u8| Member {
        id: MemberId(u64::from(number)),
        name: format!("etcd-{number}"),
        peer_urls: vec![format!("http://10.0.0.1{number}:2380")],
        client_urls: Vec::new(),
        learner: false,
    };
    Backup {
        run: "20261119T120102Z-4f2a".to_owned(),
        version: Some(version("3.4.23")),
        cluster: Some("prod".to_owned()),
        cluster_id: Some(MemberId(0xcdf8_181e_2ba1_4e5a)),
        members: (1..=3).map(member).collect(),
        revision: Some(21),
        snapshot: Some(file("prod-20261119T120102Z-4f2a-3.4.23.db")),
        store: None,
    }
}

fn with_store() -> Backup {
    Backup {
        store: Some(file("prod-20261119T120102Z-4f2a-3.4.23-etcd-2.v2.tar.gz")),
        ..backup()
    }
}

fn planned(world: &World, backup: Option<&Backup>, bump: Option<u64>) -> Planned {
    planned_to("3.4.23", world, backup, bump)
}

fn planned_to(target: &str, world: &World, backup: Option<&Backup>, bump: Option<u64>) -> Planned {
    let request = Request {
        target: &version(target),
        resume: true,
        ..world.request()
    };
    restore::plan(
        &request,
        &Source {
            backup,
            looked: &["in `/backups` here".to_owned()],
            revision: Some(1021),
            aside: &[],
            bump,
            mark_compacted: bump.is_some(),
            past: &Past::default(),
        },
    )
}

/// Three members that were taken from 3.4.23 to 3.5.16, whose hosts have kept 3.4.23.
fn upgraded() -> World {
    let mut world = World::healthy(3, "3.5.16", "3.5.16");
    for facts in world.facts.hosts.values_mut() {
        let kept = ["etcd", "etcdctl"].map(|name| (name.to_owned(), format!("sha-{name}")));
        facts.staged.insert(version("3.4.23"), kept.into());
    }
    world
}

#[track_caller]
fn finding(planned: &Planned, code: &str) -> (Severity, String) {
    let found = planned.findings.iter().find(|finding| finding.code == code);
    let found = found.unwrap_or_else(|| panic!("no {code}: {:#?}", planned.findings));
    (found.severity, found.reason.clone())
}

fn sound(planned: Planned) -> Plan {
    let plan = planned
        .plan
        .unwrap_or_else(|| panic!("{:#?}", planned.findings));
    assert_eq!(lint::lint(&plan), Ok(()));
    plan
}

#[test]
fn all_members_are_stopped_together_once_their_data_are_prepared() {
    let planned = planned(&upgraded(), Some(&backup()), None);
    let (severity, reason) = finding(&planned, "DATA_LOSS");
    assert_eq!(severity, Severity::Warn);
    assert!(
        reason.contains("1000 revisions, from 21 to 1021"),
        "{reason}"
    );
    let plan = sound(planned);
    insta::assert_snapshot!("restore_plan", render::plan(&plan, Style::default()));
    let stops: Vec<usize> = plan.hops[0]
        .waves
        .iter()
        .map(|wave| {
            wave.lanes
                .iter()
                .flat_map(|lane| &lane.steps)
                .filter(|step| step.disruptive)
                .count()
        })
        .collect();
    assert_eq!(
        stops.iter().filter(|stops| **stops > 0).collect::<Vec<_>>(),
        [&3]
    );
}

#[test]
fn keys_of_both_apis_begin_on_one_member_and_the_others_join() {
    let plan = sound(planned(&upgraded(), Some(&with_store()), None));
    insta::assert_snapshot!(
        "restore_plan_of_both",
        render::plan(&plan, Style::default())
    );
    let texts: Vec<&String> = plan.hops[0]
        .steps()
        .filter_map(|(_, step)| match &step.action {
            Action::WriteFile { text, .. } => Some(text),
            _ => None,
        })
        .collect();
    assert_eq!(texts.len(), 3);
    assert!(
        texts[0].contains("\"--force-new-cluster=true\""),
        "{}",
        texts[0]
    );
    let two = "\"--initial-cluster=etcd-1=http://10.0.0.11:2380,etcd-2=http://10.0.0.12:2380\" \
               \"--initial-cluster-state=existing\"";
    assert!(texts[1].contains(two), "{}", texts[1]);
}

#[test]
fn peer_urls_that_a_restore_broken_off_has_listed_give_way_to_those_of_the_backup() {
    let mut world = upgraded();
    let view = world.view("etcd-1");
    view.members.truncate(1);
    view.members[0].peer_urls = vec!["http://localhost:2380".to_owned()];
    for name in ["etcd-2", "etcd-3"] {
        world.host(name).answer = Answer::default();
    }
    let plan = sound(planned(&world, Some(&with_store()), None));
    let mut steps = plan.hops[0].steps();
    let set = steps.find_map(|(_, step)| match &step.action {
        Action::Rebuild(Rebuild::SetPeers { urls }) => Some(urls.as_str()),
        _ => None,
    });
    assert_eq!(set, Some("http://10.0.0.11:2380"));
}

#[test]
fn a_release_that_is_installed_is_not_touched_and_raised_revisions_are_passed_on() {
    let world = World::healthy(3, "3.5.16", "3.5.16");
    let backup = Backup {
        version: Some(version("3.5.16")),
        ..backup()
    };
    let request = Request {
        resume: true,
        ..world.request()
    };
    let source = Source {
        backup: Some(&backup),
        looked: &[],
        revision: Some(1021),
        aside: &[],
        bump: Some(1000),
        mark_compacted: true,
        past: &Past::default(),
    };
    let plan = sound(restore::plan(&request, &source));
    let switches = |action: &Action| {
        matches!(
            action,
            Action::SwitchRelease { .. } | Action::StageRelease { .. }
        )
    };
    assert!(!plan.hops[0].steps().any(|(_, step)| switches(&step.action)));
    let made = plan.hops[0]
        .steps()
        .find_map(|(_, step)| match &step.action {
            Action::Rebuild(Rebuild::Prepare { tool, flags, .. }) => {
                Some((tool.clone(), flags.clone()))
            }
            _ => None,
        });
    let (tool, flags) = made.unwrap();
    assert_eq!(tool, "/usr/local/bin/etcdutl");
    assert_eq!(flags, ["--bump-revision=1000", "--mark-compacted"]);
}

#[test]
fn what_is_wrong_with_a_backup_is_said_and_nothing_is_planned() {
    let world = upgraded();
    assert_eq!(
        finding(&planned(&world, None, None), "NO_BACKUP").0,
        Severity::Block
    );
    let mut damaged = backup();
    damaged.snapshot.as_mut().unwrap().damage = Some("its trailer says 12".to_owned());
    let refused = planned(&world, Some(&damaged), None);
    assert_eq!(finding(&refused, "BACKUP_DAMAGED").0, Severity::Block);
    assert_eq!(refused.plan, None);
    let other = Backup {
        cluster_id: Some(MemberId(7)),
        ..backup()
    };
    let (severity, reason) = finding(&planned(&world, Some(&other), None), "BACKUP_FOREIGN");
    assert_eq!(severity, Severity::Acknowledge);
    assert!(
        reason.contains("cdf8181e2ba14e5a") && reason.contains('7'),
        "{reason}"
    );
    let named = Backup {
        cluster: Some("stage".to_owned()),
        ..backup()
    };
    finding(&planned(&world, Some(&named), None), "BACKUP_FOREIGN");
    assert_eq!(
        finding(&planned(&world, Some(&backup()), Some(1000)), "NO_BUMP").0,
        Severity::Block
    );
}

#[test]
fn a_cluster_that_is_as_at_the_backup_needs_nothing() {
    let world = World::healthy(3, "3.4.23", "3.5.16");
    let same = Backup {
        revision: Some(1021),
        ..backup()
    };
    let idle = planned(&world, Some(&same), None);
    assert_eq!((idle.plan.clone(), idle.findings.len()), (None, 1));
    assert_eq!(finding(&idle, "BACKUP_SAME").0, Severity::Note);
    assert!(planned(&world, Some(&backup()), None).plan.is_some());
}

#[test]
fn members_that_are_down_or_have_lost_their_data_are_restored_all_the_same() {
    let mut world = upgraded();
    for facts in world.facts.hosts.values_mut() {
        facts.answer = Answer::default();
        facts.unit.active_state = "failed".to_owned();
    }
    let lost = world.host("etcd-2");
    lost.data.exists = false;
    lost.data.owner = String::new();
    let plan = sound(planned(&world, Some(&backup()), None));
    let folders: Vec<_> = plan.hops[0]
        .steps()
        .filter_map(|(lane, step)| match &step.action {
            Action::Rebuild(Rebuild::Exchange { folder, .. }) => {
                Some((lane.host.as_str(), folder.had, folder.owner.as_str()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        folders,
        [
            ("etcd-1", true, "etcd:etcd"),
            ("etcd-2", false, "etcd:"),
            ("etcd-3", true, "etcd:etcd")
        ]
    );
    let starts = plan.hops[0]
        .steps()
        .any(|(_, step)| match (&step.action, &step.undo) {
            (Action::StopUnit { .. }, Undo::Actions(undo)) => !undo.is_empty(),
            _ => false,
        });
    assert!(!starts, "what did not run is not started by the undo");
}

#[test]
fn what_a_restore_cannot_do_right_it_refuses() {
    let mut world = upgraded();
    world
        .host("etcd-1")
        .unit
        .argv
        .push("--wal-dir=/wal".to_owned());
    assert_eq!(
        finding(&planned(&world, Some(&backup()), None), "WAL_APART").0,
        Severity::Block
    );
    let mut world = upgraded();
    world.chosen.remove("etcd-3");
    assert_eq!(
        finding(&planned(&world, Some(&backup()), None), "PARTIAL").0,
        Severity::Block
    );
    let mut world = upgraded();
    world.host("etcd-1").data.v2_keys = V2Keys::Present;
    let asked = planned(&world, Some(&backup()), None);
    assert_eq!(finding(&asked, "V2_NOT_RESTORED").0, Severity::Acknowledge);
    let mut world = upgraded();
    world
        .host("etcd-2")
        .unit
        .argv
        .push("--config-file=/etc/etcd/own.yml".to_owned());
    let (severity, reason) = finding(&planned(&world, Some(&with_store()), None), "V2_START");
    assert_eq!(severity, Severity::Block);
    assert!(reason.contains("/etc/etcd/own.yml"), "{reason}");
    let old = planned_to("2.3.8", &upgraded(), Some(&with_store()), None);
    assert_eq!(finding(&old, "RESTORE_OLD").0, Severity::Block);
}

#[test]
fn a_restore_that_breaks_its_own_rules_is_not_begun() {
    let plan = || sound(planned(&upgraded(), Some(&backup()), None));
    let broken = |change: &dyn Fn(&mut Plan)| {
        let mut plan = plan();
        change(&mut plan);
        lint::lint(&plan).unwrap_err().join("; ")
    };
    let of = |kind: Purpose| move |wave: &runner::plan::Wave| wave.purpose == kind;
    let said = broken(&|plan| plan.hops[0].waves.retain(|wave| !of(Purpose::Stage)(wave)));
    assert!(said.contains("no data are prepared"), "{said}");
    let said = broken(&|plan| {
        let stop = plan.hops[0]
            .waves
            .iter_mut()
            .find(|wave| of(Purpose::Rebuild)(wave))
            .unwrap();
        stop.lanes.pop();
    });
    assert!(
        said.contains("etcd-3 is stopped and its data are not exchanged, or"),
        "{said}"
    );
    let said = broken(&|plan| {
        let steps = plan.hops[0]
            .waves
            .iter_mut()
            .flat_map(|wave| &mut wave.lanes)
            .flat_map(|lane| &mut lane.steps);
        for step in steps {
            if matches!(step.action, Action::Rebuild(Rebuild::Exchange { .. })) {
                step.undo = Undo::Nothing;
            }
        }
    });
    assert!(said.contains("cannot be undone"), "{said}");
    let said = broken(&|plan| {
        let waves = &mut plan.hops[0].waves;
        let at = waves.len() - 2;
        waves.remove(at);
    });
    assert!(said.contains("the keys are not proven"), "{said}");
}

#[test]
fn data_folders_that_earlier_restores_left_are_named() {
    let world = upgraded();
    let request = Request {
        target: &version("3.4.23"),
        resume: true,
        ..world.request()
    };
    let told = |aside: &[(String, String)]| {
        let backup = backup();
        let source = Source {
            backup: Some(&backup),
            looked: &[],
            revision: None,
            aside,
            bump: None,
            mark_compacted: false,
            past: &Past::default(),
        };
        let planned = restore::plan(&request, &source);
        let mut found = planned.findings.into_iter();
        found.find(|finding| finding.code == "RESTORE_LEFT")
    };
    assert_eq!(told(&[]), None);
    let aside = ["etcd-1", "etcd-3"].map(|host| (host.to_owned(), "/var/lib/etcd.old".to_owned()));
    let found = told(&aside).unwrap();
    assert_eq!(found.severity, Severity::Note);
    assert_eq!(
        found.reason,
        "2 left by earlier restores: /var/lib/etcd.old on etcd-1, /var/lib/etcd.old on etcd-3"
    );
}

#[test]
fn a_member_whose_peer_urls_nobody_tells_cannot_be_restored() {
    let mut world = upgraded();
    // Nobody answers, so nobody lists members, and the units say nothing of peers.
    for facts in world.facts.hosts.values_mut() {
        facts.answer = Answer::Silent {
            because: "connection refused".to_owned(),
        };
        facts.unit.argv.retain(|word| !word.contains("peer"));
        facts
            .unit
            .environment
            .retain(|name, _| !name.contains("PEER"));
    }
    let has = |planned: &Planned| {
        let mut found = planned.findings.iter();
        found.any(|finding| finding.code == "BACKUP_PEERS")
    };
    assert!(
        !has(&planned(&world, Some(&backup()), None)),
        "the backup tells them"
    );
    let bare = Backup {
        members: Vec::new(),
        ..backup()
    };
    let planned = planned(&world, Some(&bare), None);
    let (severity, reason) = finding(&planned, "BACKUP_PEERS");
    assert_eq!(severity, Severity::Block);
    assert!(reason.contains("initial-advertise-peer-urls"), "{reason}");
    assert!(planned.plan.is_none());
}
