//! Locks on the hosts: one run a cluster, from whatever machine and under whatever name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::common::Cluster;
use crate::common::look::await_true;
use crate::common::run::{Ran, assert_untouched, begin, command, files, finish, runner, running};

/// A second operator: another inventory that names the cluster otherwise, and another state folder.
struct Other {
    inventory: PathBuf,
    state: PathBuf,
}

impl Other {
    fn of(cluster: &Cluster) -> Self {
        let text = fs::read_to_string(&cluster.inventory).unwrap();
        let renamed = text.replace("clusters.lab", "clusters.theirs");
        assert_ne!(text, renamed);
        let inventory = cluster.inventory.with_file_name("theirs.toml");
        fs::write(&inventory, renamed).unwrap();
        let state = cluster.lab.folder().join("state-theirs");
        Self { inventory, state }
    }

    fn begin(&self, cluster: &Cluster, args: &[&str]) -> Child {
        self.command(cluster, args).spawn().unwrap()
    }

    fn run(&self, cluster: &Cluster, args: &[&str]) -> Ran {
        finish(self.begin(cluster, args))
    }

    fn command(&self, cluster: &Cluster, args: &[&str]) -> Command {
        // The later of two state folders would be refused, so the command line is made afresh.
        let mut command = Command::new(command(cluster, Path::new("unused"), &[]).get_program());
        command
            .args(args)
            .arg("-i")
            .arg(&self.inventory)
            .arg("--state-dir")
            .arg(&self.state)
            .env_remove("SSH_AUTH_SOCK")
            .env("USER", "grace")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

#[test]
fn of_two_upgrades_in_the_same_second_one_works_and_the_other_names_it() {
    let cluster = Cluster::start(3, "3.5.16", "3.5.30");
    let other = Other::of(&cluster);
    let ours = begin(&cluster, &["upgrade", "--yes"]);
    let theirs = other.begin(&cluster, &["upgrade", "--yes"]);
    let (ours, theirs) = (finish(ours), finish(theirs));
    let mut statuses = [ours.status, theirs.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [0, 7], "{ours:?}\n{theirs:?}");
    let refused = if ours.status == 7 { ours } else { theirs };
    let refused = refused
        .says("holds the lock on `etcd-")
        .says("changed: nothing");
    assert!(refused.err.contains("run 2"), "{refused:?}");
    for host in cluster.shape.hosts() {
        assert_eq!(running(&cluster, &host).0, "3.5.30", "{host}");
        assert_eq!(locks(&cluster, &host), "", "{host}: nothing is left");
    }
}

#[test]
fn a_lock_is_told_by_those_who_take_none_and_dies_with_its_run() {
    let cluster = Cluster::start(3, "3.5.16", "3.5.30");
    let other = Other::of(&cluster);
    let mut run = other.begin(&cluster, &["upgrade", "--yes", "--settle", "60s"]);
    await_true("every host is locked", || {
        let mut hosts = cluster.shape.hosts().into_iter();
        hosts.all(|host| locks(&cluster, &host) == "var-lib-etcd.lock\n")
    });
    await_true("the first member settles", || {
        let mut hosts = cluster.shape.hosts().into_iter();
        hosts.any(|host| answers_as(&cluster, &host, "3.5.30"))
    });
    let told = "of grace on ";
    let status = runner(&cluster, &["status"]).ends_with(0).plainly();
    assert!(status.out.contains(told), "{status:?}");
    let json = runner(&cluster, &["status", "--output", "json"]).ends_with(0);
    assert_eq!(json.objects()[0]["lock"]["holder"]["who"], "grace");
    for command in ["plan", "check"] {
        let ran = runner(&cluster, &[command]);
        assert!(ran.out.contains("RUN_IN_PROGRESS"), "{ran:?}");
        assert!(ran.out.contains(told), "{ran:?}");
    }
    let before = files(&cluster);
    runner(&cluster, &["status"]).ends_with(0);
    assert_untouched(&before, &files(&cluster));
    runner(&cluster, &["upgrade", "--yes"])
        .ends_with(7)
        .says(told)
        .says("changed: nothing");

    run.kill().unwrap();
    finish(run);
    await_true("the hosts have let go by themselves", || {
        let mut hosts = cluster.shape.hosts().into_iter();
        hosts.all(|host| locks(&cluster, &host).is_empty())
    });
    other.run(&cluster, &["upgrade", "--yes"]).ends_with(0);
    let left = "pgrep -fc 'IFS= read -r [b]eat'; ls /run | grep -c '^[r]unner'; true";
    for host in cluster.shape.hosts() {
        assert_eq!(running(&cluster, &host).0, "3.5.30", "{host}");
        assert_eq!(cluster.lab.sh(&host, left).unwrap(), "0\n0\n", "{host}");
    }
}

fn answers_as(cluster: &Cluster, host: &str, version: &str) -> bool {
    let said = cluster
        .lab
        .sh(host, "curl -fsS http://127.0.0.1:2379/version");
    said.is_ok_and(|page| page.contains(&format!("\"etcdserver\":\"{version}\"")))
}

/// The lock files on a host.
fn locks(cluster: &Cluster, host: &str) -> String {
    cluster
        .lab
        .sh(host, "ls /run/runner 2>/dev/null; true")
        .unwrap()
}
