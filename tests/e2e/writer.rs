//! The writing client: what it counts is what happened.

use runner::lab::cluster::await_health;
use runner::lab::writer::Writer;

use crate::common::Cluster;

#[test]
fn no_acknowledged_write_is_lost_when_the_leader_loses_power() {
    let cluster = Cluster::start(3, "3.4.23", "3.4.23");
    let writer = Writer::start(cluster.lab.network(), &cluster.endpoints).unwrap();
    writer.await_more(200).unwrap();
    let leader = cluster.leader();
    cluster.lab.power_cut(&leader).unwrap();
    writer.await_more(200).unwrap();
    cluster.lab.power_on(&leader).unwrap();
    await_health(&cluster.lab, &cluster.endpoints).unwrap();
    writer.await_more(50).unwrap();
    let seen = writer.finish().unwrap();
    assert!(seen.acknowledged >= 450, "{seen:?}");
    assert!(seen.is_clean(), "{seen:?}");
    assert!(
        seen.errors > 0 && seen.longest_gap_ms >= 500,
        "an election takes time: {seen:?}"
    );
    assert!(seen.longest_gap_ms < 20_000, "{seen:?}");
}

#[test]
fn a_write_that_somebody_takes_away_is_counted_as_lost() {
    let cluster = Cluster::start(1, "3.4.23", "3.4.23");
    let writer = Writer::start(cluster.lab.network(), &cluster.endpoints).unwrap();
    writer.await_more(100).unwrap();
    let list = "ETCDCTL_API=3 etcdctl get --prefix --keys-only --limit 2 runner-lab/ | grep .";
    let keys = cluster.lab.sh("etcd-1", list).unwrap();
    for key in keys.lines() {
        let delete = format!("ETCDCTL_API=3 etcdctl del {key}");
        cluster.lab.sh("etcd-1", &delete).unwrap();
    }
    let seen = writer.finish().unwrap();
    assert_eq!(seen.lost, 2, "{seen:?}");
    assert!(
        seen.lost_examples[0].starts_with(keys.lines().next().unwrap()),
        "{seen:?}"
    );
}

#[test]
fn a_member_without_power_is_told_as_not_read() {
    let cluster = Cluster::start(3, "3.4.23", "3.4.23");
    let writer = Writer::start(cluster.lab.network(), &cluster.endpoints).unwrap();
    cluster.lab.power_cut("etcd-3").unwrap();
    writer.await_more(20).unwrap();
    let seen = writer.finish().unwrap();
    assert_eq!(seen.lost, 0, "{seen:?}");
    assert_eq!(seen.unread.len(), 1, "{seen:?}");
    assert!(!seen.is_clean());
}
