//! Templates of unit and configuration files: minijinja, and a variable that does not exist is an error.
//!
//! A template is rendered once for each host and hop, with the hop's release, so it can branch on `minor`:
//!
//! ```jinja
//! {% if release.minor >= 6 %}…{% endif %}
//! ```
//!
//! What a template can use (the [`Context`]):
//!
//! | name | what it is |
//! | --- | --- |
//! | `host`, `address` | the host's name in the inventory, and where ssh connects |
//! | `cluster` | the cluster's name in the inventory |
//! | `member` | the member's name |
//! | `member_id` | its id in hexadecimal |
//! | `learner` | whether it is a learner |
//! | `version`, `minor` | the release that will run, such as `3.5.16`, and its line, `3.5` |
//! | `release.major`, `release.minor`, `release.patch` | the same as numbers, for comparisons |
//! | `unit`, `data_dir`, `bin_dir`, `install_dir`, `backup_dir` | as in the inventory |
//! | `client_url` | how the host reaches its own member |
//! | `client_urls`, `peer_urls` | lists: what the cluster's member list says of this member |
//! | `members` | a list of all members: `name`, `id`, `learner`, `peer_urls`, `client_urls` |
//! | `initial_cluster` | `NAME=PEER_URL,…` of all members, as the option `initial-cluster` takes it |
//! | `tls` | `cacert`, `cert`, `key` of the inventory's `[tls]`; `none` without it |
//! | `vars` | the inventory's `vars`, layered |
//!
//! Passwords are not in it. `vars.x | default("y")` and `vars.x is defined` work for what may be left out.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};
use serde::Serialize;

/// What a template can use; see the module's page.
#[derive(Clone, Debug, Serialize)]
pub struct Context {
    /// The host's name in the inventory.
    pub host: String,
    /// Where ssh connects.
    pub address: String,
    /// The cluster's name in the inventory.
    pub cluster: String,
    /// The member's name.
    pub member: String,
    /// The member's id in hexadecimal.
    pub member_id: String,
    /// Whether it is a learner.
    pub learner: bool,
    /// The release that will run.
    pub version: String,
    /// Its line.
    pub minor: String,
    /// Its numbers.
    pub release: Numbers,
    /// The systemd unit.
    pub unit: String,
    /// etcd's data folder.
    pub data_dir: String,
    /// The folder that the unit starts etcd from.
    pub bin_dir: String,
    /// Where releases are kept.
    pub install_dir: String,
    /// Where backups are written.
    pub backup_dir: String,
    /// How the host reaches its own member.
    pub client_url: String,
    /// Client URLs of this member in the member list.
    pub client_urls: Vec<String>,
    /// Peer URLs of this member in the member list.
    pub peer_urls: Vec<String>,
    /// All members.
    pub members: Vec<Peer>,
    /// All members as the option `initial-cluster` takes them.
    pub initial_cluster: String,
    /// The client's certificate files on the host.
    pub tls: Option<Tls>,
    /// Free variables.
    pub vars: serde_json::Map<String, serde_json::Value>,
}

/// A release's three numbers.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Numbers {
    /// The first.
    pub major: u64,
    /// The second.
    pub minor: u64,
    /// The third.
    pub patch: u64,
}

/// A member of the cluster.
#[derive(Clone, Debug, Serialize)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Its id in hexadecimal.
    pub id: String,
    /// Whether it is a learner.
    pub learner: bool,
    /// Where its peers reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
}

/// Certificate files on the host for clients; an absent one is `none`.
#[derive(Clone, Debug, Serialize)]
pub struct Tls {
    /// The authority.
    pub cacert: Option<String>,
    /// The certificate.
    pub cert: Option<String>,
    /// Its key.
    pub key: Option<String>,
}

/// Why a template cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It uses a variable that is not there.
    #[error("{file}:{line}: `{expression}` is not defined")]
    Undefined {
        /// The template's file.
        file: String,
        /// The line in it, from 1.
        line: usize,
        /// What it asked for.
        expression: String,
    },
    /// It is not a template, or something in it fails.
    #[error("{file}:{line}: {what}")]
    Invalid {
        /// The template's file.
        file: String,
        /// The line in it, from 1.
        line: usize,
        /// The engine's words.
        what: String,
    },
}

/// Renders a template; `file` is its name for messages. The text ends with exactly one newline.
///
/// # Errors
/// File, line and the missing variable or the syntax error.
pub fn render(file: &str, text: &str, context: &Context) -> Result<String, TemplateError> {
    let environment = environment();
    let rendered = environment
        .render_named_str(file, text, Value::from(Serde(context)))
        .map_err(|error| explain(file, text, &error))?;
    let mut rendered = rendered.trim_end_matches('\n').to_owned();
    rendered.push('\n');
    Ok(rendered)
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .expect("the usual delimiters with other white space are valid"),
    );
    environment.set_debug(true);
    environment
}

fn explain(file: &str, text: &str, error: &minijinja::Error) -> TemplateError {
    let file = file.to_owned();
    let line = error.line().unwrap_or(1);
    if error.kind() == ErrorKind::UndefinedError {
        let expression = missing(text, line, error.range());
        return TemplateError::Undefined {
            file,
            line,
            expression,
        };
    }
    let what = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    TemplateError::Invalid { file, line, what }
}

/// The expression at the place of the error: what the engine points at, widened to the whole dotted name.
fn missing(text: &str, line: usize, range: Option<std::ops::Range<usize>>) -> String {
    let pointed = range.and_then(|range| text.get(range.clone()).map(|_| range));
    let Some(range) = pointed else {
        return text
            .lines()
            .nth(line.saturating_sub(1))
            .unwrap_or_default()
            .trim()
            .to_owned();
    };
    let named = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    let start = text[..range.start].rfind(|c| !named(c)).map_or(0, |at| {
        at + text[at..].chars().next().map_or(1, char::len_utf8)
    });
    let end = text[range.end..]
        .find(|c| !named(c))
        .map_or(text.len(), |at| range.end + at);
    text[start..end]
        .trim_matches(|c: char| !named(c))
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: &str = include_str!("../templates/etcd.service.j2");
    const CONFIG: &str = include_str!("../templates/etcd.conf.yml.j2");

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
        insta::with_settings!({snapshot_path => "../tests/it/snapshots"}, {
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
}
