//! Which keys are known where, and what was probably meant by one that is not.

use super::error::Problem;
use super::layer::Scope;

/// The keys that every layer may carry.
const COMMON: &[&str] = &[
    "user",
    "port",
    "identity_file",
    "known_hosts",
    "host_key_policy",
    "jump",
    "ssh_config",
    "become",
    "unit",
    "data_dir",
    "bin_dir",
    "install_dir",
    "backup_dir",
    "client_url",
    "tls",
    "auth",
    "templates",
    "vars",
];

/// The keys of the tables inside a layer.
const NESTED: &[(&str, &[&str])] = &[
    ("tls", &["cacert", "cert", "key"]),
    ("auth", &["user", "password_file"]),
    ("templates", &["unit", "files"]),
    ("templates.files", &["src", "dest", "mode", "owner"]),
    ("backup", &["keep", "fetch"]),
    ("releases", &["source", "sha256sums", "fan_out"]),
];

/// The keys at the top of a file.
pub const TOP: &[&str] = &["defaults", "backup", "releases", "clusters"];

/// The keys that a kind of table knows.
pub fn known(scope: Scope) -> Vec<&'static str> {
    let own: &[&str] = match scope {
        Scope::Defaults => &[],
        Scope::Top => return TOP.to_vec(),
        Scope::Cluster => &["version", "hosts", "backup", "releases"],
        Scope::Host => &["address", "member"],
        Scope::CommandLine => &["version", "backup", "releases"],
    };
    COMMON.iter().chain(own).copied().collect()
}

/// The keys of a table inside a layer.
pub fn nested(table: &str) -> &'static [&'static str] {
    NESTED
        .iter()
        .find(|(name, _)| *name == table)
        .map_or(&[], |(_, keys)| keys)
}

/// The problem of a key that its table does not know.
pub fn unknown(key: &str, scope: Scope, table: &str) -> Problem {
    let table = match scope {
        Scope::Top => "at the top of the file".to_owned(),
        _ => format!("in {table}"),
    };
    let fix = elsewhere(key, scope).unwrap_or_else(|| meant(key, &known(scope)));
    let (key, fix) = (key.to_owned(), Some(fix));
    Problem::UnknownKey { key, table, fix }
}

/// The problem of a key that a table inside a layer does not know.
pub fn unknown_nested(key: &str, name: &str, table: &str) -> Problem {
    let fix = if name == "auth" && key == "password" {
        "a password stays out of the inventory: put it into a file and name that as `password_file`"
            .to_owned()
    } else {
        meant(key, nested(name))
    };
    Problem::UnknownKey {
        key: key.to_owned(),
        table: format!("in {table}"),
        fix: Some(fix),
    }
}

/// What was probably meant, or else what could be.
fn meant(key: &str, known: &[&str]) -> String {
    near(key, known.iter().copied())
        .map_or_else(|| format!("known here: {}", known.join(", ")), did_you_mean)
}

/// "did you mean" of a near text.
pub fn did_you_mean(near: &str) -> String {
    format!("did you mean `{near}`?")
}

/// Where a key belongs that is known, but not here.
fn elsewhere(key: &str, scope: Scope) -> Option<String> {
    let place = match key {
        "version" | "hosts" => "in `[clusters.NAME]`",
        "address" | "member" => "in `[clusters.NAME.hosts.HOST]`",
        "backup" | "releases" => "at the top of the file or in `[clusters.NAME]`",
        _ if scope == Scope::Top && COMMON.contains(&key) => "in `[defaults]`",
        "defaults" | "clusters" => "at the top of the file",
        _ => return None,
    };
    Some(format!("`{key}` belongs {place}"))
}

/// The text that was probably meant.
pub fn near<'a>(text: &str, among: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    among
        .into_iter()
        .map(|one| (strsim::damerau_levenshtein(text, one), one))
        .filter(|(distance, one)| *distance <= (one.len().min(text.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, one)| one)
}

/// The nearest names, at most three.
pub fn nearest<'a>(text: &str, among: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<(usize, &str)> = among
        .filter(|name| near(text, [*name]).is_some())
        .map(|name| (strsim::damerau_levenshtein(text, name), name))
        .collect();
    names.sort_by_key(|(distance, _)| *distance);
    names.dedup();
    names
        .into_iter()
        .take(3)
        .map(|(_, name)| name.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fix(key: &str, scope: Scope) -> Option<String> {
        match unknown(key, scope, "[x]") {
            Problem::UnknownKey { fix, .. } => fix,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_typo_is_answered_with_the_near_key() {
        assert_eq!(
            fix("adress", Scope::Host).unwrap(),
            "did you mean `address`?"
        );
        assert_eq!(
            fix("dataa_dri", Scope::Defaults).unwrap(),
            "did you mean `data_dir`?"
        );
        assert_eq!(
            fix("cluster", Scope::Top).unwrap(),
            "did you mean `clusters`?"
        );
        let known = fix("colour", Scope::Top).unwrap();
        assert_eq!(known, "known here: defaults, backup, releases, clusters");
    }

    #[test]
    fn a_key_of_another_table_is_sent_there() {
        assert_eq!(
            fix("version", Scope::Host).unwrap(),
            "`version` belongs in `[clusters.NAME]`"
        );
        assert_eq!(
            fix("user", Scope::Top).unwrap(),
            "`user` belongs in `[defaults]`"
        );
    }
}
