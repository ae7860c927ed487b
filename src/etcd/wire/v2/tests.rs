use super::*;
use crate::etcd::wire::versions;

const VERSIONS: [&str; 4] = ["2.0.13", "2.1.3", "2.2.5", "2.3.8"];
const STATES: [&str; 4] = ["healthy", "one-down", "quorum-lost", "all-down"];

/// What was recorded; empty if the tool printed nothing.
fn recorded(version: &str, state: &str, name: &str) -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    let path = format!("{root}/tests/fixtures/etcd-{version}/{state}.{name}");
    std::fs::read_to_string(path).unwrap_or_default()
}

fn healthy(version: &str, state: &str) -> usize {
    let lines = cluster_health(&recorded(version, state, "v2-cluster-health.stdout"));
    lines.iter().filter(|(_, healthy)| *healthy).count()
}

#[test]
fn cluster_health_is_read_by_its_members_lines_whatever_its_last_line_says() {
    for version in VERSIONS {
        let text = recorded(version, "one-down", "v2-cluster-health.stdout");
        assert!(text.contains("cluster is healthy"), "{version}");
        assert_eq!(healthy(version, "healthy"), 3, "{version}");
        assert_eq!(healthy(version, "one-down"), 2, "{version}");
        assert_eq!(cluster_health(&text).len(), 3, "{version}");
        assert_eq!(healthy(version, "quorum-lost"), 0, "{version}");
        assert_eq!(healthy(version, "all-down"), 0, "{version}");
    }
}

#[test]
fn both_member_lists_name_the_same_members_with_and_without_a_quorum() {
    for version in VERSIONS {
        for state in &STATES[..3] {
            let text = recorded(version, state, "v2-member-list.stdout");
            let list = member_list(&text).unwrap();
            let page = members(&recorded(version, state, "http-v2-members.body")).unwrap();
            let listed: Vec<Member> = list.iter().map(|one| one.member.clone()).collect();
            assert_eq!(listed, page, "{version} {state}");
            assert_eq!(page.len(), 3, "{version} {state}");
            let leaders = list.iter().filter(|one| one.leads == Some(true)).count();
            assert_eq!(
                leaders,
                usize::from(version == "2.3.8"),
                "{version} {state}"
            );
        }
        assert!(member_list(&recorded(version, "all-down", "v2-member-list.stdout")).is_err());
        assert!(members(&recorded(version, "all-down", "http-v2-members.body")).is_err());
    }
}

#[test]
fn a_member_that_was_never_started_has_no_name() {
    let list =
        member_list("cb70a595368aaaca[unstarted]: peerURLs=http://127.0.0.1:23521\n").unwrap();
    assert_eq!(list[0].member.name, "");
    assert_eq!(list[0].member.peer_urls, ["http://127.0.0.1:23521"]);
    assert!(list[0].member.client_urls.is_empty());
    assert!(member_list("Incorrect Usage.\n").is_err());
}

#[test]
fn own_stats_name_a_leader_even_without_a_quorum_and_so_prove_nothing() {
    for version in VERSIONS {
        for state in &STATES[..3] {
            let stats = own_stats(&recorded(version, state, "http-v2-stats-self.body")).unwrap();
            assert_eq!(stats.name, "m1", "{version} {state}");
            assert!(stats.leader.is_some(), "{version} {state}");
            assert_eq!(agreed_leader(&[stats], 3), None, "{version} {state}");
        }
        assert!(own_stats(&recorded(version, "all-down", "http-v2-stats-self.body")).is_err());
    }
}

#[test]
fn a_leader_is_agreed_on_by_a_majority_of_all_members() {
    let stats = |id: u64, leader: u64| OwnStats {
        id: MemberId(id),
        name: String::new(),
        leader: Some(MemberId(leader)),
    };
    let cut_off = [stats(1, 1), stats(2, 3), stats(3, 3)];
    assert_eq!(agreed_leader(&cut_off, 3), Some(MemberId(3)));
    assert_eq!(agreed_leader(&cut_off[..2], 3), None);
}

#[test]
fn the_version_page_is_plain_text_in_2_0_and_json_from_2_1() {
    for version in VERSIONS {
        for state in &STATES[..3] {
            let page = versions(&recorded(version, state, "http-version.body")).unwrap();
            assert_eq!(page.server.to_string(), version, "{state}");
            assert_eq!(page.cluster.is_none(), version == "2.0.13", "{state}");
        }
    }
}

#[test]
fn a_read_through_the_quorum_succeeds_with_and_without_its_key() {
    let none = r#"{"errorCode":100,"message":"Key not found","cause":"/missing","index":73}"#;
    assert_eq!(quorum_read(none), Ok(()));
    let key =
        r#"{"action":"get","node":{"key":"/k","value":"1","modifiedIndex":4,"createdIndex":4}}"#;
    assert_eq!(quorum_read(key), Ok(()));
}

#[test]
fn a_read_without_a_quorum_fails_in_etcds_words() {
    let lost = r#"{"errorCode":300,"message":"Raft Internal Error","cause":"etcdserver: request timed out","index":0}"#;
    let said = "Raft Internal Error: etcdserver: request timed out";
    assert_eq!(quorum_read(lost), Err(said.to_owned()));
    let old = r#"{"message":"Internal Server Error"}"#;
    assert_eq!(quorum_read(old), Err("Internal Server Error".to_owned()));
    assert!(quorum_read("").is_err());
}
