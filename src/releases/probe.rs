//! Binaries asked for their version, on this machine.

use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::etcd::Version;

/// What a binary wrote and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) success: bool,
    pub(super) text: String,
}

/// etcd answers within milliseconds; a loaded machine is given time.
const LONGEST: Duration = Duration::from_secs(20);

/// More than any version text.
const MOST: u64 = 64 * 1024;

/// The arguments that make a binary of that release print its version: etcdctl of 2.x has no such command.
pub(super) fn args(binary: &str, version: &Version) -> &'static [&'static str] {
    match binary {
        "etcd" => &["--version"],
        _ if version.minor().major < 3 => &["--version"],
        _ => &["version"],
    }
}

/// Runs a binary with nothing but arguments: no input, no environment but etcdctl's choice of API (it is a choice
/// up to 3.5).
pub(super) fn ask(path: &Path, args: &[&str]) -> io::Result<Said> {
    let (output, input) = io::pipe()?;
    let mut command = Command::new(path);
    command
        .args(args)
        .env_clear()
        .env("ETCDCTL_API", "3")
        .current_dir(path.parent().unwrap_or(Path::new("/")))
        .stdin(Stdio::null())
        .stdout(input.try_clone()?)
        .stderr(input)
        .process_group(0);
    let child = spawn(&mut command)?;
    drop(command); // it holds the writing end, and reading would never end
    await_end(child, output, LONGEST)
}

/// Starts a process. A file that was just written counts as busy while a process that another thread is starting
/// has not closed its copy of the descriptor yet; nothing announces the end of that, so it is tried again.
fn spawn(command: &mut Command) -> io::Result<Child> {
    let mut last = command.spawn();
    for _ in 0..50 {
        match &last {
            Err(cause) if cause.kind() == io::ErrorKind::ExecutableFileBusy => {
                thread::sleep(Duration::from_millis(20));
                last = command.spawn();
            }
            _ => break,
        }
    }
    last
}

fn await_end(mut child: Child, output: io::PipeReader, longest: Duration) -> io::Result<Said> {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (send, receive) = mpsc::channel();
    let waiter = thread::spawn(move || {
        let mut text = Vec::new();
        let read = output.take(MOST).read_to_end(&mut text);
        let ended: io::Result<(ExitStatus, Vec<u8>)> =
            read.and_then(|_| child.wait()).map(|status| (status, text));
        drop(send.send(ended)); // nobody listens after the timeout
    });
    let ended = receive.recv_timeout(longest);
    if ended.is_err()
        && let Some(group) = group
    {
        let _gone_already_is_as_good = kill_process_group(group, Signal::KILL);
    }
    drop(waiter.join()); // it cannot panic, and its word has been heard
    let (status, text) = ended.map_err(|_| {
        let text = format!("it did not end within {} s", longest.as_secs());
        io::Error::new(io::ErrorKind::TimedOut, text)
    })??;
    Ok(Said {
        success: status.success(),
        text: String::from_utf8_lossy(&text).into_owned(),
    })
}

/// The version in what a binary printed: `etcd Version: 3.5.16`, `etcdctl version: 3.5.16`, `etcdctl version 2.3.8`.
pub(super) fn version_in(binary: &str, text: &str) -> Option<Version> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix(binary)?.trim_start();
        let word = rest
            .get(..7)
            .filter(|word| word.eq_ignore_ascii_case("version"))?;
        let said = rest[word.len()..].trim_start_matches(':').trim();
        said.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn the_version_is_read_from_what_each_line_prints() {
        let etcd = "etcd Version: 3.5.16\nGit SHA: GitNotFound\nGo Version: go1.24.0\n";
        for (binary, text, version) in [
            ("etcd", etcd, "3.5.16"),
            (
                "etcdctl",
                "etcdctl version: 3.5.16\nAPI version: 3.5\n",
                "3.5.16",
            ),
            ("etcdctl", "etcdctl version 2.3.8\n", "2.3.8"),
            (
                "etcdutl",
                "etcdutl version: 3.6.14\nAPI version: 3.6\n",
                "3.6.14",
            ),
        ] {
            assert_eq!(
                version_in(binary, text),
                Some(version.parse().unwrap()),
                "{text}"
            );
        }
        assert_eq!(version_in("etcd", "etcdctl version: 3.5.16\n"), None);
        assert_eq!(
            version_in("etcd", "flag provided but not defined: -version\n"),
            None
        );
        assert_eq!(version_in("etcd", "etcd Version\u{e9}"), None);
    }

    #[test]
    fn etcdctl_is_asked_by_a_flag_up_to_2_3() {
        assert_eq!(args("etcdctl", &Version::new(2, 3, 8)), ["--version"]);
        assert_eq!(args("etcdctl", &Version::new(3, 0, 17)), ["version"]);
        assert_eq!(args("etcd", &Version::new(3, 5, 16)), ["--version"]);
        assert_eq!(args("etcdutl", &Version::new(3, 5, 16)), ["version"]);
    }

    #[test]
    fn a_program_sees_no_environment_and_no_input_and_both_its_streams_are_read() {
        let said = ask(
            Path::new("/bin/sh"),
            &["-c", "env; read x || echo no input >&2"],
        )
        .unwrap();
        assert!(said.success && said.text.contains("no input"), "{said:?}");
        assert!(
            said.text.contains("ETCDCTL_API=3") && !said.text.contains("HOME="),
            "{said:?}"
        );
        assert!(!ask(Path::new("/bin/false"), &[]).unwrap().success);
    }

    #[test]
    fn a_program_that_does_not_end_is_ended_with_its_children() {
        let (output, input) = io::pipe().unwrap();
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "sleep 1000 & wait"])
            .stdout(input)
            .process_group(0);
        let child = command.spawn().unwrap();
        drop(command);
        let start = Instant::now();
        let error = await_end(child, output, Duration::from_millis(100)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn a_program_that_prints_without_end_is_cut_off() {
        let said = ask(
            Path::new("/bin/sh"),
            &["-c", "while :; do echo yyyyyyyyyyyyyyyy; done"],
        )
        .unwrap();
        assert!(!said.success);
        assert_eq!(said.text.len() as u64, MOST);
    }
}
