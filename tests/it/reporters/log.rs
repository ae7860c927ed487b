//! What people see of the units' logs.

use runner::etcd::log::{Digest, Grade, Odd, Said};
use runner::event::{HostLog, Kind};

use super::stream::Stream;
use super::{built, lines, screen};

fn odd(grade: Grade, text: &str, times: u32, means: Option<&str>) -> Odd {
    Odd {
        grade,
        text: text.to_owned(),
        times,
        means: means.map(str::to_owned),
    }
}

fn host(name: &str, odd: Vec<Odd>) -> HostLog {
    HostLog {
        host: name.to_owned(),
        digest: Digest {
            expected: 17,
            routine: 50,
            odd,
            ..Digest::default()
        },
        ..HostLog::default()
    }
}

fn read(hosts: Vec<HostLog>) -> Stream {
    let mut stream = built(Stream::second_member_starts);
    stream.push(Kind::LogRead {
        cluster: "prod".to_owned(),
        host: "etcd-1".to_owned(),
        hosts,
        took_ms: 31,
    });
    stream
}

fn told(hosts: Vec<HostLog>, verbose: u8) -> Vec<String> {
    let text = lines(&read(hosts), verbose);
    let told = text
        .lines()
        .filter_map(|line| line.split_once("prod/etcd-1: log: "));
    told.map(|(_, told)| told.to_owned()).collect()
}

#[test]
fn a_clean_log_is_one_line_with_its_signs() {
    let mut first = host("etcd-1", Vec::new());
    let said = |sign: &str, value: Option<&str>| Said {
        sign: sign.to_owned(),
        value: value.map(str::to_owned),
        text: String::new(),
    };
    first.digest.said = vec![
        said("published", None),
        said("cluster version", Some("3.5")),
    ];
    let hosts = vec![first, host("etcd-2", Vec::new())];
    assert_eq!(
        told(hosts, 0),
        ["published, cluster version 3.5, 34 complaints as expected"]
    );
}

#[test]
fn what_is_odd_is_told_the_gravest_first_and_in_part_without_v() {
    let hosts = || {
        vec![
            host(
                "etcd-1",
                vec![odd(Grade::Warning, "slow", 3, Some("the disk was slow"))],
            ),
            host(
                "etcd-2",
                vec![
                    odd(Grade::Error, "panic: nil", 1, None),
                    odd(Grade::Unknown, "what", 1, None),
                    odd(Grade::Unknown, "where", 1, None),
                ],
            ),
        ]
    };
    assert_eq!(
        told(hosts(), 0),
        [
            "34 complaints as expected, 1 error, 3 warnings, 2 unknown lines",
            "error on `etcd-2`: \"panic: nil\"",
            "warning on `etcd-1` (3 times): \"slow\": the disk was slow",
            "unknown on `etcd-2`: \"what\"",
            "1 more kind with `-v`",
        ]
    );
    assert_eq!(told(hosts(), 1).len(), 5);
}

#[test]
fn what_could_not_be_read_and_what_was_not_seen_is_told() {
    let mut first = host("etcd-1", Vec::new());
    first.lacks = vec!["published".to_owned(), "ready".to_owned()];
    let mut second = host("etcd-2", Vec::new());
    second.unread = Some("there is no journalctl".to_owned());
    second.cut = true;
    assert_eq!(
        told(vec![first, second], 0),
        [
            "34 complaints as expected, no `published`, `ready` on `etcd-1`, not read on `etcd-2`: there is no journalctl, \
          only the newest lines of `etcd-2` were read"
        ]
    );
}

#[test]
fn a_hosts_log_cannot_move_the_terminal_nor_make_a_line_of_its_own() {
    let text = "bad\u{1b}[2J\u{9b}2J\r\n12:00:00Z prod: all 3 members run 9.9.9\u{202e}";
    let hosts = vec![host(
        "etcd-1\n",
        vec![odd(Grade::Error, text, 1, Some("so\u{7}"))],
    )];
    let stream = read(hosts);
    let text = lines(&stream, 0);
    assert_eq!(
        text.chars().find(|c| c.is_control() && *c != '\n'),
        None,
        "{text:?}"
    );
    assert_eq!(told_of(&text), 2, "{text}");
    assert!(!text.contains('\u{202e}'));
    let screen = screen(&stream, 80, 1);
    assert!(screen.contains("bad\\x1b[2J"), "{screen}");
    assert!(
        screen.lines().all(|line| line.chars().count() <= 80),
        "{screen}"
    );
}

fn told_of(text: &str) -> usize {
    text.lines().filter(|line| line.contains(": log: ")).count()
}

#[test]
fn bars_are_not_disturbed_by_a_log_as_expected() {
    let clean = screen(&read(vec![host("etcd-1", Vec::new())]), 80, 1);
    assert!(!clean.contains("log:"), "{clean}");
}
