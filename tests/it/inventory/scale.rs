use std::fmt::Write;
use std::time::{Duration, Instant};

use super::*;

/// So many clusters of three in one text.
fn clusters(count: usize) -> String {
    let mut text = "[defaults]\nuser = \"ops\"\n[defaults.vars]\na = 1\n".to_owned();
    for c in 0..count {
        let (x, y) = (c / 250, c % 250);
        writeln!(
            text,
            "[clusters.c{c}]\nversion = \"3.5.16\"\n[clusters.c{c}.hosts.\"c{c}-[1:3]\"]\n\
             address = \"10.{x}.{y}.[1:3]\"\n[clusters.c{c}.hosts.c{c}-2]\nvars = {{ b = 2 }}"
        )
        .unwrap();
    }
    text
}

/// The better of two loads: the machine may be busy.
fn time(text: &str, files: usize) -> Duration {
    let folder = Folder::new(&[("i.toml", text)]);
    let once = || {
        let started = Instant::now();
        let loaded = folder.load(&vec!["i.toml"; files], &[]).unwrap();
        let took = started.elapsed();
        let mut clusters = loaded.inventory.clusters.values();
        assert!(clusters.all(|cluster| cluster.hosts.len() == 3));
        took
    };
    once().min(once())
}

#[test]
fn three_thousand_clusters_load_in_a_time_that_grows_in_proportion() {
    let (few, many) = (clusters(300), clusters(3000));
    for files in [1, 2] {
        let small = time(&few, files).max(Duration::from_millis(10));
        let large = time(&many, files);
        // Ten times the text: 10 is linear, 100 quadratic.
        assert!(large < small * 50, "{small:?} for 300, {large:?} for 3000");
    }
}
