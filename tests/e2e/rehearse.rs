//! The rehearsal around an upgrade: what is brought up for it, and what it ends with.

use std::fs;
use std::process::Command;
use std::time::Duration;

use runner::commands::rehearse::{self, Args, Call, Upgraded};
use runner::exit::Exit;
use runner::lab::Dirs;

use crate::common::{own_dirs, version};

fn args(dirs: &Dirs, members: usize) -> Args {
    Args {
        inventory: None,
        members: Some(members),
        from: None,
        to: None,
        releases: None,
        keep: false,
        quiet: false,
        json: true,
        dirs: dirs.clone(),
    }
}

/// Runs a script on the first host of the call's inventory, as another terminal would.
fn ssh(call: &Call, script: &str) -> String {
    let text = fs::read_to_string(&call.inventory).unwrap();
    let address = text
        .lines()
        .find_map(|line| line.strip_prefix("address = "));
    let mut ssh = Command::new("ssh");
    ssh.arg("-F")
        .arg(call.inventory.with_file_name("ssh_config"));
    let output = ssh
        .args(["-l", "root", address.unwrap().trim_matches('"'), script])
        .output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

fn ended(exit: Exit) -> Upgraded {
    let took = Duration::from_secs(1);
    Upgraded { exit, took }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_is_called_with_a_running_cluster_and_its_status_is_the_rehearsals() {
    let (_folder, dirs) = own_dirs();
    let status = rehearse::run(args(&dirs, 3), async |call| {
        assert_eq!(call.target, version("3.5.16"));
        let releases = call.inventory.with_file_name("releases");
        assert!(
            releases.join("3.4.23/etcd").is_file() && releases.join("3.5.16/etcdutl").is_file()
        );
        let members = ssh(&call, "ETCDCTL_API=3 etcdctl member list | grep -c started");
        assert_eq!(members, "3\n");
        ended(Exit::Done)
    });
    assert_eq!(status.await, Exit::Done);
    let left = fs::read_dir(&dirs.state).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["lock"], "the lab was taken away");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_write_ends_a_rehearsal_with_6_though_the_upgrade_ended_well() {
    let (_folder, dirs) = own_dirs();
    let status = rehearse::run(args(&dirs, 1), async |call| {
        let deleted = ssh(&call, "ETCDCTL_API=3 etcdctl del --prefix runner-lab/");
        assert_ne!(deleted.trim(), "0");
        ended(Exit::Done)
    });
    assert_eq!(status.await, Exit::NeedsPerson);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_upgrade_keeps_its_status_and_a_kept_lab_can_be_destroyed() {
    let (_folder, dirs) = own_dirs();
    let mut args = args(&dirs, 1);
    args.keep = true;
    let status = rehearse::run(args, async |_| ended(Exit::PutBack));
    assert_eq!(status.await, Exit::PutBack);
    let labs = fs::read_dir(&dirs.state).unwrap().flatten();
    let kept: Vec<_> = labs
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    assert_eq!(kept.len(), 1);
    assert!(kept[0].join("inventory.toml").is_file());
    assert_eq!(rehearse::destroy(&dirs), Exit::Done);
    assert!(!kept[0].exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_nobody_has_is_refused_before_anything_boots() {
    let (_folder, dirs) = own_dirs();
    let mut args = args(&dirs, 1);
    args.to = Some(version("3.5.999"));
    let status = rehearse::run(args, async |_| panic!("nothing to upgrade"));
    assert_eq!(status.await, Exit::Refused);
    assert_eq!(fs::read_dir(&dirs.state).unwrap().count(), 0);
}
