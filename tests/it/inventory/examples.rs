use super::*;

fn example() -> String {
    std::fs::read_to_string(repository().join("inventories/example.toml")).unwrap()
}

/// The example with every setting switched on.
fn everything_on() -> String {
    let on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| !c.is_whitespace()) => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    example().lines().map(on).collect()
}

#[test]
fn the_example_loads_as_it_is() {
    let file = repository().join("inventories/example.toml");
    let loaded = load_in(&[file], &[], None).unwrap();
    let hosts = |name: &str| &loaded.inventory.clusters[name].hosts;
    assert_eq!(hosts("prod").len(), 3);
    assert_eq!(hosts("prod")[2].member, "third");
    assert_eq!(hosts("stage")[2].name, "stage-03");
    assert_eq!(hosts("stage")[2].address, "10.0.1.13");
    assert_eq!(loaded.inventory.clusters["stage"].backup.keep, 2);
}

#[test]
fn the_example_loads_with_every_setting_switched_on() {
    let folder = Folder::new(&[
        ("inventories/all.toml", &everything_on()),
        ("templates/etcd.service.j2", "unit"),
        ("templates/etcd.conf.yml.j2", "conf"),
        (".config/runner/etcd-password", "geheim\n"),
    ]);
    let loaded = folder.load(&["inventories/all.toml"], &[]).unwrap();
    let host = &loaded.inventory.clusters["prod"].hosts[0];
    assert_eq!(host.auth.as_ref().unwrap().password.reveal(), "geheim");
    assert_eq!(host.templates.unit.as_ref().unwrap().text, "unit");
    assert_eq!(host.templates.files[0].mode, 0o640);
    assert_eq!(
        host.tls.as_ref().unwrap().cert.as_deref(),
        Some("/etc/etcd/client.crt")
    );
    assert_eq!(host.ssh.port, Some(22));
    assert_eq!(host.ssh.identity_file, Some(folder.path(".ssh/id_ed25519")));
}

#[test]
fn the_example_has_every_key() {
    let text = everything_on();
    let folder = Folder::new(&[
        ("inventories/all.toml", &text),
        ("templates/etcd.service.j2", ""),
        ("templates/etcd.conf.yml.j2", ""),
        (".config/runner/etcd-password", "x"),
    ]);
    let loaded = folder.load(&["inventories/all.toml"], &[]).unwrap();
    // `etcd-3` carries its own member; all else that can be set is set for it.
    let settings = loaded.origins.of_host("etcd-3").unwrap();
    let unset: Vec<_> = settings
        .iter()
        .filter(|s| !s.from.contains("all.toml:"))
        .collect();
    assert!(unset.is_empty(), "{unset:?}");
    assert!(settings.len() >= 28, "{}", settings.len());
}

#[test]
fn the_lab_has_three_members_and_a_login_user_that_becomes_root() {
    let loaded = inventory::load_text("lab.toml", inventory::LAB, &[]).unwrap();
    let lab = &loaded.inventory.clusters["lab"];
    assert_eq!(lab.version.as_ref().unwrap().to_string(), "3.5.16");
    let hosts: Vec<_> = lab
        .hosts
        .iter()
        .map(|h| format!("{} {}", h.name, h.address))
        .collect();
    assert_eq!(
        hosts,
        [
            "etcd-1 10.77.0.11",
            "etcd-2 10.77.0.12",
            "etcd-3 10.77.0.13"
        ]
    );
    for host in &lab.hosts {
        assert_eq!(host.ssh.user.as_deref(), Some("ops"));
        assert_eq!(host.escalation, inventory::Escalation::Sudo);
    }
}

#[test]
fn what_the_example_says_of_a_host_is_shown_with_its_lines() {
    let folder = Folder::new(&[("example.toml", &example())]);
    let loaded = folder.load(&["example.toml"], &[]).unwrap();
    let shown = command::show(&loaded, "etcd-2").unwrap();
    insta::assert_snapshot!("example_host", folder.plain(&shown));
    let selected = select(&loaded.inventory, &["prod,!etcd-1".into()]).unwrap();
    insta::assert_snapshot!("example_list", command::list(&selected));
    let json = command::list_json(&selected);
    assert_eq!(json["clusters"][0]["hosts"][1]["member"], "third");
    assert_eq!(json["clusters"][0]["version"], "3.5.30");
    let json = command::show_json(&loaded, "etcd-2").unwrap();
    assert_eq!(json["settings"][0]["key"], "version");
}

#[test]
fn an_unknown_host_is_answered_with_near_names() {
    let loaded = inventory::load_text("lab.toml", inventory::LAB, &[]).unwrap();
    assert_eq!(
        command::show(&loaded, "etdc-1").unwrap_err().to_string(),
        "no host `etdc-1` in the inventory; did you mean `etcd-1` or `etcd-2` or `etcd-3`?"
    );
}
