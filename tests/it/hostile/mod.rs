//! Hostile input: every parser of foreign text, the screen, and hosts that lie.
//!
//! `RUNNER_FUZZ_SECONDS=600 cargo test --test it hostile` gives each parser ten minutes; `PROPTEST_CASES` gives each
//! that many inputs. Archives and packages, lists of digests and names of releases have theirs beside the code.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;

use proptest::prelude::*;
use runner::engine::act::unit::Unit;
use runner::etcd::{old, wal, wire};
use runner::facts::parse::Frames;
use runner::inventory::load_text;
use runner::journal;

use crate::engine_rig::Rig;

mod damage;
mod hosts;
mod screen;

use damage::{damaged, fixtures, fuzz};

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn no_output_of_etcds_tools_or_pages_makes_a_reader_fall_over() {
    fuzz(
        &damaged(fixtures(&[".stdout", ".stderr", ".body", ".json"])),
        |bytes| {
            let text = lossy(&bytes);
            let _ = wire::statuses(&text);
            let _ = wire::healths(&text);
            let _ = wire::members(&text);
            let _ = wire::alarms(&text);
            let _ = wire::versions(&text);
            let _ = wire::tool_version(&text);
            let _ = wire::v2::cluster_health(&text);
            let _ = wire::v2::member_list(&text);
            let _ = wire::v2::members(&text);
            let _ = wire::v2::own_stats(&text);
            let _ = wire::v2::leader(&text);
            let _ = wire::v2::quorum_read(&text);
        },
    );
}

#[test]
fn no_log_and_no_snapshot_makes_a_reader_fall_over() {
    fuzz(&damaged(fixtures(&[".wal", ".snap"])), |bytes| {
        let _ = wal::log(&[&bytes]);
        let (head, tail) = bytes.split_at(bytes.len() / 2);
        let _ = wal::log(&[head, tail]);
        let _ = wal::snapshot(&bytes);
        let _ = old::Request::find(&bytes);
    });
}

#[test]
fn no_frames_make_the_reader_fall_over_or_find_more_than_was_sent() {
    fuzz(&damaged(fixtures(&[".observe", ".gather"])), |bytes| {
        let Ok(frames) = Frames::parse(&bytes) else {
            return;
        };
        let all: usize = frames
            .iter()
            .map(|frame| frame.name.len() + frame.body.len())
            .sum();
        assert!(all <= bytes.len(), "{frames:?}");
    });
}

#[test]
fn no_unit_and_no_log_of_one_makes_the_reader_fall_over() {
    fuzz(
        &damaged(fixtures(&["show-running.txt", "show-stopped.txt"])),
        |bytes| {
            let unit = Unit::parse(&lossy(&bytes));
            let causes = unit.causes("etcd.service", "etcd-1");
            assert!(!causes.is_empty() && causes.len() <= 4, "{causes:?}");
        },
    );
}

#[test]
fn no_inventory_makes_the_reader_fall_over_and_complaints_are_harmless() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/inventories");
    let files = fs::read_dir(folder).unwrap().flatten();
    let samples = files.map(|file| fs::read(file.path()).unwrap()).collect();
    fuzz(&damaged(samples), |bytes| {
        if let Err(errors) = load_text("i.toml", &lossy(&bytes), &[]) {
            let text = errors.to_string();
            let strange = text.chars().find(|c| c.is_control() && *c != '\n');
            assert_eq!(strange, None, "{text:?}");
        }
    });
}

/// The journal of a whole upgrade.
fn whole_journal() -> Vec<u8> {
    let mut rig = Rig::new(3);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    let ending = runtime.unwrap().block_on(rig.upgrade());
    assert_eq!(ending.status, 0, "{ending:?}");
    let runs = journal::list(rig.dir.path()).unwrap();
    fs::read(&runs[0].path).unwrap()
}

#[test]
fn a_journal_that_is_torn_anywhere_gives_all_events_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.ndjson");
    let whole = whole_journal();
    fs::write(&path, &whole).unwrap();
    let all = journal::read(&path).unwrap().events;
    fuzz(&any::<prop::sample::Index>(), |at| {
        let kept = &whole[..at.index(whole.len())];
        fs::write(&path, kept).unwrap();
        let read = journal::read(&path).unwrap();
        let lines = kept.split(|byte| *byte == b'\n').count() - 1;
        assert_eq!(read.events, all[..lines]);
        assert_eq!(
            read.torn.is_some(),
            kept.last().is_some_and(|byte| *byte != b'\n')
        );
    });
}

#[test]
fn no_journal_makes_the_reader_fall_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.ndjson");
    let whole = whole_journal();
    let lines = whole
        .split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    fuzz(&damaged(lines), |bytes| {
        fs::write(&path, bytes).unwrap();
        if let Err(error) = journal::read(&path) {
            assert!(!error.to_string().is_empty());
        }
    });
}
