//! What the engine reads in the units' journals beside its work, on the simulated cluster.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use runner::engine::act::unit::{START_TITLE, STOP_TITLE};
use runner::engine::log::{self, READ_TITLE};
use runner::etcd::log::Grade;
use runner::event::{Event, HostLog, Kind};
use runner::facts::parse::Frames;
use runner::transport::Transport;
use tokio::time::Instant;

use crate::engine_rig::Rig;
use crate::local_shell::LocalShell;
use crate::sim::Fault;
use crate::sim::model::Behaviour;

/// The windows that a run has read: whose turn, and each host's log.
fn windows(events: &[Event]) -> Vec<(String, Vec<HostLog>)> {
    let each = events.iter().filter_map(|event| match &event.kind {
        Kind::LogRead { host, hosts, .. } => Some((host.clone(), hosts.clone())),
        _ => None,
    });
    each.collect()
}

fn log_of<'a>(window: &'a (String, Vec<HostLog>), host: &str) -> &'a HostLog {
    window.1.iter().find(|log| log.host == host).unwrap()
}

fn signs(log: &HostLog) -> Vec<&str> {
    log.digest
        .said
        .iter()
        .map(|said| said.sign.as_str())
        .collect()
}

/// The numbers of the commands that read a log, of the ones that were run.
fn reads(rig: &Rig) -> Vec<usize> {
    let ran = rig.sim.ran();
    let read = ran
        .iter()
        .enumerate()
        .filter(|(_, ran)| ran.title == READ_TITLE);
    read.map(|(at, _)| at).collect()
}

