//! Commands and their answers.

use super::*;
use runner::inventory::Escalation;
use runner::secret::Secret;

#[tokio::test]
async fn every_exit_status_comes_back_with_its_output() {
    let sshd = Sshd::start("");
    let reach = Reach::new(&[sshd.host("a")]);
    for (script, status) in [
        ("exit 0", 0),
        ("exit 1", 1),
        ("exit 127", 127),
        ("exit 255", 255),
        ("nosuchtool", 127),
        ("kill -9 $$", 137),
        ("kill -TERM $$", 143),
        ("if", 2),
    ] {
        let out = reach
            .run("a", read(&format!("printf out; printf err >&2\n{script}")))
            .await
            .unwrap();
        if script != "if" {
            assert_eq!(
                (out.text().as_str(), &out.stderr[..3]),
                ("out", b"err".as_slice()),
                "{script}"
            );
        }
        assert_eq!(out.status, status, "{script}: {}", out.complaint());
    }
}

#[tokio::test]
async fn hostile_arguments_secrets_and_payload_arrive_unchanged() {
    let sshd = Sshd::start("");
    let reach = Reach::new(&[sshd.host("a")]);
    let args = [
        "-n",
        "--",
        "a b",
        "line\nbreak\n",
        "$(touch /nowhere)`id`",
        "'\"\\",
        "\\n\\0041",
        "grüße\u{1f980}",
        "",
        "*",
        "!x",
        "\ttab\r",
    ];
    let mut command = read("for a; do printf '<%s>' \"$a\"; done; printf '{%s}' \"$PASSWORD\"; cat; tr '\\0' ' ' </proc/$PPID/cmdline >&2").args(args);
    command.secrets = vec![("PASSWORD".into(), Secret::new("se'cr\net$\\"))];
    let payload: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    command.input = Input::Bytes(payload.clone());
    let out = reach.run("a", command).await.unwrap();
    let expected = format!("<{}>{{se'cr\net$\\}}", args.join("><"));
    assert!(
        out.stdout == [expected.as_bytes(), &payload].concat(),
        "{}",
        String::from_utf8_lossy(&out.stdout[..400])
    );
    assert!(!out.complaint().contains("se'cr"));
}

#[tokio::test]
async fn a_nul_byte_is_refused_before_anything_is_contacted() {
    let reach = Reach::new(&[sshd::host(
        "a",
        "127.0.0.1",
        runner::inventory::Ssh::default(),
    )]);
    let error = reach.run("a", read("true").arg("a\0b")).await.unwrap_err();
    assert_eq!(
        (error.stage, error.said.as_str()),
        (Stage::Garbled("try".into()), "argument 1 holds a NUL byte")
    );
}

