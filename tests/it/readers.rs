//! Whoever reads what runner writes may stand still: a run ends all the same, with its status, and a signal ends the
//! wait for him. With a real terminal and real pipes, and a host that cannot be reached.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::{self, File};
use std::io::Read;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Action, tcflow};

/// Far more than anything here takes, and far less than data are awaited.
const LONG: Duration = Duration::from_secs(180);

/// A folder with an inventory whose only host has no sshd.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    let text = format!(
        "[clusters.prod]\nversion = \"3.5.16\"\n[clusters.prod.hosts.etcd-1]\naddress = \"127.0.0.1\"\nport = {port}\n"
    );
    fs::write(home.path().join("inventory.toml"), text).unwrap();
    home
}

fn clean(command: &mut Command, home: &Path) {
    command.current_dir(home).env_clear().env("HOME", home);
    command.env("PATH", std::env::var_os("PATH").unwrap());
}

fn upgrade(home: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
    clean(&mut command, home);
    command
        .args(["upgrade", "--yes", "--state-dir", "state"])
        .args(more)
        .stdin(Stdio::null());
    command
}

/// The two ends of a new terminal.
fn terminal() -> (OwnedFd, OwnedFd) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let theirs = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    (ours, theirs)
}

/// Looks again and again.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < LONG, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Waits until the journal has its ending.
fn journaled(home: &Path) {
    until("the run's ending is journaled", || {
        let runs = fs::read_dir(home.join("state/runs")).ok()?;
        let journals = runs.flatten().map(|run| run.path().join("journal.ndjson"));
        let texts = journals.filter_map(|path| fs::read_to_string(path).ok());
        let last = texts.filter_map(|text| text.lines().last().map(str::to_owned));
        last.into_iter()
            .find(|line| line.contains("\"kind\":\"ended\""))
    });
}

fn ended(child: &mut Child) -> ExitStatus {
    until("it has ended", || child.try_wait().unwrap())
}

fn terminate(child: &mut Child) -> ExitStatus {
    let pid = Pid::from_child(child);
    kill_process(pid, Signal::TERM).unwrap();
    ended(child)
}

/// A pipe that takes nothing more, what it holds, and its end for reading.
fn full_pipe() -> (OwnedFd, usize, File) {
    let (read, write) = rustix::pipe::pipe().unwrap();
    fcntl_setfl(&write, OFlags::NONBLOCK).unwrap();
    let mut filled = 0;
    while let Ok(more) = rustix::io::write(&write, &[b'#'; 4096]) {
        filled += more;
    }
    fcntl_setfl(&write, OFlags::empty()).unwrap();
    (write, filled, read.into())
}

#[test]
fn a_terminal_that_stands_still_holds_up_neither_the_run_nor_its_end() {
    let home = home();
    let (_ours, theirs) = terminal();
    tcflow(&theirs, Action::OOff).unwrap();
    let mut child = upgrade(home.path(), &[])
        .stdin(theirs.try_clone().unwrap())
        .stdout(theirs.try_clone().unwrap())
        .stderr(theirs)
        .spawn()
        .unwrap();
    journaled(home.path());
    // Nobody signals: it waits for some seconds, and then no more.
    assert_eq!(ended(&mut child).code(), Some(4));
}

#[test]
fn a_signal_ends_the_wait_for_a_terminal_that_stands_still_with_the_status_of_the_run() {
    for signal in [Signal::INT, Signal::HUP, Signal::TERM] {
        let home = home();
        let (_ours, theirs) = terminal();
        tcflow(&theirs, Action::OOff).unwrap();
        let mut child = upgrade(home.path(), &[])
            .stdout(theirs.try_clone().unwrap())
            .stderr(theirs)
            .spawn()
            .unwrap();
        journaled(home.path());
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(ended(&mut child).code(), Some(4), "{signal:?}");
    }
}

#[test]
fn data_that_nobody_reads_is_awaited_until_a_signal_and_its_loss_is_said() {
    let home = home();
    let (write, _, _reader) = full_pipe();
    let mut child = upgrade(home.path(), &["--output", "json"])
        .stdout(write)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    journaled(home.path());
    assert_eq!(terminate(&mut child).code(), Some(4));
    let mut said = String::new();
    child.stderr.unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("stdout takes nothing: "), "{said}");
    assert!(said.contains("error: "), "{said}");
}

#[test]
fn a_reader_that_comes_late_gets_every_object() {
    let home = home();
    let (write, filled, mut reader) = full_pipe();
    let mut child = upgrade(home.path(), &["--output", "json"])
        .stdout(write)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    journaled(home.path());
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    assert_eq!(ended(&mut child).code(), Some(4));
    let text = String::from_utf8(bytes.split_off(filled)).unwrap();
    let last = text.lines().last().unwrap();
    assert!(last.contains("\"kind\":\"ended\""), "{text}");
    let runs = fs::read_dir(home.path().join("state/runs")).unwrap();
    let journal = runs.flatten().next().unwrap().path().join("journal.ndjson");
    assert_eq!(text, fs::read_to_string(journal).unwrap());
}

#[test]
fn talk_that_nobody_reads_keeps_no_run_from_its_end() {
    let home = home();
    let (write, _, _reader) = full_pipe();
    let mut child = upgrade(home.path(), &[])
        .stdout(Stdio::null())
        .stderr(write)
        .spawn()
        .unwrap();
    assert_eq!(ended(&mut child).code(), Some(4));
}

/// `stty tostop`: who writes to the terminal from the background is stopped, and a stopped run leaves its member down.
#[test]
fn a_run_in_the_background_of_a_terminal_that_stops_writers_is_silent_and_ends() {
    let home = home();
    let (ours, theirs) = terminal();
    let script =
        "stty tostop; set -m; \"$0\" upgrade --yes --state-dir state & wait $!; echo $? > status";
    let mut shell = Command::new("setsid");
    clean(&mut shell, home.path());
    let mut shell = shell
        .args(["--ctty", "bash", "-c", script])
        .arg(env!("CARGO_BIN_EXE_runner"))
        .stdin(theirs.try_clone().unwrap())
        .stdout(theirs.try_clone().unwrap())
        .stderr(theirs)
        .spawn()
        .unwrap();
    assert!(ended(&mut shell).success());
    journaled(home.path());
    let status = fs::read_to_string(home.path().join("status")).unwrap();
    assert_eq!(status, "4\n");
    fcntl_setfl(&ours, OFlags::NONBLOCK).unwrap();
    let mut shown = Vec::new();
    // The terminal's other end is closed by now, which ends the reading with an error.
    let _ = File::from(ours).read_to_end(&mut shown);
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert!(!shown.contains("error"), "{shown}");
}
