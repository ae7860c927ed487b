//! A sudo that wants a password: right, wrong and missing, and where the password never shows.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::Cluster;
use crate::common::run::{assert_untouched, command, files, runner, running, state_dir};

const PASSWORD: &str = "korrekt 'horse\" $batterie";

/// Makes a login user who needs a password for sudo, with the key of the lab's own user.
fn with_password_user() -> Cluster {
    let cluster = Cluster::start(1, "3.5.16", "3.5.30");
    let script = format!(
        "useradd -m -s /bin/sh ops2 && chpasswd <<'END'\nops2:{PASSWORD}\nEND\n\
         printf 'ops2 ALL=(ALL) ALL\\n' >/etc/sudoers.d/ops2 && chmod 440 /etc/sudoers.d/ops2\n\
         cp -r /home/ops/.ssh /home/ops2/.ssh && chown -R ops2: /home/ops2/.ssh"
    );
    cluster.lab.sh("etcd-1", &script).unwrap();
    cluster
}

fn password_file(cluster: &Cluster, name: &str, text: &str) -> PathBuf {
    let path = cluster.lab.folder().join(name);
    fs::write(&path, format!("{text}\n")).unwrap();
    path
}

#[test]
fn a_password_for_sudo_is_checked_before_anything_and_shows_nowhere() {
    let cluster = with_password_user();
    let right = password_file(&cluster, "right", PASSWORD);
    let wrong = password_file(&cluster, "wrong", "something else");
    let (right, wrong) = (right.to_str().unwrap(), wrong.to_str().unwrap());
    let before = files(&cluster);
    runner(&cluster, &["upgrade", "--yes", "-u", "ops2"])
        .ends_with(4)
        .says("password is required")
        .says("`-K`")
        .says("changed: nothing");
    let refused = runner(
        &cluster,
        &[
            "upgrade",
            "--yes",
            "-u",
            "ops2",
            "--become-password-file",
            wrong,
        ],
    );
    refused
        .ends_with(4)
        .says("host `etcd-1`: sudo does not take the password")
        .says("changed: nothing");
    runner(&cluster, &["check", "--become-password-file", wrong]).ends_with(0);
    runner(
        &cluster,
        &["check", "-u", "root", "--become-password-file", wrong],
    )
    .ends_with(0);
    assert_untouched(&before, &files(&cluster));

    let args = [
        "upgrade",
        "--yes",
        "-vv",
        "-u",
        "ops2",
        "--become-password-file",
        right,
    ];
    let (seen, ran) = watched(&cluster, || runner(&cluster, &args).ends_with(0));
    assert!(
        seen.contains("P:") && seen.contains("ops2"),
        "sudo was seen"
    );
    assert!(
        !seen.contains(PASSWORD),
        "in a command line or an environment"
    );
    assert!(!(ran.out + &ran.err).contains(PASSWORD), "in the output");
    assert_eq!(running(&cluster, "etcd-1").0, "3.5.30");
    nowhere(&cluster);
}

/// Looks at all command lines and environments of the host while something happens there.
fn watched<T>(cluster: &Cluster, work: impl FnOnce() -> T) -> (String, T) {
    const WATCH: &str = "while [ ! -e /run/enough ]; do \
        cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' >>/run/seen; done; sort -u /run/seen";
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| cluster.lab.sh("etcd-1", WATCH).unwrap());
        let done = work();
        cluster.lab.sh("etcd-1", "touch /run/enough").unwrap();
        let seen = watch.join().unwrap();
        cluster
            .lab
            .sh("etcd-1", "rm /run/enough /run/seen")
            .unwrap();
        (seen, done)
    })
}

/// Neither the host's journal nor its files nor what we keep here holds the password.
fn nowhere(cluster: &Cluster) {
    let journal = cluster
        .lab
        .sh("etcd-1", "journalctl --no-pager -a -o export")
        .unwrap();
    assert!(
        journal.contains("COMMAND=/bin/sh"),
        "sudo logs what it runs"
    );
    assert!(!journal.contains(PASSWORD), "in the host's journal");
    let root = cluster.lab.host("etcd-1").unwrap().root();
    for folder in [
        "etc", "home", "root", "tmp", "opt", "var/tmp", "var/log", "var/lib",
    ] {
        holding(&root.join(folder));
    }
    let volatile = "find /run -xdev -type f -size -2M -exec cat {} + 2>/dev/null; true";
    assert!(
        !cluster
            .lab
            .sh("etcd-1", volatile)
            .unwrap()
            .contains(PASSWORD)
    );
    holding(&state_dir(cluster));
}

/// Asserts that no file in this folder holds the password.
fn holding(folder: &Path) {
    assert!(folder.is_dir(), "{}", folder.display());
    let found = Command::new("grep")
        .args(["-rlF", "-D", "skip", "--", PASSWORD])
        .arg(folder)
        .output();
    let found = String::from_utf8(found.unwrap().stdout).unwrap();
    assert!(found.is_empty(), "{found}");
}

#[test]
fn a_password_is_asked_for_once_at_the_terminal_and_is_not_echoed() {
    let cluster = with_password_user();
    let asking = command(&cluster, &cluster.inventory, &["check", "-u", "ops2", "-K"]);
    let words: Vec<String> = std::iter::once(asking.get_program())
        .chain(asking.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let mut child = Command::new("script")
        .args(["-qec", &words.join(" "), "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut screen = child.stdout.take().unwrap();
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"sudo password: ") {
        let more = screen.read(&mut byte).unwrap();
        assert!(more > 0, "{}", String::from_utf8_lossy(&seen));
        seen.push(byte[0]);
    }
    let mut keys = child.stdin.take().unwrap();
    keys.write_all(format!("{PASSWORD}\r").as_bytes()).unwrap();
    screen.read_to_end(&mut seen).unwrap();
    let seen = String::from_utf8_lossy(&seen).into_owned();
    assert!(child.wait().unwrap().success(), "{seen}");
    assert_eq!(seen.matches("sudo password: ").count(), 1, "{seen}");
    assert!(!seen.contains("horse"), "{seen}");

    // In a session of its own, which has no terminal whoever runs the tests.
    let without = Command::new("setsid")
        .arg("-w")
        .arg(asking.get_program())
        .args(asking.get_args())
        .output()
        .unwrap();
    let said = String::from_utf8(without.stderr).unwrap();
    assert_eq!(without.status.code(), Some(2), "{said}");
    assert!(
        said.contains("no terminal") && said.contains("--become-password-file"),
        "{said}"
    );
}
