use super::*;
use crate::etcd::Minor;

/// What the members of a cluster wrote from their first start over stops and restarts, with the quorum lost once.
macro_rules! recorded {
    ($($version:literal),+ $(,)?) => {
        [$(($version, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/etcd-", $version, "/m2.log")))),+]
    };
}

const RECORDED: [(&str, &str); 13] = recorded!(
    "2.0.13", "2.1.3", "2.2.5", "2.3.8", "3.0.17", "3.1.20", "3.2.32", "3.3.25", "3.4.23",
    "3.5.16", "3.5.30", "3.6.14", "3.7.1",
);

/// What a lost quorum brings with it: of no healthy restart, so that nothing expects it.
const QUORUM_LOST: [&str; 8] = [
    "waiting for ReadIndex response took too long",
    "timed out waiting for read index response",
    "stepped down to follower since quorum is not active",
    "failed to transfer leadership (etcdserver: request timed out",
    "leadership transfer failed (etcdserver: request timed out",
    "read-only range request",
    "apply request took too long",
    "request stats",
];

fn minor(version: &str) -> Minor {
    let version: crate::etcd::Version = version.parse().unwrap();
    version.minor()
}

fn there(line: Minor) -> Situation {
    Situation {
        is_in_turn: true,
        is_mixed: true,
        lines: (line, line),
    }
}

fn digested(text: &str, there: Situation) -> Digest {
    let lines: Vec<Line> = text.lines().map(Line::of).collect();
    digest(Rules::embedded(), &lines, there)
}

fn one(text: &str, there: Situation) -> Odd {
    let mut found = digested(text, there);
    assert_eq!(found.odd.len(), 1, "{found:?}");
    found.odd.remove(0)
}

#[test]
fn what_restarted_members_of_every_release_wrote_is_expected_but_for_the_lost_quorum() {
    for (version, text) in RECORDED {
        let found = digested(text, there(minor(version)));
        let stray = |odd: &&Odd| !QUORUM_LOST.iter().any(|known| odd.text.contains(known));
        let stray: Vec<&Odd> = found.odd.iter().filter(stray).collect();
        assert!(stray.is_empty(), "{version}: {stray:#?}");
        assert_eq!(found.more, 0, "{version}");
        assert!(found.expected > 3, "{version}: {}", found.expected);
        assert!(found.routine > 10, "{version}: {}", found.routine);
    }
}

#[test]
fn every_release_says_the_signs_that_are_looked_for() {
    for (version, text) in RECORDED {
        let line = minor(version);
        let found = digested(text, there(line));
        let rules = Rules::embedded();
        let lacks = found.lacks(rules, Of::Member, line);
        assert!(
            lacks.is_empty(),
            "{version} lacks {lacks:?}: {:?}",
            found.said
        );
        // A cluster that begins with a release is not raised to it; that it serves what it can is said at every start.
        let lacks = found.lacks(rules, Of::Cluster, line);
        assert!(
            !lacks.contains(&"capabilities"),
            "{version}: {:?}",
            found.said
        );
    }
}

#[test]
fn a_known_failure_is_an_error_with_its_meaning_at_any_level() {
    let crash = "2026-11-20 09:45:38.1 C | etcdserver/membership: cluster cannot be downgraded (current version: 3.4.23 is lower \
        than determined cluster version: 3.5).";
    let odd = one(crash, there(minor("3.4.23")));
    assert_eq!(odd.grade, Grade::Error);
    let means = odd.means.unwrap();
    assert_eq!(means, "the release is older than the cluster's version");
    let odd = one(
        "panic: runtime error: makeslice: len out of range",
        there(minor("2.3.8")),
    );
    assert_eq!((odd.grade, odd.means.is_some()), (Grade::Error, true));
    let zap = r#"{"level":"panic","ts":"2026-11-20T11:19:43.4Z","caller":"x.go:1","msg":"execute job failed","job":"server_applyAll","panic":"unmarshal should never fail (proto: cannot parse invalid wire-format data)"}"#;
    let odd = one(zap, there(minor("3.7.1")));
    assert_eq!(odd.grade, Grade::Error);
}

#[test]
fn an_error_that_nothing_expects_stays_an_error_and_a_line_without_level_is_unknown() {
    let zap = r#"{"level":"error","ts":"2026-11-20T11:19:43.4Z","caller":"x.go:1","msg":"failed to save the moon","error":"no rope","tries":3}"#;
    let odd = one(zap, there(minor("3.5.30")));
    assert_eq!(odd.grade, Grade::Error);
    assert_eq!(odd.text, "failed to save the moon (no rope) tries=3");
    let odd = one("goroutine 1 [running]:", there(minor("3.5.30")));
    assert_eq!(odd.grade, Grade::Unknown);
}

#[test]
fn what_a_member_says_as_it_stops_is_not_expected_from_one_that_should_not() {
    let text = r#"{"level":"error","ts":"2026-11-20T11:19:43.4Z","caller":"e.go:1","msg":"setting up serving from embedded etcd failed.","error":"http: Server closed"}"#;
    let in_turn = there(minor("3.6.14"));
    assert_eq!(digested(text, in_turn).expected, 1);
    let other = Situation {
        is_in_turn: false,
        ..in_turn
    };
    assert_eq!(one(text, other).grade, Grade::Error);
}

#[test]
fn two_releases_side_by_side_are_expected_only_where_two_run() {
    let text =
        "2026-11-20 09:45:13.019347 W | etcdserver: the local etcd version 2.2.5 is not up-to-date";
    let mixed = there(minor("2.2.5"));
    assert_eq!(digested(text, mixed).expected, 1);
    let alike = Situation {
        is_mixed: false,
        ..mixed
    };
    assert_eq!(one(text, alike).grade, Grade::Warning);
}

#[test]
fn a_rule_of_other_lines_of_etcd_does_not_speak() {
    let text = "2026/11/20 09:44:50 rafthttp: server streaming to a4dc54916bd047ad at term 2 has been stopped";
    assert_eq!(digested(text, there(minor("2.0.13"))).expected, 1);
    assert_eq!(one(text, there(minor("2.3.8"))).grade, Grade::Unknown);
}

#[test]
fn lines_that_differ_in_numbers_only_are_one_kind_and_kinds_have_an_end() {
    let line = |at: usize| {
        format!("2026-11-20 09:45:13.0 W | raft: {at:x}f00d{at} stepped aside for {at}ms\n")
    };
    let text: String = (0..500).map(line).collect();
    assert_eq!(one(&text, there(minor("3.3.25"))).times, 500);
    let word = |at: u8| char::from(b'a' + at).to_string().repeat(3);
    let words: Vec<String> = (0..20).map(word).collect();
    let found = digested(&words.join("\n"), there(minor("3.3.25")));
    assert_eq!((found.odd.len(), found.more), (12, 8));
}

#[test]
fn the_cluster_version_counts_only_with_the_value_that_is_awaited() {
    let replay = "2026-11-20 09:45:11.9 N | etcdserver/membership: updated the cluster version from 3.3 to 3.4\n\
        2026-11-20 09:45:11.9 I | etcdserver/api: enabled capabilities for version 3.4\n";
    let found = digested(replay, there(minor("3.4.23")));
    let lacks = found.lacks(Rules::embedded(), Of::Cluster, Minor::new(3, 5));
    assert_eq!(lacks, ["cluster version", "capabilities"]);
    let zap = r#"{"level":"info","ts":"t","caller":"c","msg":"updated cluster version","cluster-id":"b","from":"3.4","to":"3.5"}
{"level":"info","ts":"t","caller":"c","msg":"enabled capabilities for version","cluster-version":"3.5"}"#;
    let found = digested(&format!("{replay}{zap}"), there(minor("3.5.30")));
    let lacks = found.lacks(Rules::embedded(), Of::Cluster, Minor::new(3, 5));
    assert!(lacks.is_empty(), "{lacks:?}");
    let first = "2026/11/20 09:44:57 etcdserver: set the initial cluster version to 2.1.0";
    let found = digested(first, there(minor("2.1.3")));
    assert!(
        found
            .lacks(Rules::embedded(), Of::Cluster, Minor::new(2, 1))
            .is_empty()
    );
}

#[test]
fn journald_tells_the_level_of_a_child_of_systemd() {
    let entry = r#"{"PRIORITY":"4","_TRANSPORT":"journal","SYSLOG_IDENTIFIER":"etcd","PACKAGE":"rafthttp","MESSAGE":"lost the TCP streaming connection with peer 8e9e05c52164694d (stream Message reader)"}"#;
    let line = Line::of_entry(entry).unwrap();
    assert_eq!(line.level, Level::Warning);
    let found = digest(Rules::embedded(), [&line], there(minor("3.4.23")));
    assert_eq!(found.expected, 1);
    let systemd = r#"{"PRIORITY":"4","_TRANSPORT":"journal","SYSLOG_IDENTIFIER":"systemd","MESSAGE":"etcd.service: Failed with result 'exit-code'."}"#;
    assert_eq!(Line::of_entry(systemd).unwrap().level, Level::Warning);
}

#[test]
fn a_message_of_bytes_is_read_and_one_that_is_too_long_is_told() {
    let bytes = Line::of_entry(r#"{"MESSAGE":[112,97,27,255],"_TRANSPORT":"stdout"}"#).unwrap();
    assert_eq!(bytes.text, "pa\u{1b}\u{fffd}");
    let long = Line::of_entry(r#"{"MESSAGE":null,"_TRANSPORT":"stdout"}"#).unwrap();
    assert_eq!(long.text, "a line that is too long to be shown");
    assert_eq!(Line::of_entry("-- No entries --"), None);
    assert_eq!(Line::of(&"x".repeat(9000)).quoted().chars().count(), 301);
}

#[test]
fn lines_of_a_slow_machine_are_one_kind_with_its_meaning() {
    let text = "2026-11-20 09:45:13.0 W | etcdserver: failed to send out heartbeat on time (exceeded the 100ms timeout for 234.219341ms, to d109bb312d77017c)\n\
        2026-11-20 09:45:13.0 W | etcdserver: server is likely overloaded\n\
        2026-11-20 09:45:13.0 W | etcdserver: read-only range request \"key:\\\"health\\\" \" with result \"size:5\" took too long (742.9ms) to execute\n";
    let odd = one(text, there(minor("3.4.23")));
    assert_eq!((odd.grade, odd.times), (Grade::Warning, 3));
    assert_eq!(
        odd.means.as_deref(),
        Some("the disk, the network or the machine was slow")
    );
}
