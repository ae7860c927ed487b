//! A host brings its member up by itself if the run that stopped it is gone.

use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use runner::lab::writer::Writer;
use rustix::process::{Pid, Signal, kill_process};

use crate::common::Cluster;
use crate::common::look::{answers, await_host, litter, unit_state};
use crate::common::run::{begin, begin_with, finish, installed, inventory, runner, running};

const OLD: &str = "3.4.23";
const NEW: &str = "3.5.16";

/// Adds to the unit of every member.
fn drop_in(cluster: &Cluster, text: &str) {
    for host in cluster.shape.hosts() {
        let script = format!(
            "mkdir -p /etc/systemd/system/etcd.service.d\n\
             printf '[Service]\\n%s\\n' '{text}' > /etc/systemd/system/etcd.service.d/test.conf\n\
             systemctl daemon-reload"
        );
        cluster.lab.sh(&host, &script).unwrap();
    }
}

/// Takes that away again.
fn no_drop_in(cluster: &Cluster) {
    for host in cluster.shape.hosts() {
        let script = "rm -r /etc/systemd/system/etcd.service.d; systemctl daemon-reload";
        cluster.lab.sh(&host, script).unwrap();
    }
}

fn kill(mut run: Child) -> Instant {
    let id = i32::try_from(run.id()).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), Signal::KILL).unwrap();
    run.wait().unwrap();
    Instant::now()
}

/// An upgrade takes every member home, and nothing of ours is left on any host.
#[track_caller]
fn gets_home(cluster: &Cluster) {
    runner(cluster, &["upgrade", "--yes"])
        .ends_with(0)
        .plainly();
    for host in cluster.shape.hosts() {
        assert_eq!(running(cluster, &host).0, NEW, "{host}");
        assert_eq!(litter(cluster, &host), "", "{host}");
    }
}

#[test]
fn a_member_whose_run_is_killed_right_after_the_stop_is_up_within_a_minute() {
    let cluster = Cluster::start(3, OLD, NEW);
    drop_in(&cluster, "ExecStopPost=/bin/sleep 2");
    let writer = Writer::start(cluster.lab.network(), &cluster.endpoints).unwrap();
    writer.await_more(50).unwrap();
    let run = begin(&cluster, &["upgrade", "--yes"]);
    let stopped = await_host(&cluster, "no member was stopped", |host| {
        unit_state(&cluster, host) != "active"
    });
    let killed = kill(run);
    assert!(litter(&cluster, &stopped).contains("runner-rescue-var-lib-etcd"));
    assert!(!answers(&cluster, &stopped));
    await_host(&cluster, "the member is not brought up", |host| {
        host == stopped && answers(&cluster, host)
    });
    let took = killed.elapsed();
    eprintln!("the member was up {took:?} after the kill");
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert_eq!(running(&cluster, &stopped).0, OLD);
    writer.await_more(20).unwrap();
    gets_home(&cluster);
    let seen = writer.finish().unwrap();
    assert!(seen.is_clean(), "{stopped}: {seen:?}");
}

#[test]
fn a_run_that_comes_right_after_a_killed_one_waits_for_the_member_and_completes() {
    let cluster = Cluster::start(3, OLD, NEW);
    drop_in(&cluster, "ExecStopPost=/bin/sleep 2");
    let run = begin(&cluster, &["upgrade", "--yes"]);
    await_host(&cluster, "no member was stopped", |host| {
        unit_state(&cluster, host) != "active"
    });
    kill(run);
    gets_home(&cluster);
}

/// An inventory by which two files belong to the upgrade: one that is there, one that is not.
fn with_files(cluster: &Cluster) -> PathBuf {
    let folder = cluster.lab.folder().join("files");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("file.j2"), "new\n").unwrap();
    let file = |name: &str| {
        format!(
            "[[defaults.templates.files]]\nsrc = \"{}/file.j2\"\ndest = \"/etc/etcd/{name}\"\nmode = \"0644\"\n\
             owner = \"root:root\"\n",
            folder.display()
        )
    };
    for host in cluster.shape.hosts() {
        let script = "mkdir -p /etc/etcd && echo old > /etc/etcd/there.conf && chmod 600 /etc/etcd/there.conf";
        cluster.lab.sh(&host, script).unwrap();
    }
    inventory(cluster, "with-files", |text| {
        format!("{text}\n{}{}", file("there.conf"), file("gone.conf"))
    })
}

#[test]
fn what_was_there_is_put_back_where_the_new_release_does_not_come_up_and_nobody_is_there() {
    let cluster = Cluster::start(3, OLD, NEW);
    // Long enough to be killed before the run notices.
    let refuses = "if /usr/local/bin/etcd --version | grep -q 3.5.16; then sleep 3; exit 1; fi";
    drop_in(&cluster, &format!("ExecStartPre=/bin/sh -c \"{refuses}\""));
    let inventory = with_files(&cluster);
    let run = begin_with(&cluster, &inventory, &["upgrade", "--yes"]);
    let switched = await_host(&cluster, "no member was switched", |host| {
        cluster.lab.sh(host, "test -e /etc/etcd/gone.conf").is_ok()
            && unit_state(&cluster, host) == "activating"
    });
    let killed = kill(run);
    assert_eq!(installed(&cluster, &switched), NEW);
    await_host(&cluster, "the member is not brought up", |host| {
        host == switched && installed(&cluster, host) == OLD && answers(&cluster, host)
    });
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?}");
    await_host(&cluster, "the rescue does not end", |host| {
        host == switched && litter(&cluster, host).is_empty()
    });
    let look = "cd /etc/etcd && ls -A && cat there.conf && stat -c %a there.conf";
    let files = cluster.lab.sh(&switched, look).unwrap();
    assert_eq!(files, "there.conf\nold\n600\n");
    no_drop_in(&cluster);
    gets_home(&cluster);
}

#[test]
fn a_release_that_dies_after_20_s_is_put_back_on_the_first_member_and_no_other_is_touched() {
    let cluster = Cluster::start(3, OLD, NEW);
    for host in cluster.shape.hosts() {
        let script = "cat > /etc/dies <<'END'\n\
            /usr/local/bin/etcd --version | grep -q 3.5.16 || exit 0\n\
            (sleep 20; kill -9 \"$MAINPID\") >/dev/null 2>&1 &\n\
            END";
        cluster.lab.sh(&host, script).unwrap();
    }
    drop_in(&cluster, "ExecStartPost=/bin/sh /etc/dies");
    let started = |host: &String| {
        let ask = "systemctl show -p ExecMainStartTimestampMonotonic etcd.service";
        cluster.lab.sh(host, ask).unwrap()
    };
    let hosts = cluster.shape.hosts();
    let before: Vec<_> = hosts.iter().map(started).collect();
    let writer = Writer::start(cluster.lab.network(), &cluster.endpoints).unwrap();
    let run = begin(&cluster, &["upgrade", "--yes", "--settle", "30s"]);
    finish(run)
        .ends_with(5)
        .says("was put back on 3.4.23 and is healthy");
    writer.await_more(20).unwrap();
    let seen = writer.finish().unwrap();
    assert!(seen.is_clean(), "{seen:?}");
    let after: Vec<_> = hosts.iter().map(started).collect();
    let touched = before.iter().zip(&after).filter(|(a, b)| a != b);
    assert_eq!(touched.count(), 1, "{before:?} {after:?}");
    for host in &hosts {
        assert_eq!(running(&cluster, host).0, OLD, "{host}");
        assert!(answers(&cluster, host), "{host}");
        assert_eq!(litter(&cluster, host), "", "{host}");
    }
}
