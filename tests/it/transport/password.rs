//! sudo's password: sent when it is asked for, nowhere else, once.

use super::*;
use runner::inventory::Escalation;
use runner::secret::Secret;

/// Behaves as sudo does with `-S`: asks on stderr, three times at most, reads one line, byte by byte; logs each answer.
const ASKING: &str = r#"#!/bin/sh
[ "$1 $2 $3" = '-k -S -p' ] || { echo 'sudo: a password is required' >&2; exit 1; }
prompt=$4; shift 5
for try in 1 2 3; do
  printf '%s' "$prompt" >&2
  IFS= read -r answer || { echo 'sudo: no password was provided' >&2; exit 1; }
  echo "$answer" >>{dir}/answers
  [ "$answer" = 'pass word' ] && RISEN=yes exec "$@"
  echo 'Sorry, try again.' >&2
done
exit 1
"#;

/// A host where `id` says 1000 and `sudo` is this, and a transport to it with a password.
fn with_password(
    sudo: &str,
    escalation: Escalation,
    password: &str,
) -> (Sshd, Ssh, tempfile::TempDir) {
    let doas = "#!/bin/sh\necho 'doas: a tty is required' >&2; exit 1\n";
    let files = [
        ("id", "#!/bin/sh\necho 1000\n"),
        ("sudo", sudo),
        ("doas", doas),
    ];
    let sshd = Sshd::with_files("SetEnv PATH={dir}:/usr/bin:/bin", &files);
    let host = Host {
        escalation,
        ..sshd.host("a")
    };
    let runtime = runtime();
    let settings = Settings {
        become_password: Some(Secret::new(password)),
        ..settings(runtime.path().into())
    };
    let ssh = Ssh::new([&host], settings).unwrap();
    (sshd, ssh, runtime)
}

fn answers(sshd: &Sshd) -> String {
    std::fs::read_to_string(sshd.path("answers")).unwrap_or_default()
}

#[tokio::test]
async fn the_right_password_gives_root_and_the_script_gets_its_own_stdin() {
    let (sshd, ssh, _runtime) = with_password(ASKING, Escalation::Sudo, "pass word");
    let mut command = read("echo risen: $RISEN; cat; echo own >&2; exit 3");
    command.input = Input::Bytes(b"payload".to_vec());
    let out = ssh.run("a", command).await.unwrap();
    let got = (out.status, out.text(), out.complaint());
    assert_eq!(got, (3, "risen: yes\npayload".into(), "own".into()));
    assert_eq!(answers(&sshd), "pass word\n");
}

#[tokio::test]
async fn a_wrong_password_is_sent_once_and_never_again_and_no_script_is_run() {
    let (sshd, ssh, _runtime) = with_password(ASKING, Escalation::Sudo, "wrong");
    for _ in 0..2 {
        let error = ssh
            .run("a", read("touch /nonexistent/x"))
            .await
            .unwrap_err();
        assert_eq!((error.host.as_str(), error.stage), ("a", Stage::Password));
        assert!(!error.said.contains("wrong") && error.hint.contains("--become-password-file"));
    }
    assert_eq!(answers(&sshd), "wrong\n");
}

#[tokio::test]
async fn a_sudo_that_does_not_ask_never_gets_the_password() {
    let sudo = "#!/bin/sh\nshift 5; exec \"$@\"\n";
    let (_sshd, ssh, _runtime) = with_password(sudo, Escalation::Sudo, "pass word");
    let mut command = read("cat");
    command.input = Input::Bytes(b"payload".to_vec());
    assert_eq!(ssh.run("a", command).await.unwrap().text(), "payload");
}

#[tokio::test]
async fn a_script_that_needs_no_root_never_meets_the_password() {
    let (sshd, ssh, _runtime) = with_password(ASKING, Escalation::Sudo, "pass word");
    let command = Command {
        privileged: false,
        ..read("cat; echo end")
    };
    assert_eq!(ssh.run("a", command).await.unwrap().text(), "end\n");
    assert_eq!(answers(&sshd), "");
}

#[tokio::test]
async fn a_login_as_root_is_not_asked_and_ignores_the_password() {
    let sshd = Sshd::start("");
    let host = Host {
        escalation: Escalation::Sudo,
        ..sshd.host("a")
    };
    let runtime = runtime();
    let settings = Settings {
        become_password: Some(Secret::new("pass word")),
        ..settings(runtime.path().into())
    };
    let ssh = Ssh::new([&host], settings).unwrap();
    assert_eq!(
        ssh.run("a", read("id -u; cat")).await.unwrap().text(),
        "0\n"
    );
}

#[tokio::test]
async fn doas_is_never_given_a_password_and_the_message_says_so() {
    let (_sshd, ssh, _runtime) = with_password(ASKING, Escalation::Doas, "pass word");
    let error = ssh.run("a", read("true")).await.unwrap_err();
    assert_eq!(error.stage, Stage::Become("doas".into()));
    assert!(
        error.hint.contains("cannot be given a password"),
        "{}",
        error.hint
    );
}
