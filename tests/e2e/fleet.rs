//! Several clusters in one run: each comes to its own end, and leaves the others as the flags say.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Instant;

use runner::lab::cluster::{self, Install, Layout};
use runner::lab::releases as found;
use runner::lab::writer::Writer;
use runner::lab::{ClusterShape, MemberShape, Shape, Wanted};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::common::look::await_true;
use crate::common::run::{Ran, begin, finish, installed, runner, running};
use crate::common::{Cluster, boot, releases, version};

/// What fleets run at first.
pub const OLD: &str = "3.4.23";
/// What their inventory asks for.
pub const NEW: &str = "3.5.16";

/// How many clusters the large fleet has; `RUNNER_E2E_CLUSTERS` says otherwise.
const CLUSTERS: usize = 7;

/// A cluster to bring up: its name, its number of members and its release.
pub struct Wish {
    name: String,
    members: usize,
    from: &'static str,
}

/// Wishes for a cluster.
pub fn wish(name: &str, members: usize, from: &'static str) -> Wish {
    let name = name.to_owned();
    Wish {
        name,
        members,
        from,
    }
}

/// Brings up these clusters side by side; the inventory asks for [`NEW`].
fn fleet(wishes: &[Wish]) -> Cluster {
    fleet_beside(&[], wishes)
}

/// The same, with these further hosts in the lab, which are in no cluster.
pub fn fleet_beside(others: &[&str], wishes: &[Wish]) -> Cluster {
    let shape = Shape {
        clusters: wishes.iter().map(shape).collect(),
        backup: None,
    };
    let at_hand = releases(&[&version(OLD), &version(NEW)]);
    let others = others.iter().map(|&name| name.to_owned());
    let hosts: Vec<String> = others.chain(shape.hosts()).collect();
    let lab = boot(&hosts.iter().map(String::as_str).collect::<Vec<_>>());
    let folder = lab.folder().join("releases");
    found::gather(&at_hand, &folder).unwrap();
    let inventory = lab.write_inventory(&Wanted {
        shape: &shape,
        releases: &folder,
        version: Some(&version(NEW)),
    });
    thread::scope(|scope| {
        for (one, wish) in shape.clusters.iter().zip(wishes) {
            let (lab, from) = (&lab, version(wish.from));
            let binaries = &at_hand[&from];
            scope.spawn(move || {
                let how = Install {
                    version: &from,
                    binaries,
                    layout: Layout::default(),
                    flags: &[],
                };
                cluster::start(lab, one, &how).unwrap();
            });
        }
    });
    Cluster {
        access: cluster::access(&lab, &shape.clusters[0]).unwrap(),
        endpoints: Vec::new(),
        inventory: inventory.unwrap(),
        lab,
        shape,
    }
}

fn shape(wish: &Wish) -> ClusterShape {
    let host = |number| MemberShape::usual(&format!("{}-{number}", wish.name));
    ClusterShape {
        name: wish.name.clone(),
        members: (1..=wish.members).map(host).collect(),
    }
}

/// The state of each cluster as the last object tells it: status and summary.
fn told(objects: &[Value]) -> BTreeMap<&str, (u64, &str)> {
    let endings = objects.last().unwrap()["clusters"].as_array().unwrap();
    let each = endings.iter().map(|ending| {
        let (status, summary) = (ending["status"].as_u64(), ending["summary"].as_str());
        let cluster = ending["cluster"].as_str().unwrap();
        (cluster, (status.unwrap(), summary.unwrap()))
    });
    each.collect()
}

fn assert_well_formed(objects: &[Value], clusters: usize) {
    for (at, object) in objects.iter().enumerate() {
        assert_eq!(object["index"], at, "{object}");
        for key in ["format", "run", "at", "kind"] {
            assert!(!object[key].is_null(), "{key}: {object}");
        }
    }
    assert_eq!(objects[0]["kind"], "plan");
    assert_eq!(
        objects[0]["others"].as_array().unwrap().len(),
        clusters - 1,
        "the first object carries every plan"
    );
    let of = |kind: &str| objects.iter().filter(|one| one["kind"] == kind).count();
    assert_eq!((of("plan"), of("ended")), (clusters, 1));
    assert_eq!(objects.last().unwrap()["kind"], "ended");
}

