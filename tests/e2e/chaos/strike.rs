//! How each fault is done, and how a person mends it.

use std::fs;
use std::time::Duration;

use runner::lab::Cancel;
use serde_json::Value;

use super::NEW;
use super::bench::Bench;
use super::cases::{Bad, Case, Disk, Fault, Whose};
use crate::common::follow::{Run, When};

/// sshd must be started again although nobody can log in: the host waits for this file.
const HEAL: &str = "/etc/chaos-heal";
/// Where etcd's user, the member added by somebody, would be.
const GHOST: &str = "http://10.77.99.9:2380";

/// What is so before the run begins.
pub fn prepare(bench: &Bench, case: &Case) {
    let lab = &bench.cluster.lab;
    let hosts = bench.hosts();
    match case.fault {
        Fault::Bad(bad) => hosts.iter().for_each(|host| spoil(bench, host, bad)),
        Fault::FlagRefused => hosts.iter().for_each(|host| {
            bench.sh(
                host,
                "sed -i 's/--name=/--debug=false --name=/' /etc/systemd/system/etcd.service; \
                systemctl daemon-reload; systemctl restart --no-block etcd",
            );
        }),
        Fault::FullDisk(Disk::Data) => hosts.iter().for_each(|host| {
            bench.sh(host, "systemctl stop etcd");
            lab.full_disk(host, Disk::Data.folder(), "500m").unwrap();
            bench.sh(host, "systemctl start --no-block etcd");
        }),
        Fault::FullDisk(disk) => hosts.iter().for_each(|host| {
            lab.full_disk(host, disk.folder(), "400m").unwrap();
        }),
        Fault::ClockAhead => ahead(bench, &hosts[0]),
        Fault::FewSessions => hosts.iter().for_each(|host| {
            bench.sh(
                host,
                "printf 'MaxSessions 2\\nMaxStartups 3\\n' > /etc/ssh/sshd_config.d/chaos.conf; \
                systemctl reload ssh; sshd -T | grep -qx 'maxsessions 2'",
            );
        }),
        _ => {}
    }
    let is_slow = matches!(case.fault, Fault::SlowLinks) || matches!(case.when, When::Underway(_));
    if is_slow {
        for host in &hosts {
            lab.slow_link(host, "20mbit").unwrap();
        }
    }
    bench.await_health();
}

/// Strikes, and returns the host that is struck.
pub fn strike(bench: &Bench, case: &Case, in_hand: &str, run: &mut Run) -> Option<String> {
    let lab = &bench.cluster.lab;
    let here = Some(in_hand.to_owned());
    match case.fault {
        Fault::Killed => {
            run.kill();
            None
        }
        Fault::PowerCut(whose) => {
            let host = match whose {
                Whose::InHand => in_hand.to_owned(),
                Whose::Other => bench.other_than(in_hand),
            };
            lab.power_cut(&host).unwrap();
            Some(host)
        }
        Fault::CutOff => {
            lab.cut_off(in_hand).unwrap();
            here
        }
        Fault::NoSshd => {
            let script = format!(
                "systemctl stop ssh; pkill -KILL -x sshd; \
                until [ -e {HEAL} ]; do sleep 0.2; done; rm {HEAL}; systemctl start ssh"
            );
            // The connection that carries this dies with it.
            let _ = lab.sh(
                in_hand,
                &format!("systemd-run --quiet --unit=chaos-sshd sh -c '{script}'"),
            );
            here
        }
        Fault::FullDisk(disk) => {
            let hosts = if disk == Disk::Data {
                vec![in_hand.to_owned()]
            } else {
                bench.hosts()
            };
            for host in hosts {
                bench.sh(
                    &host,
                    &format!(
                        "head -c 600m /dev/zero > {}/hog 2>/dev/null; true",
                        disk.folder()
                    ),
                );
            }
            here
        }
        Fault::NoSudo => {
            bench.sh(in_hand, "mv /etc/sudoers.d /etc/sudoers.off");
            here
        }
        Fault::ClockAhead => {
            ahead(bench, in_hand);
            None
        }
        Fault::SecondRun => {
            bench.second_run();
            None
        }
        Fault::LeaderMoved => {
            move_leader(bench, in_hand);
            None
        }
        Fault::MemberAdded => {
            let add = format!("member add ghost --peer-urls={GHOST}");
            bench.etcdctl_until_done(&bench.other_than(in_hand), &add);
            None
        }
        Fault::MemberRemoved => {
            let host = remove_member(bench, in_hand);
            Some(host)
        }
        Fault::Bad(_) | Fault::FlagRefused | Fault::SlowLinks | Fault::FewSessions => None,
    }
}

