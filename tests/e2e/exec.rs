//! One command on many hosts.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::Cluster;
use crate::common::run::{begin, finish, runner, runner_with};

#[test]
fn a_command_runs_on_the_selected_hosts_and_its_end_is_told_for_each() {
    let cluster = Cluster::start(3, "3.5.16", "3.5.30");
    let script = "uname -n; echo \"as $(id -un)\" >&2; printf 'esc \\033[2J\\n'";
    let ran = runner(&cluster, &["exec", "--", script])
        .ends_with(0)
        .plainly();
    for host in cluster.shape.hosts() {
        let line = format!("{host} | {host}\n");
        assert!(ran.out.contains(&line), "{ran:?}");
        assert!(
            ran.out.contains(&format!("{host} | esc \\x1b[2J")),
            "{ran:?}"
        );
        assert!(ran.err.contains(&format!("{host} | as ops\n")), "{ran:?}");
        assert!(ran.out.contains(&format!("{host}  0 ")), "{ran:?}");
    }
    let ran = runner(&cluster, &["exec", "-b", "-l", "etcd-2", "--", "id", "-u"]).ends_with(0);
    assert!(ran.out.starts_with("etcd-2 | 0\n"), "{ran:?}");
    assert!(!ran.out.contains("etcd-1"), "{ran:?}");
    let words = [
        "exec", "-l", "etcd-1", "--", "printf", "<%s>\\n", "a  b", "$HOME;'",
    ];
    let ran = runner(&cluster, &words).ends_with(0);
    assert!(
        ran.out.contains("| <a  b>\netcd-1 | <$HOME;'>\n"),
        "{ran:?}"
    );

    let some = "case $(uname -n) in etcd-2) exit 3;; esac; cat";
    let ran = runner(&cluster, &["exec", "--", some]).ends_with(6);
    let ran = ran.says("host `etcd-2`: the command ended with status 3");
    let ran = ran.says("changed: what the command did on etcd-1, etcd-2, etcd-3");
    assert!(ran.out.contains("etcd-2  3 "), "{ran:?}");
    runner(
        &cluster,
        &["exec", "--timeout", "1s", "-l", "etcd-1", "--", "sleep 100"],
    )
    .ends_with(6)
    .says("status 124");
    runner(&cluster, &["exec", "-C", "--", "touch /tmp/never"]).ends_with(0);
    assert_eq!(
        cluster
            .lab
            .sh("etcd-1", "ls /tmp/never 2>&1; true")
            .unwrap()
            .lines()
            .count(),
        1
    );
    unreachable(&cluster);
    json(&cluster);
    interrupted(&cluster);
}

fn unreachable(cluster: &Cluster) {
    let text = fs::read_to_string(&cluster.inventory).unwrap();
    let address = cluster.lab.host("etcd-3").unwrap().address.to_string();
    let path = cluster.lab.folder().join("nobody.toml");
    fs::write(
        &path,
        text.replace(&format!("\"{address}\""), "\"10.77.99.99\""),
    )
    .unwrap();
    let ran = runner_with(cluster, &path, &["exec", "--", "echo in"]);
    let ran = ran
        .ends_with(4)
        .says("error: host `etcd-3`: ")
        .says("hint: ");
    assert_eq!(ran.out.matches(" | in\n").count(), 2, "{ran:?}");
    let ran = ran.says("changed: what the command did on etcd-1, etcd-2\n");
    assert!(!ran.out.contains("etcd-3 |"), "{ran:?}");
}

fn json(cluster: &Cluster) {
    let ran = runner(
        cluster,
        &[
            "exec",
            "--output",
            "json",
            "--",
            "echo out; echo err >&2; exit 1",
        ],
    );
    let objects = ran.ends_with(6).objects();
    for (at, object) in objects.iter().enumerate() {
        assert_eq!(
            (&object["format"], &object["index"]),
            (&1.into(), &at.into())
        );
        assert!(object["run"].is_string() && object["at"].is_string());
    }
    assert_eq!(objects[0]["kind"], "plan");
    assert_eq!(objects[0]["hosts"].as_array().unwrap().len(), 3);
    let lines = objects.iter().filter(|object| object["kind"] == "line");
    let of = |stream: &str, text: &str| {
        let lines = lines.clone();
        lines
            .filter(|line| line["stream"] == stream && line["text"] == text)
            .count()
    };
    assert_eq!((of("stdout", "out"), of("stderr", "err")), (3, 3));
    let last = objects.last().unwrap();
    assert_eq!(
        (&last["kind"], &last["status"]),
        (&"ended".into(), &6.into())
    );
    assert_eq!(last["hosts"][2]["status"], 1);
}

/// Ctrl-C ends the command and its children on all hosts, as root too; so does the death of runner itself.
fn interrupted(cluster: &Cluster) {
    for (signal, status, more) in [
        (Signal::INT, 130, "-q"),
        (Signal::INT, 130, "-b"),
        (Signal::KILL, -1, "-b"),
    ] {
        let child = begin(
            cluster,
            &["exec", more, "--", "sleep 4711 & sleep 4712; echo never"],
        );
        sleepers(cluster, 2);
        let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        let ran = finish(child).ends_with(status);
        sleepers(cluster, 0);
        assert!(!ran.out.contains("never"), "{ran:?}");
        if status == 130 {
            ran.says("interrupted")
                .says("changed: what the command did on");
        }
    }
}

/// Waits until so many of the test's processes run on each host.
fn sleepers(cluster: &Cluster, wanted: usize) {
    let until = Instant::now() + Duration::from_secs(30);
    for host in cluster.shape.hosts() {
        loop {
            let said = cluster
                .lab
                .sh(&host, "pgrep -cx -f 'sleep 471[12]'; true")
                .unwrap();
            if said.trim() == wanted.to_string() {
                break;
            }
            assert!(Instant::now() < until, "{host}: {said} instead of {wanted}");
        }
    }
}
