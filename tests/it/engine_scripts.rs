//! The engine's scripts, run by a real shell against folders of this machine.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use async_trait::async_trait;
use runner::engine::act::file::digest;
use runner::engine::{Engine, Interrupt};
use runner::etcd::{MemberId, Version};
use runner::event::Kind;
use runner::facts::Arch;
use runner::inventory::Cluster;
use runner::journal::{self, Journal, Recorder};
use runner::plan::{
    self, Action, FORMAT, Hop, Lane, MemberRef, OnFailure, Outcome, Plan, Purpose, Step, StepId,
    Undo, Wave,
};
use runner::transport::{Command, Input, Output, Sink, Stage, Transport, Unreachable};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

use crate::sim::plans;

/// Runs scripts by `sh`, with a folder of stand-ins first on the PATH.
struct Shell {
    tools: PathBuf,
}

#[async_trait]
impl Transport for Shell {
    async fn run(&self, host: &str, command: Command) -> Result<Output, Unreachable> {
        let run = self.sh(&command).await;
        run.map_err(|error| Unreachable {
            host: host.to_owned(),
            stage: Stage::Configuration,
            said: error.to_string(),
            hint: String::new(),
        })
    }
}

impl Shell {
    async fn sh(&self, command: &Command) -> std::io::Result<Output> {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut child = tokio::process::Command::new("sh")
            .args(["-c", &command.script, "sh"])
            .args(&command.args)
            .env("PATH", format!("{}:{path}", self.tools.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().expect("a pipe");
        match &command.input {
            Input::None => {}
            Input::Bytes(bytes) => stdin.write_all(bytes).await?,
            Input::File(file) => stdin.write_all(&fs::read(file)?).await?,
        }
        drop(stdin);
        let ended = child.wait_with_output().await?;
        if let Sink::File(file) = &command.output {
            fs::write(file, &ended.stdout)?;
        }
        Ok(Output {
            status: ended.status.code().unwrap_or(-1),
            stdout: ended.stdout,
            stderr: ended.stderr,
        })
    }
}

/// Folders of one made-up host, and an engine that reaches it.
struct Bench {
    dir: TempDir,
    runs: u32,
}

impl Bench {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        for folder in ["bin", "opt", "tools", "backups", "etc"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        Self { dir, runs: 0 }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn cluster(&self) -> Cluster {
        let mut cluster = plans::cluster(1);
        cluster.hosts[0].bin_dir = self.path("bin");
        cluster.hosts[0].install_dir = self.path("opt");
        cluster
    }

    /// Carries out one action and gives its outcome.
    async fn act(&mut self, action: Action) -> Outcome {
        self.act_with(action, BTreeMap::new()).await
    }

    async fn act_with(&mut self, action: Action, binaries: BTreeMap<String, PathBuf>) -> Outcome {
        self.runs += 1;
        let journal = Journal::create(self.dir.path(), &format!("run-{}", self.runs)).unwrap();
        let recorder = Arc::new(Recorder::new(journal));
        let tools = self.dir.path().join("tools");
        let engine = Engine {
            transport: Arc::new(Shell { tools }),
            recorder: recorder.clone(),
            interrupt: Interrupt::new(),
            binaries,
            state_dir: self.dir.path().join("state"),
        };
        engine.run(&self.cluster(), &one_step(action)).await;
        let events = journal::read(recorder.path()).unwrap().events;
        let mut ended = events.into_iter().filter_map(|event| match event.kind {
            Kind::StepEnded { outcome, .. } => Some(outcome),
            _ => None,
        });
        ended.next_back().unwrap()
    }
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn one_step(action: Action) -> Plan {
    let member = MemberRef {
        id: MemberId(1),
        name: "etcd-1".to_owned(),
    };
    let steps = staged_before(&action).into_iter().chain([action]);
    let step = |(at, action)| Step {
        id: StepId(at),
        action,
        undo: Undo::Nothing,
        disruptive: false,
        deadline_s: 20,
    };
    let lane = Lane {
        host: "etcd-1".to_owned(),
        member,
        steps: (1..).zip(steps).map(step).collect(),
    };
    Plan {
        format: FORMAT,
        kind: plan::Kind::Upgrade,
        cluster: "prod".to_owned(),
        from: version("3.4.23"),
        to: version("3.5.16"),
        hops: vec![Hop {
            from: version("3.4.23"),
            to: version("3.5.16"),
            waves: vec![Wave {
                purpose: Purpose::Stage,
                lanes: vec![lane],
            }],
            point_of_no_return: None,
            rules: Vec::new(),
        }],
        on_failure: OnFailure::Undo,
        basis: String::new(),
    }
}

/// A plan that switches must stage before; here with nothing to send.
fn staged_before(action: &Action) -> Option<Action> {
    let Action::SwitchRelease {
        version,
        install_dir,
        ..
    } = action
    else {
        return None;
    };
    Some(Action::StageRelease {
        version: version.clone(),
        arch: Arch::Amd64,
        files: BTreeMap::new(),
        install_dir: install_dir.clone(),
    })
}

fn causes(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed { causes } => causes.join("; "),
        other => panic!("it did not fail: {other:?}"),
    }
}

fn is_changed(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Changed { .. } => true,
        Outcome::Unchanged { .. } => false,
        other => panic!("{other:?}"),
    }
}

fn keep(bench: &Bench, sha256: String) -> Action {
    Action::KeepRelease {
        version: version("3.4.23"),
        files: [("etcd".to_owned(), sha256)].into(),
        bin_dir: bench.path("bin"),
        install_dir: bench.path("opt"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_installed_release_is_kept_once_and_only_if_it_is_what_the_plan_says() {
    let mut bench = Bench::new();
    bench.write("bin/etcd", "old");
    let wrong = bench.act(keep(&bench, digest("other"))).await;
    assert!(causes(&wrong).contains("the plan expects"), "{wrong:?}");
    assert_eq!(fs::read_dir(bench.path("opt/3.4.23")).unwrap().count(), 0);
    assert!(is_changed(&bench.act(keep(&bench, digest("old"))).await));
    assert_eq!(bench.read("opt/3.4.23/etcd"), "old");
    assert!(!is_changed(&bench.act(keep(&bench, digest("old"))).await));
}

fn stage(bench: &Bench, sha256: &str) -> Action {
    Action::StageRelease {
        version: version("3.5.16"),
        arch: Arch::Amd64,
        files: [("etcd".to_owned(), sha256.to_owned())].into(),
        install_dir: bench.path("opt"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_is_staged_with_its_mode_and_not_sent_twice() {
    let mut bench = Bench::new();
    let here: PathBuf = bench.write("release/etcd", "new").into();
    let sums: BTreeMap<String, PathBuf> = [(digest("new"), here)].into();
    let action = stage(&bench, &digest("new"));
    assert!(is_changed(
        &bench.act_with(action.clone(), sums.clone()).await
    ));
    assert_eq!(bench.read("opt/3.5.16/etcd"), "new");
    let mode = |name: &str| fs::metadata(bench.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode("opt/3.5.16"), mode("opt/3.5.16/etcd")),
        (0o755, 0o755)
    );
    assert!(!is_changed(&bench.act_with(action, sums).await));
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_arrives_damaged_leaves_nothing() {
    let mut bench = Bench::new();
    let here: PathBuf = bench.write("release/etcd", "torn").into();
    let sums: BTreeMap<String, PathBuf> = [(digest("new"), here)].into();
    let outcome = bench.act_with(stage(&bench, &digest("new")), sums).await;
    assert!(
        causes(&outcome).contains("`etcd` arrived with SHA-256"),
        "{outcome:?}"
    );
    assert_eq!(fs::read_dir(bench.path("opt/3.5.16")).unwrap().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_release_folder_that_is_a_link_elsewhere_is_refused() {
    let mut bench = Bench::new();
    symlink("/nowhere", bench.path("opt/3.5.16")).unwrap();
    let outcome = bench.act(stage(&bench, &digest("new"))).await;
    assert!(
        causes(&outcome).contains("is a symbolic link to `/nowhere`"),
        "{outcome:?}"
    );
}

fn switch(bench: &Bench, to: &str, files: &[&str], remove: &[&str]) -> Action {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    Action::SwitchRelease {
        version: version(to),
        install_dir: bench.path("opt"),
        bin_dir: bench.path("bin"),
        files: owned(files),
        remove: owned(remove),
    }
}

#[tokio::test(start_paused = true)]
async fn a_switch_and_the_switch_back_leave_what_was_there() {
    let mut bench = Bench::new();
    bench.write("bin/etcd", "old");
    bench.write("opt/3.4.23/etcd", "old");
    bench.write("opt/3.5.16/etcd", "new");
    bench.write("opt/3.5.16/etcdutl", "new tool");
    let there = switch(&bench, "3.5.16", &["etcd", "etcdutl"], &[]);
    assert!(is_changed(&bench.act(there.clone()).await));
    assert_eq!(bench.read("bin/etcd"), "new");
    assert_eq!(bench.read("bin/etcdutl"), "new tool");
    assert!(!is_changed(&bench.act(there).await));
    let back = switch(&bench, "3.4.23", &["etcd"], &["etcdutl"]);
    assert!(is_changed(&bench.act(back).await));
    assert_eq!(bench.read("bin/etcd"), "old");
    assert_eq!(fs::read_dir(bench.path("bin")).unwrap().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_switch_refuses_before_the_first_change_what_would_leave_no_way_back() {
    let mut bench = Bench::new();
    bench.write("bin/etcd", "old, kept nowhere");
    bench.write("bin/etcdctl", "old");
    bench.write("opt/3.4.23/etcdctl", "old");
    bench.write("opt/3.5.16/etcdctl", "new");
    let files = ["etcd", "etcdctl"];
    let outcome = bench.act(switch(&bench, "3.5.16", &files, &[])).await;
    assert!(causes(&outcome).contains("is not staged"), "{outcome:?}");
    bench.write("opt/3.5.16/etcd", "new");
    let outcome = bench.act(switch(&bench, "3.5.16", &files, &[])).await;
    assert!(
        causes(&outcome).contains("there would be no way back"),
        "{outcome:?}"
    );
    assert_eq!(bench.read("bin/etcdctl"), "old");
}

fn write(bench: &Bench, before: Option<&str>, text: &str) -> Action {
    // The owner of the test's own folder: any user may run the tests.
    let owner = std::process::Command::new("stat")
        .args(["-c", "%U:%G", &bench.path("etc")])
        .output()
        .unwrap();
    Action::WriteFile {
        dest: bench.path("etc/etcd/etcd.conf.yml"),
        before: before.map(str::to_owned),
        text: text.to_owned(),
        owner: String::from_utf8(owner.stdout).unwrap().trim().to_owned(),
        mode: 0o640,
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_is_written_with_its_mode_once_and_never_over_someone_elses_change() {
    let mut bench = Bench::new();
    assert!(is_changed(&bench.act(write(&bench, None, "one\n")).await));
    let path = bench.path("etc/etcd/etcd.conf.yml");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o640
    );
    assert!(!is_changed(&bench.act(write(&bench, None, "one\n")).await));
    assert!(is_changed(
        &bench.act(write(&bench, Some("one\n"), "two\n")).await
    ));
    fs::write(&path, "by hand\n").unwrap();
    let outcome = bench.act(write(&bench, Some("two\n"), "three\n")).await;
    assert!(
        causes(&outcome).contains("has changed since the plan was made"),
        "{outcome:?}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "by hand\n");
    assert_eq!(fs::read_dir(bench.path("etc/etcd")).unwrap().count(), 1);
    let gone = Action::RemoveFile { dest: path.clone() };
    assert!(is_changed(&bench.act(gone.clone()).await));
    assert!(!is_changed(&bench.act(gone).await));
}

#[tokio::test(start_paused = true)]
async fn a_command_line_that_the_release_does_not_know_is_quoted_and_the_environment_is_empty() {
    let mut bench = Bench::new();
    let etcd = "#!/bin/sh\n[ -z \"$HOME\" ] || exit 9\nfor last; do :; done\n\
        [ \"$last\" = --version ] || exit 8\n\
        [ \"$1\" != --gone ] || { echo 'flag provided but not defined: -gone' >&2; exit 2; }\n";
    bench.write("opt/3.5.16/etcd", etcd);
    let check = |first: &str| Action::CheckFlags {
        version: version("3.5.16"),
        install_dir: bench.path("opt"),
        args: vec![first.to_owned(), "a b".to_owned()],
    };
    let (good, bad) = (check("--name"), check("--gone"));
    assert!(!is_changed(&bench.act(good).await));
    let outcome = bench.act(bad).await;
    assert!(
        causes(&outcome).contains("exit status 2; \"flag provided but not defined: -gone\""),
        "{outcome:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn only_older_backups_of_this_cluster_are_pruned() {
    let mut bench = Bench::new();
    let ours = |n: u32| format!("backups/prod-2026112{n}T120102Z-4f2a-3.4.23.db");
    for n in 1..=4 {
        bench.write(&ours(n), "x");
    }
    bench.write("backups/prod-20261121T120102Z-4f2a-3.4.23.db.json", "{}");
    let others = [
        "prod-eu-20261120T120102Z-4f2a-3.4.23.db",
        "prod-by-hand.db",
        "prod-2026.db.part",
    ];
    for name in others {
        bench.write(&format!("backups/{name}"), "theirs");
    }
    let dir = bench.path("backups");
    assert!(is_changed(
        &bench
            .act(Action::PruneBackups {
                dir: dir.clone(),
                keep: 2
            })
            .await
    ));
    let mut left: Vec<String> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| format!("backups/{}", entry.unwrap().file_name().display()))
        .collect();
    left.sort();
    let mut expected: Vec<String> = others
        .iter()
        .map(|name| format!("backups/{name}"))
        .collect();
    expected.extend([ours(3), ours(4)]);
    expected.sort();
    assert_eq!(left, expected);
    assert!(!is_changed(
        &bench.act(Action::PruneBackups { dir, keep: 2 }).await
    ));
}
