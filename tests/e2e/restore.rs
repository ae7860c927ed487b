//! The way back after a finished upgrade: the cluster is made anew from the run's own backup, at its release.

use std::collections::BTreeMap;

use runner::lab::Shape;
use runner::lab::cluster::Layout;
use runner::lab::writer::Writer;

use crate::common::Cluster;
use crate::common::run::{runner, running, state_dir};

const CTL: &str = "ETCDCTL_API=3 /usr/local/bin/etcdctl";

#[test]
fn after_a_finished_upgrade_the_keys_are_as_at_the_backup_and_all_goes_on_from_there() {
    let cluster = Cluster::start(3, "3.4.23", "3.5.16");
    put(&cluster, "etcd-1", "kept", "yes");
    runner(&cluster, &["upgrade", "--yes"]).ends_with(0);
    put(&cluster, "etcd-2", "kept", "changed");
    put(&cluster, "etcd-2", "late", "yes");
    let owners = owners(&cluster);
    let shown = runner(&cluster, &["restore", "--check"])
        .ends_with(0)
        .plainly();
    assert!(shown.out.contains("DATA_LOSS"), "{shown:?}");
    runner(&cluster, &["restore"])
        .ends_with(3)
        .says("revisions, from");
    assert_eq!(get(&cluster, "etcd-3", "late"), "yes");

    let ran = runner(&cluster, &["restore", "--yes"])
        .ends_with(0)
        .plainly();
    eprintln!("{}\n{}", ran.out, ran.err);
    for host in cluster.shape.hosts() {
        let now = running(&cluster, &host);
        assert_eq!(now, ("3.4.23".to_owned(), "3.4.0".to_owned()), "{host}");
        assert_eq!(get(&cluster, &host, "kept"), "yes");
        assert_eq!(get(&cluster, &host, "late"), "");
        let aside = "ls -d /var/lib/etcd/member.before-*/snap/db | wc -l";
        assert_eq!(cluster.lab.sh(&host, aside).unwrap().trim(), "1");
        let left = cluster.lab.sh(
            &host,
            "ls -d /var/lib/etcd/runner-restore-* 2>/dev/null || :",
        );
        assert_eq!(left.unwrap(), "", "{host}");
    }
    assert_eq!(hashes(&cluster).len(), 1, "{:?}", hashes(&cluster));
    assert_eq!(self::owners(&cluster), owners);
    again(&cluster, "3.5.16");
}

#[test]
fn a_backup_that_is_gone_damaged_or_of_another_cluster_is_refused_and_nothing_changes() {
    let cluster = Cluster::start(1, "3.4.23", "3.5.16");
    runner(&cluster, &["restore", "--yes"])
        .ends_with(3)
        .says("NO_BACKUP");
    put(&cluster, "etcd-1", "kept", "yes");
    runner(&cluster, &["backup"]).ends_with(0);
    runner(&cluster, &["restore", "--yes"]).ends_with(0);
    assert!(asides(&cluster).is_empty(), "nothing was to be restored");
    put(&cluster, "etcd-1", "late", "yes");
    runner(
        &cluster,
        &["restore", "--yes", "--from", "20200101T000000Z-0000"],
    )
    .ends_with(3)
    .says("NO_BACKUP");
    runner(
        &cluster,
        &[
            "restore",
            "--yes",
            "--bump-revision",
            "1000",
            "--mark-compacted",
        ],
    )
    .ends_with(3)
    .says("NO_BUMP");

    let on_host = cluster
        .lab
        .sh("etcd-1", "ls /var/backups/etcd/lab/*.db")
        .unwrap();
    let here = state_dir(&cluster)
        .join("backups/lab")
        .join(on_host.trim().rsplit('/').next().unwrap());
    let other = "sed -i 's/\"cluster_id\": \"[0-9a-f]*\"/\"cluster_id\": \"1234\"/' /var/backups/etcd/lab/*.json";
    cluster.lab.sh("etcd-1", other).unwrap();
    runner(&cluster, &["restore", "--yes"])
        .ends_with(3)
        .says("BACKUP_FOREIGN");
    // Damaged here, whole there: the one there is taken. Damaged on both: refused.
    let mut bytes = std::fs::read(&here).unwrap();
    bytes[4100] ^= 1;
    std::fs::write(&here, bytes).unwrap();
    runner(
        &cluster,
        &["restore", "--check", "--acknowledge", "BACKUP_FOREIGN"],
    )
    .ends_with(0);
    cluster
        .lab
        .sh(
            "etcd-1",
            "printf X | dd of=$(ls /var/backups/etcd/lab/*.db) bs=1 seek=5000 conv=notrunc",
        )
        .unwrap();
    runner(&cluster, &["restore", "--yes"])
        .ends_with(3)
        .says("BACKUP_DAMAGED")
        .says("changed: nothing");
    let named = here.to_str().unwrap();
    runner(&cluster, &["restore", "--yes", "--from", named])
        .ends_with(3)
        .says("BACKUP_DAMAGED");
    assert_eq!(get(&cluster, "etcd-1", "late"), "yes");
    assert!(asides(&cluster).is_empty());
}

