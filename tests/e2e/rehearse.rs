//! The rehearsal around an upgrade: what is brought up for it, and what it ends with.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use runner::commands::rehearse::{self, Args, Call, Upgraded};
use runner::exit::Exit;
use runner::inventory;
use runner::lab::Dirs;

use crate::common::{own_dirs, remember, version};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_given_inventory_gives_the_shape_and_the_lab_gives_the_addresses() {
    let text = r#"
        [defaults]
        data_dir = "/srv/etcd"
        bin_dir = "/usr/bin"
        unit = "etcd3.service"
        client_url = "http://{address}:4001"
        [defaults.vars]
        log_level = "info"
        [backup]
        keep = 3
        [clusters.prod]
        version = "3.5.16"
        [clusters.prod.hosts.db-1]
        address = "192.0.2.1"
        member = "first"
        [clusters.prod.hosts.db-2]
        address = "192.0.2.2"
        member = "second"
    "#;
    let given = inventory::load_text("prod.toml", text, &[])
        .unwrap()
        .inventory;
    let (_folder, dirs) = own_dirs();
    let mut args = args(&dirs, 2);
    (args.inventory, args.members) = (Some(given.clone()), None);
    let status = rehearse::run(args, async |call| {
        let written = inventory::load(std::slice::from_ref(&call.inventory), &[]).unwrap();
        let (ours, theirs) = (&written.inventory.clusters["prod"], &given.clusters["prod"]);
        assert_eq!(
            (&ours.version, &ours.backup),
            (&theirs.version, &theirs.backup)
        );
        for (host, asked) in ours.hosts.iter().zip(&theirs.hosts) {
            assert_eq!((&host.name, &host.member), (&asked.name, &asked.member));
            assert_eq!((&host.unit, &host.data_dir), (&asked.unit, &asked.data_dir));
            assert_eq!((&host.bin_dir, &host.vars), (&asked.bin_dir, &asked.vars));
            assert_eq!(host.client_url, format!("http://{}:4001", host.address));
            assert_ne!(host.address, asked.address);
        }
        let script = "systemctl is-active etcd3; hostname; readlink /usr/bin/etcd; ls /srv/etcd; \
                      ETCDCTL_API=3 etcdctl --endpoints $(hostname):4001 member list | cut -d, -f3 | sort";
        let seen = ssh(&call, script);
        let wanted = "active\ndb-1\n/opt/etcd/3.4.23/etcd\nmember\n first\n second\n";
        assert_eq!(seen, wanted);
        ended(Exit::Done)
    });
    assert_eq!(status.await, Exit::Done);
}

#[test]
fn tls_of_a_public_authority_is_refused_with_the_hosts_name() {
    let text = "[clusters.c.hosts.db-1]\naddress = \"192.0.2.1\"\nclient_url = \"https://127.0.0.1:2379\"\n";
    let given = inventory::load_text("c.toml", text, &[]).unwrap().inventory;
    let refused = runner::lab::Shape::of_inventory(&given).unwrap_err();
    assert!(refused.to_string().contains("`db-1` uses TLS"), "{refused}");
}

/// Not a test: a rehearsal whose upgrade never ends.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the body of a helper process"]
async fn helper_that_rehearses() {
    let folder = std::env::var("RUNNER_TEST_FOLDER").unwrap();
    let args = args(&remember(Path::new(&folder)), 1);
    let status = rehearse::run(args, async |_| {
        eprintln!("upgrading");
        std::future::pending().await
    });
    std::process::exit(status.await.code().into());
}

/// Starts the helper, sends it the signal once it has said `cue`, and returns how it ended.
fn signalled(signal: &str, cue: &str) -> (ExitStatus, Vec<PathBuf>) {
    let (_folder, dirs) = own_dirs();
    let mut helper = Command::new(std::env::current_exe().unwrap());
    helper.args([
        "--ignored",
        "--exact",
        "--nocapture",
        "rehearse::helper_that_rehearses",
    ]);
    helper
        .env("RUNNER_TEST_FOLDER", &dirs.state)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut helper = helper.spawn().unwrap();
    let mut lines = BufReader::new(helper.stderr.take().unwrap()).lines();
    let mut said = lines.by_ref().map_while(Result::ok);
    assert!(said.any(|line| line.contains(cue)));
    let pid = helper.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-s", signal, &pid])
            .status()
            .unwrap()
            .success()
    );
    // Read to the end, so that the helper never waits for a reader.
    said.for_each(drop);
    let status = helper.wait().unwrap();
    let left = fs::read_dir(&dirs.state)
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    (status, left.filter(|path| path.is_dir()).collect())
}

#[test]
fn ctrl_c_while_hosts_boot_takes_everything_away() {
    let (status, left) = signalled("INT", "booting");
    assert_eq!(status.code(), Some(130));
    assert_eq!(left, Vec::<PathBuf>::new());
}

#[test]
fn a_termination_during_the_upgrade_takes_everything_away() {
    let (status, left) = signalled("TERM", "upgrading");
    assert_eq!(status.code(), Some(130));
    assert_eq!(left, Vec::<PathBuf>::new());
}
