//! The scripts of etcd's own downgrade, by a real shell, with an etcdctl that says what those of 3.5 and 3.6 say.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;

use runner::etcd::Minor;
use runner::plan::{Action, Downgrade, Outcome};

use crate::engine_bench::{Bench, causes, is_changed};

/// An etcdctl whose cluster keeps the downgrade in the file `job`; what it prints is recorded or in etcd-upgrades 7.3.
/// `DENY`, `DEAF` and `OLD` are files that make it refuse, lose an answer, or be of 3.5.
const ETCDCTL: &str = r#"#!/bin/sh
here=${0%/*} info={} stored=3.6.0
if [ -f "$here/job" ]; then
  info="{\"enabled\":true,\"targetVersion\":\"$(cat "$here/job").0\"}" stored=3.5.0
fi
case "$*" in
  *' downgrade '*)
    echo "$*" | sed 's/.* downgrade /downgrade /' >>"$here/asked"
    if [ -f "$here/OLD" ]; then
      printf 'Error: unknown command "downgrade" for "etcdctl"\nRun '\''etcdctl --help'\'' for usage.\n' >&2
      exit 1
    fi
    echo '{"level":"warn","msg":"unrecognized environment variable","environment-variable":"ETCDCTL_API=3"}' >&2
    ;;
esac
case "$*" in
  *'endpoint status -w json'*) sed "s/\"storageVersion\":\"3.6.0\"/\"storageVersion\":\"$stored\"/; s/\"downgradeInfo\":{}/\"downgradeInfo\":$info/" "$here/status" ;;
  *'endpoint health -w json'*) echo '[{"endpoint":"127.0.0.1:2379","health":true,"took":"2ms"}]' ;;
  *'member list -w json'*) cat "$here/members" ;;
  *'alarm list -w json'*) echo '{}' ;;
  *'downgrade validate 3.5')
    if [ -f "$here/DENY" ]; then
      echo 'Error: etcdserver: invalid downgrade target version' >&2
      exit 1
    fi
    echo 'Downgrade validate success, cluster version 3.6'
    ;;
  *'downgrade enable 3.5')
    echo 3.5 >"$here/job"
    if [ -f "$here/DEAF" ]; then
      echo 'Error: context deadline exceeded' >&2
      exit 1
    fi
    echo 'Downgrade enable success, cluster version 3.6'
    ;;
  *'downgrade cancel')
    if [ ! -f "$here/job" ]; then
      echo 'Error: etcdserver: no inflight downgrade job' >&2
      exit 1
    fi
    rm "$here/job"
    echo 'Downgrade cancel success, cluster version 3.5'
    ;;
esac
"#;

/// The page that tells the version: it follows the job at once.
const CURL: &str = r#"#!/bin/sh
line=3.6.0
[ ! -f BIN/job ] || line=3.5.0
printf '{"etcdserver":"3.6.14","etcdcluster":"%s","storage":"%s"}' "$line" "$line"
"#;

fn bench() -> Bench {
    let bench = Bench::new();
    let recorded = |name: &str| {
        let path = format!("tests/fixtures/etcd-3.6.14/healthy.{name}.stdout");
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
    };
    let status = recorded("endpoint-status-json");
    let first = status.split(",{\"Endpoint\"").next().unwrap();
    bench.write("bin/status", &format!("{first}]"));
    bench.write("bin/members", &recorded("member-list-json"));
    bench.write("bin/etcdctl", ETCDCTL);
    bench.write("tools/curl", &CURL.replace("BIN", &bench.path("bin")));
    bench
}

async fn enable(bench: &mut Bench) -> Outcome {
    let to = Minor::new(3, 5);
    bench.act(Action::Downgrade(Downgrade::Enable { to })).await
}

async fn cancel(bench: &mut Bench) -> Outcome {
    bench.act(Action::Downgrade(Downgrade::Cancel)).await
}

#[tokio::test]
async fn it_is_validated_enabled_awaited_and_not_asked_for_twice() {
    let mut bench = bench();
    assert!(is_changed(&enable(&mut bench).await));
    assert_eq!(bench.read("bin/job"), "3.5\n");
    assert!(!is_changed(&enable(&mut bench).await));
    assert_eq!(
        bench.read("bin/asked"),
        "downgrade validate 3.5\ndowngrade enable 3.5\n"
    );
}

#[tokio::test]
async fn an_answer_that_was_lost_is_looked_for_in_what_the_member_says() {
    let mut bench = bench();
    bench.write("bin/DEAF", "");
    assert!(is_changed(&enable(&mut bench).await));
}

#[tokio::test]
async fn what_etcd_does_not_allow_is_told_in_its_words_and_nothing_is_enabled() {
    for (file, words) in [
        ("DENY", "etcdserver: invalid downgrade target version"),
        ("OLD", "Run 'etcdctl --help' for usage."),
    ] {
        let mut bench = bench();
        bench.write(&format!("bin/{file}"), "");
        let refused = causes(&enable(&mut bench).await);
        assert!(refused.contains(words), "{refused}");
        assert!(!Path::new(&bench.path("bin/job")).exists());
    }
}

#[tokio::test]
async fn it_is_cancelled_once_and_another_one_is_left_alone() {
    let mut bench = bench();
    assert!(!is_changed(&cancel(&mut bench).await));
    assert!(is_changed(&enable(&mut bench).await));
    assert!(is_changed(&cancel(&mut bench).await));
    assert!(!Path::new(&bench.path("bin/job")).exists());
    bench.write("bin/job", "3.4\n");
    let refused = causes(&enable(&mut bench).await);
    assert!(
        refused.contains("a downgrade to 3.4 is enabled"),
        "{refused}"
    );
}

/// All run 3.5, whose etcdctl knows nothing of it; the one of the newer release was kept.
#[tokio::test]
async fn its_end_is_seen_to_with_the_newer_etcdctl_that_was_kept() {
    let mut bench = bench();
    let end = || Action::Downgrade(Downgrade::End);
    let early = bench.act(end()).await;
    assert!(format!("{early:?}").contains("runs 3.6.14"), "{early:?}");
    let older = bench.read("bin/status").replace("3.6.14", "3.5.16");
    bench.write("bin/status", &older);
    let page = CURL.replace("BIN", &bench.path("bin"));
    bench.write("tools/curl", &page.replace("3.6.14", "3.5.16"));
    bench.write("bin/OLD", "");
    let none = causes(&bench.act(end()).await);
    assert!(none.contains("knows `downgrade`"), "{none}");
    bench.write("opt/3.6.14/etcdctl", ETCDCTL);
    bench.write("opt/3.6.14/job", "3.5\n");
    assert!(is_changed(&bench.act(end()).await));
    assert!(!Path::new(&bench.path("opt/3.6.14/job")).exists());
    let asked = bench.read("opt/3.6.14/asked");
    assert_eq!(asked, "downgrade cancel\ndowngrade cancel\n");
}
