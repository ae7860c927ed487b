//! Templates rendered, ours among them.

use super::*;

const UNIT: &str = include_str!("../../templates/etcd.service.j2");
const CONFIG: &str = include_str!("../../templates/etcd.conf.yml.j2");

fn context() -> Context {
    let url = |port: u16, n: u8| format!("http://10.0.0.1{n}:{port}");
    let peer = |n: u8| Peer {
        name: format!("etcd-{n}"),
        id: format!("a{n}"),
        learner: false,
        peer_urls: vec![url(2380, n)],
        client_urls: vec![url(2379, n)],
    };
    Context {
        host: "etcd-1".into(),
        address: "10.0.0.11".into(),
        cluster: "prod".into(),
        member: "etcd-1".into(),
        member_id: "a1".into(),
        learner: false,
        version: "3.5.16".into(),
        minor: "3.5".into(),
        release: Numbers {
            major: 3,
            minor: 5,
            patch: 16,
        },
        unit: "etcd.service".into(),
        unit_type: "notify".into(),
        data_dir: "/var/lib/etcd".into(),
        bin_dir: "/usr/local/bin".into(),
        install_dir: "/opt/etcd".into(),
        backup_dir: "/var/backups/etcd".into(),
        client_url: "http://127.0.0.1:2379".into(),
        client_urls: vec![url(2379, 1)],
        peer_urls: vec![url(2380, 1)],
        members: vec![peer(1), peer(2)],
        initial_cluster: format!("etcd-1={},etcd-2={}", url(2380, 1), url(2380, 2)),
        tls: None,
        vars: serde_json::Map::new(),
    }
}

#[track_caller]
fn snapshot(name: &str, text: &str) {
    insta::with_settings!({snapshot_path => "../../tests/it/snapshots"}, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn a_missing_variable_is_named_with_file_and_line() {
    let error = render(
        "etcd.conf.yml.j2",
        "name: x\nlevel: {{ vars.log_level }}\n",
        &context(),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "etcd.conf.yml.j2:2: `vars.log_level` is not defined"
    );
    let error = render("t", "{% if nothing_such %}x{% endif %}", &context()).unwrap_err();
    assert_eq!(error.to_string(), "t:1: `nothing_such` is not defined");
}

#[test]
fn a_broken_template_is_refused_with_its_line() {
    let error = render("t.j2", "a\n{% if version %}\n", &context()).unwrap_err();
    assert!(matches!(error, TemplateError::Invalid { .. }), "{error:?}");
    assert!(error.to_string().starts_with("t.j2:"), "{error}");
}

#[test]
fn a_template_can_branch_on_the_line() {
    let text = "{% if release.minor >= 6 %}new{% else %}old{% endif %} {{ minor }}";
    assert_eq!(render("t", text, &context()).unwrap(), "old 3.5\n");
}

#[test]
fn text_is_not_escaped_and_ends_with_one_newline() {
    let mut context = context();
    context.vars.insert("x".into(), "a&<b>\"".into());
    assert_eq!(
        render("x.html", "{{ vars.x }}\n\n", &context).unwrap(),
        "a&<b>\"\n"
    );
}

#[test]
fn the_shipped_unit_renders_without_variables() {
    let text = render("etcd.service.j2", UNIT, &context()).unwrap();
    snapshot("unit", &text);
}

/// What a template is rendered with for this release.
fn of_release(major: u64, minor: u64) -> Context {
    let patch = 0;
    let version = crate::etcd::Version::new(major, minor, patch);
    let rules = crate::etcd::catalogue::Catalogue::embedded();
    Context {
        version: version.to_string(),
        minor: version.minor().to_string(),
        release: Numbers {
            major,
            minor,
            patch,
        },
        unit_type: rules.unit_type(&version).to_owned(),
        ..context()
    }
}

#[test]
fn the_shipped_unit_has_the_type_and_the_options_that_each_release_knows() {
    for (release, kind, by_file) in [
        ((2, 0), "Type=simple", false),
        ((2, 1), "Type=simple", false),
        ((2, 2), "Type=notify", false),
        ((2, 3), "Type=notify", false),
        ((3, 0), "Type=notify", true),
        ((3, 7), "Type=notify", true),
    ] {
        let context = of_release(release.0, release.1);
        let text = render("etcd.service.j2", UNIT, &context).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.contains(&kind), "{release:?}: {text}");
        assert_eq!(text.contains("--config-file"), by_file, "{release:?}");
        let named = lines.contains(&"Environment=\"ETCD_NAME=etcd-1\"");
        assert_eq!(named, !by_file, "{release:?}: {text}");
    }
}

#[test]
fn the_shipped_unit_of_2_0_asks_for_certificates_in_its_own_words() {
    let unit = |minor| {
        let mut context = of_release(2, minor);
        let files = serde_json::json!({
            "cert_file": "/etc/etcd/server.crt", "key_file": "/etc/etcd/server.key",
            "ca_file": "/etc/etcd/ca.crt",
        });
        context.vars.insert("client_tls".into(), files);
        let options = serde_json::json!({"snapshot-count": 1000});
        context.vars.insert("etcd".into(), options);
        render("etcd.service.j2", UNIT, &context).unwrap()
    };
    snapshot("unit_2_0", &unit(0));
    let later = unit(1);
    assert!(later.contains("\nEnvironment=\"ETCD_TRUSTED_CA_FILE=/etc/etcd/ca.crt\"\n"));
    assert!(later.contains("\nEnvironment=\"ETCD_CLIENT_CERT_AUTH=true\"\n"));
    assert!(!later.contains("ETCD_CA_FILE"), "{later}");
}

#[test]
fn the_shipped_configuration_renders_without_variables() {
    let text = render("etcd.conf.yml.j2", CONFIG, &context()).unwrap();
    snapshot("config", &text);
}

#[test]
fn the_shipped_configuration_serves_api_2_only_where_etcd_still_can() {
    let mut context = context();
    context.vars.insert("enable_v2".into(), true.into());
    let serves = |context: &Context| {
        let text = render("etcd.conf.yml.j2", CONFIG, context).unwrap();
        text.lines().any(|line| line == "enable-v2: true")
    };
    assert!(serves(&context));
    context.release.minor = 6;
    assert!(!serves(&context));
}

#[test]
fn the_shipped_configuration_takes_certificates_from_variables() {
    let mut context = context();
    let files = serde_json::json!({
        "cert_file": "/etc/etcd/server.crt", "key_file": "/etc/etcd/server.key",
        "ca_file": "/etc/etcd/ca.crt",
    });
    context.vars.insert("client_tls".into(), files.clone());
    context.vars.insert("peer_tls".into(), files);
    context.vars.insert("log_level".into(), "debug".into());
    let options = serde_json::json!({"auto-compaction-retention": "1", "max-txn-ops": 256});
    context.vars.insert("etcd".into(), options);
    let text = render("etcd.conf.yml.j2", CONFIG, &context).unwrap();
    snapshot("config_with_tls", &text);
}
