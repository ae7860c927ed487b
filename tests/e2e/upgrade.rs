//! The main job: a cluster is upgraded member by member under a client that writes all the while.

use runner::lab::cluster::Layout;
use runner::lab::writer::Writer;
use runner::lab::{Lab, Shape};

use crate::common::Cluster;
use crate::common::look::await_true;
use crate::common::run::{
    assert_untouched, begin, files, finish, installed, runner, running, state_dir,
};

#[test]
fn an_upgrade_loses_nothing_and_a_second_one_writes_not_one_byte() {
    let cluster = Cluster::start(3, "3.4.23", "3.5.16");
    let before = files(&cluster);
    runner(&cluster, &["plan", "-D"]).ends_with(0).plainly();
    runner(&cluster, &["plan", "--detailed-exitcode"]).ends_with(10);
    runner(&cluster, &["check"]).ends_with(0).plainly();
    runner(&cluster, &["status"]).ends_with(0).plainly();
    runner(&cluster, &["upgrade", "--check"]).ends_with(0);
    runner(&cluster, &["upgrade"]).ends_with(3).says("--yes");
    assert_untouched(&before, &files(&cluster));

    let writer = Writer::start(cluster.lab.network(), &cluster.endpoints).unwrap();
    writer.await_more(100).unwrap();
    runner(&cluster, &["upgrade", "--yes"])
        .ends_with(0)
        .says("log: ")
        .plainly();
    writer.await_more(100).unwrap();
    let seen = writer.finish().unwrap();
    assert!(seen.is_clean(), "{seen:?}");
    for host in cluster.shape.hosts() {
        let now = running(&cluster, &host);
        assert_eq!(now, ("3.5.16".to_owned(), "3.5.0".to_owned()), "{host}");
        assert_eq!(installed(&cluster, &host), "3.5.16", "{host}");
    }
    assert_eq!(
        backups(&cluster),
        1,
        "one verified snapshot is brought here"
    );

    assert_logs_were_read(&cluster);

    let before = files(&cluster);
    let again = runner(&cluster, &["upgrade", "--yes"])
        .ends_with(0)
        .plainly();
    assert!(again.err.contains("nothing to do"), "{again:?}");
    runner(&cluster, &["plan", "--detailed-exitcode"]).ends_with(0);
    assert_untouched(&before, &files(&cluster));
}

/// The newest run has read what each member's turn brought on every host: the signs are there, and the rest was
/// expected, but for warnings of a busy machine.
fn assert_logs_were_read(cluster: &Cluster) {
    let runs = runner(cluster, &["runs", "list", "--output", "json"]).objects();
    let id = runs[0]["run"].as_str().unwrap();
    let shown = runner(cluster, &["runs", "show", id, "--output", "json"]).objects();
    let windows: Vec<_> = shown
        .iter()
        .filter(|event| event["kind"] == "log_read")
        .collect();
    assert_eq!(windows.len(), 3, "{windows:#?}");
    for window in &windows {
        let hosts = window["hosts"].as_array().unwrap();
        assert_eq!(hosts.len(), 3, "{window:#}");
        for host in hosts {
            assert_eq!(host["lacks"], serde_json::json!([]), "{window:#}");
            assert!(host.get("unread").is_none(), "{window:#}");
            let odd = host["odd"].as_array().unwrap();
            assert!(
                odd.iter().all(|odd| odd["grade"] == "warning"),
                "{window:#}"
            );
        }
        assert!(hosts.iter().any(|host| host["expected"] != 0), "{window:#}");
    }
    let raised = serde_json::json!("3.5");
    for host in windows[2]["hosts"].as_array().unwrap() {
        let said = host["said"].as_array().unwrap();
        let signs = said.iter().filter(|said| said["value"] == raised);
        assert_eq!(
            signs.count(),
            2,
            "the cluster version and what it lets be done: {host:#}"
        );
    }
}

