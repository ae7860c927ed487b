//! Words recorded from OpenSSH 9.2; names and addresses replaced.

use super::*;

const CHANGED: &str = "\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Someone could be eavesdropping on you right now (man-in-the-middle attack)!
It is also possible that a host key has just been changed.
The fingerprint for the ED25519 key sent by the remote host is
SHA256:ErmuyqBbyznaMQXPhv9BzCgQJqBi+uWdc8M5Ec93PHY.
Please contact your system administrator.
Add correct host key in /home/ops/.ssh/known_hosts to get rid of this message.
Offending ED25519 key in /home/ops/.ssh/known_hosts:17
  remove with:
  ssh-keygen -f \"/home/ops/.ssh/known_hosts\" -R \"[10.0.0.11]:2222\"
Host key for [10.0.0.11]:2222 has changed and you have requested strict checking.
Host key verification failed.
";

fn target() -> Target {
    Target {
        host: "etcd-1".into(),
        address: "10.0.0.11".into(),
        ssh: Ssh::default(),
    }
}

fn judged(log: &str) -> (Stage, String, bool) {
    let failure = judge(
        &target(),
        &Said {
            log: log.into(),
            ..Said::default()
        },
    );
    assert_eq!(failure.unreachable.said, log.trim());
    (
        failure.unreachable.stage,
        failure.unreachable.hint,
        failure.is_dropped,
    )
}

#[test]
fn a_changed_key_names_the_line_and_the_fix() {
    let (stage, hint, is_dropped) = judged(CHANGED);
    assert_eq!((stage, is_dropped), (Stage::HostKeyChanged, false));
    assert!(
        hint.contains("`/home/ops/.ssh/known_hosts` line 17"),
        "{hint}"
    );
    assert!(
        hint.contains("ssh-keygen -R '[10.0.0.11]:2222' -f '/home/ops/.ssh/known_hosts'"),
        "{hint}"
    );
}

#[test]
fn an_unknown_key_names_the_way_to_check_it() {
    let (stage, hint, _) = judged(
        "No ED25519 host key is known for [10.0.0.11]:2222 and you have requested strict checking.\nHost key verification failed.",
    );
    assert_eq!(stage, Stage::HostKeyUnknown);
    assert!(
        hint.contains("ssh-keyscan -p 2222 10.0.0.11") && hint.contains("`~/.ssh/known_hosts`"),
        "{hint}"
    );
}

#[test]
fn each_refusal_of_authentication_is_one_and_is_never_tried_again() {
    for words in [
        "ops@10.0.0.11: Permission denied (publickey,keyboard-interactive).",
        "Received disconnect from 10.0.0.11 port 22:2: Too many authentication failures\nDisconnected from 10.0.0.11 port 22",
    ] {
        let (stage, hint, is_dropped) = judged(words);
        assert_eq!((stage, is_dropped), (Stage::Authentication, false));
        assert!(
            hint.contains("10.0.0.11`") && hint.contains("ssh-add"),
            "{hint}"
        );
    }
}

#[test]
fn a_dropped_handshake_is_worth_another_attempt_and_nothing_else_is() {
    for words in [
        "kex_exchange_identification: read: Connection reset by peer\nConnection reset by 10.0.0.11 port 22",
        "kex_exchange_identification: Connection closed by remote host\nConnection closed by 10.0.0.11 port 22",
    ] {
        assert_eq!(
            (judged(words).0, judged(words).2),
            (Stage::Tcp("10.0.0.11".into()), true)
        );
    }
    for words in [
        "ssh: connect to host 10.0.0.11 port 22: Connection refused",
        "ssh: connect to host 10.0.0.11 port 22: Connection timed out",
        "ssh: connect to host 10.0.0.11 port 22: Network is unreachable",
    ] {
        assert_eq!(
            (judged(words).0, judged(words).2),
            (Stage::Tcp("10.0.0.11 port 22".into()), false)
        );
    }
    assert!(!judged("").2);
}

#[test]
fn configuration_and_lookup_are_told_apart() {
    assert_eq!(judged("cfg: line 1: Bad configuration option: x\ncfg: terminating, 1 bad configuration options").0, Stage::Configuration);
    let (stage, hint, _) = judged(
        "Unable to negotiate with 10.0.0.11 port 22: no matching cipher found. Their offer: aes128-ctr",
    );
    assert!(
        stage == Stage::Configuration && hint.contains("algorithm"),
        "{hint}"
    );
    assert_eq!(
        judged("ssh: Could not resolve hostname etcd-l: Name or service not known").0,
        Stage::NameLookup("etcd-l".into())
    );
}

#[test]
fn a_jump_host_that_refuses_is_the_cause_for_all_that_is_behind_it() {
    let said = Said {
        log: "ops@bastion: Permission denied (publickey).\n".into(),
        ..Said::default()
    };
    let failure = judge(&target(), &said).on_the_way("ops@bastion");
    assert!(!failure.is_dropped);
    let failure = failure.on_the_way("inner").unreachable;
    assert_eq!(
        (failure.stage, failure.said.as_str()),
        (
            Stage::Jump("ops@bastion".into()),
            "ops@bastion: Permission denied (publickey)."
        )
    );
    assert!(
        failure
            .hint
            .starts_with("on the way to jump host `ops@bastion`, authentication failed"),
        "{}",
        failure.hint
    );
}