/// The members that were down at one time, from a stop to the end of its settle: never two of one cluster, never
/// of more clusters than `most`.
fn assert_one_member_at_a_time(objects: &[Value], most: usize) {
    let mut down: BTreeMap<&str, &str> = BTreeMap::new();
    let mut settling: BTreeSet<(&str, u64)> = BTreeSet::new();
    let mut at_once = 0;
    for object in objects {
        let text = |key: &str| object[key].as_str().unwrap_or_default();
        let (cluster, host) = (text("cluster"), text("host"));
        let step = object["step"].as_u64().unwrap_or_default();
        match (text("kind"), text("what")) {
            ("step_started", what) if what.starts_with("stop ") => {
                let before = down.insert(cluster, host);
                assert_eq!(before, None, "{host} is stopped while another is down");
                at_once = at_once.max(down.len());
            }
            ("step_started", what) if what.starts_with("settle") => {
                settling.insert((cluster, step));
            }
            ("step_ended", _) if settling.remove(&(cluster, step)) => {
                assert_eq!(down.remove(cluster), Some(host));
            }
            _ => {}
        }
    }
    assert_eq!(down, BTreeMap::new());
    assert!((1..=most).contains(&at_once), "{at_once} at once");
}

/// Where in the stream a cluster's first step begins, and where it ends.
fn span(objects: &[Value], cluster: &str) -> (usize, usize) {
    let is = |kind: &'static str| move |one: &&Value| one["kind"] == kind;
    let begins = objects
        .iter()
        .position(|one| is("step_started")(&one) && one["cluster"] == cluster);
    let ends = objects
        .iter()
        .position(|one| is("cluster_ended")(&one) && one["ending"]["cluster"] == cluster);
    (begins.unwrap(), ends.unwrap())
}

#[track_caller]
fn assert_all_run(fleet: &Cluster, hosts: &[String], release: &str) {
    for host in hosts {
        assert_eq!(running(fleet, host).0, release, "{host}");
    }
}

#[test]
fn of_a_fleet_the_sound_clusters_are_upgraded_and_the_ending_says_why_others_are_not() {
    let count = std::env::var("RUNNER_E2E_CLUSTERS").map_or(CLUSTERS, |n| n.parse().unwrap());
    let mut wishes = vec![
        wish("dead", 3, OLD),
        wish("done", 1, NEW),
        wish("full", 1, OLD),
        wish("three", 3, OLD),
    ];
    assert!(count > wishes.len(), "{count} clusters are too few");
    let plain = 1..=count - wishes.len();
    wishes.extend(plain.map(|number| wish(&format!("plain{number:02}"), 1, OLD)));
    let fleet = fleet(&wishes);
    fleet.lab.power_cut("dead-2").unwrap();
    fleet.lab.full_disk("full-1", "/opt/etcd", "60m").unwrap();
    let sound = |host: &String| host.starts_with("plain") || host.starts_with("three");
    let due: Vec<String> = fleet.shape.hosts().into_iter().filter(sound).collect();

    refused_by_default(&fleet, &due);
    upgraded_all_the_same(&fleet, count);
    assert_all_run(&fleet, &due, NEW);
    assert_all_run(&fleet, &["dead-1", "full-1"].map(String::from), OLD);

    fleet.lab.power_on("dead-2").unwrap();
    fleet.lab.roomy_disk("full-1", "/opt/etcd").unwrap();
    let dead = &fleet.shape.clusters[0];
    let endpoints = cluster::endpoints(&fleet.lab, dead).unwrap();
    cluster::await_health(&fleet.lab, &endpoints).unwrap();
    let mended = runner(&fleet, &["upgrade", "--yes"]).ends_with(0).plainly();
    let all = format!("{count} of {count} clusters done");
    assert!(mended.out.contains(&all), "{}", mended.out);
    let same = format!("✔ three    nothing to do, it runs {NEW}");
    assert!(mended.out.contains(&same), "{}", mended.out);
    assert_all_run(&fleet, &fleet.shape.hosts(), NEW);
}

/// Neither may a cluster be refused unless a flag says so, nor may the canary at all.
fn refused_by_default(fleet: &Cluster, due: &[String]) {
    let ran = runner(fleet, &["upgrade", "--yes"]).ends_with(4).plainly();
    for text in [
        "not begun: plain01, ",
        "2 failed, 0 may",
        "changed: nothing",
        "`dead-2`",
        "DISK_FREE",
    ] {
        assert!(ran.err.contains(text), "{text}: {}", ran.err);
    }
    let args = ["upgrade", "-y", "--canary", "full", "--max-failures", "9"];
    let ran = runner(fleet, &args).ends_with(4);
    assert!(ran.err.contains("the canary `full`"), "{}", ran.err);
    assert_all_run(fleet, due, OLD);
    let missing = runner(fleet, &["upgrade", "--yes", "--canary", "nobody"]).ends_with(2);
    assert!(missing.err.contains("`nobody`"), "{}", missing.err);
}

