use proptest::prelude::*;

use super::*;

const LAYERED: &str = r#"
[defaults]
user = "d"
port = 1022
unit = "d.service"
data_dir = "/d"
[defaults.vars]
a = "d"
b = "d"
c = "d"
[defaults.tls]
cacert = "/d/ca"
[clusters.prod]
port = 2022
unit = "c.service"
data_dir = "/c"
vars = { b = "c", c = "c" }
[clusters.prod.hosts.h1]
address = "10.0.0.1"
unit = "h.service"
data_dir = "/h"
vars = { c = "h" }
[clusters.prod.hosts.h2]
"#;

#[test]
fn a_host_covers_its_cluster_which_covers_the_defaults_and_e_covers_all() {
    let folder = Folder::new(&[("i.toml", LAYERED)]);
    let loaded = folder
        .load(&["i.toml"], &["data_dir=/e", "vars.d=[1, \"x\"]"])
        .unwrap();
    let host = &loaded.inventory.clusters["prod"].hosts[0];
    assert_eq!(host.ssh.user.as_deref(), Some("d"));
    assert_eq!(host.ssh.port, Some(2022));
    assert_eq!(host.unit, "h.service");
    assert_eq!(host.data_dir, "/e");
    assert_eq!(host.install_dir, "/opt/etcd");
    assert_eq!(host.tls.as_ref().unwrap().cacert.as_deref(), Some("/d/ca"));
    let vars = serde_json::to_string(&host.vars).unwrap();
    assert_eq!(vars, r#"{"a":"d","b":"c","c":"h","d":[1,"x"]}"#);
}

#[test]
fn every_setting_says_where_it_came_from() {
    let folder = Folder::new(&[("i.toml", LAYERED)]);
    let loaded = folder.load(&["i.toml"], &["data_dir=/e"]).unwrap();
    let from = |host, key| {
        let (value, from) = setting(&loaded, host, key);
        format!("{value} from {}", folder.plain(&from))
    };
    assert_eq!(from("h1", "user"), "d from DIR/i.toml:3:1 [defaults]");
    assert_eq!(
        from("h1", "port"),
        "2022 from DIR/i.toml:14:1 [clusters.prod]"
    );
    assert_eq!(
        from("h1", "unit"),
        "h.service from DIR/i.toml:20:1 [clusters.prod.hosts.h1]"
    );
    assert_eq!(
        from("h1", "vars.c"),
        "\"h\" from DIR/i.toml:22:10 [clusters.prod.hosts.h1]"
    );
    assert_eq!(from("h1", "data_dir"), "/e from -e");
    assert_eq!(from("h1", "bin_dir"), "/usr/local/bin from built in");
    assert_eq!(from("h2", "address"), "h2 from the host's name");
    assert_eq!(from("h2", "identity_file"), "(ssh decides) from built in");
}

#[test]
fn what_nobody_sets_is_as_the_contract_says() {
    let loaded = inventory::load_text("i.toml", "[clusters.a.hosts.h]", &[]).unwrap();
    let cluster = &loaded.inventory.clusters["a"];
    let host = &cluster.hosts[0];
    assert_eq!(host.ssh, inventory::Ssh::default());
    assert_eq!(host.escalation, inventory::Escalation::None);
    assert_eq!((host.address.as_str(), host.member.as_str()), ("h", "h"));
    assert_eq!(host.unit, "etcd.service");
    assert_eq!(host.data_dir, "/var/lib/etcd");
    assert_eq!(host.bin_dir, "/usr/local/bin");
    assert_eq!(host.install_dir, "/opt/etcd");
    assert_eq!(host.backup_dir, "/var/backups/etcd");
    assert_eq!(host.client_url, "http://127.0.0.1:2379");
    assert_eq!((&host.tls, &host.auth), (&None, &None));
    assert_eq!(host.templates, inventory::Templates::default());
    assert_eq!((cluster.backup.keep, cluster.backup.fetch), (7, true));
    assert!(
        cluster
            .releases
            .source
            .starts_with("https://github.com/etcd-io/etcd/releases/")
    );
    assert!(
        cluster
            .releases
            .sha256sums
            .as_ref()
            .unwrap()
            .ends_with("/SHA256SUMS")
    );
    assert_eq!(cluster.version, None);
}

#[test]
fn a_cluster_and_e_cover_backup_and_releases() {
    let text = r#"
[backup]
keep = 5
[releases]
source = "rel"
sha256sums = "rel/SHA256SUMS"
[clusters.a.backup]
keep = 2
[clusters.a.hosts.a1]
[clusters.b.hosts.b1]
"#;
    let folder = Folder::new(&[("sub/i.toml", text)]);
    let loaded = folder
        .load(&["sub/i.toml"], &[])
        .unwrap()
        .inventory
        .clusters;
    assert_eq!((loaded["a"].backup.keep, loaded["b"].backup.keep), (2, 5));
    assert_eq!(loaded["a"].releases.source, "rel");
    assert_eq!(loaded["a"].releases.base, folder.path("sub"));
    let sums = folder.path("sub/rel/SHA256SUMS").display().to_string();
    assert_eq!(loaded["a"].releases.sha256sums, Some(sums));
    let sets = [
        "backup.keep=3",
        "releases.source=/dir",
        "releases.sha256sums=",
        "version=v3.5.30",
    ];
    let loaded = folder
        .load(&["sub/i.toml"], &sets)
        .unwrap()
        .inventory
        .clusters;
    assert_eq!((loaded["a"].backup.keep, loaded["b"].backup.keep), (3, 3));
    assert_eq!(loaded["b"].releases.source, "/dir");
    assert_eq!(loaded["b"].releases.sha256sums, None);
    assert_eq!(loaded["b"].version.as_ref().unwrap().to_string(), "3.5.30");
}

#[test]
fn the_official_sums_hold_for_the_official_source_alone() {
    let text = "[releases]\nsource = \"~/rel\"\n[clusters.a.hosts.a1]\n";
    let folder = Folder::new(&[("i.toml", text)]);
    let loaded = folder.load(&["i.toml"], &[]).unwrap();
    let releases = &loaded.inventory.clusters["a"].releases;
    assert_eq!(releases.source, folder.path("rel").display().to_string());
    assert_eq!(releases.sha256sums, None);
    assert_eq!(setting(&loaded, "a1", "releases.sha256sums").0, "(none)");
}

#[test]
fn a_pair_of_packages_may_lie_in_the_home_folder() {
    let folder = Folder::new(&[("i.toml", "[clusters.a.hosts.a1]\n")]);
    let loaded = folder
        .load(&["i.toml"], &["releases.source=~/a.deb, b.deb"])
        .unwrap();
    let source = &loaded.inventory.clusters["a"].releases.source;
    assert_eq!(folder.plain(source), "DIR/a.deb,b.deb");
}

#[test]
fn bare_words_numbers_and_lists_on_the_command_line_fit_their_settings() {
    let folder = Folder::new(&[("i.toml", "[clusters.a.hosts.h]")]);
    let sets = [
        "become=sudo",
        "user=1000",
        "jump=a,ops@b:22",
        "port=2222",
        "tls.cacert=/x",
        "vars.n=3",
    ];
    let loaded = folder.load(&["i.toml"], &sets).unwrap();
    let host = &loaded.inventory.clusters["a"].hosts[0];
    assert_eq!(host.escalation, inventory::Escalation::Sudo);
    assert_eq!(host.ssh.user.as_deref(), Some("1000"));
    assert_eq!(host.ssh.jump, ["a", "ops@b:22"]);
    assert_eq!(host.ssh.port, Some(2222));
    assert_eq!(host.vars["n"], 3);
    let loaded = folder
        .load(&["i.toml"], &["become=sudo", "become=false"])
        .unwrap();
    assert_eq!(
        loaded.inventory.clusters["a"].hosts[0].escalation,
        inventory::Escalation::None
    );
}

#[test]
fn a_later_file_covers_an_earlier_one_and_adds_to_it() {
    let folder = Folder::new(&[
        (
            "a.toml",
            "[defaults]\nuser = \"a\"\nport = 1\n[clusters.p]\nversion = \"3.4.1\"\n[clusters.p.hosts.p1]\naddress = \"x\"",
        ),
        (
            "b.toml",
            "[defaults]\nuser = \"b\"\n[clusters.p]\nversion = \"3.5.1\"\n[clusters.p.hosts.p2]\n[clusters.p.hosts.p1]\nport = 9\naddress = \"x\"",
        ),
    ]);
    let loaded = folder.load(&["a.toml", "b.toml"], &[]).unwrap();
    let cluster = &loaded.inventory.clusters["p"];
    assert_eq!(cluster.version.as_ref().unwrap().to_string(), "3.5.1");
    let names: Vec<_> = cluster
        .hosts
        .iter()
        .map(|host| host.name.as_str())
        .collect();
    assert_eq!(names, ["p1", "p2"]);
    assert_eq!(cluster.hosts[0].ssh.user.as_deref(), Some("b"));
    assert_eq!(
        (cluster.hosts[0].ssh.port, cluster.hosts[1].ssh.port),
        (Some(9), Some(1))
    );
    assert_eq!(
        setting(&loaded, "p1", "user").1,
        format!("{}:2:1 [defaults]", folder.path("b.toml").display())
    );
}

#[test]
fn a_range_makes_hosts_and_one_of_them_may_say_more() {
    let text = r#"
[clusters.p.hosts."etcd-[1:3]"]
address = "fd00::[1:3]"
member = "m[1:3]"
client_url = "https://{address}:2379"
vars = { rack = "r[a:c]", all = "x", deep = [{ n = "[7:9]" }] }
[clusters.p.hosts.etcd-2]
port = 2222
vars = { own = 1 }
"#;
    let loaded = inventory::load_text("i.toml", text, &[]).unwrap();
    let hosts = &loaded.inventory.clusters["p"].hosts;
    assert_eq!(hosts[1].name, "etcd-2");
    assert_eq!(hosts[1].address, "fd00::2");
    assert_eq!(hosts[1].member, "m2");
    assert_eq!(hosts[1].client_url, "https://[fd00::2]:2379");
    assert_eq!(
        serde_json::Value::Object(hosts[1].vars.clone()),
        serde_json::json!({ "rack": "rb", "all": "x", "deep": [{ "n": "8" }], "own": 1 })
    );
    assert_eq!((hosts[0].ssh.port, hosts[1].ssh.port), (None, Some(2222)));
}

#[test]
fn local_paths_start_at_the_file_or_at_home() {
    let text = r#"
[defaults]
identity_file = "keys/id"
known_hosts = "~/known"
ssh_config = "/etc/x"
[defaults.templates]
unit = "../t/u.j2"
[clusters.p.hosts.p1]
"#;
    let folder = Folder::new(&[("sub/i.toml", text), ("t/u.j2", "U")]);
    let loaded = folder.load(&["sub/i.toml"], &[]).unwrap();
    let host = &loaded.inventory.clusters["p"].hosts[0];
    assert_eq!(host.ssh.identity_file, Some(folder.path("sub/keys/id")));
    assert_eq!(host.ssh.known_hosts, Some(folder.path("known")));
    assert_eq!(host.ssh.config, Some(PathBuf::from("/etc/x")));
    assert_eq!(host.templates.unit.as_ref().unwrap().text, "U");
}

#[test]
fn no_password_is_ever_shown() {
    let text = "[defaults.auth]\nuser = \"root\"\npassword_file = \"pw\"\n[defaults.vars]\ndb_password = \"hunter2\"\n[clusters.p.hosts.p1]\n";
    let folder = Folder::new(&[("i.toml", text), ("pw", "hunter2\r\n")]);
    let loaded = folder.load(&["i.toml"], &[]).unwrap();
    let auth = loaded.inventory.clusters["p"].hosts[0]
        .auth
        .clone()
        .unwrap();
    assert_eq!(auth.password.reveal(), "hunter2");
    let shown = command::show(&loaded, "p1").unwrap();
    let json = command::show_json(&loaded, "p1").unwrap().to_string();
    let debug = format!("{auth:?}");
    for text in [shown, json, debug] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

proptest! {
    #[test]
    fn the_highest_layer_that_speaks_wins(layers in proptest::array::uniform4(proptest::option::of("[a-z]{1,6}"))) {
        let [defaults, cluster, host, set] = &layers;
        let line = |value: &Option<String>| value.as_ref().map_or(String::new(), |v| format!("user = \"{v}\"\n"));
        let text = format!(
            "[defaults]\n{}[clusters.c]\n{}[clusters.c.hosts.h]\n{}", line(defaults), line(cluster), line(host),
        );
        let sets: Vec<String> = set.iter().map(|v| format!("user={v:?}")).collect();
        let loaded = inventory::load_text("i.toml", &text, &sets).unwrap();
        let expected = set.as_ref().or(host.as_ref()).or(cluster.as_ref()).or(defaults.as_ref());
        prop_assert_eq!(loaded.inventory.clusters["c"].hosts[0].ssh.user.as_ref(), expected);
    }

    #[test]
    fn a_variable_is_what_was_written(text in "[ -~äß→]{0,20}") {
        let quoted = toml::Value::String(text.clone()).to_string();
        let file = format!("[clusters.c.hosts.h]\nvars.a = {quoted}\n");
        let loaded = inventory::load_text("i.toml", &file, &[]).unwrap();
        prop_assert_eq!(loaded.inventory.clusters["c"].hosts[0].vars["a"].as_str(), Some(text.as_str()));
    }

    #[test]
    fn the_order_of_tables_in_a_file_does_not_matter(seed in 0_usize..24) {
        let mut tables = vec![
            "[defaults]\nuser = \"d\"\n", "[backup]\nkeep = 2\n", "[clusters.c]\nversion = \"3.5.1\"\n",
            "[clusters.c.hosts.h]\nport = 3\n",
        ];
        let mut text = String::new();
        let mut seed = seed;
        while !tables.is_empty() {
            let count = tables.len();
            text.push_str(tables.remove(seed % count));
            seed /= count;
        }
        let loaded = inventory::load_text("i.toml", &text, &[]).unwrap();
        let cluster = &loaded.inventory.clusters["c"];
        prop_assert_eq!(cluster.backup.keep, 2);
        prop_assert_eq!(cluster.hosts[0].ssh.user.as_deref(), Some("d"));
        prop_assert_eq!(cluster.hosts[0].ssh.port, Some(3));
        prop_assert!(cluster.version.is_some());
    }
}