#[test]
fn what_a_jump_host_cannot_reach_is_the_hosts_fault() {
    let judged = |words: &str| {
        let said = Said {
            jump: Some(("bastion".into(), words.into())),
            log: "kex_exchange_identification: Connection closed by remote host\n".into(),
            ..Said::default()
        };
        let failure = judge(&target(), &said);
        (failure.unreachable.stage, failure.is_dropped)
    };
    let words = "channel 2: open failed: connect failed: Connection refused\nStdio forwarding request failed: Session open refused by peer\n";
    assert_eq!(judged(words), (Stage::Tcp("10.0.0.11".into()), false));
    let words = words.replace("Connection refused", "Name or service not known");
    assert_eq!(
        judged(&words),
        (Stage::NameLookup("10.0.0.11".into()), false)
    );
    let words = words.replace("connect failed: Name or", "administratively prohibited: ");
    assert_eq!(judged(&words), (Stage::Jump("bastion".into()), false));
}

#[test]
fn a_jump_host_whose_connection_is_gone_is_worth_another_attempt() {
    let words = "kex_exchange_identification: Connection closed by remote host\nConnection closed by UNKNOWN port 65535\n";
    let said = Said {
        jump: Some(("bastion".into(), words.into())),
        log: words.into(),
        ..Said::default()
    };
    let failure = judge(&target(), &said);
    let seen = (failure.unreachable.stage, failure.is_dropped);
    assert_eq!(seen, (Stage::Jump("bastion".into()), true));
    let said = Said {
        jump: Some(("bastion".into(), String::new())),
        ..said
    };
    let failure = judge(&target(), &said);
    let seen = (failure.unreachable.stage, failure.is_dropped);
    assert_eq!(seen, (Stage::Tcp("10.0.0.11".into()), true));
}

#[test]
fn a_jump_of_the_users_configuration_keeps_its_words() {
    let log = "kex_exchange_identification: Connection closed by remote host\nConnection closed by UNKNOWN port 65535\n";
    let judged = |helpers: &str| {
        judge(
            &target(),
            &Said {
                log: log.into(),
                helpers: helpers.into(),
                ..Said::default()
            },
        )
    };
    let failure = judged("ssh: connect to host bastion port 22: Connection refused\n");
    assert_eq!(
        (failure.unreachable.stage, failure.is_dropped),
        (Stage::Jump("bastion".into()), false)
    );
    assert!(
        failure
            .unreachable
            .said
            .starts_with("ssh: connect to host bastion port 22: Connection refused\nkex")
    );
    let failure = judged(
        "channel 0: open failed: connect failed: No route to host\nstdio forwarding failed\n",
    );
    assert_eq!(
        (failure.unreachable.stage, failure.is_dropped),
        (Stage::Tcp("10.0.0.11".into()), false)
    );
    let failure = judged("nsenter: reassociate to namespace 'ns/net' failed: Invalid argument\n");
    assert_eq!(
        (failure.unreachable.stage, failure.is_dropped),
        (Stage::BehindProxy("10.0.0.11".into()), false)
    );
}

#[test]
fn a_proxy_command_that_is_no_ssh_is_quoted_and_the_host_behind_it_is_named() {
    let judged = |helpers: &str| {
        let said = Said {
            log: "Connection closed by UNKNOWN port 65535\n".into(),
            helpers: helpers.into(),
            ..Said::default()
        };
        judge(&target(), &said).unreachable
    };
    let refused = judged("nc: connect to 10.0.0.11 port 22 (tcp) failed: Connection refused\n");
    assert_eq!(
        refused.to_string(),
        "host `etcd-1`: `10.0.0.11` cannot be reached through the `ProxyCommand` of your ssh configuration"
    );
    assert!(refused.said.starts_with("nc: connect to 10.0.0.11 port 22"));
    assert!(
        refused.hint.contains("nothing listens there") && refused.hint.contains("ssh -G 10.0.0.11")
    );
    let missing = judged("/bin/sh: 1: exec: nq: not found\n");
    assert!(missing.hint.contains("is the program installed"));
}

#[test]
fn a_proxy_without_a_word_is_a_host_that_does_not_answer() {
    let judged = |log: &str| {
        judge(
            &target(),
            &Said {
                log: log.into(),
                ..Said::default()
            },
        )
    };
    let closed = judged(
        "kex_exchange_identification: Connection closed by remote host\nConnection closed by UNKNOWN port 65535\n",
    );
    assert_eq!(
        (closed.unreachable.stage, closed.is_dropped),
        (Stage::Tcp("10.0.0.11".into()), true)
    );
    let late = judged(
        "Connection timed out during banner exchange\nConnection to UNKNOWN port 65535 timed out\n",
    );
    assert_eq!(
        (late.unreachable.stage, late.is_dropped),
        (Stage::Tcp("10.0.0.11".into()), false)
    );
}

#[test]
fn a_revoked_key_is_never_connected_to() {
    let (stage, hint, _) = judged(
        "@       WARNING: REVOKED HOST KEY DETECTED!               @\nThe ED25519 host key for 10.0.0.11 is marked as revoked.\nED25519 host key for 10.0.0.11 was revoked and you have requested strict checking.\nHost key verification failed.",
    );
    assert!(
        stage == Stage::HostKeyChanged
            && hint.contains("revoked")
            && !hint.contains("ssh-keygen -R"),
        "{hint}"
    );
}

#[test]
fn a_learned_key_is_no_complaint_and_escapes_of_a_banner_are_neutralised() {
    let words = "Warning: Permanently added 'x' (ED25519) to the list of known hosts.\r\n\u{1b}]0;owned\u{7}hello\r\n\n";
    assert_eq!(tidy(words), "\u{fffd}]0;owned\u{fffd}hello");
    assert!(tidy(&"ü".repeat(SAID_KEPT)).len() <= SAID_KEPT);
}

#[test]
fn no_hint_ever_advises_to_switch_checking_off() {
    for words in [CHANGED, "Host key verification failed."] {
        let hint = judged(words).1.to_lowercase();
        assert!(
            !hint.contains("stricthostkeychecking") && !hint.contains("/dev/null"),
            "{hint}"
        );
    }
}
