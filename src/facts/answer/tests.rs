use std::path::PathBuf;

use super::*;
use crate::etcd::{AlarmKind, Version};
use crate::facts::parse::frame;
use crate::facts::sample::{host, recorded};
use crate::inventory::Auth;
use crate::secret::Secret;

fn read(text: &str, host: &Host) -> Answer {
    answer(&Frames::parse(text.as_bytes()).unwrap(), host).unwrap()
}

fn because(version: &str, name: &str, host: &Host) -> String {
    match read(&recorded(version, &format!("{name}.observe")), host) {
        Answer::Silent { because } => because,
        Answer::Member(view) => panic!("{version} {name} answered: {view:?}"),
    }
}

fn member(text: &str) -> MemberView {
    match read(text, &host("http://127.0.0.1:2379")) {
        Answer::Member(view) => *view,
        Answer::Silent { because } => panic!("silent: {because}"),
    }
}

/// Frames as the script prints them, from recorded outputs of single calls.
fn composed(version: &str, state: &str, health: &str) -> String {
    let of = |name: &str| recorded(version, &format!("{state}.{name}-json.stdout"));
    frame("version", 0, &recorded(version, "version.json"))
        + &frame("etcdctl", 0, "/usr/bin/etcdctl")
        + &frame("status", 0, &of("endpoint-status"))
        + &frame("health", 1, health)
}

#[test]
fn a_member_that_answers_everything_is_seen_whole() {
    for (version, minor) in [("3.4.23", 4), ("3.5.16", 5), ("3.5.30", 5)] {
        let view = member(&recorded(version, "single.observe"));
        assert_eq!(view.version.to_string(), version);
        assert_eq!(view.cluster_version, Some(Version::new(3, minor, 0)));
        assert_eq!(view.leader, Some(view.id));
        assert_eq!((view.health, view.alarms), (Ok(()), vec![]));
        assert_eq!(view.members.len(), 1);
        assert_eq!(view.members[0].id, view.id);
        assert_eq!(view.raft_applied, view.raft_index);
    }
}

#[test]
fn a_member_behind_tls_or_with_users_is_seen_with_the_right_credentials() {
    for version in ["3.4.23", "3.5.16"] {
        let view = member(&recorded(version, "tls-right.observe"));
        assert_eq!(view.health, Ok(()), "{version}");
    }
    for version in ["3.4.23", "3.5.16", "3.5.30"] {
        let view = member(&recorded(version, "auth-right.observe"));
        assert_eq!((view.health, view.members.len()), (Ok(()), 1), "{version}");
    }
}

#[test]
fn a_refused_connection_says_that_nothing_listens() {
    let host = host("http://127.0.0.1:41410");
    assert_eq!(
        because("3.5.16", "refused", &host),
        "connection refused: nothing listens at `http://127.0.0.1:41410`"
    );
}

#[test]
fn an_unknown_authority_is_told_as_a_tls_problem_with_the_cause() {
    let host = host("https://127.0.0.1:41400");
    for version in ["3.4.23", "3.5.16"] {
        let because = because(version, "tls-unknown-authority", &host);
        assert!(
            because.starts_with("no TLS with `https://127.0.0.1:41400`:"),
            "{because}"
        );
        assert!(
            because.contains("x509: certificate signed by unknown authority"),
            "{because}"
        );
        let fix = "check `tls.cacert`, and set `tls.cert` and `tls.key` if etcd asks clients for a certificate";
        assert!(because.ends_with(fix), "{because}");
    }
}

#[test]
fn a_missing_client_certificate_and_a_missing_file_are_tls_problems() {
    let host = host("https://127.0.0.1:41400");
    for version in ["3.4.23", "3.5.16"] {
        for name in ["tls-no-client-certificate", "tls-file-missing"] {
            let because = because(version, name, &host);
            assert!(
                because.starts_with("no TLS with"),
                "{version} {name}: {because}"
            );
        }
    }
    let because = because("3.5.16", "tls-file-missing", &host);
    assert!(
        because.contains("open /etc/etcd/ca.crt: no such file"),
        "{because}"
    );
}

#[test]
fn plain_http_to_a_tls_port_asks_for_https() {
    let host = host("http://127.0.0.1:41400");
    for version in ["3.4.23", "3.5.16"] {
        let because = because(version, "tls-plain-http", &host);
        assert!(
            because.ends_with("should `client_url` begin with https?"),
            "{because}"
        );
    }
}

