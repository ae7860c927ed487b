//! What goes wrong in the middle of an upgrade, and that the next `upgrade` gets home.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use runner::lab::writer::Writer;
use rustix::process::{Pid, Signal, kill_process};

use crate::common::Cluster;
use crate::common::follow::{Run, When};
use crate::common::look::{answers, await_host, await_true, litter, unit_state};
use crate::common::run::{
    Ran, assert_untouched, begin, command, files, finish, installed, outcome, runner, running,
    state_dir,
};

const NEW: &str = "3.5.16";

fn signal(run: &Child, signal: Signal) {
    let id = i32::try_from(run.id()).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
}

/// A second upgrade takes every member home and leaves nothing half done.
#[track_caller]
fn gets_home(cluster: &Cluster) -> Ran {
    let ran = runner(cluster, &["upgrade", "--yes"])
        .ends_with(0)
        .plainly();
    for host in cluster.shape.hosts() {
        let now = running(cluster, &host);
        assert_eq!(now, (NEW.to_owned(), "3.5.0".to_owned()), "{host}");
        assert_eq!(installed(cluster, &host), NEW, "{host}");
        assert_eq!(litter(cluster, &host), "", "{host}");
    }
    ran
}

#[test]
fn a_full_install_disk_ends_the_run_before_any_member_is_touched_and_leaves_no_partial_file() {
    let cluster = Cluster::start(3, "3.4.23", NEW);
    let host = cluster.shape.hosts()[1].clone();
    // The running release fits, the new one does not: the preflight sees that.
    cluster.lab.full_disk(&host, "/opt/etcd", "60m").unwrap();
    runner(&cluster, &["upgrade", "--yes"])
        .ends_with(3)
        .says("DISK_FREE");
    cluster.lab.roomy_disk(&host, "/opt/etcd").unwrap();
    // There is room at the look, and none when the upload comes: someone else has filled the disk meanwhile.
    cluster.lab.full_disk(&host, "/opt/etcd", "400m").unwrap();
    cluster.lab.slow_link(&host, "30mbit").unwrap();
    let hog = "nohup sh -c 'until [ -n \"$(ls -A /opt/etcd/3.5.16 2>/dev/null)\" ]; do sleep 0.01; done; \
        head -c 500m /dev/zero > /opt/etcd/hog' >/dev/null 2>&1 &";
    cluster.lab.sh(&host, hog).unwrap();
    let ran = runner(&cluster, &["upgrade", "--yes"]).plainly();
    assert!([3, 4, 5].contains(&ran.status), "{ran:?}");
    assert!(ran.err.contains("changed: "), "{}", ran.err);
    for host in cluster.shape.hosts() {
        assert_eq!(running(&cluster, &host).0, "3.4.23", "{host}");
        assert_eq!(litter(&cluster, &host), "", "{host}");
    }
    cluster.lab.full_speed(&host).unwrap();
    cluster.lab.roomy_disk(&host, "/opt/etcd").unwrap();
    gets_home(&cluster);
}

/// Kills an upgrade as soon as it tells that its first member is stopped, and returns that member's host.
#[track_caller]
fn killed_after_a_stop(cluster: &Cluster) -> String {
    let args = ["upgrade", "--yes", "--output", "json"];
    let mut run = Run::begin(command(cluster, &cluster.inventory, &args));
    let stopped = run.until(When::Done("stop_unit"));
    run.kill();
    let told = run.finish();
    assert_eq!(told.status, None, "{}", told.err);
    stopped.unwrap_or_else(|| panic!("no member was stopped:\n{}", told.err))
}

#[test]
fn a_runner_that_is_killed_right_after_a_stop_is_followed_by_an_upgrade_that_completes() {
    let cluster = Cluster::start(3, "3.4.23", NEW);
    let writer = Writer::start(cluster.lab.network(), &cluster.endpoints).unwrap();
    let stopped = killed_after_a_stop(&cluster);
    writer.await_more(20).unwrap();
    let ran = gets_home(&cluster);
    assert!(!ran.err.contains("nothing to do"), "{ran:?}");
    let seen = writer.finish().unwrap();
    assert!(seen.is_clean(), "{stopped}: {seen:?}");
}

#[test]
fn the_only_member_that_a_killed_runner_left_stopped_is_started_backed_up_and_upgraded() {
    let cluster = Cluster::start(1, "3.4.23", NEW);
    killed_after_a_stop(&cluster);
    gets_home(&cluster);
}

#[test]
fn over_a_slow_link_the_binaries_go_compressed() {
    let cluster = Cluster::start(1, "3.4.23", NEW);
    let host = cluster.shape.hosts()[0].clone();
    cluster.lab.slow_link(&host, "20mbit").unwrap();
    let args = ["upgrade", "--yes", "--acknowledge", "SINGLE_MEMBER"];
    runner(&cluster, &args)
        .ends_with(0)
        .says("compressed for a slow link");
    assert_eq!(running(&cluster, &host).0, NEW);
    assert_eq!(litter(&cluster, &host), "");
}