#[tokio::test]
async fn a_file_is_sent_and_one_is_received_with_mode_0600() {
    use std::os::unix::fs::PermissionsExt as _;
    let sshd = Sshd::start("");
    let reach = Reach::new(&[sshd.host("a")]);
    let (source, target) = (sshd.path("source"), sshd.path("target"));
    let bytes: Vec<u8> = (0..30_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    std::fs::write(&source, &bytes).unwrap();
    let mut command = read("cat");
    command.input = Input::File(source);
    command.output = Sink::File(target.clone());
    let out = reach.run("a", command.clone()).await.unwrap();
    assert!(out.is_success() && out.stdout.is_empty() && std::fs::read(&target).unwrap() == bytes);
    assert_eq!(
        target.metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
    let again = reach.run("a", command.clone()).await.unwrap_err();
    assert_eq!(again.stage, Stage::LocalFile(target.display().to_string()));
    assert!(target.exists());
    command.input = Input::File("/nowhere/source".into());
    command.output = Sink::Capture;
    assert_eq!(
        reach.run("a", command).await.unwrap_err().stage,
        Stage::LocalFile("/nowhere/source".into())
    );
}

#[tokio::test]
async fn a_file_that_was_not_received_whole_is_removed() {
    let sshd = Sshd::start("");
    let reach = Reach::new(&[sshd.host("a")]);
    let target = sshd.path("target");
    let mut command = read("head -c 100000 /dev/zero; kill -9 $(ps -o sid= -p $$); sleep 9");
    command.output = Sink::File(target.clone());
    let error = reach.run("a", command).await.unwrap_err();
    assert_eq!(
        (error.stage, target.exists()),
        (Stage::Lost("try".into()), false)
    );
}

#[tokio::test]
async fn more_output_than_can_be_captured_is_an_error_and_the_host_stays_reachable() {
    let sshd = Sshd::start("");
    let reach = Reach::new(&[sshd.host("a")]);
    let big = |n: u32| read(&format!("head -c {n} /dev/zero; echo done >&2"));
    assert_eq!(
        reach.run("a", big(8 << 20)).await.unwrap().stdout.len(),
        8 << 20
    );
    let error = reach.run("a", big((8 << 20) + 1)).await.unwrap_err();
    assert_eq!(error.stage, Stage::Garbled("try".into()));
    assert_eq!(
        reach.run("a", read("echo still")).await.unwrap().text(),
        "still\n"
    );
}

#[tokio::test]
async fn noise_of_the_login_shell_is_kept_out() {
    let noise = [(
        "noise",
        "echo MOTD of the day; echo '@status 0 3'; echo complaint >&2\n",
    )];
    let sshd = Sshd::with_files("SetEnv BASH_ENV={dir}/noise", &noise);
    let reach = Reach::new(&[sshd.host("a")]);
    let out = reach
        .run("a", read("echo body; echo words >&2"))
        .await
        .unwrap();
    assert_eq!(
        (out.text().as_str(), out.complaint().as_str()),
        ("body\n", "words")
    );
}

#[tokio::test]
async fn a_user_who_may_not_run_commands_is_told_in_the_hosts_words() {
    let sshd = Sshd::start("ForceCommand echo 'This account is currently not available.'; exit 1");
    let error = refusal(sshd.host("a")).await;
    assert_eq!(error.stage, Stage::Garbled("try".into()));
    assert_eq!(error.said, "This account is currently not available.");
    assert!(error.hint.contains("/bin/sh"));
}

#[tokio::test]
async fn a_left_over_process_on_the_host_does_not_delay_the_answer() {
    let sshd = Sshd::start("");
    let reach = Reach::new(&[sshd.host("a")]);
    let started = std::time::Instant::now();
    let out = reach.run("a", read("sleep 30 & echo $!")).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(10));
    sshd::kill(out.text().trim().parse().unwrap());
}

#[tokio::test]
async fn the_deadline_ends_the_script_and_its_children_on_the_host() {
    let sshd = Sshd::start("");
    let reach = Reach::new(&[sshd.host("a")]);
    let mut command = read("sleep 40 & echo $$ $!; wait");
    command.deadline = Duration::from_secs(1);
    let out = reach.run("a", command).await.unwrap();
    assert_eq!(out.status, 124);
    let pids: Vec<u32> = out
        .text()
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect();
    assert_eq!(pids.len(), 2);
    sshd::until("the processes end", || {
        pids.iter()
            .all(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists())
    })
    .await;
}

/// A host where the login user is not root, as far as `id` says, and `sudo` is what is given.
fn with_sudo(sudo: &str, escalation: Escalation) -> (Sshd, Host) {
    let files = [("id", "#!/bin/sh\necho 1000\n"), ("sudo", sudo)];
    let sshd = Sshd::with_files("SetEnv PATH={dir}:/usr/bin:/bin", &files);
    let host = Host {
        escalation,
        ..sshd.host("a")
    };
    (sshd, host)
}

#[tokio::test]
async fn sudo_gives_root_without_a_terminal_and_its_chatter_is_no_complaint() {
    let sudo = "#!/bin/sh\n[ \"$1 $2 $3\" = '-n -- /bin/sh' ] || exit 99\necho lecture >&2; shift 2; RISEN=yes exec \"$@\"\n";
    let (_sshd, host) = with_sudo(sudo, Escalation::Sudo);
    let reach = Reach::new(&[host]);
    let mut command = read("echo risen: $RISEN; cat; echo own >&2; exit 1");
    command.input = Input::Bytes(b"payload".to_vec());
    let out = reach.run("a", command.clone()).await.unwrap();
    assert_eq!(
        (out.status, out.text().as_str(), out.complaint().as_str()),
        (1, "risen: yes\npayload", "own")
    );
    command.privileged = false;
    assert_eq!(
        reach.run("a", command).await.unwrap().text(),
        "risen:\npayload"
    );
}

#[tokio::test]
async fn a_refusal_of_sudo_is_not_taken_for_the_scripts_failure() {
    let (_sshd, host) = with_sudo(
        "#!/bin/sh\necho 'sudo: a password is required' >&2; exit 1\n",
        Escalation::Sudo,
    );
    let error = refusal(host).await;
    assert_eq!(
        (error.stage, error.said.as_str()),
        (Stage::Become("sudo".into()), "sudo: a password is required")
    );
    assert!(error.hint.contains("NOPASSWD") && error.hint.contains("`-K`"));
}

#[tokio::test]
async fn a_user_who_is_not_root_and_may_not_become_it_is_told_so() {
    let (_sshd, host) = with_sudo("", Escalation::None);
    let error = refusal(host).await;
    assert_eq!(error.stage, Stage::Become("become = false".into()));
    assert_eq!(error.said, "the login user is not root");
}
