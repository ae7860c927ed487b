use std::os::unix::fs::PermissionsExt;

use super::*;

fn note(times: u32) -> Kind {
    Kind::Interrupted { times }
}

fn journal(dir: &Path) -> Recorder {
    Recorder::new(Journal::create(dir, "20261120T120102Z-4f2a").unwrap())
}

#[test]
fn events_are_on_disk_before_a_listener_gets_them_and_numbered_without_gaps() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = journal(dir.path());
    let events = recorder.subscribe();
    for times in 1..=3 {
        recorder.record(note(times)).unwrap();
        let shown = events.try_recv().unwrap();
        let replay = read(recorder.path()).unwrap();
        assert_eq!(replay.events.last(), Some(&shown));
        assert_eq!(shown.index, u64::from(times) - 1);
    }
}

#[test]
fn the_folder_is_private_and_a_run_id_is_used_once() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = journal(dir.path());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(recorder.path()), 0o600);
    assert_eq!(mode(recorder.path().parent().unwrap()), 0o700);
    let again = Journal::create(dir.path(), recorder.run());
    assert!(matches!(again, Err(JournalError::Open { .. })));
}

#[test]
fn a_torn_last_line_is_told_and_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = journal(dir.path());
    recorder.record(note(1)).unwrap();
    recorder.record(note(2)).unwrap();
    let bytes = fs::read(recorder.path()).unwrap();
    fs::write(recorder.path(), &bytes[..bytes.len() - 5]).unwrap();
    let replay = read(recorder.path()).unwrap();
    assert_eq!(replay.events.len(), 1);
    assert!(replay.torn.unwrap().contains("interrupted"));
}

#[test]
fn a_damaged_line_in_the_middle_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.ndjson");
    fs::write(&path, "{\"format\":1}\n{}\n").unwrap();
    let error = read(&path).unwrap_err();
    assert!(error.to_string().starts_with("line 1 of the journal"));
}

#[test]
fn a_later_format_is_refused_with_both_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.ndjson");
    fs::write(&path, "{\"format\":7}\n").unwrap();
    let error = read(&path).unwrap_err().to_string();
    assert!(error.ends_with("has format 7, this runner reads up to 1"));
}

#[test]
fn a_full_disk_fails_the_event_and_all_later_ones_and_nobody_is_told() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let recorder = Recorder::new(Journal::over(full, "/dev/full".into(), "r"));
    let events = recorder.subscribe();
    assert!(recorder.record(note(1)).is_err());
    assert!(recorder.record(note(2)).is_err());
    assert!(events.try_recv().is_err());
}

#[test]
fn runs_are_listed_oldest_first_and_a_missing_folder_means_none() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(list(dir.path()).unwrap(), Vec::new());
    for id in ["20261120T120103Z-0000", "20261120T120102Z-ffff"] {
        Journal::create(dir.path(), id).unwrap();
    }
    let ids: Vec<String> = list(dir.path())
        .unwrap()
        .into_iter()
        .map(|r| r.id)
        .collect();
    assert_eq!(ids, ["20261120T120102Z-ffff", "20261120T120103Z-0000"]);
}

#[test]
fn a_run_id_is_a_time_in_utc_and_four_digits() {
    let id = new_run_id("2026-11-20T12:01:02Z".parse().unwrap());
    assert!(id.starts_with("20261120T120102Z-"));
    assert_eq!(id.len(), "20261120T120102Z-4f2a".len());
}

#[test]
fn after_the_ending_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = journal(dir.path());
    let ending = Kind::Ended {
        status: 0,
        summary: String::new(),
        clusters: Vec::new(),
        took_ms: 1,
    };
    recorder.record(note(1)).unwrap();
    assert!(!recorder.is_ended());
    recorder.record(ending).unwrap();
    recorder.record(note(2)).unwrap();
    assert!(recorder.is_ended());
    assert_eq!(read(recorder.path()).unwrap().events.len(), 2);
}

#[test]
fn what_cannot_be_written_is_not_handed_on_but_for_the_ending() {
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let recorder = Recorder::new(Journal::over(full, "full".into(), "r"));
    let events = recorder.subscribe();
    let ending = Kind::Ended {
        status: 6,
        summary: String::new(),
        clusters: Vec::new(),
        took_ms: 0,
    };
    for kind in [note(1), note(2), ending.clone()] {
        let JournalError::Write { source, .. } = recorder.record(kind).unwrap_err() else {
            panic!("another error")
        };
        assert!(source.to_string().contains("No space left"), "{source}");
    }
    let handed_on: Vec<Kind> = events.try_iter().map(|event| event.kind).collect();
    assert_eq!(handed_on, [ending]);
    assert!(recorder.is_ended());
}
