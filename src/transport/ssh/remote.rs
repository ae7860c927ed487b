//! What is run on the host: a fixed wrapper in argv, everything else on stdin.
//!
//! The login shell sees only constants, a random mark and a number, in single quotes, on one line, without
//! backslashes and exclamation marks: sh, bash, zsh, fish and csh all read that in the same way. Script, arguments
//! and secrets follow as one line on stdin, so that none of them is in a process list, and none can be too long for
//! argv. If the connection dies before that line is complete, nothing is run.

use std::fmt::Write as _;
use std::time::Duration;

use super::quote::{one_line, quote};
use crate::inventory::Escalation;
use crate::secret::Secret;
use crate::transport::Command;

/// Prints the marks, gains root if needed, and reports the status. `$1` inner, `$2` core, `$3` mark, `$4` seconds,
/// `$5` how root is gained: `self` (not at all), `none` (the login user must be root), `ask` (sudo, which prints a mark
/// where it wants the password on stdin), or the program. `-k` makes sudo ask even if it was answered lately, so that
/// one password is not taken for right because of another run's.
const OUTER: &str = r#"LC_ALL=C; export LC_ALL; echo B:$3; echo B:$3 >&2; if [ "$5" = self ] || [ "$(id -u)" = 0 ]; then /bin/sh -c "$1" runner "$2" "$3" "$4"; elif [ "$5" = none ]; then echo "the login user is not root" >&2; false; elif [ "$5" = ask ]; then sudo -k -S -p P:$3: -- /bin/sh -c "$1" runner "$2" "$3" "$4"; else "$5" -n -- /bin/sh -c "$1" runner "$2" "$3" "$4"; fi; s=$?; echo E:$3; echo S:$3:$s: >&2"#;

/// Says that the rights are there and limits the time. `timeout` makes a process group and ends all of it; where it is
/// missing, the seconds are handed on for [`WATCHED`].
const INNER: &str = r#"echo R:$2 >&2; if command -v timeout >/dev/null 2>&1; then exec timeout -k 5 "$3" /bin/sh -c "$1" runner; else exec /bin/sh -c "$1" runner "$3"; fi"#;

/// Reads the line with the script and runs it; what follows on stdin is the script's.
const CORE: &str = r#"IFS= read -r l || exit 125; eval "$(printf %b "$l")""#;

/// Runs the script under a watcher of our own, on hosts without `timeout`; only the script's shell is ended. Comes with
/// the script on stdin. Background processes lose stdin unless it is kept under another number.
const WATCHED: &str = r#"exec 3<&0
(eval "$runner_script") <&3 3<&- & runner_pid=$!
exec 3<&- </dev/null
(sleep "$runner_limit"; kill $runner_pid; sleep 5; kill -9 $runner_pid) >/dev/null 2>&1 & runner_watch=$!
wait $runner_pid; runner_status=$?
kill $runner_watch 2>/dev/null
exit $runner_status"#;

/// How long a script that ignores its end gets until it is killed, as `timeout -k 5` above says.
pub(super) const KILL_AFTER: Duration = Duration::from_secs(5);

/// A command in the form in which it travels.
pub(super) struct Remote {
    /// The command line for the login shell.
    pub(super) line: String,
    /// The first line on stdin.
    pub(super) header: Vec<u8>,
    /// The random word that marks what is ours in the output.
    pub(super) mark: String,
    /// What is sent when sudo asks, and only then; nothing else goes out before the script says that it has the rights.
    pub(super) password: Option<Secret>,
}

impl Remote {
    /// Prepares a command, or says what in it cannot travel.
    pub(super) fn new(
        command: &Command,
        escalation: Escalation,
        password: Option<&Secret>,
        mark: String,
    ) -> Result<Self, String> {
        check(command)?;
        let password = password.filter(|_| command.privileged && escalation == Escalation::Sudo);
        let seconds = command.deadline.as_millis().div_ceil(1000).max(1);
        let how = match password {
            Some(_) => "ask",
            None => how(command.privileged, escalation),
        };
        let words = [INNER, CORE, &mark, &seconds.to_string(), how]
            .map(quote)
            .join(" ");
        let line = format!("/bin/sh -c {} runner {words}", quote(OUTER));
        Ok(Self {
            line,
            header: header(command),
            mark,
            password: password.cloned(),
        })
    }
}

/// What `$5` of [`OUTER`] is.
fn how(privileged: bool, escalation: Escalation) -> &'static str {
    match (privileged, escalation) {
        (false, _) => "self",
        (true, Escalation::None) => "none",
        (true, Escalation::Sudo) => "sudo",
        (true, Escalation::Doas) => "doas",
    }
}

/// The line that sets secrets and arguments and holds the script.
fn header(command: &Command) -> Vec<u8> {
    let mut program = String::from("unset l\n");
    for (name, secret) in &command.secrets {
        let _ = writeln!(program, "export {name}={}", quote(secret.reveal()));
    }
    program.push_str("runner_limit=${1-}\nset --");
    for arg in &command.args {
        program.push(' ');
        program.push_str(&quote(arg));
    }
    let script = quote(&command.script);
    let _ = write!(
        program,
        "\nrunner_script={script}\nif [ -n \"$runner_limit\" ]; then\n{WATCHED}\nelse\neval \"$runner_script\"\nfi"
    );
    let mut line = one_line(&program).into_bytes();
    line.push(b'\n');
    line
}

