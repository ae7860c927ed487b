use super::*;
use crate::inventory::source::Kind;
use crate::inventory::tree;

fn clashes(text: &str) -> Vec<String> {
    let mut sources = Sources::default();
    let source = sources.add(
        Kind::File,
        Path::new("i.toml"),
        PathBuf::new(),
        text.to_owned(),
    );
    let table = tree::document(source, text).unwrap();
    let mut reader = Reader::new(&sources, None);
    reader.file(&table);
    reader
        .clashes
        .iter()
        .map(|(_, problem)| problem.to_string())
        .collect()
}

#[test]
fn every_known_key_is_read_and_none_is_passed_over() {
    // A time fits no setting, so a key that is known and not read would raise no complaint.
    let scopes = [
        (Scope::Defaults, "[defaults]"),
        (Scope::Top, ""),
        (Scope::Cluster, "[clusters.c]"),
        (Scope::Host, "[clusters.c.hosts.h]"),
    ];
    for (scope, header) in scopes {
        for key in keys::known(scope) {
            let found = clashes(&format!("{header}\n{key} = 07:32:00\n"));
            assert_eq!(found.len(), 1, "{key} in {header}: {found:?}");
            assert!(found[0].contains("is a date or time, needs"), "{found:?}");
        }
    }
}

#[test]
fn every_known_key_of_an_inner_table_is_read() {
    for table in ["tls", "auth", "templates", "backup", "releases"] {
        for key in keys::nested(table) {
            let found = clashes(&format!("[clusters.c.{table}]\n{key} = 07:32:00\n"));
            assert_eq!(found.len(), 1, "{table}.{key}: {found:?}");
        }
    }
    for key in keys::nested("templates.files") {
        let text = format!("[[defaults.templates.files]]\nsrc = \"s\"\ndest = \"/d\"\n{key} = 1\n");
        let text = text
            .replace(&format!("{key} = \"s\"\n"), "")
            .replace(&format!("{key} = \"/d\"\n"), "");
        let found = clashes(&text);
        assert_eq!(
            found,
            [format!("`files.{key}` is a whole number, needs a text")]
        );
    }
}

#[test]
fn a_home_path_without_a_home_says_so() {
    let found = clashes("[defaults]\nidentity_file = \"~/x\"\n");
    assert_eq!(
        found,
        ["`~/x` starts in the home folder, and `HOME` is not set"]
    );
}

#[test]
fn a_wrong_host_or_cluster_is_told_once_and_the_others_are_read() {
    let found = clashes(
        "[clusters.\"a b\".hosts.x]\n[clusters.c]\nhosts = 1\n[clusters.d.hosts]\n\"!x\" = {}\ny = 2\n",
    );
    assert_eq!(
        found,
        [
            "`cluster` holds ` `: `a b`",
            "`hosts` is a whole number, needs a table",
            "`host` holds `!`: `!x`",
            "`y` is a whole number, needs a table",
        ]
    );
}
