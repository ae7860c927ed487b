//! The way back while a cluster is mixed, under a client that writes all the while.

use std::time::{Duration, Instant};

use runner::lab::writer::Writer;

use crate::common::Cluster;
use crate::common::run::{begin, finish, installed, runner, running, state_dir};

#[test]
fn after_the_first_and_after_the_second_member_a_rollback_leads_back_and_an_upgrade_gets_home() {
    let cluster = Cluster::start(3, "3.4.23", "3.5.16");
    let writer = Writer::start(cluster.lab.network(), &cluster.endpoints).unwrap();
    writer.await_more(50).unwrap();
    runner(&cluster, &["rollback", "--yes"])
        .ends_with(0)
        .says("nothing to do");
    for members in [1, 2] {
        interrupted_after(&cluster, members);
        if members == 2 {
            forgotten(&cluster);
        }
        let shown = runner(&cluster, &["rollback", "--check"]).ends_with(0);
        assert!(
            shown.out.contains("rollback of lab from 3.5.16 to 3.4.23"),
            "{shown:?}"
        );
        runner(&cluster, &["rollback"]).ends_with(3).says("--yes");
        assert_eq!(on(&cluster, "3.5.16"), members, "nobody has confirmed");
        runner(&cluster, &["rollback", "--yes"])
            .ends_with(0)
            .plainly();
        for host in cluster.shape.hosts() {
            let now = running(&cluster, &host);
            assert_eq!(now, ("3.4.23".to_owned(), "3.4.0".to_owned()), "{host}");
            assert_eq!(installed(&cluster, &host), "3.4.23", "{host}");
        }
        runner(&cluster, &["rollback", "--yes"])
            .ends_with(0)
            .says("nothing to do");
    }
    writer.await_more(50).unwrap();
    runner(&cluster, &["upgrade", "--yes"]).ends_with(0);
    runner(&cluster, &["rollback", "--yes"])
        .ends_with(3)
        .says("POINT_OF_NO_RETURN")
        .says("restore")
        .says("changed: nothing");
    assert_eq!(on(&cluster, "3.5.16"), 3);
    let seen = writer.finish().unwrap();
    assert!(seen.is_clean(), "{seen:?}");
    eprintln!("the client saw: {seen:?}");
}

/// Upgrades until that many members are switched, then asks the run to stop.
fn interrupted_after(cluster: &Cluster, members: usize) {
    let run = begin(cluster, &["upgrade", "--yes", "--settle", "15s"]);
    let since = Instant::now();
    let hosts = cluster.shape.hosts();
    let switched = || {
        let new = |host: &&String| installed(cluster, host) == "3.5.16";
        hosts.iter().filter(new).count()
    };
    while switched() < members {
        assert!(since.elapsed() < Duration::from_secs(120), "{members}");
        std::thread::sleep(Duration::from_millis(100));
    }
    let asked = std::process::Command::new("kill")
        .args(["-INT", &run.id().to_string()])
        .status();
    assert!(asked.unwrap().success());
    finish(run).ends_with(130);
    assert_eq!(on(cluster, "3.5.16"), members);
}

/// As if somebody else had done it: no journal, and no copy of the old release on the switched hosts.
fn forgotten(cluster: &Cluster) {
    std::fs::remove_dir_all(state_dir(cluster)).unwrap();
    for host in cluster.shape.hosts() {
        if running(cluster, &host).0 == "3.5.16" {
            let script = "rm -r /opt/etcd/3.4.23";
            cluster.lab.sh(&host, script).unwrap();
        }
    }
}

fn on(cluster: &Cluster, release: &str) -> usize {
    let hosts = cluster.shape.hosts();
    let runs = |host: &&String| running(cluster, host).0 == release;
    hosts.iter().filter(runs).count()
}
