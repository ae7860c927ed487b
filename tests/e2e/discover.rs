//! A cluster that nobody has described: its inventory from one of its hosts, and a plan from that.

use std::collections::BTreeSet;
use std::fs;

use runner::inventory::{self, Host};
use runner::lab::Shape;
use runner::lab::cluster::Layout;

use crate::common::Cluster;
use crate::common::run::{assert_untouched, files, runner, runner_with};

#[test]
fn one_host_is_enough_to_describe_a_cluster_and_to_plan_its_upgrade() {
    let mut shape = Shape::of_members(3);
    for member in &mut shape.clusters[0].members {
        member.data_dir = "/srv/etcd".to_owned();
        member.unit = "kv.service".to_owned();
    }
    let cluster = Cluster::start_as(shape, "3.5.16", "3.5.30", Layout::default(), &[]);
    let before = files(&cluster);
    let config = cluster.lab.ssh_config().display().to_string();
    let second = cluster.lab.host("etcd-2").unwrap().address.to_string();
    let path = cluster.lab.folder().join("found.toml");
    let to = path.to_str().unwrap();
    let args = [
        "discover",
        &second,
        "-u",
        "ops",
        "-b",
        "--ssh-config",
        &config,
        "--cluster",
        "lab",
    ];
    let shown = runner(&cluster, &args).ends_with(0).plainly();
    let writing = [&args[..], &["--write", to]].concat();
    runner(&cluster, &writing).ends_with(0);
    assert_eq!(fs::read_to_string(&path).unwrap(), shown.out);
    runner(&cluster, &writing)
        .ends_with(2)
        .says("is there already");
    assert_untouched(&before, &files(&cluster));

    let load = |path: &std::path::Path| {
        let loaded = inventory::load(&[path.to_owned()], &[]).unwrap();
        loaded.inventory.clusters["lab"].clone()
    };
    let (found, wanted) = (load(&path), load(&cluster.inventory));
    let hosts = |hosts: &[Host]| {
        hosts
            .iter()
            .map(|host| format!("{host:?}"))
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(hosts(&found.hosts), hosts(&wanted.hosts));
    assert_eq!(found.version.unwrap().to_string(), "3.5.16");

    let folder = cluster.lab.folder().join("releases").display().to_string();
    let source = format!("releases.source={folder:?}");
    let planned = runner_with(
        &cluster,
        &path,
        &[
            "plan",
            "--to",
            "3.5.30",
            "--detailed-exitcode",
            "-e",
            &source,
        ],
    );
    let planned = planned.ends_with(10);
    assert!(planned.out.contains("cluster lab to 3.5.30"), "{planned:?}");

    cluster.lab.power_cut("etcd-3").unwrap();
    let partly = runner(&cluster, &args)
        .ends_with(4)
        .says("the inventory was written");
    assert!(partly.out.contains("hosts.\"etcd-3\"]"), "{partly:?}");
    assert!(
        partly
            .out
            .contains("# nothing was found out about this host"),
        "{partly:?}"
    );

    let nobody = ["discover", "10.77.99.99", "--ssh-config", &config];
    let nobody = runner(&cluster, &nobody).ends_with(4).says("10.77.99.99");
    assert_eq!(nobody.out, "");
}
