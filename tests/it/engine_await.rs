//! The script that waits for a member, run by a real shell with stand-ins for systemctl, curl and etcdctl.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::PathBuf;
use std::time::Duration;

use runner::engine::wait::command;
use runner::transport::Transport;

use crate::engine_bench::{Bench, Shell, version};
use crate::sim::inventory;

const RUNS: &str =
    "echo ActiveState=active; echo SubState=running; echo MainPID=7; echo NRestarts=0";

/// A stand-in that does one thing when it is called first and another later on.
fn first(bench: &Bench, name: &str, once: &str, then: &str) {
    let mark = bench.path(&format!("{name}.called"));
    let body = format!("#!/bin/sh\nif [ ! -e {mark} ]; then : >{mark}\n{once}\nelse\n{then}\nfi\n");
    bench.write(&format!("tools/{name}"), &body);
}

fn always(bench: &Bench, name: &str, body: &str) {
    bench.write(&format!("tools/{name}"), &format!("#!/bin/sh\n{body}\n"));
}

async fn awaited(bench: &Bench, most: u64) -> String {
    let mut cluster = inventory::cluster(1);
    cluster.hosts[0].bin_dir = bench.path("tools");
    cluster.hosts[0].install_dir = bench.path("opt");
    let tools = PathBuf::from(bench.path("tools"));
    let script = command(
        &cluster.hosts[0],
        &version("3.5.16"),
        Duration::from_secs(most),
    );
    Shell { tools }.run("etcd-1", script).await.unwrap().text()
}

#[tokio::test]
async fn a_process_that_only_begins_to_start_is_asked_again_without_etcdctl() {
    let bench = Bench::new();
    always(&bench, "systemctl", RUNS);
    let page = "echo '{\"etcdserver\":\"3.5.16\",\"etcdcluster\":\"3.4.0\"}'";
    first(&bench, "curl", "exit 7", page);
    let asked = bench.path("etcdctl.asked");
    always(&bench, "etcdctl", &format!(": >{asked}; exit 1"));
    let said = awaited(&bench, 20).await;
    assert!(
        said.starts_with("ready\nsaid=\nActiveState=active\n"),
        "{said}"
    );
    assert!(!PathBuf::from(asked).exists());
}

#[tokio::test]
async fn a_member_that_gives_no_page_is_asked_by_etcdctl() {
    let bench = Bench::new();
    always(&bench, "systemctl", RUNS);
    always(&bench, "curl", "exit 1");
    always(
        &bench,
        "etcdctl",
        "echo '[{\"Status\":{\"version\":\"3.5.16\"}}]'",
    );
    let said = awaited(&bench, 20).await;
    assert!(said.starts_with("ready\n"), "{said}");
}

#[tokio::test]
async fn another_release_that_answers_is_named_when_the_time_is_over() {
    let bench = Bench::new();
    always(&bench, "systemctl", RUNS);
    always(
        &bench,
        "curl",
        "echo '{\"etcdserver\":\"3.4.23\",\"etcdcluster\":\"3.4.0\"}'",
    );
    let said = awaited(&bench, 0).await;
    assert!(
        said.starts_with("late\nsaid=another version answers: 3.4.23\n"),
        "{said}"
    );
}

#[tokio::test]
async fn a_unit_that_has_failed_or_was_restarted_by_systemd_is_down() {
    let bench = Bench::new();
    always(&bench, "curl", "echo refused >&2; exit 7");
    always(
        &bench,
        "systemctl",
        "echo ActiveState=failed; echo NRestarts=0",
    );
    let failed = awaited(&bench, 20).await;
    assert!(failed.starts_with("down\nsaid=refused\n"), "{failed}");
    first(
        &bench,
        "systemctl",
        RUNS,
        &RUNS.replace("NRestarts=0", "NRestarts=1"),
    );
    let restarted = awaited(&bench, 20).await;
    assert!(restarted.starts_with("down\n"), "{restarted}");
}
