//! Names that mean something to a shell reach the hosts as they are, in every command there is.

use std::fs;
use std::os::unix::fs::symlink;

use crate::common::Cluster;
use crate::common::look::litter;
use crate::common::run::{installed, inventory, outcome, running};

/// What a folder may be called: blanks, quotes, a substitution, a list of commands, a pattern, something like a flag.
const NAME: &str =
    r#"-rf a  b 'c' "d" \e $(touch owned) `touch owned` ;touch owned & * %s %h [x] ~ é"#;

/// A string of TOML.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[test]
fn folders_and_values_with_the_signs_of_shells_are_but_names() {
    let cluster = Cluster::start(1, "3.4.23", "3.5.16");
    let lab = &cluster.lab;
    let releases = lab.folder().join(format!("releases {NAME}"));
    symlink(lab.folder().join("releases"), &releases).unwrap();
    fs::write(lab.folder().join("odd.j2"), "{{ vars.word }}\n").unwrap();
    let (install, backups) = (format!("/srv/{NAME}"), format!("/var/backups/{NAME}"));
    let file = format!("/etc/etcd/{NAME}");
    let odd = inventory(&cluster, "odd", |text| {
        let is_kept = |line: &&str| {
            !["install_dir", "backup_dir"]
                .iter()
                .any(|key| line.starts_with(key))
        };
        let text = text.lines().filter(is_kept).collect::<Vec<_>>().join("\n");
        let own = format!(
            "[defaults]\ninstall_dir = {}\nbackup_dir = {}\n",
            quoted(&install),
            quoted(&backups)
        );
        assert!(text.contains("[defaults]\n"), "{text}");
        let text = text.replace("[defaults]\n", &own);
        format!(
            "{text}\n[defaults.vars]\nword = {}\n[[defaults.templates.files]]\nsrc = \"{}/odd.j2\"\ndest = {}\n\
             mode = \"0600\"\nowner = \"root:root\"\n",
            quoted(NAME),
            lab.folder().display(),
            quoted(&file),
        )
    });
    let run = |args: &[&str]| {
        let mut command = crate::common::run::command(&cluster, &odd, args);
        command.current_dir(lab.folder());
        command.arg("-e").arg(format!(
            "releases.source={}",
            quoted(&releases.display().to_string())
        ));
        outcome(command).ends_with(0).plainly()
    };
    run(&["check"]);
    run(&["plan", "-D"]);
    run(&["upgrade", "--yes"]);
    assert_eq!(running(&cluster, "etcd-1").0, "3.5.16");
    assert_eq!(installed(&cluster, "etcd-1"), "3.5.16");
    run(&["backup"]);
    run(&["restore", "--yes"]);

    let root = lab.host("etcd-1").unwrap().root();
    let on_host = |path: &str| root.join(&path[1..]);
    assert_eq!(
        fs::read_to_string(on_host(&file)).unwrap(),
        format!("{NAME}\n")
    );
    for binary in ["etcd", "etcdctl", "etcdutl"] {
        assert!(
            on_host(&install).join("3.5.16").join(binary).is_file(),
            "{binary}"
        );
    }
    assert!(on_host(&backups).join("lab").is_dir());
    let made = lab.sh("etcd-1", "find / -xdev -name owned -not -path '/proc/*'");
    assert_eq!(made.unwrap(), "");
    assert!(!lab.folder().join("owned").exists());
    assert!(litter(&cluster, "etcd-1").is_empty());
}
