//! Every finding both ways: it is told where its cause is, and not where that is missing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use runner::etcd::{Alarm, AlarmKind, MemberId};
use runner::facts::{Answer, FileFacts, OldRequests, SnapFacts, V2Keys};
use runner::inventory::Auth;
use runner::plan::path::Available;

use crate::preflight::unit_template as template;
use crate::world::{World, id, version};

const MIB: u64 = 1024 * 1024;

/// Findings that a plan of an upgrade does not have, and the test that has them.
const ELSEWHERE: &[(&str, &str)] = &[
    ("BACKUP_DAMAGED", "tests/it/restore_plan.rs"),
    ("BACKUP_FOREIGN", "tests/it/restore_plan.rs"),
    ("BACKUP_OTHERS", "src/commands/restore/choose.rs"),
    ("BACKUP_PEERS", "tests/it/restore_plan.rs"),
    ("BACKUP_RELEASE", "src/commands/restore/choose.rs"),
    ("BACKUP_SAME", "tests/it/restore_plan.rs"),
    ("DATA_LOSS", "tests/it/restore_plan.rs"),
    ("DOWNGRADE_RUNS", "tests/it/downgrade.rs"),
    ("DOWNGRADE_TARGET", "tests/it/downgrade.rs"),
    ("FACTS_INCOMPLETE", "src/commands/look.rs"),
    ("HOST_UNREACHABLE", "src/commands/look.rs"),
    ("JOURNAL_UNREAD", "src/commands/rollback.rs"),
    ("NO_BACKUP", "tests/it/restore_plan.rs"),
    ("NO_BUMP", "tests/it/restore_plan.rs"),
    ("NO_DOWNGRADE", "tests/it/downgrade.rs"),
    ("NO_MEMBER", "tests/it/backup_plan.rs"),
    (
        "NO_MIXED_ROLLBACK",
        "tests/it/snapshots/scenario_back_never.snap",
    ),
    ("POINT_OF_NO_RETURN", "tests/it/rollback.rs"),
    ("RELEASE_UNUSABLE", "src/commands/decide.rs"),
    ("RESTORE_LEFT", "tests/it/restore_plan.rs"),
    ("RESTORE_OLD", "tests/it/restore_plan.rs"),
    ("RUN_IN_PROGRESS", "tests/e2e/locks.rs"),
    ("V2_NOT_RESTORED", "tests/it/restore_plan.rs"),
    ("V2_START", "tests/it/restore_plan.rs"),
    ("WAL_APART", "tests/it/restore_plan.rs"),
];

type Change = fn(&mut World);