#[test]
fn a_member_that_fails_to_come_up_brings_all_back_to_their_data() {
    let cluster = Cluster::start(3, "3.4.23", "3.5.16");
    put(&cluster, "etcd-1", "kept", "yes");
    runner(&cluster, &["upgrade", "--yes"]).ends_with(0);
    put(&cluster, "etcd-2", "late", "yes");
    // The kept release of one host cannot run there any more.
    let broken = "printf '#!/bin/sh\\ncase $* in *--version*) echo etcd Version: 3.4.23; exit 0;; esac\\nexit 9\\n' \
                  > /opt/etcd/3.4.23/etcd";
    cluster.lab.sh("etcd-3", broken).unwrap();
    let ran = runner(&cluster, &["restore", "--yes"])
        .ends_with(5)
        .says("was put back on 3.5.16");
    assert!(
        ran.err.contains("all members have their data of before"),
        "{ran:?}"
    );
    for host in cluster.shape.hosts() {
        assert_eq!(running(&cluster, &host).0, "3.5.16", "{host}");
        assert_eq!(get(&cluster, &host, "late"), "yes");
    }
    assert_eq!(hashes(&cluster).len(), 1);
}

#[test]
fn where_the_release_can_revisions_go_on_above_the_backups() {
    let cluster = Cluster::start(1, "3.5.16", "3.5.30");
    put(&cluster, "etcd-1", "kept", "yes");
    runner(&cluster, &["upgrade", "--yes"]).ends_with(0);
    put(&cluster, "etcd-1", "late", "yes");
    let args = [
        "restore",
        "--yes",
        "--bump-revision",
        "1000000",
        "--mark-compacted",
    ];
    runner(&cluster, &args).ends_with(0);
    assert_eq!(running(&cluster, "etcd-1").0, "3.5.16");
    assert_eq!(get(&cluster, "etcd-1", "kept"), "yes");
    let status = cluster
        .lab
        .sh("etcd-1", &format!("{CTL} endpoint status -w json"))
        .unwrap();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let revision = status[0]["Status"]["header"]["revision"].as_u64().unwrap();
    assert!(revision > 1_000_000, "{status}");
}

#[test]
fn keys_of_both_apis_come_back_and_the_members_join_one_by_one() {
    let shape = Shape::of_members(3);
    let flags = ["--enable-v2=true", "--snapshot-count=10"];
    let cluster = Cluster::start_as(shape, "3.3.25", "3.4.23", Layout::default(), &flags);
    put(&cluster, "etcd-1", "kept", "yes");
    for number in 0..15 {
        v2(&cluster, "etcd-2", &format!("set /kept/{number} yes"));
    }
    runner(&cluster, &["upgrade", "--yes"]).ends_with(0);
    put(&cluster, "etcd-2", "late", "yes");
    v2(&cluster, "etcd-2", "set /kept/1 changed");
    v2(&cluster, "etcd-2", "set /late yes");
    let owners = owners(&cluster);

    let ran = runner(&cluster, &["restore", "--yes"])
        .ends_with(0)
        .plainly();
    eprintln!("{}\n{}", ran.out, ran.err);
    for host in cluster.shape.hosts() {
        let now = running(&cluster, &host);
        assert_eq!(now, ("3.3.25".to_owned(), "3.3.0".to_owned()), "{host}");
        assert_eq!(get(&cluster, &host, "kept"), "yes", "{host}");
        assert_eq!(get(&cluster, &host, "late"), "", "{host}");
        assert_eq!(v2(&cluster, &host, "get /kept/1").trim(), "yes", "{host}");
        assert_eq!(
            v2(&cluster, &host, "ls /kept").lines().count(),
            15,
            "{host}"
        );
        assert!(!v2(&cluster, &host, "ls /").contains("/late"), "{host}");
        let left = "ls -d /etc/systemd/system/etcd.service.d/*runner* /var/lib/etcd/runner-restore-* 2>/dev/null || :";
        assert_eq!(cluster.lab.sh(&host, left).unwrap(), "", "{host}");
        let force = "tr '\\0' ' ' < /proc/$(pidof etcd)/cmdline";
        assert!(
            !cluster
                .lab
                .sh(&host, force)
                .unwrap()
                .contains("force-new-cluster"),
            "{host}"
        );
    }
    assert_eq!(hashes(&cluster).len(), 1);
    assert_eq!(self::owners(&cluster), owners);
    again(&cluster, "3.4.23");
    assert_eq!(v2(&cluster, "etcd-3", "get /kept/2").trim(), "yes");
}

