//! What is run on the host: a fixed wrapper in argv, everything else on stdin.
//!
//! The login shell sees only constants and a random mark, in single quotes, on one line, without backslashes and
//! exclamation marks: sh, bash, zsh, fish and csh all read that in the same way. The seconds that it may take, and script,
//! arguments and secrets, follow as two lines on stdin, so that none of them is in a process list, and none can be too
//! long for argv. If the connection dies before the lines are complete, nothing is run.
//!
//! So the wrapper can be started before it is known what for ([`Wrapper`]).

use std::fmt::Write as _;
use std::time::Duration;

use super::quote::{one_line, quote};
use crate::inventory::Escalation;
use crate::secret::Secret;
use crate::transport::{Command, Input};

/// Prints the marks, gains root if needed, and reports the status. `$1` inner, `$2` core, `$3` mark, `$4` how root is
/// gained: `self` (not at all), `none` (the login user must be root), `ask` (sudo, which prints a mark
/// where it wants the password on stdin), or the program. `-k` makes sudo ask even if it was answered lately, so that
/// one password is not taken for right because of another run's.
const OUTER: &str = r#"LC_ALL=C; export LC_ALL; echo B:$3; echo B:$3 >&2; if [ "$4" = self ] || [ "$(id -u)" = 0 ]; then /bin/sh -c "$1" runner "$2" "$3" "$4"; elif [ "$4" = none ]; then echo "the login user is not root" >&2; false; elif [ "$4" = ask ]; then sudo -k -S -p P:$3: -- /bin/sh -c "$1" runner "$2" "$3" "$4"; else "$4" -n -- /bin/sh -c "$1" runner "$2" "$3" "$4"; fi; s=$?; echo E:$3; echo S:$3:$s: >&2"#;

/// Reads the line with the seconds, says that the rights are there and limits the time. Where a password is asked for,
/// nothing else is sent before the rights are there, so they are told first; elsewhere a shell that has not told them has
/// not run a script either. `timeout` makes a process group
/// and ends all of it; where it is missing, the seconds are handed on for [`WATCHED`].
///
/// After a plus sign before the seconds come a script that reads nothing from stdin, and further ones: each begins and ends
/// with the marks, as the outer shell prints them around the first and the last. Such a script travels on in the
/// environment, which [`CORE`] clears at once.
const INNER: &str = r#"unset runner_line; n=; if [ "$3" = ask ]; then echo R:$2 >&2; fi; while :; do IFS= read -r t || exit 125; if [ -n "$n" ]; then echo B:$2; echo B:$2 >&2; fi; if [ "$3$n" = ask ]; then :; else echo R:$2 >&2; fi; case $t in +*) t=${t#+};; *) break;; esac; IFS= read -r l || exit 125; if command -v timeout >/dev/null 2>&1; then runner_line=$l timeout -k 5 "$t" /bin/sh -c "$1" runner </dev/null; else runner_line=$l /bin/sh -c "$1" runner "$t" </dev/null; fi; s=$?; echo E:$2; echo S:$2:$s: >&2; n=1; done; if command -v timeout >/dev/null 2>&1; then exec timeout -k 5 "$t" /bin/sh -c "$1" runner; else exec /bin/sh -c "$1" runner "$t"; fi"#;

/// Reads the line with the script and runs it; what follows on stdin is the script's.
const CORE: &str = r#"if [ -n "${runner_line-}" ]; then l=$runner_line; unset runner_line; else IFS= read -r l || exit 125; fi; eval "$(printf %b "$l")""#;

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

/// How a script's shell is started; says nothing of the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrapper {
    /// As the login user, or as root by other means than a password; the word for `$4` of [`OUTER`].
    Silent(&'static str),
    /// As root, by a password that sudo asks for.
    Asking,
}

impl Wrapper {
    /// That of a command.
    pub(super) fn of(command: &Command, escalation: Escalation, password: bool) -> Self {
        if command.privileged {
            Self::of_root(escalation, password)
        } else {
            Self::Silent("self")
        }
    }

    /// That of commands that need root.
    pub(super) fn of_root(escalation: Escalation, password: bool) -> Self {
        match escalation {
            Escalation::None => Self::Silent("none"),
            Escalation::Sudo if password => Self::Asking,
            Escalation::Sudo => Self::Silent("sudo"),
            Escalation::Doas => Self::Silent("doas"),
        }
    }

    /// The command line for the login shell.
    pub(super) fn line(self, mark: &str) -> String {
        let how = match self {
            Self::Silent(how) => how,
            Self::Asking => "ask",
        };
        let words = [INNER, CORE, mark, how].map(quote).join(" ");
        format!("/bin/sh -c {} runner {words}", quote(OUTER))
    }
}

/// The longest line that travels in the environment: Linux takes 128 KiB a variable.
const LONGEST: usize = 100 << 10;

/// A command in the form in which it travels.
pub(super) struct Remote {
    /// The first lines on stdin.
    pub(super) header: Vec<u8>,
    /// Whether the shell is there for another script afterwards.
    pub(super) stays: bool,
    /// The random word that marks what is ours in the output.
    pub(super) mark: String,
    /// What is sent when sudo asks, and only then; nothing else goes out before the script says that it has the rights.
    pub(super) password: Option<Secret>,
}

