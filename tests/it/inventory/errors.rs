use super::*;

fn only(text: &str) -> String {
    let text = complaint(text);
    let (head, rest) = text.split_once('\n').unwrap();
    assert_eq!(head, "the inventory has a problem", "{text}");
    rest.strip_prefix("DIR/i.toml:").unwrap_or(rest).to_owned()
}

#[test]
fn a_file_with_many_mistakes_tells_all_of_them_at_once() {
    let text = std::fs::read_to_string(repository().join("tests/it/inventory/many.toml")).unwrap();
    let folder = Folder::new(&[
        ("many.toml", &text),
        ("empty", "\n"),
        ("torn.toml", "[a\nb = 1\n"),
    ]);
    let shown = folder.complaint(
        &["many.toml", "torn.toml", "missing.toml"],
        &["version=3.5", "vrsion=1", "nonsense", "address=1"],
    );
    insta::assert_snapshot!("many", shown);
}

#[test]
fn two_definitions_of_a_host_that_disagree_are_both_named() {
    let folder = Folder::new(&[
        (
            "a.toml",
            "[clusters.p.hosts.p1]\naddress = \"x\"\nvars = { a = 1, b = 2 }\n",
        ),
        (
            "b.toml",
            "[clusters.p.hosts.p1]\naddress = \"y\"\nvars = { a = 2, b = 2 }\n",
        ),
    ]);
    assert_eq!(
        folder.complaint(&["a.toml", "b.toml"], &[]),
        "the inventory has 2 problems\n\
         DIR/b.toml:2:1: `address` of host `p1` differs from DIR/a.toml:2:1\n  hint: keep one of the two `address`\n\
         DIR/b.toml:3:10: `vars.a` of host `p1` differs from DIR/a.toml:3:10\n  hint: keep one of the two `vars.a`"
    );
    assert!(folder.load(&["a.toml", "a.toml"], &[]).is_ok());
}

#[test]
fn a_host_in_two_clusters_is_a_clash_and_both_places_are_said() {
    let text = "[clusters.a.hosts.h]\n[clusters.b.hosts.h]\n";
    assert_eq!(
        only(text),
        "2:19: host `h` is already in cluster `a` at DIR/i.toml:1:19\n  \
         hint: a host runs one member of one cluster; rename or remove one"
    );
}

#[test]
fn an_address_and_a_member_name_are_taken_once_in_a_cluster() {
    let text = "[clusters.a.hosts.h1]\naddress = \"10.0.0.1\"\n[clusters.a.hosts.h2]\naddress = \"10.0.0.1\"\nport = 22\n";
    assert!(
        only(text).starts_with(
            "4:1: address `10.0.0.1` port 22 of `h2` is taken by `h1` at DIR/i.toml:2:1"
        )
    );
    let other_port = text.replace("port = 22", "port = 23");
    assert!(inventory::load_text("i.toml", &other_port, &[]).is_ok());
    let text = "[clusters.a.hosts.h1]\n[clusters.a.hosts.h2]\nmember = \"h1\"\n";
    assert!(
        only(text).starts_with("3:1: member name `h1` of `h2` is taken by `h1` at DIR/i.toml:1:19")
    );
    let range = "[clusters.a.hosts.\"h[1:50]\"]\naddress = \"10.0.0.1\"\n";
    assert!(only(range).starts_with("2:1: address `10.0.0.1` port 22 of `h2` is taken by `h1`"));
}

#[test]
fn ranges_that_do_not_fit_say_how_long_they_are() {
    let text = "[clusters.a.hosts.\"h[1:3]\"]\naddress = \"10.0.0.[1:2]\"\n";
    let said = only_first(text);
    assert!(
        said.starts_with("2:11: `10.0.0.[1:2]` stands for 2 values, `h[1:3]` for 3 hosts"),
        "{said}"
    );
    let text = "[clusters.a.hosts.h1]\naddress = \"10.0.0.[1:2]\"\n";
    assert!(only_first(text).contains("stands for 2 values, `h1` for 1 hosts"));
    let text = "[clusters.a.hosts.\"h[3:1]\"]\n[clusters.a.hosts.x]\n";
    assert!(only(text).starts_with("1:19: range `[3:1]` runs backwards"));
    let text = "[clusters.a.hosts.\"h[1:99999]\"]\n[clusters.a.hosts.x]\n";
    assert!(only(text).starts_with("1:19: `h[1:99999]` stands for more than 10000 hosts"));
}

/// The first complaint, without the file's name.
fn only_first(text: &str) -> String {
    let text = complaint(text);
    let line = text.lines().nth(1).unwrap();
    line.strip_prefix("DIR/i.toml:").unwrap_or(line).to_owned()
}

#[test]
fn folders_that_must_be_apart_are_told_even_when_one_is_built_in() {
    let host = "[clusters.a.hosts.h1]\n[clusters.a.hosts.h2]\n";
    let same = only(&format!(
        "[defaults]\ninstall_dir = \"/usr/local/bin/\"\n{host}"
    ));
    assert_eq!(
        same,
        "2:1: `install_dir` and `bin_dir` (at built in) are the same folder `/usr/local/bin` on `h1`\n  \
         hint: give `install_dir` a folder of its own"
    );
    let inside = only(&format!("[defaults]\ndata_dir = \"/var/backups\"\n{host}"));
    assert!(
        inside.starts_with(
            "2:1: `backup_dir` `/var/backups/etcd` is inside `data_dir` `/var/backups`"
        ),
        "{inside}"
    );
    let apart =
        format!("[defaults]\ndata_dir = \"/opt/etcd/data\"\nbin_dir = \"/opt/etcd/bin\"\n{host}");
    assert!(inventory::load_text("i.toml", &apart, &[]).is_ok());
}

