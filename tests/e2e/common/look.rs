//! What a host of the lab is like, as itself tells.

use std::time::{Duration, Instant};

use super::Cluster;

/// How long anything is awaited that a person would wait for.
const PATIENCE: Duration = Duration::from_secs(180);

/// The state of the member's unit, such as `active`.
pub fn unit_state(cluster: &Cluster, host: &str) -> String {
    let ask = "systemctl show -p ActiveState --value etcd.service";
    cluster.lab.sh(host, ask).unwrap().trim().to_owned()
}

/// Whether the member on the host answers a linearizable read.
pub fn answers(cluster: &Cluster, host: &str) -> bool {
    let ask = "ETCDCTL_API=3 etcdctl endpoint health";
    cluster.lab.sh(host, ask).is_ok()
}

/// What a run leaves on a host only while it goes on: transient units, locks, processes, folders for checks, half-written
/// files beside binaries, units, files of the upgrade, backups and data. Releases and backups themselves are meant to stay.
pub fn litter(cluster: &Cluster, host: &str) -> String {
    let look = "systemctl list-units --all --plain --no-legend 'runner*' | cut -d' ' -f1; \
        ls -dA /run/runner* /run/systemd/transient/runner* 2>/dev/null; \
        pgrep -fa '[r]unner-rescue|IFS= read -r [b]eat'; \
        find /opt/etcd /usr/local/bin /var/backups/etcd /etc/systemd/system /etc/etcd /tmp /var/tmp \
        \\( -name '.*.runner*' -o -name '*.part*' -o -name '*.said' -o -name '*.copy' -o -name 'runner-*' \\) 2>/dev/null; \
        find /var/lib/etcd -maxdepth 1 -name 'runner-*'; true";
    cluster.lab.sh(host, look).unwrap()
}

/// The processes on a host that belong to logins of runs: theirs is a user of their own, and what they do as root hangs
/// on that user's `sudo`. A login takes a moment to go after its connection has.
pub fn logins(cluster: &Cluster, host: &str) -> String {
    let look = "for process in $(pgrep -u ops) $(pgrep -x sudo); do \
        ps -o pid=,args= -p $process --ppid $process; done; true";
    cluster.lab.sh(host, look).unwrap()
}

/// The first host for which the condition holds.
#[track_caller]
pub fn await_host(cluster: &Cluster, what: &str, condition: impl Fn(&str) -> bool) -> String {
    let hosts = cluster.shape.hosts();
    let mut found = None;
    await_true(what, || {
        found = hosts.iter().find(|host| condition(host)).cloned();
        found.is_some()
    });
    found.unwrap()
}

/// Waits until the condition holds.
#[track_caller]
pub fn await_true(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < PATIENCE, "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