impl Remote {
    /// Prepares a command, or says what in it cannot travel. The password is for a wrapper that asks. The shell can stay
    /// for further scripts if this one reads nothing.
    pub(super) fn new(
        command: &Command,
        password: Option<&Secret>,
        mark: String,
        stay: bool,
    ) -> Result<Self, String> {
        check(command)?;
        let mut header = header(command);
        let stays = stay && matches!(command.input, Input::None) && header.len() < LONGEST;
        if stays {
            header.insert(0, b'+');
        }
        Ok(Self {
            header,
            stays,
            mark,
            password: password.cloned(),
        })
    }
}

/// The line with the seconds, and the one that sets secrets and arguments and holds the script.
fn header(command: &Command) -> Vec<u8> {
    let seconds = command.deadline.as_millis().div_ceil(1000).max(1);
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
    format!("{seconds}\n{}\n", one_line(&program)).into_bytes()
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
        run_in_a_row(std::slice::from_ref(command), path)
    }

    /// What a shell says that is given one script after the other, the last of which gets a payload and ends it.
    fn run_in_a_row(scripts: &[Command], path: Option<&str>) -> (String, String) {
        let line = Wrapper::of(&scripts[0], Escalation::None, false).line("cafe");
        let mut sent = Vec::new();
        for (at, script) in scripts.iter().enumerate() {
            let stay = at + 1 < scripts.len();
            let remote = Remote::new(script, None, "cafe".into(), stay);
            sent.extend(remote.unwrap().header);
        }
        sent.extend(b"payload");
        let mut process = Process::new("/bin/sh");
        process
            .args(["-c", &line])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(path) = path {
            process.env("PATH", path);
        }
        let mut child = process.spawn().unwrap();
        child.stdin.take().unwrap().write_all(&sent).unwrap();
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
    fn a_shell_runs_one_script_after_the_other_each_between_its_marks() {
        let mut secret = command("printf %s \"$KEY\"; cat; env | grep -c runner_line");
        secret.secrets.push(("KEY".into(), Secret::new("s")));
        let none = command("printf %s \"${KEY-none}\"; x=1; exit 7");
        let last = command("printf %s \"${x-}\"; cat");
        let bare = tools(&["cat", "env", "grep", "sleep"]);
        for path in [None, bare.path().to_str()] {
            let scripts = [secret.clone(), none.clone(), last.clone()];
            let (stdout, stderr) = run_in_a_row(&scripts, path);
            assert_eq!(
                stdout,
                "B:cafe\ns0\nE:cafe\nB:cafe\nnoneE:cafe\nB:cafe\npayloadE:cafe\n"
            );
            assert_eq!(
                stderr,
                "B:cafe\nR:cafe\nS:cafe:1:\nB:cafe\nR:cafe\nS:cafe:7:\nB:cafe\nR:cafe\nS:cafe:0:\n"
            );
        }
    }

    #[test]
    fn a_script_that_takes_too_long_leaves_its_shell_for_the_next() {
        let mut late = command("exec sleep 30");
        late.deadline = Duration::from_millis(200);
        let (_, stderr) = run_in_a_row(&[late, command("exit 3")], None);
        assert_eq!(
            stderr,
            "B:cafe\nR:cafe\nS:cafe:124:\nB:cafe\nR:cafe\nS:cafe:3:\n"
        );
    }

    #[test]
    fn a_script_that_is_fed_or_is_longer_than_a_variable_may_be_has_a_shell_of_its_own() {
        let stays = |command: &Command| {
            let remote = Remote::new(command, None, "cafe".into(), true);
            remote.unwrap().stays
        };
        assert!(stays(&command("true")));
        assert!(!stays(&command(&"true\n".repeat(LONGEST / 4))));
        let fed = Command {
            input: Input::Bytes(Vec::new()),
            ..command("cat")
        };
        assert!(!stays(&fed));
    }

    #[test]
    fn only_sudo_that_wants_a_password_is_asked_for_one() {
        let mut command = Command::read("try", "true", Duration::from_secs(5));
        let of = |command: &Command, escalation| Wrapper::of(command, escalation, true);
        assert_eq!(of(&command, Escalation::Sudo), Wrapper::Asking);
        assert_eq!(of(&command, Escalation::Doas), Wrapper::Silent("doas"));
        let without = Wrapper::of(&command, Escalation::Sudo, false);
        assert_eq!(without, Wrapper::Silent("sudo"));
        command.privileged = false;
        assert_eq!(of(&command, Escalation::Sudo), Wrapper::Silent("self"));
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
    fn a_wrapper_that_never_hears_of_a_script_ends() {
        let line = Wrapper::Silent("self").line("cafe");
        let ended = Process::new("/bin/sh")
            .args(["-c", &line])
            .stdin(Stdio::null())
            .output();
        let said = String::from_utf8(ended.unwrap().stderr).unwrap();
        assert_eq!(said, "B:cafe\nS:cafe:125:\n");
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
            Remote::new(&command("x").args(["a", "b\0"]), None, String::new(), false)
                .err()
                .unwrap(),
            "argument 2 holds a NUL byte"
        );
        assert!(Remote::new(&command("x\0"), None, String::new(), false).is_err());
        let mut bad = command("x");
        bad.secrets.push(("A B".into(), Secret::new("")));
        assert!(Remote::new(&bad, None, String::new(), false).is_err());
    }
}