#[test]
fn a_missing_user_is_told_apart_from_a_wrong_password() {
    let anonymous = host("http://127.0.0.1:41410");
    let missing = because("3.5.30", "auth-anonymous", &anonymous);
    assert!(
        missing.contains("wants a user: etcdserver: user name is empty"),
        "{missing}"
    );
    let mut wrong = anonymous.clone();
    wrong.auth = Some(Auth {
        user: "root".to_owned(),
        password_file: PathBuf::from("password"),
        password: Secret::new("no"),
    });
    for version in ["3.4.23", "3.5.16", "3.5.30"] {
        let because = because(version, "auth-wrong", &wrong);
        assert!(
            because.contains("refuses user `root`: etcdserver: authentication failed"),
            "{because}"
        );
        assert!(because.contains("check `auth.user`"), "{because}");
    }
}

#[test]
fn older_servers_tell_strangers_their_status_but_refuse_the_read() {
    for version in ["3.4.23", "3.5.16"] {
        let view = member(&recorded(version, "auth-anonymous.observe"));
        let why = "etcdserver: user name is empty".to_owned();
        assert_eq!(view.health, Err(why), "{version}");
    }
}

#[test]
fn a_host_without_etcdctl_names_the_places_that_were_searched() {
    let text = frame("version", 0, "{}") + &frame("etcdctl", 127, "");
    let Answer::Silent { because } = read(&text, &host("http://127.0.0.1:2379")) else {
        panic!("it answered");
    };
    let said = "no `etcdctl` in `/usr/local/bin`, on the PATH or under `/opt/etcd`";
    assert_eq!(because, said);
}

#[test]
fn without_quorum_the_member_answers_and_its_health_says_why_not() {
    for (version, detail) in [
        ("3.3.25", "it sees no leader"),
        ("3.4.23", "etcdserver: no leader"),
        ("3.6.14", "etcdserver: no leader"),
    ] {
        let health = r#"[{"endpoint":"x","health":false,"error":"context deadline exceeded"}]"#;
        let view = member(&composed(version, "quorum-lost", health));
        assert_eq!(view.leader, None);
        let why = format!("context deadline exceeded ({detail})");
        assert_eq!(view.health, Err(why), "{version}");
        assert_eq!(view.members, vec![], "{version}");
    }
}

#[test]
fn an_alarm_is_listed_once_and_does_not_hide_that_reads_work() {
    for version in ["3.4.23", "3.5.16"] {
        let health = recorded(version, "nospace.endpoint-health-json.stdout");
        let alarms = recorded(version, "nospace.alarm-list-json.stdout");
        let text = composed(version, "nospace", &health) + &frame("alarms", 0, &alarms);
        let view = member(&text);
        assert_eq!(view.health, Ok(()), "{version}");
        assert_eq!(view.alarms.len(), 1, "{version}");
        assert_eq!(view.alarms[0].kind, AlarmKind::NoSpace);
        assert_eq!(view.alarms[0].member, view.id);
    }
}

#[test]
fn a_user_who_may_not_read_is_told_although_the_health_passes_it() {
    for version in ["3.4.23", "3.5.16"] {
        let health = recorded(version, "nospace.endpoint-health-json.stdout");
        let text = composed(version, "nospace", &health)
            + &frame("rights", 1, "")
            + &frame("rights.err", 0, "Error: etcdserver: permission denied");
        let why = member(&text).health.unwrap_err();
        assert!(why.contains("permission denied; set `auth.user`"), "{why}");
    }
}

#[test]
fn a_learner_is_judged_by_its_status() {
    for version in ["3.4.23", "3.5.16"] {
        let text = recorded(version, "learner.observe");
        assert!(text.contains("rpc not supported for learner"), "{version}");
        let view = member(&text);
        assert!(view.learner, "{version}");
        assert_eq!(view.health, Ok(()), "{version}");
    }
}

#[test]
fn an_output_that_was_cut_short_is_an_error_and_names_the_frame() {
    let text = frame("version", 0, "{}") + &frame("etcdctl", 0, "/usr/bin/etcdctl");
    let frames = Frames::parse(text.as_bytes()).unwrap();
    let error = answer(&frames, &host("http://127.0.0.1:2379")).unwrap_err();
    assert_eq!(error, ParseError::Missing("status".to_owned()));
}
