//! Gathering, by the real script.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::PathBuf;
use std::process::Child;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use runner::etcd::{MemberId, Version, wire};
use runner::facts::gather::{GatherError, gather};
use runner::facts::observe::observe_host;
use runner::facts::parse::ParseError;
use runner::facts::{HostFacts, OldRequests, V2Keys};
use runner::inventory::{FileTemplate, Host, TemplateSource};
use runner::transport::{Command, Output, Transport, Unreachable};

use super::stage::{Stage, answers, cluster, fixture};
use super::{DEADLINE, SHELLS, answered};
use crate::local_shell::LocalShell;

pub async fn facts(
    stage: &Stage,
    shell: &[&'static str],
    host: Host,
) -> Result<HostFacts, GatherError> {
    let asked = [Version::new(3, 5, 16), Version::new(3, 6, 14)];
    let found = gather(
        &stage.shell(shell),
        &cluster(vec![host]),
        &asked,
        1,
        DEADLINE,
        &|_, _| {},
    )
    .await;
    found.into_values().next().unwrap()
}

#[tokio::test]
async fn a_host_is_gathered_alike_by_every_shell() {
    for shell in SHELLS {
        let stage = Stage::new("3.4.23");
        stage.install("opt/3.4.23", "3.4.23");
        stage.install("opt/3.5.16", "3.5.16");
        stage.install("opt/3.3.25", "3.4.23");
        fs::remove_file(stage.path("bin/etcd")).unwrap();
        symlink("../opt/3.4.23/etcd", stage.path("bin/etcd")).unwrap();
        let facts = facts(&stage, shell, stage.host()).await.unwrap();
        assert_eq!(facts.unit.active_state, "failed");
        assert_eq!(facts.unit.exec, "/usr/local/bin/etcd");
        assert!(
            facts.clock_skew_ms.abs() < 10_000,
            "{}",
            facts.clock_skew_ms
        );
        assert!(facts.tools.contains("sha256sum") && facts.tools.contains("systemctl"));
        assert_eq!((facts.data.exists, facts.data.mode), (true, 0o700));
        assert_eq!((facts.data.db_bytes, facts.data.wal_bytes), (4096, 1500));
        let snap = facts.data.snap.unwrap();
        assert_eq!((snap.index, snap.bytes), (100_001, 4));
        assert_eq!(facts.data.in_use, "");
        assert_eq!(facts.disks.len(), 4);
        assert!(
            facts
                .disks
                .values()
                .all(|disk| disk.free_bytes > 0 && disk.mount.starts_with('/'))
        );
        let old = Version::new(3, 4, 23);
        let etcd = &facts.binaries["etcd"];
        assert_eq!(etcd.version, Some(old.clone()));
        assert!(etcd.target.ends_with("/opt/3.4.23/etcd"), "{}", etcd.target);
        assert_eq!(etcd.sha256.len(), 64);
        let staged: Vec<_> = facts.staged.keys().cloned().collect();
        assert_eq!(
            staged,
            [Version::new(3, 3, 25), old.clone(), Version::new(3, 5, 16)],
            "asked for, in use, and the others because nothing runs"
        );
        assert_eq!(facts.staged[&old]["etcd"], etcd.sha256);
        assert_eq!(
            facts.answer.view().unwrap().id,
            MemberId(member_id("3.4.23"))
        );
    }
}

fn member_id(version: &str) -> u64 {
    let recorded = answers(&fs::read_to_string(fixture(version, "single.observe")).unwrap());
    wire::statuses(&recorded["status"]).unwrap()[0].member_id.0
}

#[tokio::test]
async fn files_of_templates_come_byte_for_byte_and_odd_ones_without_text() {
    let stage = Stage::new("3.5.16");
    let texts: [(&str, &[u8]); 5] = [
        ("plain", b"a\n\n\n"),
        ("with 'blanks' $HOME", b"no newline at the end"),
        ("empty", b""),
        ("binary", b"a\0b\n"),
        ("latin", b"\xe9\n"),
    ];
    for (name, text) in texts {
        fs::write(stage.path("etc").join(name), text).unwrap();
    }
    fs::write(stage.path("etc/huge"), vec![b'x'; 300_000]).unwrap();
    let mut host = stage.host();
    let dest = |name: &str| stage.path("etc").join(name).display().to_string();
    let names = [
        "plain",
        "with 'blanks' $HOME",
        "empty",
        "binary",
        "latin",
        "huge",
        "missing",
    ];
    host.templates.files = names.iter().map(|name| file_template(dest(name))).collect();
    for shell in SHELLS {
        let found = facts(&stage, shell, host.clone()).await.unwrap().files;
        let text = |name: &str| found[&dest(name)].text.as_deref();
        assert_eq!(text("plain"), Some("a\n\n\n"));
        assert_eq!(text("with 'blanks' $HOME"), Some("no newline at the end"));
        assert_eq!(text("empty"), Some(""));
        assert_eq!(
            (text("binary"), text("latin"), text("huge")),
            (None, None, None)
        );
        assert!(!found.contains_key(&dest("missing")));
        assert_eq!(found[&dest("plain")].mode & 0o600, 0o600);
    }
}

fn file_template(dest: String) -> FileTemplate {
    FileTemplate {
        source: TemplateSource {
            path: PathBuf::new(),
            text: String::new(),
        },
        dest,
        mode: 0o640,
        owner: "root:root".to_owned(),
    }
}

/// A process with such a file open, which the unit says is its own.
fn runs(stage: &Stage, file: fs::File) -> Child {
    let process = std::process::Command::new("sleep")
        .arg("60")
        .env_clear()
        .env("ETCD_NAME", "m1\nm2")
        .env("PASSWORD", "hush")
        .stdin(file)
        .spawn()
        .unwrap();
    let shown = fs::read_to_string(fixture("systemd", "show-running.txt")).unwrap();
    let shown: String = shown
        .lines()
        .map(|line| match line.strip_prefix("MainPID=") {
            Some(_) => format!("MainPID={}\n", process.id()),
            None => format!("{line}\n"),
        })
        .collect();
    fs::write(stage.path("etc/shown"), shown).unwrap();
    stage.tool(
        "systemctl",
        &format!("cat '{}'", stage.path("etc/shown").display()),
    );
    process
}

#[tokio::test]
async fn a_running_process_tells_its_words_its_variables_and_its_data_folder() {
    let stage = Stage::new("3.5.16");
    let database = fs::File::open(stage.path("data/member/snap/db")).unwrap();
    let mut process = runs(&stage, database);
    symlink("data", stage.path("link")).unwrap();
    let mut linked = stage.host();
    linked.data_dir = stage.path("link").display().to_string();
    let found = facts(&stage, SHELLS[0], linked.clone()).await;
    let mut elsewhere = stage.host();
    elsewhere.data_dir = stage.path("etc").display().to_string();
    let other = facts(&stage, SHELLS[0], elsewhere).await;
    process.kill().unwrap();
    process.wait().unwrap();
    let found = found.unwrap();
    assert_eq!(found.unit.main_pid, process.id());
    assert_eq!(found.unit.argv, ["sleep", "60"]);
    assert_eq!(
        found.unit.environment,
        BTreeMap::from([("ETCD_NAME".to_owned(), "m1\nm2".to_owned())])
    );
    assert_eq!(found.data.in_use, linked.data_dir);
    let real = fs::canonicalize(stage.path("data")).unwrap();
    assert_eq!(other.unwrap().data.in_use, real.display().to_string());
}

#[tokio::test]
async fn what_is_missing_on_a_host_is_an_error_that_names_it() {
    let stage = Stage::new("3.5.16");
    stage.tool(
        "systemctl",
        "echo 'Failed to connect to bus: Host is down' >&2; exit 1",
    );
    let error = facts(&stage, SHELLS[0], stage.host()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "host `etcd-1`: systemctl fails: Failed to connect to bus: Host is down"
    );
    let stage = Stage::new("3.5.16");
    stage.tool("uname", "echo riscv64");
    let error = facts(&stage, SHELLS[0], stage.host()).await.unwrap_err();
    let GatherError::Garbled { error, .. } = error else {
        panic!("{error}");
    };
    assert!(
        matches!(error, ParseError::Unexpected { ref frame, .. } if frame == "arch"),
        "{error}"
    );
    let stage = Stage::new("3.5.16");
    stage.tool("id", "echo 1000");
    let error = facts(&stage, SHELLS[0], stage.host()).await.unwrap_err();
    assert_eq!(error.hint(), "log in as root, or set `become`");
    let stage = Stage::new("3.5.16");
    stage.tool("date", "exit 1");
    let error = facts(&stage, SHELLS[0], stage.host()).await.unwrap_err();
    assert_eq!(
        error.hint(),
        "hosts need the usual tools: coreutils, sed, grep"
    );
}

#[tokio::test]
async fn every_host_is_reported_once_and_at_most_forks_run_at_once() {
    let stage = Stage::new("3.5.16");
    let named = |number: usize| Host {
        name: format!("etcd-{number}"),
        ..stage.host()
    };
    let five = cluster((1..=5).map(named).collect());
    let told = Mutex::new(Vec::new());
    let on_host = |host: &str, result: Result<(), String>| {
        assert_eq!(result, Ok(()));
        told.lock().unwrap().push(host.to_owned());
    };
    let counting = Counting {
        inner: stage.shell(SHELLS[0]),
        now: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
    };
    let found = gather(&counting, &five, &[], 2, DEADLINE, &on_host).await;
    let mut told = told.into_inner().unwrap();
    told.sort();
    assert_eq!(told, ["etcd-1", "etcd-2", "etcd-3", "etcd-4", "etcd-5"]);
    assert!(found.values().all(Result::is_ok));
    assert_eq!(counting.most.into_inner(), 2);
}

/// Notes how many commands run at once.
struct Counting {
    inner: LocalShell,
    now: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl Transport for Counting {
    async fn run(&self, host: &str, command: Command) -> Result<Output, Unreachable> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let result = self.inner.run(host, command).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        result
    }
}

#[tokio::test]
async fn reading_leaves_every_file_folder_and_time_as_it_was() {
    let stage = Stage::new("3.5.16");
    stage.install("opt/3.5.16", "3.5.16");
    let mut host = stage.host();
    host.templates.files = vec![file_template(stage.path("etc/file").display().to_string())];
    fs::write(stage.path("etc/file"), "text\n").unwrap();
    let before = stage.listing();
    for shell in SHELLS {
        facts(&stage, shell, host.clone()).await.unwrap();
        answered(observe_host(&stage.shell(shell), &host, DEADLINE).await);
    }
    assert!(before == stage.listing(), "something was written");
}

#[tokio::test]
async fn keys_in_the_newest_raft_snapshot_are_seen_where_api_2_is_not_served() {
    let own = r#"{"Root":{"Path":"/","Children":{"0":{"Path":"/0","Children":{"version":{"Path":"/0/version","Value":"3.5.0"}}},"1":{"Path":"/1""#;
    let key = r#","Children":{"app":{"Path":"/1/app","Value":"1"}}}}}"#;
    let hidden = r#","Children":{"_app":{"Path":"/1/_app","Value":"1"}}}}}"#;
    let said = r#","Value":"{\"Path\":\"/1/app\"}"}}}}"#;
    for shell in SHELLS {
        for (rest, wanted) in [
            (key, V2Keys::Present),
            (hidden, V2Keys::Absent),
            (said, V2Keys::Absent),
        ] {
            let stage = Stage::new("3.5.30");
            let page = fixture("3.5.30", "version.json");
            let curl = format!(
                "for url; do :; done\ncase $url in */v2/*) echo '404 page not found' ;; *) cat '{}' ;; esac",
                page.display()
            );
            stage.tool("curl", &curl);
            let log = "data/member/wal/0000000000000000-0000000000000000.wal";
            fs::write(stage.path(log), vec![0; 64]).unwrap();
            let snap = stage.path("data/member/snap/0000000000000002-00000000000186a1.snap");
            fs::write(snap, format!("\u{8}{own}{rest}")).unwrap();
            let facts = facts(&stage, shell, stage.host()).await.unwrap();
            assert_eq!(facts.data.v2_keys, wanted, "{shell:?}: {rest}");
        }
    }
}

/// An entry of the log: a change of the cluster's version, at this index.
fn change(index: u8) -> Vec<u8> {
    let mut request = b"\x08\x01\x12\x03PUT\x1a\x0a/0/version\x22\x053.5.0".to_vec();
    request.extend([
        0x28, 0, 0x32, 0, 0x38, 0, 0x48, 0, 0x50, 0, 0x58, 0, 0x60, 0,
    ]);
    request.extend([0x68, 0, 0x70, 0, 0x78, 0, 0x80, 1, 0]);
    let size = u8::try_from(request.len()).unwrap();
    let mut entry = vec![8, 0, 16, 2, 24, index, 34, size];
    entry.extend(request);
    entry
}

#[tokio::test]
async fn a_log_is_searched_as_far_as_its_process_has_written() {
    for shell in SHELLS {
        // The position is the end of what was written; nobody can tell; something is behind it after all.
        for (position, last) in [(0x400, 4), (0, 9), (0x3e0, 9)] {
            let stage = Stage::new("3.5.30");
            for name in ["0.wal", "1.wal"] {
                fs::remove_file(stage.path("data/member/wal").join(name)).unwrap();
            }
            let log = "data/member/wal/0000000000000000-0000000000000000.wal";
            let mut log = fs::File::create(stage.path(log)).unwrap();
            log.set_len(64 << 10).unwrap();
            let first = change(4);
            log.write_all_at(&first, 0x400 - first.len() as u64)
                .unwrap();
            log.write_all_at(&change(9), 32 << 10).unwrap();
            log.seek(SeekFrom::Start(position)).unwrap();
            let mut process = runs(&stage, log);
            let facts = facts(&stage, shell, stage.host()).await;
            process.kill().unwrap();
            process.wait().unwrap();
            let OldRequests::Found { any, .. } = facts.unwrap().data.old_requests else {
                panic!("{shell:?}, {position}: the log was not searched");
            };
            assert_eq!(any, Some(last), "{shell:?}, {position}");
        }
    }
}

/// What the gateway says when the head of API 2's root is asked for, too.
#[tokio::test]
async fn where_the_gateway_says_that_api_2_is_not_served_its_page_is_not_asked_for() {
    let recorded = fs::read_to_string(fixture("3.5.30", "healthy.gateway")).unwrap();
    let (version, rest) = recorded.split_once("@200\n").unwrap();
    let root = r#"{"action":"get","node":{"dir":true,"nodes":[{"key":"/a","value":"1"}]}}"#;
    for (code, asked, wanted) in [(404, 0, V2Keys::Absent), (200, 2, V2Keys::Present)] {
        let stage = Stage::new("3.5.30");
        let log = "data/member/wal/0000000000000000-0000000000000000.wal";
        fs::write(stage.path(log), vec![0; 64]).unwrap();
        let pages = format!("{version}@200\nHTTP/1.1 {code}\n\n@{code}\n{rest}");
        fs::write(stage.path("pages"), pages).unwrap();
        let path = |below: &str| stage.path(below).display().to_string();
        let curl = format!(
            "case \"$*\" in\n*--head*/v2/keys/*/v3/*) cat '{}' ;;\n*) echo \"$*\" >>'{}'; echo '{root}' ;;\nesac",
            path("pages"),
            path("asked")
        );
        stage.tool("curl", &curl);
        let facts = facts(&stage, SHELLS[1], stage.host()).await.unwrap();
        assert_eq!(facts.data.v2_keys, wanted, "{code}");
        assert!(facts.answer.view().is_some(), "{code}");
        let pages = fs::read_to_string(stage.path("asked")).unwrap_or_default();
        assert_eq!(pages.lines().count(), asked, "{code}: {pages}");
    }
}