/// Mends what was struck, as the person would whom the message has told.
pub fn heal(bench: &Bench, case: &Case, struck: Option<&str>) {
    let lab = &bench.cluster.lab;
    match (case.fault, struck) {
        (Fault::PowerCut(_), Some(host)) => lab.power_on(host).unwrap(),
        (Fault::CutOff, Some(host)) => lab.reconnect(host).unwrap(),
        (Fault::NoSshd, Some(host)) => {
            fs::write(lab.host(host).unwrap().root().join(&HEAL[1..]), "").unwrap();
            lab.power_on(host).unwrap();
        }
        (Fault::FullDisk(disk), _) => {
            for host in bench.hosts() {
                bench.sh(&host, &format!("rm -f {}/hog", disk.folder()));
            }
            if disk == Disk::Data {
                for host in bench.hosts() {
                    bench.sh(
                        &host,
                        "systemctl reset-failed etcd 2>/dev/null; systemctl start --no-block etcd",
                    );
                }
            }
        }
        (Fault::NoSudo, Some(host)) => bench.sh(host, "mv /etc/sudoers.off /etc/sudoers.d"),
        (Fault::Bad(_), _) => {
            for host in bench.hosts() {
                bench.sh(
                    &host,
                    "rm -r /etc/systemd/system/etcd.service.d; systemctl daemon-reload",
                );
            }
        }
        (Fault::FlagRefused, _) => {
            for host in bench.hosts() {
                bench.sh(&host, "sed -i 's/--debug=false //' /etc/systemd/system/etcd.service; systemctl daemon-reload");
            }
        }
        (Fault::MemberAdded, _) => {
            let host = bench.hosts()[0].clone();
            let id = bench.member_id(&host, |member| member["peerURLs"][0] == GHOST);
            bench.etcdctl_until_done(&host, &format!("member remove {id}"));
        }
        (Fault::MemberRemoved, Some(host)) => add_again(bench, host),
        _ => {}
    }
}

/// Lets scripts on a host read a clock that is an hour ahead.
fn ahead(bench: &Bench, host: &str) {
    bench.sh(
        host,
        "printf '#!/bin/sh\\nexec /bin/date -d \"+1 hour\" \"$@\"\\n' > /usr/local/sbin/date; \
        chmod 755 /usr/local/sbin/date",
    );
}

/// Makes the new release misbehave on a host; the old one stays as it is.
fn spoil(bench: &Bench, host: &str, bad: Bad) {
    let is_new = format!("/usr/local/bin/etcd --version | grep -q {NEW}");
    let unit = match bad {
        Bad::Crashes => format!("ExecStartPre=/bin/sh -c \"! {{ {is_new}; }}\""),
        Bad::Hangs => format!("ExecStartPre=/bin/sh -c \"if {is_new}; then exec sleep 1000; fi\""),
        Bad::NeverHealthy => {
            "ExecStartPre=+/bin/sh /etc/chaos-lonely\nExecStopPost=+/bin/sh /etc/chaos-lonely off"
                .to_owned()
        }
        Bad::DiesLater => "ExecStartPost=/bin/sh /etc/chaos-dies".to_owned(),
    };
    let peers: Vec<String> = bench
        .hosts()
        .iter()
        .filter(|other| *other != host)
        .map(|other| bench.cluster.lab.host(other).unwrap().address.to_string())
        .collect();
    let peers = peers.join(" ");
    bench.sh(
        host,
        &format!(
            "mkdir -p /etc/systemd/system/etcd.service.d
cat > /etc/systemd/system/etcd.service.d/chaos.conf <<'END'
[Service]
{unit}
END
cat > /etc/chaos-dies <<'END'
{is_new} || exit 0
(sleep 20; kill -9 \"$MAINPID\") >/dev/null 2>&1 &
END
cat > /etc/chaos-lonely <<'END'
for peer in {peers}; do ip route del blackhole $peer 2>/dev/null; done
[ \"$1\" = off ] && exit 0
{is_new} || exit 0
for peer in {peers}; do ip route add blackhole $peer || exit; done
END
systemctl daemon-reload"
        ),
    );
}

/// Moves the leadership to the member in hand, or, where that is not well, to any other.
fn move_leader(bench: &Bench, in_hand: &str) {
    let moved = || {
        let leader = bench.cluster.leader();
        let mut wishes = bench.hosts();
        wishes.sort_by_key(|host| host != in_hand);
        for host in wishes.iter().filter(|host| **host != leader) {
            let id = bench.member_id(&leader, |member| member["name"] == **host);
            if bench.etcdctl(&leader, &format!("move-leader {id}")).is_ok() {
                return Ok(());
            }
        }
        Err("nobody takes it".to_owned())
    };
    Cancel::default()
        .wait(
            "the leadership was not moved",
            Duration::from_secs(20),
            moved,
        )
        .unwrap();
}

/// Removes a member that neither leads nor is in hand, and returns its host.
fn remove_member(bench: &Bench, in_hand: &str) -> String {
    let leader = bench.cluster.leader();
    let mut hosts = bench.hosts().into_iter();
    let host = hosts
        .find(|host| *host != leader && host != in_hand)
        .unwrap_or_else(|| bench.other_than(in_hand));
    let asked = if leader == host {
        in_hand.to_owned()
    } else {
        leader
    };
    let id = bench.member_id(&asked, |member| member["name"] == host);
    bench.etcdctl_until_done(&asked, &format!("member remove {id}"));
    host
}

/// Adds a removed member again, with an empty data folder.
fn add_again(bench: &Bench, host: &str) {
    let address = bench.cluster.lab.host(host).unwrap().address;
    bench.sh(
        host,
        "systemctl stop etcd; systemctl reset-failed etcd 2>/dev/null; rm -rf /var/lib/etcd/member",
    );
    let add = format!("member add {host} --peer-urls=http://{address}:2380");
    bench.etcdctl_until_done(&bench.other_than(host), &add);
    bench.sh(
        host,
        "sed -i 's/cluster-state=new/cluster-state=existing/' /etc/systemd/system/etcd.service; \
        systemctl daemon-reload; systemctl start --no-block etcd",
    );
}

/// A member's id as etcdctl takes it.
pub fn hex(id: &Value) -> String {
    format!("{:x}", id.as_u64().unwrap())
}
