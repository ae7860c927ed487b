//! The script that takes a backup, by a real shell, with an etcdctl that says what those of 3.6 and later say.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use runner::plan::{Action, Outcome};

use crate::engine_bench::{Bench, causes};

/// A snapshot that 3.5.30 saved, whose newest revision this is by its own `snapshot status`.
fn snapshot(revision: u64) -> Vec<u8> {
    let file = format!("tests/fixtures/etcd-3.5.30/revision-{revision}.db.gz");
    let packed = fs::File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let mut bytes = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Takes a backup where only an etcdctl of 3.6 is, at a member of that revision that saves these bytes.
async fn taken(saved: &[u8], least: u64) -> Outcome {
    let mut bench = Bench::new();
    fs::write(bench.path("saved.db"), saved).unwrap();
    let etcdctl = format!(
        r#"#!/bin/sh
for word; do last=$word; done
case "$*" in
  *'endpoint status'*) echo '[{{"Status":{{"header":{{"revision":{least}}}}}}}]' ;;
  *'snapshot save'*) cp '{}' "$last" ;;
  *'snapshot status'*) printf 'NAME:\n  snapshot - Manages etcd node snapshots\n' ;;
  *' get '*) echo '{{"kvs":[{{"mod_revision":{least}}}]}}' ;;
esac
"#,
        bench.path("saved.db")
    );
    bench.write("bin/etcdctl", &etcdctl);
    let take = Action::TakeBackup {
        dir: bench.path("backups"),
        file: "prod-20261120T120101Z-4f2a-3.6.14.db".to_owned(),
    };
    bench.act(take).await
}

#[tokio::test]
async fn without_a_tool_that_tells_it_the_revision_is_read_off_the_database() {
    for revision in [0, 5, 402] {
        let outcome = taken(&snapshot(revision), revision).await;
        let Outcome::Changed { what } = &outcome else {
            panic!("{revision}: {outcome:?}")
        };
        assert!(what.contains(&format!("revision {revision},")), "{what}");
    }
}

#[tokio::test]
async fn a_backup_that_is_behind_its_member_is_refused_without_such_a_tool_too() {
    let refused = causes(&taken(&snapshot(5), 6).await);
    assert!(
        refused.contains("the snapshot has revision 5, the member had 6"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_though_its_digest_is_right() {
    use sha2::{Digest, Sha256};
    let mut bytes = vec![7; 20480];
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(&digest);
    let refused = causes(&taken(&bytes, 1).await);
    assert!(
        refused.contains("the revision of the snapshot cannot be read"),
        "{refused}"
    );
}