#[test]
fn behind_one_slow_link_the_first_host_hands_the_release_on_to_its_neighbours() {
    let cluster = Cluster::start(3, "3.4.23", NEW);
    cluster.lab.slow_control("20mbit").unwrap();
    let args = ["upgrade", "--yes", "-e", "releases.fan_out=peer"];
    let ran = runner(&cluster, &args).ends_with(0).plainly();
    let taken = ran.err.matches(&format!("takes {NEW} from etcd-")).count();
    assert_eq!(taken, 2, "{}", ran.err);
    assert!(!ran.err.contains("so it is sent"), "{}", ran.err);
    for host in cluster.shape.hosts() {
        assert_eq!(running(&cluster, &host).0, NEW, "{host}");
        assert_eq!(litter(&cluster, &host), "", "{host}");
    }
}

#[test]
fn ctrl_c_in_the_middle_finishes_the_member_in_hand_and_ctrl_z_does_not_suspend_it() {
    let cluster = Cluster::start(3, "3.4.23", NEW);
    let run = begin(&cluster, &["upgrade", "--yes", "--settle", "10s"]);
    let in_hand = await_host(&cluster, "no member was switched", |host| {
        installed(&cluster, host) == NEW
    });
    signal(&run, Signal::TSTP);
    signal(&run, Signal::INT);
    finish(run)
        .ends_with(130)
        .says("changed: ")
        .says("does not sleep");
    assert_eq!(running(&cluster, &in_hand).0, NEW);
    let hosts = cluster.shape.hosts();
    let done = hosts.iter().filter(|host| installed(&cluster, host) == NEW);
    assert_eq!(done.count(), 1, "only the member in hand was finished");
    gets_home(&cluster);
}

#[test]
fn a_host_that_is_cut_off_while_it_settles_ends_the_run_in_time_with_the_truth() {
    let cluster = Cluster::start(3, "3.4.23", NEW);
    let run = begin(&cluster, &["upgrade", "--yes", "--settle", "20s"]);
    let in_hand = await_host(&cluster, "no member was started again", |host| {
        installed(&cluster, host) == NEW && unit_state(&cluster, host) == "active"
    });
    cluster.lab.cut_off(&in_hand).unwrap();
    let cut = Instant::now();
    let ran = finish(run).ends_with(6).plainly();
    assert!(
        cut.elapsed() < Duration::from_secs(600),
        "it took {:?}",
        cut.elapsed()
    );
    let unknown = format!("{in_hand} is unknown: ");
    assert!(ran.err.contains(&unknown), "{}", ran.err);
    cluster.lab.reconnect(&in_hand).unwrap();
    await_host(&cluster, "the member does not answer", |host| {
        host == in_hand && answers(&cluster, host)
    });
    gets_home(&cluster);
}

/// The state folder is in a mount namespace of the run's own, so nothing is to be cleaned up.
#[test]
fn a_state_folder_that_is_read_only_or_full_ends_the_run_with_the_truth() {
    let cluster = Cluster::start(3, "3.4.23", "3.5.16");
    let state = state_dir(&cluster);
    std::fs::create_dir_all(&state).unwrap();
    let run = |mount: &str| {
        let plain = command(
            &cluster,
            &cluster.inventory,
            &["upgrade", "--yes", "--output", "json"],
        );
        let mut command = Command::new("unshare");
        let script = format!(
            "mount -t tmpfs -o {mount} tmpfs '{}' && exec \"$@\"",
            state.display()
        );
        command
            .args(["-m", "sh", "-c", &script, "sh"])
            .arg(plain.get_program());
        command
            .args(plain.get_args())
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::null());
        outcome(command).plainly()
    };
    let before = files(&cluster);
    run("ro")
        .ends_with(2)
        .says("Read-only file system")
        .says("changed: nothing");
    run("size=4k")
        .ends_with(3)
        .says("journal.ndjson` cannot be written")
        .says("--state-dir");
    assert_untouched(&before, &files(&cluster));

    // Room for the plan, then for less and less of what follows: the first runs come no further than the staging.
    let mut statuses = Vec::new();
    for size in (12..).step_by(4) {
        let ran = run(&format!("size={size}k"));
        let last = ran.objects().pop().expect("an ending");
        assert_eq!(last["kind"], "ended", "{size}k: {last}");
        assert_eq!(last["status"], ran.status, "{size}k: {}", ran.err);
        statuses.push(ran.status);
        let told = last["clusters"].as_array().unwrap();
        for member in told
            .iter()
            .flat_map(|ending| ending["members"].as_array().unwrap())
        {
            let (host, said) = (
                member["host"].as_str().unwrap(),
                member["state"].as_str().unwrap(),
            );
            let is_stopped = said.starts_with("is stopped");
            assert!(
                is_stopped || said == format!("runs {} and is healthy", running(&cluster, host).0),
                "{size}k: {host} {said}"
            );
        }
        if ran.status == 0 && !ran.err.contains("is not kept") {
            break;
        }
        assert!(ran.err.contains("cannot be"), "{size}k: {}", ran.err);
        // The host starts a member again that a run has left stopped.
        for host in cluster.shape.hosts() {
            await_true("every member answers", || answers(&cluster, &host));
        }
    }
    assert!(statuses.len() > 3, "{statuses:?}");
    for host in cluster.shape.hosts() {
        assert_eq!(running(&cluster, &host).0, "3.5.16", "{host}");
    }
}
