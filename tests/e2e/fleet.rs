//! Several clusters in one run: what one of them comes to leaves the others as the flags say.

use runner::lab::cluster::{self, Install, Layout};
use runner::lab::releases as found;
use runner::lab::{ClusterShape, MemberShape, Shape, Wanted};

use crate::common::run::{runner, running};
use crate::common::{Cluster, boot, releases, version};

/// Clusters of one member each, named, with the releases that they start with; the inventory asks for `to`.
fn clusters(named: &[(&str, &str)], to: &str) -> Cluster {
    let shape = Shape {
        clusters: named.iter().map(|(name, _)| of_one(name)).collect(),
        backup: None,
    };
    let to = version(to);
    let froms: Vec<_> = named.iter().map(|(_, from)| version(from)).collect();
    let at_hand = releases(&froms.iter().chain([&to]).collect::<Vec<_>>());
    let hosts = shape.hosts();
    let lab = boot(&hosts.iter().map(String::as_str).collect::<Vec<_>>());
    let folder = lab.folder().join("releases");
    found::gather(&at_hand, &folder).unwrap();
    let inventory = lab.write_inventory(&Wanted {
        shape: &shape,
        releases: &folder,
        version: Some(&to),
    });
    for (one, from) in shape.clusters.iter().zip(&froms) {
        let how = Install {
            version: from,
            binaries: &at_hand[from],
            layout: Layout::default(),
            flags: &[],
        };
        cluster::start(&lab, one, &how).unwrap();
    }
    Cluster {
        access: cluster::access(&lab, &shape.clusters[0]).unwrap(),
        endpoints: Vec::new(),
        inventory: inventory.unwrap(),
        lab,
        shape,
    }
}

fn of_one(name: &str) -> ClusterShape {
    ClusterShape {
        name: name.to_owned(),
        members: vec![MemberShape::usual(&format!("{name}-1"))],
    }
}

#[test]
fn a_refused_cluster_leaves_the_others_as_the_flags_say() {
    let named = [("dead", "3.4.23"), ("done", "3.5.16"), ("fine", "3.4.23")];
    let fleet = clusters(&named, "3.5.16");
    fleet.lab.sh("dead-1", "systemctl stop etcd").unwrap();

    let strict = runner(&fleet, &["upgrade", "--yes"]).ends_with(3).plainly();
    assert!(strict.err.contains("not begun: fine"), "{}", strict.err);
    assert!(strict.err.contains("changed: nothing"), "{}", strict.err);
    assert_eq!(running(&fleet, "fine-1").0, "3.4.23");

    let args = [
        "upgrade",
        "--yes",
        "--canary",
        "dead",
        "--max-failures",
        "9",
    ];
    let canary = runner(&fleet, &args).ends_with(3);
    assert!(canary.err.contains("the canary `dead`"), "{}", canary.err);
    assert_eq!(running(&fleet, "fine-1").0, "3.4.23");

    let args = [
        "upgrade",
        "--yes",
        "--max-failures",
        "1",
        "--output",
        "json",
    ];
    let ran = runner(&fleet, &args).ends_with(3);
    assert_eq!(running(&fleet, "fine-1").0, "3.5.16");
    let objects = ran.objects();
    let (first, last) = (&objects[0], objects.last().unwrap());
    assert_eq!(first["kind"], "plan");
    assert_eq!(first["others"].as_array().unwrap().len(), 2);
    assert_eq!(first["others"][1]["plan"]["to"], "3.5.16");
    let told = last["clusters"].as_array().unwrap().iter();
    let told: Vec<_> = told
        .map(|one| {
            (
                one["cluster"].as_str().unwrap(),
                one["status"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(told, [("dead", 3), ("done", 0), ("fine", 0)]);

    let again = runner(&fleet, &["upgrade", "--yes", "--max-failures", "1"]).ends_with(3);
    assert!(again.out.contains("✘ dead"), "{}", again.out);
    assert!(
        again.out.contains("✔ fine  nothing to do, it runs 3.5.16"),
        "{}",
        again.out
    );
    assert!(again.err.contains("CLUSTER"), "{}", again.err);
}
