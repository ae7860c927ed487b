//! Clusters that let not everybody in: TLS with certificates of both sides, and etcd's own users.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use runner::inventory::{Auth, Tls};
use runner::lab::Shape;
use runner::lab::cluster::Layout;
use runner::secret::Secret;

use crate::common::Cluster;
use crate::common::run::{
    Ran, assert_untouched, files, inventory, runner, runner_with, running, state_dir,
};

const PASSWORD: &str = "unguessable-f1c9e2";
const WRONG: &str = "mistaken-77ab03";

/// Members with TLS and a user `root`, whose password lies in that folder.
pub fn secured(folder: &Path, members: usize) -> Shape {
    let password_file = folder.join("password");
    fs::write(&password_file, format!("{PASSWORD}\n")).unwrap();
    let path = |name: &str| Some(format!("/etc/etcd/{name}"));
    let mut shape = Shape::of_members(members);
    for member in &mut shape.clusters[0].members {
        member.tls = Some(Tls {
            cacert: path("ca.crt"),
            cert: path("client.crt"),
            key: path("client.key"),
        });
        member.auth = Some(Auth {
            user: "root".to_owned(),
            password_file: password_file.clone(),
            password: Secret::new(PASSWORD),
        });
    }
    shape
}

#[test]
fn a_cluster_with_tls_and_users_is_upgraded_and_its_password_is_seen_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let shape = secured(folder.path(), 3);
    let cluster = Cluster::start_as(shape, "3.4.23", "3.5.16", Layout::default(), &[]);
    let before = files(&cluster);
    refused(&cluster, folder.path());
    assert_untouched(&before, &files(&cluster));

    watch_hosts(&cluster);
    let writer = cluster.writer();
    writer.await_more(50).unwrap();
    let args = ["upgrade", "--yes", "-v", "--acknowledge", "AUTH_FREEZE"];
    let ran = watched(|| runner(&cluster, &args)).ends_with(0).plainly();
    writer.await_more(50).unwrap();
    let seen = writer.finish().unwrap();
    eprintln!("TLS and users with 3 members: {seen:?}");
    assert!(seen.is_clean() && seen.acknowledged >= 100, "{seen:?}");
    for host in cluster.shape.hosts() {
        let now = running(&cluster, &host);
        assert_eq!(now, ("3.5.16".to_owned(), "3.5.0".to_owned()), "{host}");
    }
    runner(&cluster, &["status"]).ends_with(0).plainly();
    is_nowhere(&cluster, PASSWORD, &ran);
    templates(&cluster);
}

#[test]
fn other_sizes_and_other_hops_with_tls_and_users_lose_no_write_either() {
    let cases = [
        (1, "3.4.23", "3.5.16"),
        (5, "3.4.23", "3.5.16"),
        (3, "3.3.25", "3.4.23"),
        (3, "3.5.16", "3.5.30"),
    ];
    for (members, from, to) in cases {
        let folder = tempfile::tempdir().unwrap();
        let shape = secured(folder.path(), members);
        let cluster = Cluster::start_as(shape, from, to, Layout::default(), &[]);
        let writer = cluster.writer();
        writer.await_more(50).unwrap();
        let args = ["upgrade", "--yes", "--acknowledge", "AUTH_FREEZE"];
        runner(&cluster, &args).ends_with(0).plainly();
        writer.await_more(50).unwrap();
        let seen = writer.finish().unwrap();
        eprintln!("TLS and users, {members} members, {from} to {to}: {seen:?}");
        assert!(seen.is_clean() && seen.acknowledged >= 100, "{seen:?}");
        for host in cluster.shape.hosts() {
            assert_eq!(running(&cluster, &host).0, to, "{host}");
        }
    }
}

/// A wrong password, none, a certificate that is not there, and plain text: each is told, nothing is changed.
fn refused(cluster: &Cluster, folder: &Path) {
    let upgrade = |inventory: &Path| {
        let args = ["upgrade", "--yes", "--acknowledge", "AUTH_FREEZE"];
        let ran = runner_with(cluster, inventory, &args).plainly();
        ran.ends_with(3).says("changed: nothing").says("hint: ")
    };
    runner(cluster, &["upgrade", "--yes"])
        .ends_with(3)
        .says("AUTH_FREEZE")
        .says("--acknowledge AUTH_FREEZE");

    let wrong = folder.join("wrong");
    fs::write(&wrong, WRONG).unwrap();
    let right = folder.join("password").display().to_string();
    let with_wrong = inventory(cluster, "wrong-password", |text| {
        text.replace(&right, &wrong.display().to_string())
    });
    let ran = upgrade(&with_wrong)
        .says("refuses user `root`")
        .says("password file");
    is_nowhere(cluster, WRONG, &ran);

    let nobody = inventory(cluster, "no-user", |text| {
        let lines = text.lines().filter(|line| {
            !line.contains(".auth]")
                && !line.starts_with("user = \"root\"")
                && !line.starts_with("password_file")
        });
        lines.collect::<Vec<_>>().join("\n")
    });
    upgrade(&nobody)
        .says("wants a user")
        .says("auth.password_file");

    let no_cert = inventory(cluster, "no-certificate", |text| {
        text.replace("/etc/etcd/client.crt", "/etc/etcd/missing.crt")
    });
    upgrade(&no_cert)
        .says("/etc/etcd/missing.crt")
        .says("check the paths of `tls`");

    let bare = inventory(cluster, "bare", |text| {
        let lines = text.lines();
        let lines = lines.filter(|line| !line.starts_with("cert =") && !line.starts_with("key ="));
        lines.collect::<Vec<_>>().join("\n")
    });
    upgrade(&bare).says("set `tls.cert` and `tls.key`");

    let plain = inventory(cluster, "plain", |text| text.replace("https://", "http://"));
    upgrade(&plain).says("should `client_url` begin with https");
}

