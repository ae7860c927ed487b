//! Unit and configuration from the repository's own templates, on real hosts.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::Cluster;
use crate::common::run::{
    assert_untouched, begin_with, files, finish, installed, inventory, runner_with, running,
};

const UNIT: &str = "/etc/systemd/system/etcd.service";
const CONFIG: &str = "/etc/etcd/etcd.conf.yml";

/// An inventory with the repository's templates, changed, in a folder of their own.
fn templated(cluster: &Cluster, name: &str, change: impl Fn(String) -> String) -> PathBuf {
    let folder = cluster.lab.folder().join(name);
    fs::create_dir_all(&folder).unwrap();
    for file in ["etcd.service.j2", "etcd.conf.yml.j2"] {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/templates/");
        let text = fs::read_to_string(format!("{source}{file}")).unwrap();
        fs::write(folder.join(file), change(text)).unwrap();
    }
    inventory(cluster, name, |text| {
        format!(
            "{text}\n[defaults.templates]\nunit = \"{0}/etcd.service.j2\"\n\
             [[defaults.templates.files]]\nsrc = \"{0}/etcd.conf.yml.j2\"\ndest = \"{CONFIG}\"\n\
             mode = \"0640\"\nowner = \"root:etcd\"\n",
            folder.display()
        )
    })
}

fn read(cluster: &Cluster, host: &str, file: &str) -> String {
    let script = format!("stat -c '%a %U:%G' {file} 2>&1 && cat {file}; true");
    cluster.lab.sh(host, &script).unwrap()
}

#[test]
fn rendered_files_are_shown_verified_placed_and_put_back() {
    let cluster = Cluster::start(3, "3.4.23", "3.5.16");
    let hosts = cluster.shape.hosts();
    cluster.lab.sh(&hosts[1], "systemctl disable etcd").unwrap();
    let old: Vec<_> = hosts
        .iter()
        .map(|host| read(&cluster, host, UNIT))
        .collect();

    let good = templated(&cluster, "good", |text| text);
    let before = files(&cluster);
    shown(&cluster, &good);
    undefined(&cluster);
    assert_untouched(&before, &files(&cluster));
    broken(&cluster, &old);
    put_back(&cluster, &good, &old);
    changed_meanwhile(&cluster, &good);
    placed(&cluster, &good);
}

fn shown(cluster: &Cluster, good: &Path) {
    let plan = runner_with(cluster, good, &["plan", "-D"])
        .ends_with(0)
        .plainly();
    for line in [
        "+ExecStart=/usr/local/bin/etcd --config-file /etc/etcd/etcd.conf.yml",
        "+NoNewPrivileges=true",
        "+data-dir: /var/lib/etcd",
        "-  --data-dir=/var/lib/etcd \\",
        "--- /dev/null",
    ] {
        let is_there = plan.out.lines().any(|shown| shown == line);
        assert!(is_there, "{line} is not in\n{}", plan.out);
    }
    assert!(
        plan.out.contains(UNIT) && plan.out.contains(CONFIG),
        "{}",
        plan.out
    );
    assert!(plan.out.contains("@@"), "{}", plan.out);
}

/// A variable that nobody has defined is named with the template's file and line.
fn undefined(cluster: &Cluster) {
    let odd = templated(cluster, "undefined", |text| {
        text.replace("[Service]\n", "[Service]\n# {{ vars.nobody }}\n")
    });
    runner_with(cluster, &odd, &["upgrade", "--yes"])
        .ends_with(3)
        .says("undefined/etcd.service.j2:9: `vars.nobody` is not defined")
        .says("changed: nothing");
}

/// What systemd does not take is refused while every member still runs as before.
fn broken(cluster: &Cluster, old: &[String]) {
    let hosts = cluster.shape.hosts();
    let starts: Vec<_> = hosts.iter().map(|host| started(cluster, host)).collect();
    for (name, wrong, words) in [
        ("twice", "ExecStart=/bin/true\nRestart=", "TEMPLATE_EXEC"),
        ("typo", "Restart=sometimes\n#", "sometimes"),
    ] {
        let odd = templated(cluster, name, |text| text.replace("Restart=", wrong));
        let ran = runner_with(cluster, &odd, &["upgrade", "--yes"]);
        ran.ends_with(3).says(words);
        let now: Vec<_> = hosts.iter().map(|host| started(cluster, host)).collect();
        assert_eq!(now, starts, "no member was restarted");
        for (host, old) in hosts.iter().zip(old) {
            assert_eq!(read(cluster, host, UNIT), *old);
            assert_eq!(installed(cluster, host), "3.4.23");
        }
    }
}

