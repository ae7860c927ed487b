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
//! | `unit_type` | the type of a unit that fits the release: `notify`, or `simple` for 2.0 and 2.1 |
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
    /// The type of a unit that fits the release: `notify`, or `simple` for 2.0 and 2.1, which never tell systemd.
    pub unit_type: String,
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
mod tests;