#[test]
fn json_output_is_one_object_a_line_with_the_plan_first_and_the_ending_last() {
    let cluster = Cluster::start(1, "3.5.16", "3.5.30");
    let args = [
        "upgrade",
        "--yes",
        "--output",
        "json",
        "--acknowledge",
        "SINGLE_MEMBER",
    ];
    let ran = runner(&cluster, &args).ends_with(0).plainly();
    let objects = ran.objects();
    assert_eq!(objects[0]["kind"], "plan");
    assert_eq!(objects[0]["plan"]["to"], "3.5.30");
    assert_eq!(objects.last().unwrap()["kind"], "ended");
    assert_eq!(objects.last().unwrap()["status"], 0);
    for (index, object) in objects.iter().enumerate() {
        assert_eq!(object["format"], 1, "{object}");
        assert_eq!(object["index"], index, "{object}");
        assert_eq!(object["run"], objects[0]["run"], "{object}");
        object["at"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap();
    }
    assert_eq!(running(&cluster, "etcd-1").0, "3.5.30");
}

#[test]
fn plain_files_of_the_old_release_are_kept_and_the_whole_way_is_gone_with_five_members() {
    let shape = Shape::of_members(5);
    let cluster = Cluster::start_as(shape, "3.4.23", "3.5.16", Layout::PlainFiles, &[]);
    let leader = cluster.leader();
    let ran = runner(&cluster, &["upgrade", "--yes", "--output", "json"]).ends_with(0);
    for host in cluster.shape.hosts() {
        assert_eq!(running(&cluster, &host).0, "3.5.16");
        let kept = cluster
            .lab
            .sh(&host, "/opt/etcd/3.4.23/etcd --version | head -n 1");
        assert_eq!(kept.unwrap().trim(), "etcd Version: 3.4.23");
    }
    let stops = steps_of(&ran.objects(), "stop_unit");
    assert_eq!(stops.len(), 5, "{stops:?}: {}", ran.objects()[0]);
    assert_eq!(
        stops.last(),
        Some(&leader),
        "the leader comes last: {stops:?}"
    );
}

#[test]
fn a_host_that_reboots_while_another_is_in_turn_comes_back_on_the_old_release() {
    let cluster = Cluster::start(3, "3.4.23", "3.5.16");
    let leader = cluster.leader();
    let hosts = cluster.shape.hosts();
    let followers: Vec<_> = hosts.iter().filter(|host| **host != leader).collect();
    let run = begin(&cluster, &["upgrade", "--yes", "--settle", "8s"]);
    await_true("the first member is switched", || {
        installed(&cluster, followers[0]) == "3.5.16"
    });
    let staged = cluster
        .lab
        .sh(followers[1], "/opt/etcd/3.5.16/etcd --version | head -n 1");
    assert_eq!(staged.unwrap().trim(), "etcd Version: 3.5.16");
    cluster.lab.power_cut(followers[1]).unwrap();
    cluster.lab.power_on(followers[1]).unwrap();
    assert_eq!(installed(&cluster, followers[1]), "3.4.23");
    await_true("the rebooted member answers", || {
        answers(&cluster.lab, followers[1])
    });
    assert_eq!(running(&cluster, followers[1]).0, "3.4.23");
    let ran = finish(run);
    if ran.status != 0 {
        // The reboot may have come while the run talked to that host; then it stops, and the next one gets home.
        runner(&cluster, &["upgrade", "--yes"]).ends_with(0);
    }
    // Where the run had only etcd's own tick left, the next one has nothing to do and waits for nothing.
    let is_there =
        |host: &String| running(&cluster, host) == ("3.5.16".to_owned(), "3.5.0".to_owned());
    await_true(
        "every member runs 3.5.16 and sees cluster version 3.5",
        || cluster.shape.hosts().iter().all(is_there),
    );
}

#[test]
fn a_member_that_fails_on_the_new_release_is_put_back_and_no_other_is_touched() {
    let cluster = Cluster::start(3, "3.4.23", "3.5.16");
    let hosts = cluster.shape.hosts();
    for host in &hosts {
        let drop_in = r#"mkdir -p /etc/systemd/system/etcd.service.d
            printf '[Service]\nExecStartPre=/bin/sh -c %s\n' \
                '"! /usr/local/bin/etcd --version | grep -q 3.5.16"' > /etc/systemd/system/etcd.service.d/no.conf
            systemctl daemon-reload"#;
        cluster.lab.sh(host, drop_in).unwrap();
    }
    let starts: Vec<_> = hosts
        .iter()
        .map(|host| started(&cluster.lab, host))
        .collect();
    let writer = Writer::start(cluster.lab.network(), &cluster.endpoints).unwrap();
    writer.await_more(50).unwrap();
    let ran = runner(&cluster, &["upgrade", "--yes"]).ends_with(5);
    writer.await_more(50).unwrap();
    assert!(writer.finish().unwrap().is_clean());
    assert!(ran.err.contains("changed: "), "{}", ran.err);
    assert!(ran.err.contains("put back on 3.4.23"), "{}", ran.err);
    let same: Vec<_> = hosts
        .iter()
        .map(|host| started(&cluster.lab, host))
        .collect();
    let touched = starts.iter().zip(&same).filter(|(a, b)| a != b).count();
    assert_eq!(touched, 1, "only the first member was restarted");
    for host in &hosts {
        assert_eq!(running(&cluster, host).0, "3.4.23");
        assert_eq!(installed(&cluster, host), "3.4.23");
        cluster
            .lab
            .sh(
                host,
                "rm -r /etc/systemd/system/etcd.service.d && systemctl daemon-reload",
            )
            .unwrap();
    }
    runner(&cluster, &["upgrade", "--yes"]).ends_with(0);
}

fn backups(cluster: &Cluster) -> usize {
    let folder = state_dir(cluster).join("backups/lab");
    let entries = std::fs::read_dir(folder).unwrap();
    let is_backup = |name: &std::ffi::OsStr| name.to_string_lossy().ends_with(".db");
    entries
        .filter(|entry| is_backup(&entry.as_ref().unwrap().file_name()))
        .count()
}

/// Hosts on which steps of a kind were begun, in order.
fn steps_of(objects: &[serde_json::Value], action: &str) -> Vec<String> {
    let mut kinds = std::collections::BTreeMap::new();
    let waves = objects[0]["plan"]["hops"][0]["waves"].as_array().unwrap();
    for lane in waves
        .iter()
        .flat_map(|wave| wave["lanes"].as_array().unwrap())
    {
        for step in lane["steps"].as_array().unwrap() {
            kinds.insert(step["id"].as_u64().unwrap(), step["action"]["do"].clone());
        }
    }
    let begun = objects
        .iter()
        .filter(|object| object["kind"] == "step_started");
    begun
        .filter(|object| kinds[&object["step"].as_u64().unwrap()] == action)
        .map(|object| object["host"].as_str().unwrap().to_owned())
        .collect()
}

fn started(lab: &Lab, host: &str) -> String {
    lab.sh(
        host,
        "systemctl show -p ExecMainStartTimestampMonotonic etcd",
    )
    .unwrap()
}

fn answers(lab: &Lab, host: &str) -> bool {
    lab.sh(host, "curl -fsS http://127.0.0.1:2379/version")
        .is_ok()
}