/// Rendered unit and configuration serve TLS as the flags did, from the certificates that `vars` name.
fn templates(cluster: &Cluster) {
    cluster.offer("3.5.30");
    let files = r#"{ cert_file = "/etc/etcd/server.crt", key_file = "/etc/etcd/server.key", ca_file = "/etc/etcd/server-ca.crt" }"#;
    let with_templates = inventory(cluster, "templates", |text| {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
        format!(
            "{text}\n[defaults.templates]\nunit = \"{root}/etcd.service.j2\"\n\
             files = [{{ src = \"{root}/etcd.conf.yml.j2\", dest = \"/etc/etcd/etcd.conf.yml\", mode = \"0640\", owner = \"root:etcd\" }}]\n\
             [defaults.vars]\nclient_tls = {files}\npeer_tls = {files}\n"
        )
    });
    let writer = cluster.writer();
    writer.await_more(20).unwrap();
    runner_with(
        cluster,
        &with_templates,
        &["upgrade", "--yes", "--to", "3.5.30"],
    )
    .ends_with(0);
    writer.await_more(20).unwrap();
    let seen = writer.finish().unwrap();
    assert!(seen.is_clean(), "{seen:?}");
    for host in cluster.shape.hosts() {
        assert_eq!(running(cluster, &host).0, "3.5.30", "{host}");
        let script = "tr '\\0' ' ' < /proc/$(systemctl show -P MainPID etcd)/cmdline; stat -c '%a %U:%G' /etc/etcd/etcd.conf.yml";
        let started = cluster.lab.sh(&host, script).unwrap();
        assert_eq!(
            started,
            "/usr/local/bin/etcd --config-file /etc/etcd/etcd.conf.yml 640 root:etcd\n"
        );
    }
}

/// Notes on every host each command line that there is, until the host ends.
fn watch_hosts(cluster: &Cluster) {
    let script =
        "systemd-run --quiet sh -c 'while :; do ps -eww -o args; sleep 0.2; done > /root/seen'";
    for host in cluster.shape.hosts() {
        cluster.lab.sh(&host, script).unwrap();
    }
}

/// Does `work` and asserts that meanwhile no command line of this machine holds the password.
fn watched(work: impl FnOnce() -> Ran) -> Ran {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let look = scope.spawn(|| {
            let mut lines = BTreeSet::new();
            while !over.load(Ordering::Acquire) {
                for process in fs::read_dir("/proc").unwrap().flatten() {
                    let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
                    lines.insert(String::from_utf8_lossy(&line).into_owned());
                }
                thread::sleep(std::time::Duration::from_millis(100));
            }
            lines
        });
        let ran = work();
        over.store(true, Ordering::Release);
        let lines = look.join().unwrap();
        assert!(lines.iter().any(|line| line.contains("upgrade")));
        assert!(!lines.iter().any(|line| line.contains(PASSWORD)));
        ran
    })
}

/// Asserts that a password is in no output, no file of the run, no command line, journal or file of a host. etcd
/// itself writes logins into its raft log, so its data folder is left out.
fn is_nowhere(cluster: &Cluster, password: &str, ran: &Ran) {
    assert!(!ran.out.contains(password) && !ran.err.contains(password));
    let mut grep = Command::new("grep");
    let grep = grep.args(["-rlF", password]).arg(state_dir(cluster));
    assert_eq!(
        String::from_utf8(grep.output().unwrap().stdout).unwrap(),
        ""
    );
    let (head, tail) = password.split_at(4);
    let script = format!(
        "p={head}; p=${{p}}{tail}; find() {{ printf '%s' \"$p\" | grep -F -f - \"$@\"; }}; \
         journalctl --no-pager > /dev/shm/journal; find -c /dev/shm/journal; grep -c sshd /dev/shm/journal; \
         find -rsl --exclude-dir=etcd /etc /home /opt /root /run /tmp /usr/local /var; find -rsl /etc/etcd /opt/etcd; true"
    );
    for host in cluster.shape.hosts() {
        let said = cluster.lab.sh(&host, &script).unwrap();
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!((lines[0], lines.len()), ("0", 2), "{host}: {said}");
        assert_ne!(lines[1], "0", "the journal was read");
    }
}