#[test]
fn a_cluster_with_tls_and_users_is_restored_too() {
    let folder = tempfile::tempdir().unwrap();
    let shape = crate::tls::secured(folder.path(), 3);
    let cluster = Cluster::start_as(shape, "3.4.23", "3.5.16", Layout::default(), &[]);
    let args = ["upgrade", "--yes", "--acknowledge", "AUTH_FREEZE"];
    runner(&cluster, &args).ends_with(0);
    let writer = cluster.writer();
    writer.await_more(20).unwrap();
    drop(writer.finish());
    runner(&cluster, &["restore", "--yes"])
        .ends_with(0)
        .plainly();
    for host in cluster.shape.hosts() {
        let now = running(&cluster, &host);
        assert_eq!(now, ("3.4.23".to_owned(), "3.4.0".to_owned()), "{host}");
    }
    let writer = cluster.writer();
    writer.await_more(20).unwrap();
    assert!(writer.finish().unwrap().is_clean());
}

fn v2(cluster: &Cluster, host: &str, words: &str) -> String {
    let ctl = "ETCDCTL_API=2 /usr/local/bin/etcdctl";
    cluster.lab.sh(host, &format!("{ctl} {words}")).unwrap()
}

/// The client writes again, and so does an upgrade.
fn again(cluster: &Cluster, to: &str) {
    let writer =
        Writer::start_as(cluster.lab.network(), &cluster.endpoints, &cluster.access).unwrap();
    writer.await_more(50).unwrap();
    runner(cluster, &["upgrade", "--yes"]).ends_with(0);
    writer.await_more(50).unwrap();
    let seen = writer.finish().unwrap();
    assert!(seen.is_clean(), "{seen:?}");
    for host in cluster.shape.hosts() {
        assert_eq!(running(cluster, &host).0, to, "{host}");
    }
}

fn put(cluster: &Cluster, host: &str, key: &str, value: &str) {
    cluster
        .lab
        .sh(host, &format!("{CTL} put {key} {value}"))
        .unwrap();
}

fn get(cluster: &Cluster, host: &str, key: &str) -> String {
    let said = cluster
        .lab
        .sh(host, &format!("{CTL} get {key} --print-value-only"))
        .unwrap();
    said.trim().to_owned()
}

fn asides(cluster: &Cluster) -> String {
    cluster
        .lab
        .sh("etcd-1", "ls -d /var/lib/etcd/member.* 2>/dev/null || :")
        .unwrap()
}

/// Owner and mode of everything in the data folder, without the files' own names.
fn owners(cluster: &Cluster) -> BTreeMap<String, String> {
    let hosts = cluster.shape.hosts().into_iter();
    let script =
        "cd /var/lib/etcd; stat -c '%U:%G %a %n' . member member/snap member/wal member/snap/db";
    hosts
        .map(|host| (host.clone(), cluster.lab.sh(&host, script).unwrap()))
        .collect()
}

/// The hashes of the keys at the newest revision, which nobody changes meanwhile.
fn hashes(cluster: &Cluster) -> std::collections::BTreeSet<u64> {
    let hosts = cluster.shape.hosts();
    let hash = |host: &String| {
        let said = cluster
            .lab
            .sh(host, &format!("{CTL} endpoint hashkv -w json"))
            .unwrap();
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        said[0]["HashKV"]["hash"].as_u64().unwrap()
    };
    hosts.iter().map(hash).collect()
}