#[test]
fn settings_that_go_together_are_asked_for_once_for_all_hosts() {
    let host = "[clusters.a.hosts.h1]\n[clusters.a.hosts.h2]\n";
    assert_eq!(
        only(&format!("[defaults.tls]\ncert = \"/c\"\n{host}")),
        "2:1: `tls.cert` is set for `h1`, `tls.key` is not\n  hint: set `tls.key` too, or remove `tls.cert`"
    );
    // A half that is there and wrong is one problem, not two.
    assert!(
        only(&format!(
            "[defaults.tls]\ncert = \"/c\"\nkey = \"c\"\n{host}"
        ))
        .starts_with("3:7:")
    );
}

#[test]
fn files_that_settings_name_must_be_readable() {
    let host = "[clusters.a.hosts.h]\n";
    let unit = only(&format!("[defaults.templates]\nunit = \"x.j2\"\n{host}"));
    assert!(
        unit.starts_with("2:1: template `DIR/x.j2` cannot be read: there is no such file"),
        "{unit}"
    );
    let auth = |file: &str| {
        let text = format!("[defaults.auth]\nuser = \"root\"\npassword_file = \"{file}\"\n{host}");
        let folder = Folder::new(&[("i.toml", &text), ("empty", "\n"), ("two", "a\nb\n")]);
        folder.complaint(&["i.toml"], &[])
    };
    assert!(
        auth("none").contains("password file `DIR/none` cannot be read: there is no such file")
    );
    assert!(auth(".").contains("cannot be read: it is a folder"));
    assert!(auth("empty").contains("password file `DIR/empty` is empty"));
    assert!(auth("two").contains("password file `DIR/two` holds more than one line"));
}

#[test]
fn a_file_that_is_not_toml_stops_only_itself_and_starts_no_false_alarm() {
    let folder = Folder::new(&[
        ("a.toml", "[clusters.p]\nversion = \"3.5.1\"\nport = 0\n"),
        ("b.toml", "[clusters.p.hosts.p1\n"),
    ]);
    let shown = folder.complaint(&["a.toml", "b.toml"], &[]);
    assert!(
        shown.contains("DIR/a.toml:3:8: `port` is 0, needs 1 to 65535"),
        "{shown}"
    );
    assert!(shown.contains("DIR/b.toml:1:"), "{shown}");
    assert!(!shown.contains("has no hosts"), "{shown}");
}

#[test]
fn a_wrong_value_does_not_hide_behind_a_later_file() {
    let folder = Folder::new(&[
        (
            "a.toml",
            "[defaults]\nunit = \"etcd\"\n[clusters.p.hosts.p1]\n",
        ),
        ("b.toml", "[defaults]\nunit = \"etcd.service\"\n"),
    ]);
    let shown = folder.complaint(&["a.toml", "b.toml"], &[]);
    assert!(
        shown.contains("DIR/a.toml:2:8: `etcd` is not the name of a systemd service"),
        "{shown}"
    );
}

#[test]
fn nothing_at_all_says_what_to_write() {
    assert!(
        load_in(&[], &[], None)
            .unwrap_err()
            .to_string()
            .contains("no inventory was named")
    );
    assert!(only("").starts_with("1:1: no cluster is defined"));
    assert!(only("[clusters.a]\n").starts_with("1:11: cluster `a` has no hosts"));
}

#[test]
fn a_value_given_on_the_command_line_is_never_repeated_when_its_key_is_wrong() {
    let folder = Folder::new(&[("i.toml", "[clusters.a.hosts.h]\n")]);
    let shown = folder.complaint(&["i.toml"], &["auth.password=hunter2", "auth pass=hunter2"]);
    assert!(
        shown.contains("-e auth.password: unknown key `password` in `auth` of `-e`"),
        "{shown}"
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn rarer_mistakes_say_what_is_wrong_too() {
    let text = std::fs::read_to_string(repository().join("tests/it/inventory/rare.toml")).unwrap();
    let folder = Folder::new(&[
        ("rare.toml", &text),
        ("huge.toml", "a = 99999999999999999999\n"),
        ("t.j2", ""),
    ]);
    std::fs::write(folder.path("latin1.toml"), b"a = \"\xe4\"").unwrap();
    let shown = folder.complaint(
        &["rare.toml", "huge.toml", "latin1.toml", "."],
        &["jump=[\"a", "=1"],
    );
    insta::assert_snapshot!("rare", shown.replace("DIR/.:", "DIR/:"));
}

#[test]
fn no_control_character_of_an_inventory_reaches_the_terminal() {
    let text = "\"a\\u001b[2J\" = 1\n[clusters.c]\nversion = \"\\u0007\"\nunit = \"\\u001b\"\nbecome = \"\\n\"\n\
                [clusters.c.vars]\n\"\\u001b\" = 1\n[clusters.c.hosts.\"\\u001b[1:2]\"]\n[clusters.c.hosts.h]\naddress = \"\\u001b\"\n";
    let shown = complaint(text);
    assert!(shown.lines().count() >= 8, "{shown}");
    assert!(
        !shown.chars().any(|c| c.is_control() && c != '\n'),
        "{shown:?}"
    );
    assert!(shown.contains("unknown key `a\\u{1b}[2J`"), "{shown}");
}
