//! Hosts that are not as the usual ones: other folders, other names, other ways in, fewer tools.

use std::fs;

use runner::lab::Shape;
use runner::lab::cluster::Layout;

use crate::common::Cluster;
use crate::common::run::{inventory, runner_with, running};

/// Members as Debian's packages and operators have them: plain files in `/usr/bin`, a unit of another name, data on
/// another disk.
fn shape() -> Shape {
    let mut shape = Shape::of_members(3);
    for member in &mut shape.clusters[0].members {
        "etcd-main.service".clone_into(&mut member.unit);
        "/usr/bin".clone_into(&mut member.bin_dir);
        "/srv/etcd/main".clone_into(&mut member.data_dir);
        "/srv/releases".clone_into(&mut member.install_dir);
        member.client_host = None;
        member.client_port = 4001;
    }
    shape
}

/// The lab's way in leads to the first host alone; the others are reached through it, as root.
fn through_the_first(cluster: &Cluster) -> std::path::PathBuf {
    let address = |host: &str| cluster.lab.host(host).unwrap().address.to_string();
    let text = fs::read_to_string(cluster.lab.ssh_config()).unwrap();
    let (general, proxy): (Vec<_>, Vec<_>) = text
        .lines()
        .partition(|line| !line.contains("ProxyCommand"));
    let config = cluster.lab.folder().join("bastion_config");
    let bastion = address("etcd-1");
    let text = format!("Host {bastion}\n{}\n{}\n", proxy[0], general.join("\n"));
    fs::write(&config, text).unwrap();
    inventory(cluster, "bastion", |text| {
        let old = cluster.lab.ssh_config().display().to_string();
        let mut text = text
            .replace(&old, &config.display().to_string())
            .replace("user = \"ops\"", "user = \"root\"")
            .replace("become = \"sudo\"", "become = false");
        for host in ["etcd-2", "etcd-3"] {
            let own = format!("address = \"{}\"", address(host));
            assert!(text.contains(&own), "{text}");
            text = text.replace(&own, &format!("{own}\njump = [\"ops@{bastion}\"]"));
        }
        text
    })
}

#[test]
fn root_through_a_bastion_upgrades_plain_files_of_another_unit_without_curl() {
    let cluster = Cluster::start_as(shape(), "3.4.23", "3.5.16", Layout::PlainFiles, &[]);
    let unit = "sha256sum /etc/systemd/system/etcd-main.service; stat -c '%i %a %U %Y %Z' /etc/systemd/system/etcd-main.service";
    let before: Vec<_> = cluster
        .shape
        .hosts()
        .iter()
        .map(|h| cluster.lab.sh(h, unit).unwrap())
        .collect();
    cluster.lab.sh("etcd-1", "mv /usr/bin/curl /root/").unwrap();
    let bare = "mv /usr/bin/curl /root/; mv /usr/bin/python3* /root/; ! command -v wget";
    cluster.lab.sh("etcd-2", bare).unwrap();

    let inventory = through_the_first(&cluster);
    let writer = cluster.writer();
    runner_with(&cluster, &inventory, &["check"])
        .ends_with(0)
        .plainly();
    runner_with(&cluster, &inventory, &["upgrade", "--yes"])
        .ends_with(0)
        .plainly();
    let seen = writer.finish().unwrap();
    assert!(seen.is_clean(), "{seen:?}");
    let restore = "mv /root/curl /usr/bin/; mv /root/python3* /usr/bin/ 2>/dev/null; true";
    for (host, before) in cluster.shape.hosts().iter().zip(&before) {
        cluster.lab.sh(host, restore).unwrap();
        let script = "readlink /usr/bin/etcd; /srv/releases/3.4.23/etcd --version | head -n 1; ls -d /srv/etcd/main/member";
        let seen = cluster.lab.sh(host, script).unwrap();
        let wanted = "/srv/releases/3.5.16/etcd\netcd Version: 3.4.23\n/srv/etcd/main/member\n";
        assert_eq!(seen, wanted, "{host}");
        assert_eq!(running(&cluster, host).0, "3.5.16", "{host}");
        assert_eq!(
            cluster.lab.sh(host, unit).unwrap(),
            *before,
            "{host}: the unit is not ours"
        );
    }
}
