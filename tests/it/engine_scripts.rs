//! The engine's scripts, run by a real shell against folders of this machine.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use runner::engine::act::file::digest;
use runner::facts::Arch;
use runner::plan::{Action, Neighbour, Outcome};

use crate::engine_bench::{Bench, causes, is_changed, version};

fn keep(bench: &Bench, sha256: String) -> Action {
    Action::KeepRelease {
        version: version("3.4.23"),
        files: [("etcd".to_owned(), sha256)].into(),
        bin_dir: bench.path("bin"),
        install_dir: bench.path("opt"),
    }
}

#[tokio::test]
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
        from: None,
    }
}

#[tokio::test]
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

#[tokio::test]
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

#[tokio::test]
async fn a_release_folder_that_is_a_link_elsewhere_is_refused() {
    let mut bench = Bench::new();
    symlink("/nowhere", bench.path("opt/3.5.16")).unwrap();
    let outcome = bench.act(stage(&bench, &digest("new"))).await;
    assert!(
        causes(&outcome).contains("is a symbolic link to `/nowhere`"),
        "{outcome:?}"
    );
}

/// A host behind a link so slow that each look at the clock comes ten seconds later, and a neighbour on the loopback
/// that has `given` staged.
fn behind_a_slow_link(given: &str) -> (Bench, Action, BTreeMap<String, PathBuf>) {
    let bench = Bench::new();
    let clock = bench.write("clock", "1");
    let later = format!(
        "#!/bin/sh\nread -r now < {clock}\nnow=$((now + 10000000000))\necho $now | tee {clock}\n"
    );
    bench.write("tools/date", &later);
    bench.write("neighbour/3.5.16/etcd", given);
    let here: PathBuf = bench.write("release/etcd", "new").into();
    let mut action = stage(&bench, &digest("new"));
    if let Action::StageRelease { from, .. } = &mut action {
        let (host, address) = ("etcd-2".to_owned(), "127.0.0.1".to_owned());
        *from = Some(Neighbour { host, address });
    }
    (bench, action, [(digest("new"), here)].into())
}

fn how(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Changed { what } => what,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_neighbour_hands_a_release_on_to_a_host_behind_a_slow_link() {
    let (mut bench, action, sums) = behind_a_slow_link("new");
    let outcome = bench.act_with(action.clone(), sums.clone()).await;
    assert_eq!(how(&outcome), "3.5.16 is staged, 1 from etcd-2, 0 sent");
    assert_eq!(bench.read("opt/3.5.16/etcd"), "new");
    assert!(!is_changed(&bench.act_with(action, sums).await));
}

#[tokio::test]
async fn what_a_neighbour_has_damaged_is_sent_from_here() {
    let (mut bench, action, sums) = behind_a_slow_link("damaged");
    let outcome = bench.act_with(action, sums).await;
    assert_eq!(how(&outcome), "3.5.16 is staged, 1 binaries sent");
    assert_eq!(bench.read("opt/3.5.16/etcd"), "new");
}

#[tokio::test]
async fn a_neighbour_that_cannot_give_or_be_reached_is_done_without() {
    for (tool, words) in [
        ("systemd-socket-activate", "exit 1"),
        ("bash", "exit 1"),
        ("od", "exit 1"),
    ] {
        let (mut bench, action, sums) = behind_a_slow_link("new");
        bench.write(&format!("tools/{tool}"), &format!("#!/bin/sh\n{words}\n"));
        let outcome = bench.act_with(action, sums).await;
        assert_eq!(how(&outcome), "3.5.16 is staged, 1 binaries sent", "{tool}");
    }
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

#[tokio::test]
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

#[tokio::test]
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

#[tokio::test]
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

#[tokio::test]
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
        causes(&outcome).contains("exit status 2: \"flag provided but not defined: -gone\""),
        "{outcome:?}"
    );
}

#[tokio::test]
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

#[tokio::test]
async fn two_copies_of_a_v2_store_stay_where_one_backup_is_to_be_kept() {
    let mut bench = Bench::new();
    let name = |n: u32, kind: &str| format!("prod-2026112{n}T120102Z-4f2a-3.4.23{kind}");
    for n in 1..=3 {
        bench.write(&format!("backups/{}", name(n, ".db")), "x");
        bench.write(&format!("backups/{}", name(n, "-m1.v2.tar.gz")), "x");
    }
    let dir = bench.path("backups");
    let prune = Action::PruneBackups {
        dir: dir.clone(),
        keep: 1,
    };
    assert!(is_changed(&bench.act(prune).await));
    let left: BTreeSet<String> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().display().to_string())
        .collect();
    let stay = [
        name(2, "-m1.v2.tar.gz"),
        name(3, "-m1.v2.tar.gz"),
        name(3, ".db"),
    ];
    assert_eq!(left, BTreeSet::from(stay));
}
