//! The README says nothing that the program does not do. `UPDATE_README=1` writes its table of findings anew.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as the tests do"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use runner::exit::Exit;
use runner::inventory;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

/// The lines under a heading, up to the next one.
fn section(heading: &str) -> String {
    let text = readme();
    let (_, rest) = text
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("no section `{heading}`"));
    rest.split("\n## ").next().unwrap().to_owned()
}

/// Rows of the tables in a text, without their heads.
fn rows(text: &str) -> Vec<&str> {
    let table = text.lines().filter(|line| line.starts_with("| "));
    table.skip(2).collect()
}

/// What stands in backticks in the first column.
fn names(row: &str) -> impl Iterator<Item = &str> {
    let first = row.split('|').nth(1).unwrap();
    first.split('`').skip(1).step_by(2)
}

fn commands() -> BTreeSet<String> {
    let command = runner::cli::command();
    let names = command.get_subcommands().map(clap::Command::get_name);
    names.map(str::to_owned).collect()
}

/// The table in the docs of `plan::preflight`.
fn documented() -> Vec<String> {
    let source = fs::read_to_string(root().join("src/plan/preflight/mod.rs")).unwrap();
    let lines = source.lines().filter_map(|line| line.strip_prefix("//! "));
    let table: Vec<&str> = lines.filter(|line| line.starts_with("| `")).collect();
    table.into_iter().map(str::to_owned).collect()
}

/// Every code that the sources make a finding of.
fn codes() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for file in sources(&root().join("src")) {
        let text = fs::read_to_string(file).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        for severity in ["block", "acknowledge", "warn", "note"] {
            for rest in text.split(&format!("Finding::{severity}(")).skip(1) {
                let code = rest.trim_start().strip_prefix('"');
                codes.extend(
                    code.and_then(|code| code.split('"').next())
                        .map(str::to_owned),
                );
            }
        }
    }
    codes
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                sources(&path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .filter(|path| !path.to_string_lossy().ends_with("tests.rs"))
        .collect()
}

#[test]
fn the_table_of_findings_is_that_of_the_code() {
    let documented = documented();
    let text = section("Findings");
    if std::env::var_os("UPDATE_README").is_some() {
        let table = rows(&text).join("\n");
        let new = readme().replace(&table, &documented.join("\n"));
        fs::write(root().join("README.md"), new).unwrap();
        return;
    }
    assert_eq!(
        rows(&text),
        documented,
        "run with UPDATE_README=1 to write it anew"
    );
    let told: BTreeSet<&str> = documented.iter().flat_map(|row| names(row)).collect();
    let codes = codes();
    assert!(codes.len() > 20, "{codes:?}");
    let untold: Vec<&String> = codes
        .iter()
        .filter(|code| !told.contains(code.as_str()))
        .collect();
    assert!(
        untold.is_empty(),
        "not in the docs of plan::preflight: {untold:?}"
    );
}

#[test]
fn every_exit_status_is_in_the_table_and_no_other() {
    let text = section("Exit status");
    let told: BTreeSet<u8> = rows(&text)
        .iter()
        .map(|row| row.split('|').nth(1).unwrap().trim().parse().unwrap())
        .collect();
    assert_eq!(told, Exit::ALL.iter().map(|exit| exit.code()).collect());
}

#[test]
fn the_table_of_commands_is_that_of_the_command_line() {
    let text = section("Commands");
    let told: BTreeSet<String> = rows(&text)
        .iter()
        .flat_map(|row| names(row))
        .map(str::to_owned)
        .collect();
    assert_eq!(told, commands());
}

#[test]
fn what_does_not_work_yet_is_not_there() {
    let text = section("What does not work yet");
    let told: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    let (flags, words): (Vec<&str>, Vec<&str>) =
        told.into_iter().partition(|word| word.starts_with('-'));
    let commands = commands();
    let there: Vec<&&str> = words
        .iter()
        .filter(|word| commands.contains(**word))
        .collect();
    assert!(there.is_empty(), "the README denies {there:?}");
    let known: BTreeSet<String> = runner::cli::command()
        .get_subcommands()
        .flat_map(clap::Command::get_arguments)
        .filter_map(|arg| Some(format!("--{}", arg.get_long()?)))
        .collect();
    let there: Vec<&&str> = flags.iter().filter(|flag| known.contains(**flag)).collect();
    assert!(there.is_empty(), "the README denies {there:?}");
}

#[test]
fn the_inventory_of_the_readme_is_one() {
    let text = section("An inventory");
    let toml = text
        .split("```toml\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let loaded = inventory::load_text("inventory.toml", toml, &[]).unwrap();
    let hosts: Vec<usize> = loaded
        .inventory
        .clusters
        .values()
        .map(|cluster| cluster.hosts.len())
        .collect();
    assert_eq!(hosts, [3]);
}
