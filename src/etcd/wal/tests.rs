use super::*;

fn recorded(version: &str, name: &str) -> Vec<u8> {
    let root = env!("CARGO_MANIFEST_DIR");
    let path = format!("{root}/tests/fixtures/etcd-{version}/{name}");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// One member, 70 writes, a snapshot after 51 entries.
const RECORDED: [&str; 2] = ["3.3.25", "3.5.30"];

#[test]
fn a_copied_log_is_read_to_its_last_entry_and_goes_on_from_its_snapshot() {
    for version in RECORDED {
        let log = log(&[&recorded(version, "backup.wal")]).unwrap();
        let snapshot = snapshot(&recorded(version, "backup.snap")).unwrap();
        assert_eq!(log.snapshot, snapshot.index, "{version}");
        assert_eq!(snapshot.index, 0x33, "{version}");
        assert!(snapshot.bytes > 10_000, "{version}: {snapshot:?}");
        assert!(log.last >= 74, "{version}: {log:?}");
        assert_eq!(log.entries, log.last - log.snapshot, "{version}");
    }
}

#[test]
fn any_changed_byte_of_a_log_is_seen() {
    let whole = recorded("3.3.25", "backup.wal");
    let right = log(&[&whole]).unwrap();
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        let read = log(&[&bytes]);
        // Padding is no part of a record.
        assert!(read.is_err() || read == Ok(right), "byte {at}: {read:?}");
    }
}

#[test]
fn a_log_that_ends_within_a_record_is_cut_off_and_one_that_ends_early_has_fewer_entries() {
    let whole = recorded("3.5.30", "backup.wal");
    let cut = log(&[&whole[..whole.len() / 2 + 20]]).unwrap_err();
    assert!(matches!(cut, Damage::CutOff { .. }), "{cut}");
    assert_eq!(log(&[&[0; 64]]), Err(Damage::Empty));
}

#[test]
fn a_changed_or_shortened_snapshot_is_seen() {
    let whole = recorded("3.3.25", "backup.snap");
    for at in (0..whole.len()).step_by(101) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        assert!(snapshot(&bytes).is_err(), "byte {at}");
    }
    assert!(snapshot(&whole[..whole.len() - 1]).is_err());
    assert!(snapshot(b"").is_err());
}

#[test]
fn the_checksum_is_castagnolis() {
    assert_eq!(crc32c(0, b"123456789"), 0xe306_9283);
    assert_eq!(crc32c(crc32c(0, b"1234"), b"56789"), 0xe306_9283);
}
