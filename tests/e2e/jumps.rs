//! A fleet behind two jump hosts in a row that take few connections at once, with a sudo that wants a password.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use crate::common::Cluster;
use crate::common::run::{Ran, inventory, runner_with, running};
use crate::fleet::{NEW, OLD, fleet_beside, wish};

/// How many hosts are behind the jump hosts, three a cluster; `RUNNER_E2E_JUMPED` says otherwise.
const HOSTS: usize = 9;

const PASSWORD: &str = "hinter zwei Toren";

/// The jump hosts, in the order in which they are passed.
const JUMPS: [&str; 2] = ["jump-1", "jump-2"];

/// sshd takes three connections at once until they are logged in, and drops all others.
const LIMITED: &str = "printf 'MaxStartups 3:100:3\\nLogLevel VERBOSE\\n' >/etc/ssh/sshd_config.d/limit.conf && systemctl restart ssh";

/// Limits the jump hosts, and lets no host give root without a password.
fn prepare(fleet: &Cluster) {
    for jump in JUMPS {
        fleet.lab.sh(jump, LIMITED).unwrap();
    }
    let user = format!(
        "useradd -m -s /bin/sh ops2 && echo 'ops2:{PASSWORD}' | chpasswd\n\
         printf 'ops2 ALL=(ALL) ALL\\n' >/etc/sudoers.d/ops2 && chmod 440 /etc/sudoers.d/ops2\n\
         cp -r /home/ops/.ssh /home/ops2/.ssh && chown -R ops2: /home/ops2/.ssh"
    );
    thread::scope(|scope| {
        for host in fleet.shape.hosts() {
            let user = &user;
            scope.spawn(move || fleet.lab.sh(&host, user).unwrap());
        }
    });
}

/// An inventory by which nothing but the first jump host is reached directly.
fn behind(fleet: &Cluster) -> PathBuf {
    let address = |host: &str| fleet.lab.host(host).unwrap().address.to_string();
    let [first, second] = JUMPS.map(address);
    let text = fs::read_to_string(fleet.lab.ssh_config()).unwrap();
    let (proxy, general): (Vec<_>, Vec<_>) =
        text.lines().partition(|line| line.contains("ProxyCommand"));
    let config = fleet.lab.folder().join("jumps_config");
    let text = format!("Host {first}\n{}\n{}\n", proxy[0], general.join("\n"));
    fs::write(&config, text).unwrap();
    inventory(fleet, "jumps", |text| {
        let old = fleet.lab.ssh_config().display().to_string();
        text.replace(&old, &config.display().to_string()).replace(
            "user = \"ops\"",
            &format!("user = \"ops2\"\njump = [\"ops@{first}\", \"ops@{second}:22\"]"),
        )
    })
}

/// How many logins of ours each jump host has seen; those of the lab are root's. None may have been dropped.
#[track_caller]
fn logins(fleet: &Cluster) -> [usize; 2] {
    JUMPS.map(|jump| {
        let log = fleet.lab.sh(jump, "journalctl --no-pager -u ssh").unwrap();
        let count = |what: &str| log.lines().filter(|line| line.contains(what)).count();
        assert_eq!(count("drop connection"), 0, "{jump}: {log}");
        count("Accepted publickey for ops ")
    })
}

#[test]
fn a_fleet_behind_two_jump_hosts_with_few_places_is_upgraded_with_one_login_at_each() {
    let hosts = std::env::var("RUNNER_E2E_JUMPED").map_or(HOSTS, |n| n.parse().unwrap());
    let clusters = (1..=hosts.div_ceil(3)).map(|number| format!("c{number:02}"));
    let wishes: Vec<_> = clusters.map(|name| wish(&name, 3, OLD)).collect();
    let fleet = fleet_beside(&JUMPS, &wishes);
    prepare(&fleet);
    let inventory = behind(&fleet);
    let password = |name: &str, text: &str| {
        let path = fleet.lab.folder().join(name);
        fs::write(&path, format!("{text}\n")).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (right, wrong) = (password("right", PASSWORD), password("wrong", "nope"));
    let run = |more: &[&str], file: &str| -> Ran {
        let args = [more, &["--become-password-file", file]].concat();
        runner_with(&fleet, &inventory, &args)
    };
    let names = fleet.shape.hosts();

    let refused = run(&["upgrade", "--yes"], &wrong).ends_with(4).plainly();
    assert!(refused.err.contains("sudo does not take the password"));
    assert!(refused.err.contains("changed: nothing"), "{refused:?}");
    assert_eq!(logins(&fleet), [1; 2]);

    let args = ["check", "--forks", "30"];
    run(&args, &right).ends_with(0).plainly();
    assert_eq!(logins(&fleet), [2; 2]);

    let args = ["upgrade", "--yes", "--max-clusters", "3"];
    let began = Instant::now();
    let ran = run(&args, &right).ends_with(0).plainly();
    eprintln!("{} hosts: {:?}", names.len(), began.elapsed());
    let all = format!("{0} of {0} clusters done", wishes.len());
    assert!(ran.out.contains(&all), "{}", ran.out);
    assert_eq!(logins(&fleet), [3; 2]);
    for host in &names {
        assert_eq!(running(&fleet, host).0, NEW, "{host}");
    }
}

#[test]
fn a_password_that_one_host_does_not_take_stops_the_run_before_any_is_disrupted() {
    let fleet = fleet_beside(&JUMPS, &[wish("one", 3, OLD)]);
    prepare(&fleet);
    let other = "echo 'ops2:quite another' | chpasswd";
    fleet.lab.sh("one-3", other).unwrap();
    let inventory = behind(&fleet);
    let file = fleet.lab.folder().join("password");
    fs::write(&file, PASSWORD).unwrap();
    let since = "systemctl show -p ActiveEnterTimestampMonotonic etcd.service";
    let started = || -> Vec<_> {
        let names = fleet.shape.hosts();
        let ask = |host: &String| fleet.lab.sh(host, since).unwrap();
        names.iter().map(ask).collect()
    };
    let before = started();
    let file = file.to_str().unwrap();
    let args = ["upgrade", "--yes", "--become-password-file", file];
    runner_with(&fleet, &inventory, &args)
        .ends_with(4)
        .says("host `one-3`: sudo does not take the password")
        .says("changed: nothing");
    assert_eq!(started(), before);
    for host in fleet.shape.hosts() {
        let ls = fleet.lab.sh(&host, "ls /opt/etcd").unwrap();
        assert!(!ls.contains(NEW), "{host}: {ls}");
    }
}