/// A cluster that runs the first and goes to the second, what is broken in it, and what that is called.
type Row = (&'static str, &'static str, &'static str, Change);

fn each(world: &mut World, change: impl Fn(&mut World, &str)) {
    for number in 1..=world.cluster.hosts.len() {
        change(world, &format!("etcd-{number}"));
    }
}

fn argument(world: &mut World, given: &str) {
    each(world, |world, host| {
        world.host(host).unit.argv.push(given.to_owned());
    });
}

fn config(world: &mut World, text: &str) {
    const PATH: &str = "/etc/etcd/etcd.yml";
    argument(world, &format!("--config-file={PATH}"));
    each(world, |world, host| {
        let file = FileFacts {
            text: Some(text.to_owned()),
            mode: 0o640,
            owner: "etcd:etcd".to_owned(),
        };
        world.host(host).files.insert(PATH.to_owned(), file);
    });
}

fn snap(world: &mut World, mib: u64) {
    each(world, |world, name| {
        world.host(name).data.snap = Some(SnapFacts {
            index: 1000,
            bytes: mib * MIB,
        });
    });
}

fn old_requests(world: &mut World) {
    each(world, |world, name| {
        world.host(name).data.old_requests = OldRequests::Found {
            from_2: Some(900),
            client: Some(900),
            any: Some(900),
        };
    });
}

fn v2(world: &mut World, keys: &V2Keys) {
    each(world, |world, name| {
        world.host(name).data.v2_keys = keys.clone();
    });
}

fn v2_users(world: &mut World) {
    each(world, |world, name| {
        world.host(name).data.v2_users = true;
    });
}

fn unit_type(world: &mut World, kind: &str) {
    each(world, |world, name| {
        kind.clone_into(&mut world.host(name).unit.kind);
    });
}

fn users(world: &mut World) {
    for host in &mut world.cluster.hosts {
        host.auth = Some(Auth {
            user: "root".to_owned(),
            password_file: "/nowhere".into(),
            password: runner::secret::Secret::new("never shown"),
        });
    }
}

fn stranger(world: &mut World, name: &str) {
    for view in world.views() {
        let mut member = view.members[0].clone();
        member.id = id(9);
        name.clone_into(&mut member.name);
        view.members.push(member);
    }
}

fn members() -> Vec<Row> {
    let (from, to) = ("3.4.23", "3.5.16");
    let row = |code, change: Change| (code, from, to, change);
    vec![
        row("HOST_FACTS", |world| {
            drop(world.facts.hosts.remove("etcd-3"));
        }),
        row("MEMBER_DOWN", |world| {
            let because = "connection refused".to_owned();
            world.host("etcd-2").answer = Answer::Silent { because };
        }),
        row("MEMBER_UNHEALTHY", |world| {
            world.view("etcd-2").health = Err("timed out".to_owned());
        }),
        row("NO_LEADER", |world| world.view("etcd-2").leader = None),
        row("LEADER_DISPUTED", |world| {
            world.view("etcd-2").leader = Some(id(2));
        }),
        row("CLUSTER_ID_MISMATCH", |world| {
            world.view("etcd-2").cluster_id = MemberId(7);
        }),
        row("WRONG_MEMBER", |world| world.view("etcd-2").id = id(3)),
        row("MEMBERS_DISPUTED", |world| {
            drop(world.view("etcd-2").members.pop());
        }),
        row("MEMBER_MISSING_IN_INVENTORY", |world| {
            stranger(world, "other");
        }),
        row("MEMBER_UNSTARTED", |world| stranger(world, "")),
        row("MEMBER_NOT_IN_CLUSTER", |world| {
            world.views().for_each(|view| drop(view.members.pop()));
        }),
        row("SAME_NAME", |world| stranger(world, "etcd-1")),
        row("ALARM", |world| {
            let member = id(1);
            let kind = AlarmKind::NoSpace;
            world.view("etcd-1").alarms.push(Alarm { member, kind });
        }),
        row("LEARNER", |world| {
            world.view("etcd-3").learner = true;
            world
                .views()
                .for_each(|view| view.members[2].learner = true);
        }),
        row("MIXED", |world| world.runs("etcd-2", "3.5.16")),
        row("MIXED_SPREAD", |world| world.runs("etcd-2", "3.6.14")),
        row("RAFT_LAG", |world| world.view("etcd-1").raft_index = 90_000),
        row("CLOCK_SKEW", |world| {
            world.host("etcd-1").clock_skew_ms = 900;
        }),
        row("CLUSTER_VERSION", |world| {
            world
                .views()
                .for_each(|view| view.cluster_version = Some(version("3.3.0")));
        }),
        row("PARTIAL", |world| {
            world.chosen.remove("etcd-1");
        }),
    ]
}

fn hosts() -> Vec<Row> {
    let (from, to) = ("3.4.23", "3.5.16");
    let row = |code, change: Change| (code, from, to, change);
    vec![
        row("UNIT_NOT_FOUND", |world| {
            "not-found".clone_into(&mut world.host("etcd-1").unit.load_state);
        }),
        row("UNIT_NOT_ACTIVE", |world| {
            "failed".clone_into(&mut world.host("etcd-1").unit.active_state);
        }),
        row("UNIT_DISABLED", |world| {
            "disabled".clone_into(&mut world.host("etcd-1").unit.enabled);
        }),
        row("UNIT_RELOAD", |world| {
            world.host("etcd-1").unit.needs_reload = true;
        }),
        row("STOP_TIMEOUT", |world| {
            world.host("etcd-1").unit.timeout_stop_s = Some(10);
        }),
        row("BINARY_DRIFT", |world| {
            let binaries = crate::world::binaries("3.4.45");
            world.host("etcd-1").binaries = binaries;
        }),
        row("UNIT_EXEC", |world| {
            "/opt/other/etcd".clone_into(&mut world.host("etcd-1").unit.exec);
        }),
        row("DATA_DIR", |world| world.host("etcd-1").data.exists = false),
        row("ETCDCTL_MISSING", |world| {
            drop(world.host("etcd-1").binaries.remove("etcdctl"));
        }),
        row("DISK_FREE", |world| {
            let disks = world.host("etcd-1").disks.values_mut();
            disks.for_each(|disk| disk.free_bytes = MIB);
        }),
        row("TARGET_OLDER", |world| world.target = version("3.4.3")),
        row("TARGET_MISSING", |world| {
            world.available = Available::Listed(BTreeSet::new());
        }),
        row("HOP_UNKNOWN", |world| world.target = version("3.99.0")),
        row("RELEASE_MISSING", |world| world.releases.clear()),
        row("TEMPLATE", |world| template(world, "{{ vars.nothing }}")),
        row("TEMPLATE_EXEC", |world| {
            template(world, "[Service]\nExecStart=/opt/etcd\n");
        }),
        row("TEMPLATE_UNREADABLE", |world| {
            template(world, "[Service]\nExecStart={{ bin_dir }}/etcd\n");
            let path = "/etc/systemd/system/etcd.service".to_owned();
            world
                .host("etcd-1")
                .files
                .insert(path, FileFacts::default());
        }),
        row("ARGS_UNKNOWN", |world| argument(world, "$DAEMON_ARGS")),
        row("CONFIG_UNSEEN", |world| {
            argument(world, "--config-file=/etc/x.yml");
        }),
        row("ENV_SHADOW", |world| {
            let name = "ETCD_NAME".to_owned();
            world
                .host("etcd-1")
                .unit
                .environment
                .insert(name, "x".to_owned());
        }),
        row("FLAG_REMOVED", |world| argument(world, "--debug=true")),
        row("ENV_DROPPED", |world| {
            let name = "ETCD_DEBUG".to_owned();
            world
                .host("etcd-1")
                .unit
                .environment
                .insert(name, "true".to_owned());
        }),
        row("CONFIG_DROPPED", |world| {
            config(world, "name: x\ndebug: true\n");
        }),
        row("CONFIG_TYPE", |world| {
            config(world, "auto-compaction-retention: 1\n");
        }),
    ]
}

fn hops() -> Vec<Row> {
    vec![
        ("TEMPLATE_DRIFT", "3.5.16", "3.5.16", |world| {
            template(world, "[Service]\nExecStart={{ bin_dir }}/etcd\n");
        }),
        ("BAD_PATCH", "3.4.45", "3.5.33", |world| {
            world.target = version("3.5.16");
        }),
        ("HOP_NOTE", "3.5.16", "3.5.30", |world| {
            world.target = version("3.6.14");
        }),
        ("URL_HOST", "3.1.20", "3.2.32", |world| {
            argument(world, "--listen-client-urls=http://etcd.example:2379");
        }),
        ("V2_DATA", "3.3.25", "3.4.23", |world| {
            v2(world, &V2Keys::Present);
        }),
        ("V2_OFF", "3.3.25", "3.4.23", |world| {
            v2(world, &V2Keys::Present);
        }),
        ("V2_BACKUP", "3.3.25", "3.4.23", |world| {
            v2(world, &V2Keys::Present);
            each(world, |world, name| {
                world.host(name).tools.remove("tar");
            });
        }),
        ("V2_UNKNOWN", "3.3.25", "3.4.23", |world| {
            v2(world, &V2Keys::Unknown("asked in vain".to_owned()));
        }),
        ("V2_USERS", "2.3.8", "3.0.17", v2_users),
        ("V2_USERS", "3.5.33", "3.6.14", v2_users),
        ("V2_GONE", "3.5.33", "3.6.14", |world| {
            v2(world, &V2Keys::Present);
        }),
        ("SIZE_WARN", "3.3.25", "3.4.23", |world| snap(world, 60)),
        ("AUTH_FREEZE", "3.2.32", "3.3.27", users),
        ("AUTH_FREEZE", "3.4.45", "3.5.33", users),
        ("RAFT_SNAPSHOT", "3.4.45", "3.5.33", old_requests),
        ("RAFT_SNAPSHOT", "3.5.33", "3.6.14", old_requests),
        ("RAFT_SNAPSHOT", "3.6.14", "3.7.1", old_requests),
        ("SNAPSHOT_COUNT", "3.4.45", "3.5.33", |world| {
            old_requests(world);
            argument(world, "--config-file=/etc/x.yml");
        }),
        ("V3_WRITE", "3.1.20", "3.2.32", |world| {
            *world = at("3.0.17", "3.1.20");
        }),
        ("V3_WRITE", "3.1.20", "3.2.32", |world| {
            *world = at("2.3.8", "3.0.17");
        }),
        ("NO_WAY_BACK", "3.0.17", "3.1.20", |world| {
            *world = at("2.3.8", "3.0.17");
        }),
        ("SOURCE_PATCH", "3.5.33", "3.6.14", |world| {
            *world = at("3.5.30", "3.6.14");
            let there = ["3.5.30", "3.6.14"].map(version);
            world.available = Available::Listed(there.into());
        }),
        ("SOURCE_PATCH", "3.2.20", "3.3.27", users),
        ("UNIT_TYPE", "2.0.13", "2.1.3", |world| {
            unit_type(world, "notify");
        }),
        ("DATA_DIR_MODE", "3.3.22", "3.3.24", |world| {
            each(world, |world, name| world.host(name).data.mode = 0o755);
        }),
    ]
}

/// A healthy cluster whose units have the type that suits its releases.
fn at(from: &str, to: &str) -> World {
    let mut world = World::healthy(3, from, to);
    let kind = runner::etcd::catalogue::Catalogue::embedded().unit_type(&version(from));
    unit_type(&mut world, kind);
    v2(&mut world, &V2Keys::Absent);
    world
}

fn told(world: &World, code: &str) -> bool {
    let findings = world.plan().findings;
    findings.iter().any(|finding| finding.code == code)
}

fn rows() -> Vec<Row> {
    [members(), hosts(), hops()].concat()
}

#[test]
fn a_finding_is_told_where_its_cause_is_and_only_there() {
    let mut wrong = Vec::new();
    for (code, from, to, change) in rows() {
        let mut world = at(from, to);
        if told(&world, code) {
            wrong.push(format!("{code}, {from} to {to}: told without its cause"));
        }
        change(&mut world);
        if !told(&world, code) {
            let codes: Vec<String> = world.plan().findings.into_iter().map(|f| f.code).collect();
            wrong.push(format!("{code}, {from} to {to}: not told, but {codes:?}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_cluster_of_one_is_warned_of_one_of_two_is_asked_and_one_of_three_neither() {
    for (count, code) in [
        (1, Some("SINGLE_MEMBER")),
        (2, Some("TWO_MEMBERS")),
        (3, None),
    ] {
        let world = World::healthy(count, "3.4.23", "3.5.16");
        for one in ["SINGLE_MEMBER", "TWO_MEMBERS"] {
            assert_eq!(told(&world, one), Some(one) == code, "{one} of {count}");
        }
    }
}

/// The codes of the table on the preflight's page.
fn documented() -> BTreeSet<String> {
    let page = include_str!("../../src/plan/preflight/mod.rs");
    let rows = page.lines().filter_map(|line| line.strip_prefix("//! | `"));
    let first = rows.map(|row| row.split('|').next().unwrap());
    let codes = first.flat_map(|cell| cell.split('`').step_by(2));
    codes
        .filter(|code| !code.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_finding_of_the_table_has_a_test_that_breaks_it_in() {
    let mut held: BTreeMap<String, &str> = rows()
        .into_iter()
        .map(|row| (row.0.to_owned(), "here"))
        .collect();
    for code in ["SINGLE_MEMBER", "TWO_MEMBERS"] {
        held.insert(code.to_owned(), "here");
    }
    for (code, file) in ELSEWHERE {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains(code), "{file} says nothing of {code}");
        held.insert((*code).to_owned(), file);
    }
    let held: BTreeSet<String> = held.into_keys().collect();
    assert_eq!(held, documented());
}
