use super::*;

const LINES: [&str; 6] = ["3.3.25", "3.4.23", "3.5.16", "3.5.30", "3.6.14", "3.7.1"];

/// All lines but 3.7.1 were recorded on the same ports, so with the same ids.
fn ids(line: &str) -> (u64, u64) {
    if line == "3.7.1" {
        (14_398_818_011_314_554_773, 10_192_042_033_866_892_649)
    } else {
        (15_107_837_817_049_965_625, 16_046_545_720_181_888_661)
    }
}

fn recorded(version: &str, name: &str) -> String {
    let path = format!(
        "{}/tests/fixtures/etcd-{version}/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn every_line_says_its_version_leader_and_exact_ids_in_a_healthy_cluster() {
    for line in LINES {
        let found = statuses(&recorded(line, "healthy.endpoint-status-json.stdout")).unwrap();
        assert_eq!(found.len(), 3, "{line}");
        let m1 = &found[0];
        assert!(m1.endpoint.ends_with("6379") || line == "3.7.1");
        assert_eq!(m1.version.to_string(), line);
        assert_eq!((m1.cluster_id.0, m1.member_id.0), ids(line));
        assert!(found.iter().all(|one| one.leader == m1.leader), "{line}");
        assert!(m1.leader.is_some() && !m1.learner && m1.errors.is_empty());
        assert!(m1.db_bytes > 0 && m1.raft_index > 0 && m1.revision == 21);
        assert_eq!(m1.raft_applied.is_none(), line == "3.3.25");
        assert_eq!(m1.db_in_use_bytes.is_none(), line == "3.3.25");
    }
}

#[test]
fn without_quorum_the_living_member_still_gives_its_status_and_no_leader() {
    for line in LINES {
        let found = statuses(&recorded(line, "quorum-lost.endpoint-status-json.stdout")).unwrap();
        assert_eq!(found.len(), 1, "{line}");
        assert_eq!(found[0].leader, None, "{line}");
        let told = found[0].errors == ["etcdserver: no leader"];
        assert_eq!(told, line != "3.3.25", "{line}");
    }
}

#[test]
fn when_nothing_answers_the_list_of_statuses_is_empty() {
    for line in LINES {
        let found = statuses(&recorded(line, "all-down.endpoint-status-json.stdout")).unwrap();
        assert_eq!(found, [], "{line}");
    }
}

#[test]
fn health_names_the_endpoint_that_is_down_and_why() {
    for line in LINES {
        let found = healths(&recorded(line, "one-down.endpoint-health-json.stdout")).unwrap();
        let down: Vec<_> = found.iter().filter(|one| one.verdict.is_err()).collect();
        assert_eq!(down.len(), 1, "{line}");
        assert!(down[0].endpoint.ends_with("383"), "{line}");
        assert_eq!(down[0].verdict, Err("context deadline exceeded".to_owned()));
    }
}

#[test]
fn health_in_text_form_is_read_from_stdout_and_from_stderr() {
    let healthy = healths(&recorded("3.4.23", "healthy.endpoint-health.stderr")).unwrap();
    assert_eq!(healthy.len(), 3);
    assert!(healthy.iter().all(|one| one.verdict.is_ok()));
    let mixed = healths(&recorded("3.0.17", "one-down.endpoint-health.stdout")).unwrap();
    let why = "failed to connect: grpc: timed out when dialing".to_owned();
    assert_eq!(mixed.len(), 3);
    assert_eq!(mixed[2].verdict, Err(why));
}

#[test]
fn a_read_that_succeeded_under_an_alarm_counts_as_a_read() {
    let text = recorded("3.5.16", "nospace.endpoint-health-json.stdout");
    assert!(text.contains("Active Alarm(s)"), "{text}");
    let found = healths(&text).unwrap();
    assert_eq!(found[0].verdict, Ok(()));
}

#[test]
fn members_come_with_ids_names_and_urls() {
    for line in LINES {
        let list = members(&recorded(line, "healthy.member-list-json.stdout")).unwrap();
        let m1 = list.members.iter().find(|one| one.name == "m1").unwrap();
        assert_eq!((list.cluster_id.0, m1.id.0), ids(line));
        assert!(m1.client_urls[0].ends_with("379"), "{line}");
        assert_eq!(m1.peer_urls.len(), 1);
        assert!(list.members.len() == 3 && list.members.iter().all(Member::is_voter));
    }
}

#[test]
fn a_learner_that_never_started_has_no_name_and_no_vote() {
    let list = members(&recorded("3.5.16", "learner-added.member-list-json.stdout")).unwrap();
    let learner = list.members.iter().find(|one| one.learner).unwrap();
    assert_eq!(learner.name, "");
    assert_eq!(learner.client_urls, Vec::<String>::new());
    assert!(!learner.is_voter());
}

#[test]
fn no_alarm_is_an_empty_list_in_every_line() {
    for line in LINES {
        let found = alarms(&recorded(line, "healthy.alarm-list-json.stdout")).unwrap();
        assert_eq!(found, [], "{line}");
    }
}

#[test]
fn an_alarm_is_told_by_the_list_and_by_the_status() {
    for line in ["3.4.23", "3.5.16"] {
        let listed = alarms(&recorded(line, "nospace.alarm-list-json.stdout")).unwrap();
        assert_eq!(listed.len(), 1, "{line}");
        assert_eq!(listed[0].kind, AlarmKind::NoSpace);
        let status = statuses(&recorded(line, "nospace.endpoint-status-json.stdout")).unwrap();
        assert_eq!(status[0].alarms, listed, "{line}");
        assert_eq!(status[0].errors, Vec::<String>::new());
    }
}

#[test]
fn an_alarm_of_a_kind_that_we_do_not_know_is_kept_as_written() {
    let found =
        alarms(r#"{"alarms":[{"memberID":7,"alarm":9},{"memberID":"8","alarm":"CORRUPT"}]}"#);
    let kinds: Vec<_> = found.unwrap().into_iter().map(|one| one.kind).collect();
    assert_eq!(
        kinds,
        [AlarmKind::Other("9".to_owned()), AlarmKind::Corrupt]
    );
}

#[test]
fn noise_before_the_json_is_passed_over() {
    let warning = recorded("3.6.14", "healthy.endpoint-status-json.stderr");
    assert!(warning.contains("unrecognized environment variable"));
    let body = recorded("3.6.14", "healthy.endpoint-status-json.stdout");
    assert_eq!(statuses(&format!("{warning}{body}")), statuses(&body));
}

#[test]
fn help_and_cut_off_output_are_refused_with_an_excerpt() {
    let help = statuses("NAME:\n\tendpoint - Endpoint related commands\n").unwrap_err();
    assert!(help.to_string().starts_with("no JSON in"), "{help}");
    let whole = recorded("3.4.23", "healthy.endpoint-status-json.stdout");
    let cut = statuses(&whole[..whole.len() / 2]).unwrap_err();
    assert!(matches!(cut, WireError::Shape(_)), "{cut}");
    assert!(matches!(healths("Error: x"), Err(WireError::NoVerdict(_))));
}

#[test]
fn the_version_page_gives_server_and_cluster_version() {
    for line in LINES {
        let found = versions(&recorded(line, "version.json")).unwrap();
        assert_eq!(found.server.to_string(), line);
        let minor = found.server.minor();
        assert_eq!(
            found.cluster,
            Some(Version::new(minor.major, minor.minor, 0))
        );
    }
}

#[test]
fn the_version_page_of_2_0_and_of_an_undecided_cluster_has_no_cluster_version() {
    let old = versions("etcd 2.0.13\n").unwrap();
    assert_eq!(
        (old.server.to_string().as_str(), old.cluster),
        ("2.0.13", None)
    );
    let young = versions(r#"{"etcdserver":"3.5.16","etcdcluster":"not_decided"}"#).unwrap();
    assert_eq!(young.cluster, None);
}

#[test]
fn each_binary_says_its_version_in_its_own_way() {
    for line in LINES {
        for tool in ["etcd", "etcdctl", "etcdutl"] {
            if tool == "etcdutl" && ["3.3.25", "3.4.23"].contains(&line) {
                continue;
            }
            let found = tool_version(&recorded(line, &format!("{tool}-version.stdout")));
            assert_eq!(
                found.map(|one| one.to_string()).as_deref(),
                Some(line),
                "{tool}"
            );
        }
    }
    assert_eq!(tool_version("API version: 3.4\nsegmentation fault"), None);
}

#[test]
fn an_enabled_downgrade_is_told_with_its_target_and_an_empty_one_is_none() {
    let text = recorded("3.7.1", "healthy.endpoint-status-json.stdout");
    assert_eq!(statuses(&text).unwrap()[0].downgrade, None);
    let running = r#""downgradeInfo":{"enabled":true,"targetVersion":"3.6.0"}"#;
    let text = text.replace(r#""downgradeInfo":{}"#, running);
    let told = statuses(&text).unwrap()[0].downgrade.clone();
    assert_eq!(told, Some(Version::new(3, 6, 0)));
}
