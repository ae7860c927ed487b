//! Who may use whom: the table of the architecture, held against the sources.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as the tests do"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules and what they may use of ours. `secret` and `exit` are words that anyone may use.
const OURS: &[(&str, &[&str])] = &[
    ("etcd", &[]),
    ("secret", &[]),
    ("exit", &[]),
    ("template", &[]),
    ("inventory", &["etcd"]),
    ("facts", &["etcd", "inventory", "transport"]),
    ("plan", &["etcd", "inventory", "facts", "template"]),
    ("event", &["etcd", "plan"]),
    ("transport", &["inventory"]),
    ("journal", &["event", "plan"]),
    ("releases", &["etcd", "facts", "inventory"]),
    (
        "engine",
        &[
            "etcd",
            "inventory",
            "plan",
            "event",
            "journal",
            "transport",
            "facts",
            "releases",
        ],
    ),
    ("fleet", &["event", "engine", "plan"]),
    ("report", &["etcd", "event", "plan"]),
    (
        "lab",
        &["etcd", "facts", "inventory", "releases", "transport"],
    ),
    ("error", &["report"]),
    ("cli", &["etcd", "fleet", "plan"]),
];

/// Files of a module that are stricter than their module.
const STRICTER: &[(&str, &[&str])] = &[
    ("facts/types.rs", &["etcd"]),
    ("facts/parse", &["etcd", "inventory"]),
];

/// Words of the world, and the only places that may say them.
const WORLD: &[(&str, &[&str])] = &[
    ("openssh::", &["transport/ssh"]),
    ("indicatif", &["report/progress.rs"]),
    ("minijinja", &["template"]),
    ("clap", &["cli", "commands", "main.rs"]),
    ("std::process::exit", &[]),
];

/// Pure modules, and what purity rules out: no clock, no randomness, no input or output, no runtime.
const PURE: &[&str] = &[
    "etcd",
    "template",
    "plan",
    "event",
    "facts/types.rs",
    "facts/parse",
];
const IMPURE: &[&str] = &[
    "tokio",
    "std::fs",
    "std::env",
    "std::process",
    "std::net",
    "std::io",
    "Timestamp::now",
    "SystemTime",
    "Instant::now",
    "std::thread",
    "async fn",
    "rand::",
    "RandomState",
    "println!",
];

struct Source {
    /// Under `src`, such as `plan/mod.rs`.
    name: String,
    /// Its code: without comments and without the tests at its end.
    code: String,
    lines: usize,
}

impl Source {
    fn module(&self) -> &str {
        let first = self.name.split('/').next().unwrap_or_default();
        first.trim_end_matches(".rs")
    }
}

fn sources(root: &str) -> Vec<Source> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    let mut files = Vec::new();
    collect(&base, &mut files);
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let tests = path.to_str().unwrap().ends_with("tests.rs");
            let text = fs::read_to_string(&path).unwrap();
            let name = path
                .strip_prefix(&base)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let code = if tests { "" } else { code };
            Source {
                name,
                lines: text.lines().count(),
                code: without_comments(code),
            }
        })
        .collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn without_comments(code: &str) -> String {
    let lines = code.lines().map(|line| {
        let bare = line.trim_start();
        if bare.starts_with("//") { "" } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// First names behind `crate::`, those of a `crate::{a, b::c}` group too.
fn used(code: &str) -> BTreeSet<String> {
    code.split("crate::")
        .skip(1)
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(group) => group_heads(group),
            None => vec![word(rest)],
        })
        .filter(|name| name.chars().next().is_some_and(char::is_lowercase))
        .collect()
}

fn group_heads(group: &str) -> Vec<String> {
    let mut depth = 1_u32;
    let mut heads = vec![word(group.trim_start())];
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' if depth == 1 => heads.push(word(group[at + 1..].trim_start())),
            _ => {}
        }
    }
    heads
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

#[test]
fn each_module_uses_only_what_the_table_allows() {
    let anyone = ["secret", "exit"];
    let mut wrong = Vec::new();
    for source in sources("src") {
        if matches!(source.module(), "commands" | "main" | "lib") {
            continue;
        }
        let row = OURS.iter().find(|(name, _)| *name == source.module());
        let Some((_, allowed)) = row else {
            wrong.push(format!("{}: its module is not in the table", source.name));
            continue;
        };
        let stricter = STRICTER
            .iter()
            .find(|(prefix, _)| source.name.starts_with(prefix));
        let allowed = stricter.map_or(allowed, |(_, allowed)| allowed);
        for name in used(&source.code) {
            let fine = name == source.module()
                || allowed.contains(&name.as_str())
                || anyone.contains(&name.as_str());
            if !fine {
                wrong.push(format!("{} uses `crate::{name}`", source.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn ssh_bars_templates_and_the_command_line_are_named_in_one_place_each() {
    let mut wrong = Vec::new();
    for source in sources("src") {
        for (name, places) in WORLD {
            let here = source.code.lines().any(|line| mentions(line, name));
            if here && !places.iter().any(|place| source.name.starts_with(place)) {
                wrong.push(format!("{} names `{name}`", source.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether a line says the word in code, not inside a longer word.
fn mentions(line: &str, word: &str) -> bool {
    let path = word.trim_end_matches("::");
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = &line[at + path.len()..];
        let starts =
            before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '"' && c != '`');
        starts && (after.starts_with("::") || (word == path && after.starts_with('(')))
    })
}

#[test]
fn pure_modules_have_no_clock_no_runtime_and_no_input_or_output() {
    let mut wrong = Vec::new();
    for source in sources("src") {
        if !PURE.iter().any(|pure| source.name.starts_with(pure)) {
            continue;
        }
        for word in IMPURE.iter().filter(|word| source.code.contains(**word)) {
            wrong.push(format!("{} says `{word}`", source.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_file_is_a_room_of_at_most_400_lines() {
    let large: Vec<String> = sources("src")
        .into_iter()
        .filter(|source| source.lines > 400)
        .map(|source| format!("{} has {} lines", source.name, source.lines))
        .collect();
    assert!(large.is_empty(), "{}", large.join("\n"));
}

#[test]
fn only_reports_and_commands_write_to_the_terminal() {
    let mut wrong = Vec::new();
    for source in sources("src") {
        if matches!(source.module(), "report" | "commands" | "main") {
            continue;
        }
        for word in [
            "println!(",
            "print!(",
            "io::stdout()",
            "io::stderr()",
            "dbg!(",
        ] {
            if source.code.contains(word) {
                wrong.push(format!("{} says `{word}`", source.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_use_lines_sees_groups_and_paths() {
    let code = "use crate::etcd::{Version, Minor};\nuse crate::{plan::{self, Plan}, event};\ncrate::facts::parse();\n";
    let names = ["etcd", "event", "facts", "plan"].map(str::to_owned);
    assert_eq!(used(code), BTreeSet::from(names));
}
