//! What the machine's own apt configuration says about the Debian archive. Nothing is spelt out here.

use std::fs;
use std::path::{Path, PathBuf};

use super::LabError;
use super::tool::Tool;

/// One archive of apt's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    uri: String,
    suites: Vec<String>,
    components: Vec<String>,
}

/// The Debian archive that this machine installs from.
///
/// # Errors
/// [`LabError::NoMirror`] when the configuration has none.
pub fn mirror() -> Result<String, LabError> {
    mirror_of(Path::new("/etc/apt"), &suite_of_machine())
}

/// The proxy that apt is told to use, if any.
pub(super) fn proxy() -> Option<String> {
    let told = Tool::new("apt-config").args(["shell", "PROXY", "Acquire::http::Proxy"]);
    let line = told.run().ok()?;
    let value = line.trim().strip_prefix("PROXY='")?.strip_suffix('\'')?;
    (!value.is_empty() && value != "DIRECT").then(|| value.to_owned())
}

/// This machine's architecture in Debian's words.
///
/// # Errors
/// When `dpkg` fails.
pub fn architecture() -> Result<String, LabError> {
    let said = Tool::new("dpkg").arg("--print-architecture").run()?;
    Ok(said.trim().to_owned())
}

fn suite_of_machine() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let line = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    line.unwrap_or("stable").trim_matches('"').to_owned()
}

fn mirror_of(apt: &Path, suite: &str) -> Result<String, LabError> {
    let entries: Vec<Entry> = files(apt).iter().flat_map(|file| read(file)).collect();
    let main = |entry: &&Entry| entry.components.iter().any(|part| part == "main");
    let aliases = [suite, "stable", "testing", "unstable", "sid"];
    let named = |alias: &str| {
        let mut fitting = entries.iter().filter(main);
        fitting.find(|entry| entry.suites.iter().any(|name| name == alias))
    };
    let found = aliases.iter().find_map(|alias| named(alias));
    let uri = found.and_then(|entry| address(&entry.uri));
    uri.ok_or_else(|| LabError::NoMirror {
        suite: suite.to_owned(),
        folder: apt.to_owned(),
    })
}

/// Follows `mirror+file:` to the first address of its list.
fn address(uri: &str) -> Option<String> {
    let Some(path) = uri.strip_prefix("mirror+file:") else {
        return Some(uri.trim_end_matches('/').to_owned());
    };
    let list = fs::read_to_string(path.trim_start_matches("//")).ok()?;
    let mut lines = list.lines().filter(|line| !line.starts_with('#'));
    let first = lines.find_map(|line| line.split_whitespace().next())?;
    Some(first.trim_end_matches('/').to_owned())
}

fn files(apt: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(apt.join("sources.list.d"));
    let mut parts: Vec<_> = listed
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())))
        .map(Iterator::collect)
        .unwrap_or_default();
    parts.sort();
    parts.insert(0, apt.join("sources.list"));
    parts
}

fn read(file: &Path) -> Vec<Entry> {
    let Ok(text) = fs::read_to_string(file) else {
        return Vec::new();
    };
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("sources") => stanzas(&text),
        Some("list") => lines(&text),
        _ => Vec::new(),
    }
}

/// The one-line style: `deb [options] URI SUITE COMPONENT…`.
fn lines(text: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let rest = line.trim().strip_prefix("deb")?;
        let rest = rest.strip_prefix(char::is_whitespace)?.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']')?.1,
            None => rest,
        };
        let rest = rest.split('#').next()?;
        let mut words = rest.split_whitespace().map(str::to_owned);
        Some(Entry {
            uri: words.next()?,
            suites: vec![words.next()?],
            components: words.collect(),
        })
    };
    text.lines().filter_map(entry).collect()
}

/// The deb822 style: stanzas of `Field: value`, continued by lines that begin with white space.
fn stanzas(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    for stanza in text.split("\n\n") {
        let words = |field: &str| words_of(stanza, field);
        let is_off = words("Enabled").first().is_some_and(|word| word == "no");
        if is_off || !words("Types").iter().any(|word| word == "deb") {
            continue;
        }
        entries.extend(words("URIs").into_iter().map(|uri| Entry {
            uri,
            suites: words("Suites"),
            components: words("Components"),
        }));
    }
    entries
}

fn words_of(stanza: &str, field: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut is_ours = false;
    for line in stanza.lines().filter(|line| !line.starts_with('#')) {
        let value = if line.starts_with(char::is_whitespace) {
            line
        } else {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            is_ours = name.eq_ignore_ascii_case(field);
            value
        };
        if is_ours {
            words.extend(value.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apt(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sources.list.d")).unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn a_stanza_with_the_machines_suite_gives_the_mirror() {
        let text = "# comment\nTypes: deb deb-src\nURIs: http://mirror.example/debian/\n\
                    Suites: bookworm bookworm-updates\nComponents: main\n\nTypes: deb\n\
                    URIs: http://mirror.example/security\nSuites: bookworm-security\nComponents: main\n";
        let folder = apt(&[("sources.list.d/debian.sources", text)]);
        let found = mirror_of(folder.path(), "bookworm").unwrap();
        assert_eq!(found, "http://mirror.example/debian");
    }

    #[test]
    fn one_line_entries_with_options_are_understood() {
        let text = "deb-src http://wrong.example/debian trixie main\n\
                    deb [arch=amd64 signed-by=/x] http://mirror.example/debian trixie main contrib # x\n";
        let folder = apt(&[("sources.list", text)]);
        let found = mirror_of(folder.path(), "trixie").unwrap();
        assert_eq!(found, "http://mirror.example/debian");
    }

    #[test]
    fn other_vendors_and_disabled_stanzas_are_passed_over() {
        let off =
            "Enabled: no\nTypes: deb\nURIs: http://off.example\nSuites: trixie\nComponents: main\n";
        let other = "deb http://vendor.example/linux trixie stable\n";
        let folder = apt(&[
            ("sources.list.d/a.sources", off),
            ("sources.list.d/b.list", other),
        ]);
        let refused = mirror_of(folder.path(), "trixie").unwrap_err();
        assert!(matches!(refused, LabError::NoMirror { .. }));
    }

    #[test]
    fn a_mirror_list_file_is_followed() {
        let list = tempfile::NamedTempFile::new().unwrap();
        fs::write(
            list.path(),
            "# fast\nhttp://mirror.example/debian priority:1\n",
        )
        .unwrap();
        let text = format!("deb mirror+file:{} trixie main\n", list.path().display());
        let folder = apt(&[("sources.list", &text)]);
        let found = mirror_of(folder.path(), "trixie").unwrap();
        assert_eq!(found, "http://mirror.example/debian");
    }
}
