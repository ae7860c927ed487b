//! Backups taken alone: verified, brought here, as many kept as asked for, damaged ones refused.

use std::fs;

use runner::lab::writer::Writer;
use sha2::{Digest, Sha256};

use crate::common::Cluster;
use crate::common::run::{runner, state_dir};

#[test]
fn as_many_backups_are_kept_as_asked_and_a_truncated_one_is_refused() {
    let cluster = Cluster::start(3, "3.4.23", "3.5.16");
    let writer = Writer::start(cluster.lab.network(), &cluster.endpoints).unwrap();
    writer.await_more(50).unwrap();
    let leader = cluster.leader();
    for _ in 0..4 {
        runner(&cluster, &["backup", "-e", "backup.keep=2"])
            .ends_with(0)
            .plainly();
    }
    let list = "cd /var/backups/etcd/lab && stat -c '%a %n' * | sort";
    let there = cluster.lab.sh(&leader, list).unwrap();
    let names: Vec<&str> = there.lines().collect();
    assert_eq!(
        names.len(),
        4,
        "two backups, each with its description: {there}"
    );
    assert!(
        names.iter().all(|line| line.starts_with("600 lab-")),
        "{there}"
    );
    let ours = here(&cluster);
    assert_eq!(ours.len(), 2, "{ours:?}");
    for path in &ours {
        let bytes = fs::read(path).unwrap();
        let (database, trailer) = bytes.split_at(bytes.len() - 32);
        assert_eq!(Sha256::digest(database).as_slice(), trailer, "{path:?}");
    }

    let ran = runner(&cluster, &["backup", "--output", "json"]).ends_with(0);
    let objects = ran.objects();
    assert_eq!(objects[0]["kind"], "plan");
    assert_eq!(objects[0]["plan"]["kind"], "backup");
    assert_eq!(objects.last().unwrap()["kind"], "ended");
    runner(&cluster, &["backup", "--check"]).ends_with(0);

    truncating(&cluster, &leader);
    let before = (cluster.lab.sh(&leader, list).unwrap(), here(&cluster));
    runner(&cluster, &["backup", "-e", "backup.keep=1"])
        .ends_with(5)
        .says("no database with a digest behind it");
    let after = (cluster.lab.sh(&leader, list).unwrap(), here(&cluster));
    assert_eq!(before, after, "a bad one costs no good one");
    assert!(writer.finish().unwrap().is_clean());
}

/// Lets the leader's etcdctl cut off the end of what it saves.
fn truncating(cluster: &Cluster, host: &str) {
    let script = r#"rm /usr/local/bin/etcdctl
        cat > /usr/local/bin/etcdctl <<'END'
#!/bin/sh
/opt/etcd/3.4.23/etcdctl "$@" || exit
for last; do :; done
case " $* " in *" snapshot save "*) truncate -s -100 "$last" ;; esac
END
        chmod 0755 /usr/local/bin/etcdctl"#;
    cluster.lab.sh(host, script).unwrap();
}

fn here(cluster: &Cluster) -> Vec<std::path::PathBuf> {
    let folder = state_dir(cluster).join("backups/lab");
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|e| e == "db"))
        .collect();
    paths.sort();
    paths
}