/// With the flags for it all others are upgraded: the canary alone, then four at once.
fn upgraded_all_the_same(fleet: &Cluster, count: usize) {
    let at_once = std::env::var("RUNNER_E2E_MAX_CLUSTERS").unwrap_or_else(|_| "4".to_owned());
    let args = [
        "upgrade",
        "--yes",
        "--output",
        "json",
        "--canary",
        "three",
        "--max-failures",
        "2",
        "--max-clusters",
        &at_once,
    ];
    let three = fleet.shape.clusters.iter().find(|one| one.name == "three");
    let endpoints = cluster::endpoints(&fleet.lab, three.unwrap()).unwrap();
    let writer = Writer::start_as(fleet.lab.network(), &endpoints, &fleet.access).unwrap();
    let began = Instant::now();
    let ran = runner(fleet, &args).ends_with(4);
    eprintln!("{count} clusters, {at_once} at once: {:?}", began.elapsed());
    assert!(writer.finish().unwrap().is_clean());

    let objects = ran.objects();
    assert_well_formed(&objects, count);
    let told = told(&objects);
    assert_eq!(told.len(), count);
    for (cluster, (status, summary)) in told {
        let (expected, why) = match cluster {
            "dead" => (4, "`dead-2`"),
            "full" => (3, "the preflight refuses, 1 finding"),
            "done" => (0, "nothing to do, it runs 3.5.16"),
            "three" => (0, "all 3 members run 3.5.16"),
            _ => (0, "3.5.16"),
        };
        assert_eq!(status, expected, "{cluster}: {summary}");
        assert!(summary.contains(why), "{cluster}: {summary}");
    }
    let at_once: usize = at_once.parse().unwrap();
    assert_one_member_at_a_time(&objects, at_once);
    let (_, canary) = span(&objects, "three");
    let plain = (1..=count - 4).map(|number| span(&objects, &format!("plain{number:02}")));
    let plain: Vec<_> = plain.collect();
    assert!(plain.iter().all(|(begins, _)| *begins > canary));
    let first_end = plain.iter().map(|(_, ends)| *ends).min().unwrap();
    let side_by_side = plain.iter().filter(|(begins, _)| *begins < first_end);
    assert!(side_by_side.count() >= at_once.min(plain.len()));
}

#[test]
fn after_a_failure_or_ctrl_c_no_further_cluster_begins_and_the_next_upgrade_does_the_rest() {
    let wishes = ["a", "b", "c"].map(|name| wish(name, 1, OLD));
    let fleet = fleet(&wishes);
    let drop_in = r#"mkdir -p /etc/systemd/system/etcd.service.d
        printf '[Service]\nExecStartPre=/bin/sh -c %s\n' \
            '"! /usr/local/bin/etcd --version | grep -q 3.5.16"' > /etc/systemd/system/etcd.service.d/no.conf
        systemctl daemon-reload"#;
    fleet.lab.sh("a-1", drop_in).unwrap();

    let failed = runner(&fleet, &["upgrade", "--yes"]).ends_with(5).plainly();
    for text in [
        "0 of 3 clusters done",
        "failed: a",
        "not begun: c",
        "1 failed, 0 may",
    ] {
        assert!(failed.out.contains(text), "{text}: {}", failed.out);
    }
    assert!(failed.err.contains("put back on 3.4.23"), "{}", failed.err);
    assert_all_run(&fleet, &fleet.shape.hosts(), OLD);

    let mend = "rm -r /etc/systemd/system/etcd.service.d && systemctl daemon-reload";
    fleet.lab.sh("a-1", mend).unwrap();
    let stopped = interrupted(&fleet);
    assert!(stopped.err.contains("not begun: c"), "{}", stopped.err);
    assert_all_run(&fleet, &["a-1".to_owned()], NEW);
    assert_all_run(&fleet, &["b-1", "c-1"].map(String::from), OLD);

    let rest = runner(&fleet, &["upgrade", "--yes", "--max-clusters", "3"]).ends_with(0);
    assert!(rest.out.contains("3 of 3 clusters done"), "{}", rest.out);
    assert_all_run(&fleet, &fleet.shape.hosts(), NEW);
}

/// Asks a run to stop while the first cluster's member is in hand.
fn interrupted(fleet: &Cluster) -> Ran {
    let run = begin(fleet, &["upgrade", "--yes", "--settle", "20s"]);
    await_true("a-1 is switched", || installed(fleet, "a-1") == NEW);
    let id = i32::try_from(run.id()).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), Signal::INT).unwrap();
    finish(run).ends_with(130).plainly()
}
