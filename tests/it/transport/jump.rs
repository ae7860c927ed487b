//! Hosts behind jump hosts.

use futures_util::future::join_all;

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

/// A sshd that takes one connection at a time until it is logged in, and drops all others.
const ONE_AT_A_TIME: &str = "MaxStartups 1:100:1";

/// How many hosts a crowd has; `RUNNER_IT_JUMPED` says otherwise.
const CROWD: usize = 12;

/// Many hosts with sshds that are one, behind two jump hosts.
fn crowd(first: &Sshd, second: &Sshd, target: &Sshd) -> Vec<Host> {
    let count = std::env::var("RUNNER_IT_JUMPED").map_or(CROWD, |n| n.parse().unwrap());
    behind(first, target);
    let mut host = behind(second, target);
    host.ssh.known_hosts = Some(target.knowing(&[first, second]));
    host.ssh.jump = [first, second]
        .map(|jump| format!("127.0.0.1:{}", jump.port))
        .into();
    let names = (0..count).map(|number| format!("h{number}"));
    let all = names.map(|name| Host {
        name,
        ..host.clone()
    });
    all.collect()
}

#[tokio::test]
async fn all_hosts_behind_two_jump_hosts_share_one_login_at_each_and_another_when_that_is_lost() {
    let (first, second) = (Sshd::start(ONE_AT_A_TIME), Sshd::start(ONE_AT_A_TIME));
    let target = Sshd::start("");
    let hosts = crowd(&first, &second, &target);
    let reach = Reach::new(&hosts);
    for logins in 1..=2 {
        let all = hosts
            .iter()
            .map(|host| reach.run(&host.name, read("echo $1").arg(&host.name)));
        for (host, out) in hosts.iter().zip(join_all(all).await) {
            assert_eq!(out.unwrap().text().trim(), host.name);
        }
        let all = || [&first, &second, &target].map(|sshd| sshd.logged("Accepted publickey"));
        let wanted = [logins, logins, logins * hosts.len()];
        let are_there = || all().iter().zip(wanted).all(|(seen, least)| *seen >= least);
        sshd::until("all logins are logged", are_there).await;
        assert_eq!(all(), wanted);
        first.sessions().into_iter().for_each(sshd::kill);
        sshd::until("the hosts are lost", || target.sessions().is_empty()).await;
    }
}

#[tokio::test]
async fn a_jump_host_that_fails_is_tried_once_for_all_who_wait_and_each_is_told() {
    let (first, second) = (Sshd::start(""), Sshd::start(""));
    let target = Sshd::start("");
    let hosts = crowd(&first, &second, &target);
    std::fs::write(second.path("authorized"), "").unwrap();
    let reach = Reach::new(&hosts);
    let all = hosts.iter().map(|host| reach.run(&host.name, read("true")));
    for (host, out) in hosts.iter().zip(join_all(all).await) {
        let error = out.unwrap_err();
        assert_eq!(error.host, host.name);
        assert_eq!(error.stage, Stage::Jump(host.ssh.jump[1].clone()));
        assert!(error.said.contains("Permission denied"), "{error:?}");
    }
    let refused = || second.logged("Connection closed by authenticating user");
    sshd::until("it is logged", || refused() > 0).await;
    let refused = refused();
    assert_eq!((first.logged("Accepted publickey"), refused), (1, 1));
}

#[tokio::test]
async fn hosts_behind_a_jump_host_of_the_users_configuration_that_drops_handshakes_are_all_reached()
{
    let (jump, target) = (Sshd::start("MaxStartups 3:100:3"), Sshd::start(""));
    let host = alias(jump.port, &jump, &target);
    let names = (0..12).map(|number| format!("h{number}"));
    let all = names.map(|name| Host {
        name,
        ..host.clone()
    });
    let hosts: Vec<Host> = all.collect();
    let reach = Reach::new(&hosts);
    let all = hosts
        .iter()
        .map(|host| reach.run(&host.name, read("echo $1").arg(&host.name)));
    for (host, out) in hosts.iter().zip(join_all(all).await) {
        assert_eq!(out.unwrap().text().trim(), host.name);
    }
}
