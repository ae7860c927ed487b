//! Hosts behind jump hosts.

use super::*;
use runner::inventory::Ssh as How;

/// A host behind a jump host; both keys are in one file.
fn behind(jump: &Sshd, target: &Sshd) -> Host {
    let mut host = target.host("a");
    host.ssh.known_hosts = Some(target.knowing(&[jump]));
    host.ssh.jump = vec![format!("127.0.0.1:{}", jump.port)];
    let authorized = std::fs::read_to_string(target.path("client.pub")).unwrap();
    std::fs::write(jump.path("authorized"), authorized).unwrap();
    host
}

#[tokio::test]
async fn a_host_is_reached_through_two_jump_hosts() {
    let (first, second, target) = (Sshd::start(""), Sshd::start(""), Sshd::start(""));
    let mut host = behind(&second, &target);
    behind(&first, &target);
    host.ssh.known_hosts = Some(target.knowing(&[&first, &second]));
    host.ssh
        .jump
        .insert(0, format!("ssh://127.0.0.1:{}", first.port));
    let reach = Reach::new(&[host]);
    assert_eq!(
        reach.run("a", read("echo in")).await.unwrap().text(),
        "in\n"
    );
}

#[tokio::test]
async fn a_jump_host_that_refuses_is_named_with_sshs_words() {
    let (jump, target) = (Sshd::start(""), Sshd::start(""));
    let mut host = behind(&jump, &target);
    let place = format!("127.0.0.1:{}", sshd::free_port());
    host.ssh.jump = vec![place.clone()];
    let error = refusal(host).await;
    assert_eq!(error.stage, Stage::Jump(place));
    assert!(
        error.said.contains("Connection refused") && !error.said.contains("UNKNOWN"),
        "{}",
        error.said
    );
}

#[tokio::test]
async fn a_jump_host_that_never_answers_is_named() {
    let (jump, target) = (Sshd::start(""), Sshd::start(""));
    let mut host = behind(&jump, &target);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    host.ssh
        .jump
        .insert(0, silent.local_addr().unwrap().to_string());
    let runtime = runtime();
    let settings = Settings {
        connect_timeout: Duration::from_secs(1),
        ..settings(runtime.path().into())
    };
    let reach = Ssh::new(std::slice::from_ref(&host), settings).unwrap();
    let error = reach.run("a", read("true")).await.unwrap_err();
    assert_eq!(error.stage, Stage::Jump(host.ssh.jump[0].clone()));
    assert!(error.said.contains("timed out"), "{}", error.said);
}

#[tokio::test]
async fn the_key_of_a_jump_host_is_checked_as_strictly() {
    let (jump, target) = (Sshd::start(""), Sshd::start(""));
    let mut host = behind(&jump, &target);
    host.ssh.known_hosts = Some(target.path("known"));
    let error = refusal(host.clone()).await;
    assert_eq!(error.stage, Stage::Jump(host.ssh.jump[0].clone()));
    assert!(
        error.said.contains("host key is known for") && error.hint.contains("ssh-keyscan"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_jump_host_that_does_not_know_our_key_is_named() {
    let (jump, target) = (Sshd::start(""), Sshd::start(""));
    let host = behind(&jump, &target);
    std::fs::write(jump.path("authorized"), "").unwrap();
    let error = refusal(host.clone()).await;
    assert_eq!(error.stage, Stage::Jump(host.ssh.jump[0].clone()));
    assert!(
        error.said.contains("Permission denied") && error.hint.contains("authentication failed"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_host_that_its_jump_host_cannot_reach_is_no_failure_of_the_jump_host() {
    let (jump, target) = (Sshd::start(""), Sshd::start(""));
    let mut host = behind(&jump, &target);
    host.ssh.port = Some(sshd::free_port());
    let error = refusal(host).await;
    assert_eq!(error.stage, Stage::Tcp("127.0.0.1".into()));
    assert!(
        error.said.contains("connect failed: Connection refused"),
        "{}",
        error.said
    );
}

#[tokio::test]
async fn a_jump_host_that_forbids_forwarding_is_named() {
    let (jump, target) = (Sshd::start("AllowTcpForwarding no"), Sshd::start(""));
    let host = behind(&jump, &target);
    let error = refusal(host.clone()).await;
    assert_eq!(error.stage, Stage::Jump(host.ssh.jump[0].clone()));
    assert!(error.hint.contains("AllowTcpForwarding"), "{error:?}");
}

/// An alias of the user's ssh configuration, with a jump host there; the inventory knows nothing but the alias.
fn alias(jump_port: u16, jump: &Sshd, target: &Sshd) -> Host {
    let host = behind(jump, target);
    let text = format!(
        "Host target\n HostName 127.0.0.1\n Port {}\n ProxyJump bastion\n RemoteCommand cat\n RequestTTY force\nHost bastion\n HostName 127.0.0.1\n Port {jump_port}\n",
        target.port
    );
    std::fs::write(target.path("config"), text).unwrap();
    let ssh = How {
        config: Some(target.path("config")),
        port: None,
        jump: Vec::new(),
        ..host.ssh
    };
    sshd::host("a", "target", ssh)
}

#[tokio::test]
async fn an_alias_and_a_jump_of_the_users_configuration_are_respected() {
    let (jump, target) = (Sshd::start(""), Sshd::start(""));
    let reach = Reach::new(&[alias(jump.port, &jump, &target)]);
    assert_eq!(
        reach.run("a", read("echo in")).await.unwrap().text(),
        "in\n"
    );
}

#[tokio::test]
async fn a_jump_of_the_users_configuration_that_fails_is_told_in_its_words() {
    let (jump, target) = (Sshd::start(""), Sshd::start(""));
    let error = refusal(alias(sshd::free_port(), &jump, &target)).await;
    assert!(matches!(&error.stage, Stage::Jump(_)), "{error:?}");
    assert!(error.said.contains("Connection refused"), "{}", error.said);
    assert!(error.hint.contains("ProxyJump"), "{}", error.hint);
}
