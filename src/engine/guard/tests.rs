//! Each reason of the guard, broken on purpose.

use super::*;
use crate::etcd::{Alarm, AlarmKind};
use crate::facts::Answer;

/// Three healthy members `a`, `b`, `c` on hosts of the same names; `c` leads.
fn seen() -> Observation {
    let names = ["a", "b", "c"];
    let members = names.iter().zip(1..).map(|(name, id)| Member {
        id: MemberId(id),
        name: (*name).to_owned(),
        peer_urls: Vec::new(),
        client_urls: Vec::new(),
        learner: false,
    });
    let members: Vec<Member> = members.collect();
    let view = |member: &Member| MemberView {
        id: member.id,
        cluster_id: MemberId(9),
        version: Version::new(3, 4, 23),
        cluster_version: Some(Version::new(3, 4, 0)),
        leader: Some(MemberId(3)),
        learner: false,
        raft_term: 2,
        raft_index: 100,
        raft_applied: 100,
        db_bytes: 0,
        db_in_use_bytes: None,
        health: Ok(()),
        alarms: Vec::new(),
        members: members.clone(),
        downgrade: None,
        storage: None,
    };
    let answer = |member: &Member| Answer::Member(Box::new(view(member)));
    let hosts = members.iter().map(|m| (m.name.clone(), answer(m)));
    Observation {
        hosts: hosts.collect(),
    }
}

fn change(seen: &mut Observation, host: &str, change: impl FnOnce(&mut MemberView)) {
    match seen.hosts.get_mut(host) {
        Some(Answer::Member(view)) => change(view),
        _ => panic!("`{host}` has no view"),
    }
}

/// Asks whether `a` may be stopped on the way from 3.4.23 to 3.5.16.
fn ask(seen: &Observation) -> Result<(), String> {
    let (oldest, newest) = (Version::new(3, 4, 23), Version::new(3, 5, 16));
    let member = MemberRef {
        id: MemberId(1),
        name: "a".to_owned(),
    };
    identity_and_rest(seen, &member, &oldest, &newest)
}

fn identity_and_rest(
    seen: &Observation,
    member: &MemberRef,
    oldest: &Version,
    newest: &Version,
) -> Result<(), String> {
    let hosts = seen.hosts.keys().map(|name| crate::inventory::Host {
        name: name.clone(),
        member: name.clone(),
        address: name.clone(),
        ssh: crate::inventory::Ssh::default(),
        escalation: crate::inventory::Escalation::None,
        unit: String::new(),
        data_dir: String::new(),
        bin_dir: String::new(),
        install_dir: String::new(),
        backup_dir: String::new(),
        client_url: String::new(),
        tls: None,
        auth: None,
        templates: crate::inventory::Templates::default(),
        vars: serde_json::Map::new(),
    });
    let cluster = Cluster {
        name: "prod".to_owned(),
        version: None,
        hosts: hosts.collect(),
        backup: crate::inventory::BackupPolicy {
            keep: 1,
            fetch: false,
        },
        releases: crate::inventory::ReleaseSource {
            source: String::new(),
            sha256sums: None,
            base: std::path::PathBuf::new(),
            fan_out: crate::inventory::FanOut::Control,
        },
    };
    let question = Question {
        cluster: &cluster,
        host: "a",
        member,
        oldest,
        newest,
    };
    verdict(&question, seen)
}

#[test]
fn a_healthy_cluster_may_lose_the_member_in_turn() {
    assert_eq!(ask(&seen()), Ok(()));
}

#[test]
fn a_member_that_is_down_itself_may_be_worked_on() {
    let mut seen = seen();
    let because = "refused".to_owned();
    seen.hosts
        .insert("a".to_owned(), Answer::Silent { because });
    assert_eq!(ask(&seen), Ok(()));
}

#[test]
fn nobody_is_stopped_while_another_member_is_down() {
    let mut seen = seen();
    change(&mut seen, "b", |view| view.health = Err("late".to_owned()));
    assert!(
        ask(&seen)
            .unwrap_err()
            .starts_with("member `b` is not healthy")
    );
}

#[test]
fn a_voter_that_is_no_host_of_the_inventory_counts_as_down() {
    let mut seen = seen();
    seen.hosts.remove("b");
    assert!(
        ask(&seen)
            .unwrap_err()
            .starts_with("member `b` is not healthy")
    );
}

#[test]
fn another_member_than_planned_on_the_host_is_refused() {
    let mut seen = seen();
    change(&mut seen, "a", |view| view.id = MemberId(0xbad));
    assert_eq!(
        ask(&seen).unwrap_err(),
        "member bad answers on `a`, the plan expects 1"
    );
}

#[test]
fn a_release_outside_of_the_hop_is_refused() {
    let mut seen = seen();
    change(&mut seen, "c", |view| view.version = Version::new(3, 6, 1));
    assert_eq!(
        ask(&seen).unwrap_err(),
        "`c` runs 3.6.1, the plan expects 3.4.23 to 3.5.16"
    );
}

#[test]
fn members_that_disagree_on_the_leader_are_left_alone() {
    let mut seen = seen();
    change(&mut seen, "b", |view| view.leader = Some(MemberId(2)));
    assert!(ask(&seen).unwrap_err().contains("do not agree who leads"));
}

#[test]
fn an_alarm_is_refused_with_its_name() {
    let mut seen = seen();
    let alarm = Alarm {
        member: MemberId(2),
        kind: AlarmKind::NoSpace,
    };
    change(&mut seen, "b", |view| view.alarms = vec![alarm]);
    assert_eq!(
        ask(&seen).unwrap_err(),
        "member 2 has raised the alarm NOSPACE"
    );
}
