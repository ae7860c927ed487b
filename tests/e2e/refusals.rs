//! What goes wrong before anything is changed: the exit status, a message that names the fix, hosts untouched.

use std::fs;
use std::path::PathBuf;

use crate::common::Cluster;
use crate::common::run::{Ran, assert_untouched, files, inventory, runner, runner_with};

/// Writes a changed copy of the lab's ssh configuration and an inventory that uses it.
fn ssh(cluster: &Cluster, name: &str, change: impl FnOnce(String) -> String) -> PathBuf {
    let config = cluster.lab.ssh_config();
    let text = fs::read_to_string(&config).unwrap();
    let changed = change(text.clone());
    assert_ne!(text, changed, "{name}: nothing was changed");
    let path = cluster.lab.folder().join(format!("{name}_config"));
    fs::write(&path, changed).unwrap();
    let (old, new) = (config.display().to_string(), path.display().to_string());
    inventory(cluster, name, |text| text.replace(&old, &new))
}

fn upgrade(cluster: &Cluster, inventory: &std::path::Path) -> Ran {
    runner_with(cluster, inventory, &["upgrade", "--yes"]).plainly()
}

fn keygen(cluster: &Cluster, name: &str) -> (PathBuf, String) {
    let path = cluster.lab.folder().join(name);
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&path)
        .status();
    assert!(made.unwrap().success());
    let public = fs::read_to_string(path.with_extension("pub")).unwrap();
    (path, public)
}

#[test]
fn each_refusal_has_its_status_names_the_fix_and_changes_nothing() {
    let cluster = Cluster::start(3, "3.4.23", "3.5.16");
    let before = files(&cluster);
    connections(&cluster);
    members(&cluster);
    releases_and_words(&cluster);
    assert_untouched(&before, &files(&cluster));
    without_sudo(&cluster);
    health(&cluster);
}

fn connections(cluster: &Cluster) {
    let (other, public) = keygen(cluster, "other");
    let wrong_key = ssh(cluster, "wrong-key", |text| {
        text.replace(
            &cluster.lab.folder().join("key").display().to_string(),
            &other.display().to_string(),
        )
    });
    upgrade(cluster, &wrong_key)
        .ends_with(4)
        .says("authentication failed")
        .says("Permission denied")
        .says("hint: ")
        .says("changed: nothing");

    let known = cluster
        .lab
        .folder()
        .join("known_hosts")
        .display()
        .to_string();
    let empty = cluster.lab.folder().join("empty_known_hosts");
    fs::write(&empty, "").unwrap();
    let unknown = ssh(cluster, "unknown-key", |text| {
        text.replace(&known, &empty.display().to_string())
    });
    upgrade(cluster, &unknown)
        .ends_with(4)
        .says("host key is not known")
        .says("hint: ");

    let changed = cluster.lab.folder().join("changed_known_hosts");
    let address = cluster.lab.host("etcd-1").unwrap().address;
    let text = fs::read_to_string(&known).unwrap();
    let others = text
        .lines()
        .filter(|line| !line.contains(&address.to_string()));
    let kept = others.collect::<Vec<_>>().join("\n");
    fs::write(&changed, format!("{kept}\n{address} {public}")).unwrap();
    let changed_key = ssh(cluster, "changed-key", |text| {
        text.replace(&known, &changed.display().to_string())
    });
    upgrade(cluster, &changed_key)
        .ends_with(4)
        .says("host key has changed")
        .says("ssh-keygen -R");

    let last = cluster.lab.host("etcd-3").unwrap().address.to_string();
    let nobody = inventory(cluster, "unreachable", |text| {
        text.replace(&format!("\"{last}\""), "\"10.77.99.99\"")
    });
    upgrade(cluster, &nobody)
        .ends_with(4)
        .says("etcd-3")
        .says("hint: ");

    let no_sudo = inventory(cluster, "no-sudo", |text| {
        text.replace("become = \"sudo\"", "become = false")
    });
    upgrade(cluster, &no_sudo)
        .ends_with(4)
        .says("root")
        .says("become");
}

fn without_sudo(cluster: &Cluster) {
    let move_rules = |from: &str, to: &str| {
        let script = format!("mv /etc/sudoers.{from} /etc/sudoers.{to}");
        cluster.lab.sh("etcd-2", &script).unwrap();
    };
    move_rules("d", "off");
    let before = files(cluster);
    let refused = upgrade(cluster, &cluster.inventory);
    assert_untouched(&before, &files(cluster));
    move_rules("off", "d");
    refused
        .ends_with(4)
        .says("etcd-2")
        .says("sudo")
        .says("hint: ");
}

fn members(cluster: &Cluster) {
    let one = cluster.lab.host("etcd-1").unwrap().address.to_string();
    let two = cluster.lab.host("etcd-2").unwrap().address.to_string();
    let swapped = inventory(cluster, "swapped", |text| {
        text.replace(&one, "ONE")
            .replace(&two, &one)
            .replace("ONE", &two)
    });
    upgrade(cluster, &swapped)
        .ends_with(3)
        .says("WRONG_MEMBER")
        .says("etcd-1")
        .says("etcd-2");
}

fn releases_and_words(cluster: &Cluster) {
    let missing = runner(cluster, &["upgrade", "--yes", "--to", "3.5.99"]);
    missing.ends_with(3).says("3.5.99").says("changed: nothing");
    let typo = inventory(cluster, "typo", |text| {
        text.replace("become = ", "becom = ")
    });
    upgrade(cluster, &typo)
        .ends_with(2)
        .says("typo.toml:")
        .says("becom")
        .says("did you mean `become`");
}

fn health(cluster: &Cluster) {
    cluster.lab.sh("etcd-2", "systemctl stop etcd").unwrap();
    let down = upgrade(cluster, &cluster.inventory);
    let listing = files(cluster);
    upgrade(cluster, &cluster.inventory).ends_with(3);
    assert_untouched(&listing, &files(cluster));
    down.ends_with(3)
        .says("MEMBER_DOWN")
        .says("etcd-2")
        .says("changed: nothing");
    cluster.lab.sh("etcd-2", "systemctl start etcd").unwrap();

    let me = "ETCDCTL_API=3 etcdctl endpoint status -w json | sed 's/.*\"member_id\":\\([0-9]*\\).*/\\1/'";
    let id = cluster.lab.sh("etcd-1", me).unwrap();
    let alarm = |action: &str| {
        let body = format!(
            r#"{{"action":"{action}","memberID":"{}","alarm":"NOSPACE"}}"#,
            id.trim()
        );
        let call = format!("curl -fsS http://127.0.0.1:2379/v3/maintenance/alarm -d '{body}'");
        cluster.lab.sh("etcd-1", &call).unwrap();
    };
    alarm("ACTIVATE");
    upgrade(cluster, &cluster.inventory)
        .ends_with(3)
        .says("ALARM")
        .says("NOSPACE")
        .says("disarm");
    alarm("DEACTIVATE");
    runner(cluster, &["check"]).ends_with(0);
}
