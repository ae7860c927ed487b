//! The binary from outside: help, exit status, what goes to stdout and what to stderr.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as the tests do"
)]

use std::path::Path;
use std::process::Output;

use assert_cmd::Command;

const GOOD: &str = r#"
[clusters.prod]
version = "3.5.16"
[clusters.prod.hosts.etcd-1]
address = "127.0.0.1"
"#;

/// The binary in a folder of its own: no inventory, state or colours of whoever runs the tests.
fn runner(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
    command.current_dir(home).env_clear().env("HOME", home);
    command.env("PATH", std::env::var_os("PATH").unwrap());
    command
}

fn run(home: &Path, args: &[&str]) -> Output {
    runner(home).args(args).output().unwrap()
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn status(output: &Output) -> i32 {
    output.status.code().expect("no signal ended it")
}

const COMMANDS: [&[&str]; 19] = [
    &[],
    &["upgrade"],
    &["plan"],
    &["check"],
    &["status"],
    &["backup"],
    &["rollback"],
    &["downgrade"],
    &["restore"],
    &["exec"],
    &["discover"],
    &["rehearse"],
    &["inventory"],
    &["inventory", "list"],
    &["inventory", "show"],
    &["runs"],
    &["runs", "list"],
    &["runs", "show"],
    &["completions"],
];

#[test]
fn every_command_has_help_with_examples_on_stdout() {
    let home = home();
    for command in COMMANDS.into_iter().chain([&["man"][..]]) {
        let output = run(home.path(), &[command, &["--help"]].concat());
        let help = out(&output);
        assert_eq!(
            (status(&output), err(&output)),
            (0, String::new()),
            "{command:?}"
        );
        assert!(help.contains("Examples:\n  runner "), "{command:?}: {help}");
        assert!(!help.contains('\u{1b}'), "{command:?}: {help}");
        let name = ["runner"]
            .iter()
            .chain(command)
            .copied()
            .collect::<Vec<_>>()
            .join("_");
        insta::assert_snapshot!(format!("help_{name}"), help);
    }
}

#[test]
fn the_first_help_explains_each_command_in_one_line() {
    let home = home();
    let help = out(&run(home.path(), &["--help"]));
    for name in [
        "upgrade",
        "plan",
        "check",
        "status",
        "backup",
        "rollback",
        "downgrade",
        "restore",
        "rehearse",
        "inventory",
        "runs",
        "completions",
        "man",
    ] {
        let line = help
            .lines()
            .find(|line| line.trim_start().starts_with(name));
        assert!(
            line.is_some_and(|line| line.len() > name.len() + 10),
            "{name}: {help}"
        );
    }
}

#[test]
fn no_command_and_unknown_commands_and_flags_are_usage_errors_on_stderr() {
    let home = home();
    for args in [
        &[][..],
        &["inventory"],
        &["upgarde"],
        &["status", "--verbos"],
        &["upgrade", "--settle", "30"],
        &["upgrade", "--to", "3.5"],
        &["upgrade", "--on-failure", "panic"],
        &["status", "--forks", "0"],
        &["status", "-q", "-v"],
        &["rehearse", "--keep", "--destroy"],
        &["status", "--output", "xml"],
        &["downgrade", "--to", "3.5"],
        &["restore", "--bump-revision", "5"],
        &["restore", "--mark-compacted"],
    ] {
        let output = run(home.path(), args);
        assert_eq!(
            (status(&output), out(&output)),
            (2, String::new()),
            "{args:?}"
        );
        assert!(!err(&output).is_empty(), "{args:?}");
    }
}

#[test]
fn a_wrong_word_is_answered_with_the_right_one() {
    let home = home();
    assert!(err(&run(home.path(), &["upgarde"])).contains("upgrade"));
    assert!(err(&run(home.path(), &["status", "--verbos"])).contains("--verbose"));
    assert!(err(&run(home.path(), &["upgrade", "--settle", "30"])).contains("such as `30s`"));
    assert!(err(&run(home.path(), &["upgrade", "--to", "3.5"])).contains("such as `3.5.16`"));
}

#[test]
fn commands_that_are_not_built_are_not_offered() {
    let home = home();
    for name in ["apply", "restart", "defrag", "timer"] {
        assert_eq!(status(&run(home.path(), &[name])), 2, "{name}");
        assert!(
            !out(&run(home.path(), &["--help"])).contains(&format!("\n  {name} ")),
            "{name}"
        );
    }
}

#[test]
fn version_is_one_line_on_stdout() {
    let home = home();
    let output = run(home.path(), &["--version"]);
    assert_eq!(
        out(&output),
        format!("runner {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn without_an_inventory_nothing_is_contacted_and_the_flag_is_named() {
    let home = home();
    for command in [
        "upgrade",
        "plan",
        "check",
        "status",
        "backup",
        "rollback",
        "downgrade",
        "restore",
    ] {
        let output = run(home.path(), &[command]);
        assert_eq!(
            (status(&output), out(&output)),
            (2, String::new()),
            "{command}"
        );
        insta::assert_snapshot!("no_inventory", err(&output));
    }
}

#[test]
fn a_typo_in_the_inventory_is_shown_with_its_place_and_a_suggestion() {
    let home = home();
    std::fs::write(
        home.path().join("inventory.toml"),
        GOOD.replace("address", "adress"),
    )
    .unwrap();
    for command in [
        "upgrade",
        "plan",
        "check",
        "status",
        "backup",
        "rollback",
        "downgrade",
        "restore",
    ] {
        let output = run(home.path(), &[command]);
        assert_eq!(
            (status(&output), out(&output)),
            (2, String::new()),
            "{command}"
        );
        let said = err(&output);
        assert!(
            said.starts_with("error: ") && said.contains("inventory.toml:5:1"),
            "{said}"
        );
        assert!(said.contains("`address`"), "{said}");
    }
}

#[test]
fn a_limit_that_matches_nothing_is_a_usage_error() {
    let home = home();
    std::fs::write(home.path().join("inventory.toml"), GOOD).unwrap();
    let output = run(home.path(), &["status", "-l", "prd"]);
    assert_eq!((status(&output), out(&output)), (2, String::new()));
    assert!(err(&output).contains("prd"), "{}", err(&output));
}

#[test]
fn no_color_is_honoured_and_color_always_wins() {
    let home = home();
    let plain = run(home.path(), &["status"]);
    assert!(!err(&plain).contains('\u{1b}'));
    let asked = run(home.path(), &["status", "--color", "always"]);
    assert!(
        err(&asked).contains("\u{1b}[1;31merror:"),
        "{}",
        err(&asked)
    );
    let args = ["status", "--color", "auto"];
    let none = runner(home.path())
        .env("NO_COLOR", "1")
        .args(args)
        .output()
        .unwrap();
    assert!(!err(&none).contains('\u{1b}'));
}

#[test]
fn completions_and_man_pages_are_data() {
    let home = home();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(home.path(), &["completions", shell]);
        assert_eq!(
            (status(&output), err(&output)),
            (0, String::new()),
            "{shell}"
        );
        assert!(out(&output).contains("detailed-exitcode"), "{shell}");
    }
    let page = out(&run(home.path(), &["man"]));
    assert!(page.contains(".TH runner 1"), "{page}");
    assert_eq!(status(&run(home.path(), &["man", "pages"])), 0);
    assert!(home.path().join("pages/runner-upgrade.1").is_file());
}

#[test]
fn past_runs_are_none_at_first_and_that_is_no_error() {
    let home = home();
    let output = run(home.path(), &["runs", "list"]);
    assert_eq!((status(&output), out(&output)), (0, String::new()));
    assert!(
        err(&output).contains(".local/state/runner"),
        "{}",
        err(&output)
    );
    assert_eq!(status(&run(home.path(), &["runs", "show", "2026"])), 2);
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let home = home();
    let script = format!(
        "'{}' completions bash | head -c 10 >/dev/null; echo \"${{PIPESTATUS[0]}}\"",
        env!("CARGO_BIN_EXE_runner")
    );
    let output = Command::new("bash")
        .arg("-c")
        .arg(script)
        .current_dir(home.path())
        .output()
        .unwrap();
    assert_eq!(
        (out(&output), err(&output)),
        ("0\n".to_owned(), String::new())
    );
}

const THREE: &str = r#"
[clusters.a]
version = "3.5.16"
hosts.a-1.address = "127.0.0.1"
[clusters.b]
version = "3.5.16"
hosts.b-1.address = "127.0.0.1"
[clusters.c]
version = "3.5.16"
hosts.c-1.address = "127.0.0.1"
"#;

#[test]
fn flags_for_several_clusters_that_make_no_sense_contact_nothing() {
    let home = home();
    std::fs::write(home.path().join("inventory.toml"), THREE).unwrap();
    for (args, said) in [
        (["--max-clusters", "0"], "--max-clusters"),
        (["--max-failures", "-1"], "-1"),
        (["--window", "22:00"], "such as `22:00-04:00`"),
        (["--window", "22:00-22:00"], "the same minute"),
        (["--shard", "4/3"], "such as `1/3`"),
        (
            ["--canary", "z"],
            "the canary `z` is none of the selected clusters",
        ),
    ] {
        for command in ["upgrade", "plan"] {
            let output = run(home.path(), &[command, args[0], args[1]]);
            assert_eq!(status(&output), 2, "{args:?}: {}", err(&output));
            assert!(err(&output).contains(said), "{args:?}: {}", err(&output));
        }
    }
}

#[test]
fn outside_the_window_an_upgrade_is_refused_with_the_reason() {
    let home = home();
    std::fs::write(home.path().join("inventory.toml"), THREE).unwrap();
    // Two hours from now to three hours from now: closed, whatever the time is.
    let now = jiff::Zoned::now();
    let at = |hours: i64| {
        let then = now.saturating_add(jiff::SignedDuration::from_hours(hours));
        then.strftime("%H:%M").to_string()
    };
    let window = format!("{}-{}", at(2), at(3));
    let output = run(home.path(), &["upgrade", "--yes", "--window", &window]);
    assert_eq!((status(&output), out(&output)), (3, String::new()));
    let said = err(&output);
    assert!(
        said.contains("outside the window nothing is begun"),
        "{said}"
    );
    assert!(said.contains(&format!("the window is {window}")), "{said}");
    assert!(said.contains("changed: nothing"), "{said}");
}

#[test]
fn shards_together_are_the_whole_fleet() {
    let home = home();
    std::fs::write(home.path().join("inventory.toml"), THREE).unwrap();
    let held = |shard: &str| -> usize {
        let args = ["upgrade", "--shard", shard, "--canary", "z"];
        let said = err(&run(home.path(), &args));
        let line = said
            .lines()
            .find(|line| line.starts_with("shard "))
            .unwrap();
        let count = line.split_once(": ").unwrap().1.split(' ').next().unwrap();
        assert!(line.ends_with("of 3 clusters"), "{line}");
        count.parse().unwrap()
    };
    assert_eq!(held("1/2") + held("2/2"), 3);
}
