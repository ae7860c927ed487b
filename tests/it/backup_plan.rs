//! A backup taken alone: from whom, and when there is none.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use runner::facts::Answer;
use runner::plan::backup::{self, Request};
use runner::plan::render::{self, Style};
use runner::plan::{Action, Kind, Planned, Severity, lint};

use crate::world::{World, id};

fn plan(world: &World) -> Planned {
    backup::plan(&Request {
        cluster: &world.cluster,
        facts: &world.facts,
        step_timeout_s: None,
        run_id: "20261120T120102Z-4f2a",
        staged: None,
        stopped: None,
    })
}

fn source(planned: &Planned) -> String {
    let plan = planned.plan.as_ref().unwrap();
    plan.hops[0].waves[0].lanes[0].host.clone()
}

fn silence(world: &mut World, name: &str) {
    world.host(name).answer = Answer::Silent {
        because: "connection refused".to_owned(),
    };
}

#[test]
fn it_is_taken_from_the_leader_and_stops_nothing() {
    let mut world = World::healthy(3, "3.4.23", "3.5.16");
    for view in world.views() {
        view.leader = Some(id(2));
    }
    let planned = plan(&world);
    assert_eq!(source(&planned), "etcd-2");
    let plan = planned.plan.unwrap();
    assert_eq!((plan.kind, lint::lint(&plan)), (Kind::Backup, Ok(())));
    assert!(plan.hops[0].steps().all(|(_, step)| !step.disruptive));
    let shown = render::plan(&plan, Style::default());
    insta::assert_snapshot!(shown, @r"
    backup of prod at 3.4.23: 3 steps

      back up the leader: etcd-2
               1 take and verify backup
                   /var/backups/etcd/prod/prod-20261120T120102Z-4f2a-3.4.23.db
               2 bring prod-20261120T120102Z-4f2a-3.4.23.db here
               3 keep the newest 7 backups in /var/backups/etcd/prod
    ");
}

#[test]
fn without_a_quorum_the_member_that_has_applied_most_is_saved() {
    let mut world = World::healthy(3, "3.4.23", "3.5.16");
    silence(&mut world, "etcd-1");
    for view in world.views() {
        view.leader = None;
        view.health = Err("context deadline exceeded".to_owned());
    }
    world.view("etcd-3").raft_applied += 1;
    let planned = plan(&world);
    assert_eq!(source(&planned), "etcd-3");
    let warned = planned.findings.iter();
    assert!(warned.clone().count() >= 3);
    assert!(
        warned
            .clone()
            .all(|finding| finding.severity >= Severity::Warn)
    );
}

#[test]
fn where_nobody_answers_or_somebody_else_does_there_is_no_backup() {
    let mut world = World::healthy(3, "3.4.23", "3.5.16");
    world.view("etcd-2").id = id(3);
    assert!(plan(&world).plan.is_none());
    for name in ["etcd-1", "etcd-2", "etcd-3"] {
        silence(&mut world, name);
    }
    let planned = plan(&world);
    assert!(planned.plan.is_none());
    assert!(
        planned
            .findings
            .iter()
            .any(|finding| finding.code == "NO_MEMBER")
    );
    for finding in &planned.findings {
        crate::scenarios::is_documented(finding);
    }
}

#[test]
fn without_fetch_it_stays_on_the_host() {
    let mut world = World::healthy(1, "3.5.16", "3.5.16");
    world.cluster.backup.fetch = false;
    let plan = plan(&world).plan.unwrap();
    let mut steps = plan.hops[0].steps();
    assert!(!steps.any(|(_, step)| matches!(step.action, Action::FetchBackup { .. })));
}
