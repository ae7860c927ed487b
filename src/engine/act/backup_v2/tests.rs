use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn recorded(name: &str) -> Vec<u8> {
    let root = env!("CARGO_MANIFEST_DIR");
    fs::read(format!("{root}/tests/fixtures/etcd-3.3.25/{name}")).unwrap()
}

fn packed(files: &[(&str, Vec<u8>)]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let zip = GzEncoder::new(file.reopen().unwrap(), Compression::fast());
    let mut tar = tar::Builder::new(zip);
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        tar.append_data(&mut header, format!("member/{name}"), bytes.as_slice())
            .unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap();
    file
}

const LOG: &str = "wal/0000000000000000-0000000000000000.wal";
const SNAP: &str = "snap/0000000000000002-0000000000000033.snap";

#[test]
fn a_copy_is_proven_by_its_chain_and_the_snapshot_that_it_continues() {
    let files = [
        (LOG, recorded("backup.wal")),
        (SNAP, recorded("backup.snap")),
    ];
    let copy = packed(&files);
    let proof = prove(copy.path()).unwrap();
    assert_eq!(proof.log.snapshot, 0x33);
    assert!(proof.store_bytes > 10_000);
}

#[test]
fn a_copy_without_its_snapshot_or_with_a_damaged_file_is_no_backup() {
    let log = recorded("backup.wal");
    let without = packed(&[(LOG, log.clone())]);
    let said = prove(without.path()).unwrap_err().join(": ");
    assert!(said.contains("raft index 51, which is not in it"), "{said}");
    let mut snap = recorded("backup.snap");
    snap[5000] ^= 1;
    let damaged = packed(&[(LOG, log.clone()), (SNAP, snap)]);
    let said = prove(damaged.path()).unwrap_err().join(": ");
    assert!(said.contains("snap is damaged: the checksum"), "{said}");
    let cut = packed(&[(LOG, log[..1000].to_vec()), (SNAP, recorded("backup.snap"))]);
    let said = prove(cut.path()).unwrap_err().join(": ");
    assert!(said.contains("its log is damaged"), "{said}");
    assert!(prove(packed(&[]).path()).is_err());
}