#[tokio::test(start_paused = true)]
async fn each_members_turn_is_read_on_all_hosts_and_nothing_of_a_clean_one_is_odd() {
    let mut rig = Rig::new(3);
    assert_eq!(rig.upgrade().await.status, 0);
    let windows = windows(&rig.events());
    let turns: Vec<&str> = windows.iter().map(|(host, _)| host.as_str()).collect();
    assert_eq!(turns, ["etcd-1", "etcd-3", "etcd-2"]);
    for window in &windows {
        assert_eq!(window.1.len(), 3, "{window:?}");
        for log in &window.1 {
            assert!(log.digest.odd.is_empty(), "{log:#?}");
            assert!(log.lacks.is_empty() && log.unread.is_none(), "{log:#?}");
        }
        assert!(signs(log_of(window, &window.0)).contains(&"published"));
        assert!(
            window.1.iter().any(|log| log.digest.expected > 0),
            "{window:?}"
        );
    }
    let last = windows.last().unwrap();
    for log in &last.1 {
        let raised = log
            .digest
            .said
            .iter()
            .find(|said| said.sign == "cluster version");
        assert_eq!(raised.unwrap().value.as_deref(), Some("3.5"), "{log:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_on_another_host_is_kept_once_and_changes_nothing_else() {
    let mut rig = Rig::new(3);
    let mut told = false;
    rig.sim.before_each(move |host, command, state| {
        if command.title == START_TITLE && host == "etcd-3" && !told {
            told = true;
            let line = "2026-11-20 09:45:13.0 E | etcdserver: failed to save the moon\u{1b}[2J\n@log 0 3\n{}";
            state.journal.write("etcd-1", line);
        }
    });
    assert_eq!(rig.upgrade().await.status, 0);
    let windows = windows(&rig.events());
    let odd: Vec<_> = windows
        .iter()
        .flat_map(|(turn, logs)| logs.iter().map(move |log| (turn, log)))
        .flat_map(|(turn, log)| {
            log.digest
                .odd
                .iter()
                .map(move |odd| (turn.as_str(), log.host.as_str(), odd))
        })
        .collect();
    let [(turn, host, odd)] = odd.as_slice() else {
        panic!("{odd:?}")
    };
    assert_eq!(
        (*turn, *host, odd.grade, odd.times),
        ("etcd-3", "etcd-1", Grade::Error, 1)
    );
    assert!(odd.text.starts_with("failed to save the moon"), "{odd:?}");
}

#[tokio::test(start_paused = true)]
async fn a_host_whose_log_gives_no_answer_holds_up_neither_members_nor_the_ending() {
    let mut rig = Rig::new(3);
    let began = Instant::now();
    rig.upgrade().await;
    let clean = began.elapsed();
    let first = reads(&rig)[0];
    let mut rig = Rig::new(3);
    rig.sim.fail_at(&[(first, Fault::Hang)]);
    let began = Instant::now();
    assert_eq!(rig.upgrade().await.status, 0);
    // Windows are read one after the other, so the last is read when the first has been given up.
    let slow = began.elapsed();
    assert!(
        slow < clean + Duration::from_secs(15),
        "{slow:?} after {clean:?}"
    );
    let stops: Vec<Instant> = stops(&rig);
    assert!(
        stops[2].duration_since(stops[0]) < Duration::from_secs(10),
        "{stops:?}"
    );
    let windows = windows(&rig.events());
    let unread: Vec<_> = windows
        .iter()
        .flat_map(|(_, logs)| logs)
        .filter_map(|log| log.unread.as_ref())
        .collect();
    assert_eq!(unread.len(), 1, "{windows:?}");
    assert!(unread[0].contains("no answer within 15 s"), "{unread:?}");
}

fn stops(rig: &Rig) -> Vec<Instant> {
    let ran = rig.sim.ran();
    ran.iter()
        .filter(|ran| ran.title == STOP_TITLE)
        .map(|ran| ran.at)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_read_is_told_and_fails_nothing() {
    let mut rig = Rig::new(3);
    rig.upgrade().await;
    let all: Vec<(usize, Fault)> = reads(&rig)
        .into_iter()
        .map(|at| (at, Fault::NonZero))
        .collect();
    let mut rig = Rig::new(3);
    rig.sim.fail_at(&all);
    assert_eq!(rig.upgrade().await.status, 0);
    for (_, logs) in windows(&rig.events()) {
        assert!(logs.iter().all(|log| log.unread.is_some()), "{logs:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_of_a_member_that_failed_tells_why() {
    let mut rig = Rig::new(3);
    rig.sim
        .state()
        .behaviours
        .insert(rig.to.clone(), Behaviour::CrashesAtStart);
    assert_eq!(rig.upgrade().await.status, 5);
    let windows = windows(&rig.events());
    let [window] = windows.as_slice() else {
        panic!("{windows:?}")
    };
    let odd = &log_of(window, "etcd-1").digest.odd;
    assert_eq!(odd[0].grade, Grade::Error);
    assert_eq!(odd[0].text, "flag provided but not defined: -enable-v2");
    assert_eq!(
        odd[0].means.as_deref(),
        Some("the release refuses its configuration")
    );
}

#[tokio::test(start_paused = true)]
async fn every_line_that_was_written_in_a_hop_is_counted_once() {
    let mut rig = Rig::new(3);
    rig.upgrade().await;
    let count = |log: &HostLog| {
        let digest = &log.digest;
        let odd: u32 = digest.odd.iter().map(|odd| odd.times).sum();
        digest.expected + digest.routine + odd + digest.more
    };
    let windows = windows(&rig.events());
    let read: u32 = windows.iter().flat_map(|(_, logs)| logs).map(count).sum();
    let signs: usize = windows
        .iter()
        .flat_map(|(_, logs)| logs)
        .map(|log| log.digest.said.len())
        .sum();
    let written = rig.sim.state().journal.len();
    // Signs that repeat are kept once a window.
    assert!(
        written >= read as usize + signs && written <= read as usize + signs + 12,
        "{read} and {signs} of {written}"
    );
}

#[tokio::test(start_paused = true)]
async fn every_line_of_etcd_from_2_0_on_shows_its_signs_and_nothing_odd() {
    let pairs = [
        ("2.0.13", "2.1.3"),
        ("2.1.3", "2.2.5"),
        ("2.2.5", "2.3.8"),
        ("2.3.8", "3.0.17"),
        ("3.0.17", "3.1.20"),
        ("3.1.20", "3.2.32"),
        ("3.2.32", "3.3.27"),
        ("3.3.27", "3.4.45"),
        ("3.5.33", "3.6.14"),
        ("3.6.14", "3.7.1"),
    ];
    for (from, to) in pairs {
        let mut rig = Rig::between(3, from, to).remembering();
        rig.acknowledged
            .extend(["NO_WAY_BACK", "V2_GONE"].map(str::to_owned));
        let ending = rig.upgrade().await;
        assert_eq!(ending.status, 0, "{from} to {to}: {ending:?}");
        for (turn, logs) in windows(&rig.events()) {
            for log in logs {
                assert!(
                    log.digest.odd.is_empty(),
                    "{from} to {to}, {turn}: {log:#?}"
                );
                assert!(log.lacks.is_empty(), "{from} to {to}, {turn}: {log:#?}");
            }
        }
    }
}

/// What the script prints where `journalctl` is this script.
async fn asked(journalctl: &str) -> Frames {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journalctl");
    fs::write(&path, format!("#!/bin/sh\n{journalctl}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let shell = LocalShell {
        shell: vec!["sh"],
        path: dir.path().to_owned(),
    };
    let command = log::command("etcd.service", None, 7);
    let output = shell.run("etcd-1", command).await.unwrap();
    assert_eq!(output.status, 0, "{}", output.complaint());
    Frames::parse(&output.stdout).unwrap()
}

#[tokio::test]
async fn the_script_asks_for_the_window_by_the_hosts_clock_and_newest_first() {
    let frames = asked("printf '%s ' \"$@\"").await;
    let words = frames.text("log");
    let now = frames.text("now");
    let since: f64 = between(&words, "--since @", " ").parse().unwrap();
    let until: f64 = now.parse().unwrap();
    assert!(until - since >= 7.0 && until - since < 8.0, "{words}");
    assert!(words.contains(&format!("--until @{now} ")), "{words}");
    for word in ["-u etcd.service ", " -r ", " -n 4000 ", " -o json "] {
        assert!(words.contains(word), "{word}: {words}");
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap();
    rest.split_once(after).unwrap().0
}

#[tokio::test]
async fn the_script_takes_no_more_than_a_mebibyte_and_what_a_host_logs_forges_no_frame() {
    let frames = asked("yes '@now 0 1'").await;
    // A host with little time left is cut off by the clock before that.
    let size = frames.text("log").len();
    assert!(size > 0 && size <= 1 << 20, "{size}");
    assert_ne!(frames.text("now"), "1");
    assert_eq!(frames.iter().count(), 2);
}

#[tokio::test]
async fn the_script_brings_what_journalctl_says_to_who_may_not_read() {
    let hint = "Hint: You are currently not seeing messages from other users and the system.";
    let script =
        format!("for word; do [ \"$word\" != -q ] || exit 1; done; echo '{hint}' >&2; exit 1");
    let frames = asked(&script).await;
    assert_eq!(frames.text("log"), "");
    assert_eq!(frames.text("hint"), hint);
}

#[tokio::test]
async fn the_script_does_without_an_option_that_an_old_journalctl_does_not_know() {
    let script = "for word; do [ \"$word\" != --output-fields ] || exit 1; done; echo '{\"MESSAGE\":\"old\"}'";
    let frames = asked(script).await;
    assert_eq!(frames.text("log"), "{\"MESSAGE\":\"old\"}");
    assert!(frames.get("hint").is_none());
}
