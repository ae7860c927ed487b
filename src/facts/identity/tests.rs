use super::*;
use crate::etcd::Version;
use crate::facts::Answer;
use crate::facts::sample;

fn cluster(members: &[&str]) -> Cluster {
    let host = |member: &&str| crate::inventory::Host {
        name: format!("host-{member}"),
        member: (*member).to_owned(),
        ..sample::host("http://127.0.0.1:2379")
    };
    sample::cluster(members.iter().map(host).collect())
}

fn member(id: u64, name: &str) -> Member {
    Member {
        id: MemberId(id),
        name: name.to_owned(),
        peer_urls: vec![format!("http://10.0.0.{id}:2380")],
        client_urls: Vec::new(),
        learner: false,
    }
}

fn three() -> Vec<Member> {
    vec![member(1, "m1"), member(2, "m2"), member(3, "m3")]
}

fn view(id: u64, members: Vec<Member>) -> MemberView {
    MemberView {
        id: MemberId(id),
        cluster_id: MemberId(0xc),
        version: Version::new(3, 5, 16),
        cluster_version: None,
        leader: Some(MemberId(1)),
        learner: false,
        raft_term: 2,
        raft_index: 10,
        raft_applied: 10,
        db_bytes: 0,
        db_in_use_bytes: None,
        health: Ok(()),
        alarms: Vec::new(),
        members,
        downgrade: None,
        storage: None,
    }
}

fn seen(views: Vec<(&str, MemberView)>) -> Observation {
    let answer = |(member, view)| (format!("host-{member}"), Answer::Member(Box::new(view)));
    Observation {
        hosts: views.into_iter().map(answer).collect(),
    }
}

fn said(cluster: &Cluster, observation: &Observation) -> Vec<String> {
    check(cluster, observation)
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn members_where_they_belong_raise_nothing_even_with_a_host_silent() {
    let views = vec![("m1", view(1, three())), ("m3", view(3, three()))];
    assert_eq!(check(&cluster(&["m1", "m2", "m3"]), &seen(views)), []);
    assert_eq!(check(&cluster(&["m1"]), &Observation::default()), []);
}

#[test]
fn two_members_in_each_others_place_are_both_told() {
    let views = vec![("m1", view(2, three())), ("m2", view(1, three()))];
    assert_eq!(
        said(&cluster(&["m1", "m2", "m3"]), &seen(views)),
        [
            "on host `host-m1` member `m2` (2) answers, the inventory says `m1`",
            "on host `host-m2` member `m1` (1) answers, the inventory says `m2`",
        ]
    );
}

#[test]
fn one_member_behind_two_hosts_is_told_with_both_hosts() {
    let views = vec![("m1", view(1, three())), ("m2", view(1, three()))];
    let told = said(&cluster(&["m1", "m2", "m3"]), &seen(views));
    assert!(told.contains(&"member 1 answers on host `host-m2` and on host `host-m1`".to_owned()));
}

#[test]
fn a_host_of_another_cluster_is_told_with_both_ids() {
    let mut stranger = view(2, three());
    stranger.cluster_id = MemberId(0xd);
    let views = vec![("m1", view(1, three())), ("m2", stranger)];
    assert_eq!(
        said(&cluster(&["m1", "m2", "m3"]), &seen(views)),
        ["host `host-m2` answers for cluster d, host `host-m1` for cluster c"]
    );
}

#[test]
fn members_that_the_inventory_lacks_and_unstarted_ones_are_told() {
    let mut list = three();
    list.push(member(4, ""));
    let views = vec![("m1", view(1, list))];
    assert_eq!(
        said(&cluster(&["m1", "m2"]), &seen(views)),
        [
            "the cluster has member `m3` (3) at http://10.0.0.3:2380, the inventory has no host for it",
            "the cluster has member 4 at http://10.0.0.4:2380, which was added and never started",
        ]
    );
}

#[test]
fn a_host_whose_member_the_cluster_does_not_know_is_told_with_the_list() {
    let views = vec![("m1", view(1, three()))];
    assert_eq!(
        said(&cluster(&["m1", "m2", "m3", "m9"]), &seen(views)),
        ["host `host-m9` should run member `m9`, the cluster has only `m1`, `m2`, `m3`"]
    );
}

#[test]
fn a_removed_member_that_still_answers_and_differing_lists_are_told() {
    let without = vec![member(1, "m1"), member(2, "m2")];
    let views = vec![("m1", view(1, without.clone())), ("m3", view(3, without))];
    let told = said(&cluster(&["m1", "m2"]), &seen(views));
    assert_eq!(
        told,
        Vec::<String>::new(),
        "`m3` is no host of this inventory"
    );
    let mut views = vec![("m1", view(1, three())), ("m2", view(2, three()))];
    views[1].1.members.remove(1);
    assert_eq!(
        said(&cluster(&["m1", "m2", "m3"]), &seen(views)),
        [
            "member 2, which answers on host `host-m2`, is not in its own member list",
            "host `host-m2` lists members `m1`, `m3`, host `host-m1` lists `m1`, `m2`, `m3`",
        ]
    );
}

#[test]
fn a_guard_without_member_lists_still_tells_doubles() {
    let views = vec![("m1", view(1, vec![])), ("m2", view(1, vec![]))];
    let found = check(&cluster(&["m1", "m2"]), &seen(views));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].subject(), "host-m2");
}