/// Refuses what no shell can take.
fn check(command: &Command) -> Result<(), String> {
    if command.script.contains('\0') {
        return Err("the script holds a NUL byte".into());
    }
    if let Some(at) = command.args.iter().position(|arg| arg.contains('\0')) {
        return Err(format!("argument {} holds a NUL byte", at + 1));
    }
    for (name, secret) in &command.secrets {
        if !is_name(name) {
            return Err(format!("`{name}` is not the name of a shell variable"));
        }
        if secret.reveal().contains('\0') {
            return Err(format!("the secret `{name}` holds a NUL byte"));
        }
    }
    Ok(())
}

/// Whether a shell takes this as a variable's name.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command as Process, Stdio};

    use super::*;

    fn run(command: &Command, path: Option<&str>) -> (String, String) {
        let remote = Remote::new(command, Escalation::None, None, "cafe".into()).unwrap();
        let mut process = Process::new("/bin/sh");
        process
            .args(["-c", &remote.line])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(path) = path {
            process.env("PATH", path);
        }
        let mut child = process.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(&[&remote.header[..], b"payload"].concat())
            .unwrap();
        let out = child.wait_with_output().unwrap();
        (
            String::from_utf8(out.stdout).unwrap(),
            String::from_utf8(out.stderr).unwrap(),
        )
    }

    fn command(script: &str) -> Command {
        Command {
            privileged: false,
            ..Command::read("try", script, Duration::from_secs(5))
        }
    }

    #[test]
    fn the_login_shell_sees_only_characters_that_all_shells_read_alike() {
        for text in [OUTER, INNER, CORE] {
            assert!(!text.contains(['\'', '\\', '!', '\n']), "{text}");
        }
    }

    #[test]
    fn arguments_secrets_and_payload_reach_the_script() {
        let mut command = command("printf '%s|' \"$@\" \"$KEY\" \"${l-}\"; cat; exit 7")
            .args(["-n", "a\n'b'\\n$(id)"]);
        command.secrets.push(("KEY".into(), Secret::new("s'e\\c")));
        let (stdout, stderr) = run(&command, None);
        assert_eq!(stdout, "B:cafe\n-n|a\n'b'\\n$(id)|s'e\\c||payloadE:cafe\n");
        assert_eq!(stderr, "B:cafe\nR:cafe\nS:cafe:7:\n");
    }

    #[test]
    fn neither_script_nor_arguments_nor_secrets_are_in_the_command_line() {
        let mut command = command("echo the-script").arg("the-argument");
        command
            .secrets
            .push(("KEY".into(), Secret::new("the-secret")));
        assert!(
            !Remote::new(
                &command,
                Escalation::Sudo,
                Some(&Secret::new("the-password")),
                "cafe".into()
            )
            .unwrap()
            .line
            .contains("the-")
        );
    }

    /// A PATH with these tools alone.
    fn tools(names: &[&str]) -> tempfile::TempDir {
        let bin = tempfile::tempdir().unwrap();
        for tool in names {
            std::os::unix::fs::symlink(format!("/bin/{tool}"), bin.path().join(tool)).unwrap();
        }
        bin
    }

    #[test]
    fn a_host_without_timeout_still_gives_stdin_and_status() {
        let bin = tools(&["cat", "sleep"]);
        let (stdout, stderr) = run(
            &command("cat; printf \"<$1>\"; exit 9").arg("a b"),
            bin.path().to_str(),
        );
        assert_eq!(stdout, "B:cafe\npayload<a b>E:cafe\n");
        assert_eq!(stderr, "B:cafe\nR:cafe\nS:cafe:9:\n");
    }

    #[test]
    fn a_host_without_timeout_still_keeps_the_deadline() {
        let bin = tools(&["sleep"]);
        let mut late = command("exec sleep 30");
        late.deadline = Duration::from_millis(200);
        let (_, stderr) = run(&late, bin.path().to_str());
        assert!(stderr.contains("S:cafe:143:"), "{stderr}");
    }

    #[test]
    fn a_cut_header_runs_nothing() {
        let cut = Process::new("/bin/sh")
            .args([
                "-c",
                &format!("printf 'echo bad; ' | /bin/sh -c {}", quote(CORE)),
            ])
            .output()
            .unwrap();
        assert_eq!((cut.status.code(), cut.stdout), (Some(125), Vec::new()));
    }

    #[test]
    fn nul_bytes_and_bad_names_are_refused() {
        assert_eq!(
            Remote::new(
                &command("x").args(["a", "b\0"]),
                Escalation::None,
                None,
                String::new()
            )
            .err()
            .unwrap(),
            "argument 2 holds a NUL byte"
        );
        assert!(Remote::new(&command("x\0"), Escalation::None, None, String::new()).is_err());
        let mut bad = command("x");
        bad.secrets.push(("A B".into(), Secret::new("")));
        assert!(Remote::new(&bad, Escalation::None, None, String::new()).is_err());
    }
}