/// A member that does not come up has its old unit again, and no configuration file that it had not.
fn put_back(cluster: &Cluster, good: &Path, old: &[String]) {
    const DROP_IN: &str = r#"mkdir -p /etc/systemd/system/etcd.service.d
        printf '[Service]\nExecStartPre=/bin/sh -c %s\n' \
            '"! /usr/local/bin/etcd --version | grep -q 3.5.16"' > /etc/systemd/system/etcd.service.d/no.conf
        systemctl daemon-reload"#;
    let hosts = cluster.shape.hosts();
    let writer = cluster.writer();
    for host in &hosts {
        cluster.lab.sh(host, DROP_IN).unwrap();
    }
    runner_with(cluster, good, &["upgrade", "--yes"])
        .ends_with(5)
        .says("put back on 3.4.23");
    assert!(writer.finish().unwrap().is_clean());
    for (host, old) in hosts.iter().zip(old) {
        assert_eq!(read(cluster, host, UNIT), *old, "{host}");
        assert!(
            read(cluster, host, CONFIG).contains("No such file"),
            "{host}"
        );
        assert_eq!(running(cluster, host).0, "3.4.23");
        let remove = "rm -r /etc/systemd/system/etcd.service.d && systemctl daemon-reload";
        cluster.lab.sh(host, remove).unwrap();
    }
}

/// A file that somebody changes after the plan was made is left as it is; the member is put back.
fn changed_meanwhile(cluster: &Cluster, good: &Path) {
    let leader = cluster.leader();
    let run = begin_with(cluster, good, &["upgrade", "--yes", "--settle", "5s"]);
    let hosts = cluster.shape.hosts();
    let followers: Vec<_> = hosts.iter().filter(|host| **host != leader).collect();
    let begun = std::time::Instant::now();
    while installed(cluster, followers[0]) != "3.5.16" {
        assert!(begun.elapsed().as_secs() < 120, "no member was switched");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let edit = format!("echo '# by hand' >> {UNIT}");
    cluster.lab.sh(&leader, &edit).unwrap();
    finish(run)
        .ends_with(5)
        .says("has changed since the plan was made")
        .says(UNIT);
    let edited = read(cluster, &leader, UNIT);
    assert!(edited.ends_with("# by hand\n"), "{edited}");
    assert_eq!(running(cluster, &leader).0, "3.4.23");
}

fn placed(cluster: &Cluster, good: &Path) {
    runner_with(cluster, good, &["upgrade", "--yes"]).ends_with(0);
    for (index, host) in cluster.shape.hosts().iter().enumerate() {
        let now = running(cluster, host);
        assert_eq!(now, ("3.5.16".to_owned(), "3.5.0".to_owned()), "{host}");
        let unit = read(cluster, host, UNIT);
        assert!(
            unit.starts_with("644 root:root\n# Rendered by runner"),
            "{unit}"
        );
        let config = read(cluster, host, CONFIG);
        assert!(
            config.starts_with("640 root:etcd\n# Rendered by runner"),
            "{config}"
        );
        let script = "systemctl is-enabled etcd; ls -A /etc/etcd; ls -A /etc/systemd/system | grep -c '^.runner'; true";
        let enabled = if index == 1 { "disabled" } else { "enabled" };
        let seen = cluster.lab.sh(host, script).unwrap();
        assert_eq!(seen, format!("{enabled}\netcd.conf.yml\n0\n"), "{host}");
    }
    let before = files(cluster);
    runner_with(cluster, good, &["plan", "--detailed-exitcode"]).ends_with(0);
    assert_untouched(&before, &files(cluster));
}

fn started(cluster: &Cluster, host: &str) -> String {
    let script = "systemctl show -p ExecMainStartTimestampMonotonic etcd";
    cluster.lab.sh(host, script).unwrap()
}
