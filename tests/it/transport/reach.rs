//! Reaching hosts, and what is said when that fails.

use futures_util::future::join_all;

use super::*;
use runner::inventory::{HostKeyPolicy, Ssh as How};

#[tokio::test]
async fn a_key_that_is_not_authorized_is_an_authentication_failure_that_names_user_and_key() {
    let sshd = Sshd::start("");
    let mut host = sshd.host("a");
    host.ssh.identity_file = Some(sshd.path("other"));
    let error = refusal(host).await;
    assert_eq!(error.stage, Stage::Authentication);
    assert!(
        error.said.contains("Permission denied (publickey)"),
        "{}",
        error.said
    );
    assert!(
        error.hint.contains("@127.0.0.1`")
            && error.hint.contains("/other`")
            && error.hint.contains("ssh-add"),
        "{}",
        error.hint
    );
}

#[tokio::test]
async fn a_missing_key_file_is_named_before_anything_is_contacted() {
    let ssh = How {
        identity_file: Some("/nowhere/key".into()),
        ..How::default()
    };
    let error = refusal(sshd::host("a", "127.0.0.1", ssh)).await;
    assert_eq!(error.stage, Stage::Configuration);
    assert!(error.said.contains("/nowhere/key"), "{}", error.said);
}

#[tokio::test]
async fn an_error_in_the_users_ssh_configuration_is_told_in_sshs_words() {
    let sshd = Sshd::with_files("", &[("config", "Hots x\n")]);
    let mut host = sshd.host("a");
    host.ssh.config = Some(sshd.path("config"));
    let error = refusal(host).await;
    assert_eq!(error.stage, Stage::Configuration);
    assert!(
        error
            .said
            .contains("/config line 1: Bad configuration option: hots")
            || error
                .said
                .contains("/config: line 1: Bad configuration option: hots"),
        "{}",
        error.said
    );
}

#[tokio::test]
async fn an_unknown_host_key_is_refused_and_the_way_to_check_it_is_told() {
    let sshd = Sshd::start("");
    std::fs::write(sshd.path("known"), "").unwrap();
    let error = refusal(sshd.host("a")).await;
    assert_eq!(error.stage, Stage::HostKeyUnknown);
    assert!(
        error.said.contains("No ED25519 host key is known for"),
        "{}",
        error.said
    );
    assert!(
        error
            .hint
            .contains(&format!("ssh-keyscan -p {} 127.0.0.1", sshd.port)),
        "{}",
        error.hint
    );
    assert!(error.hint.contains(sshd.path("known").to_str().unwrap()));
    assert!(!error.hint.to_lowercase().contains("stricthostkeychecking"));
}

#[tokio::test]
async fn a_changed_host_key_is_refused_with_file_line_and_fix_even_where_new_keys_are_accepted() {
    let sshd = Sshd::start("");
    let other = std::fs::read_to_string(sshd.path("other.pub")).unwrap();
    std::fs::write(
        sshd.path("known"),
        format!("# one\n[127.0.0.1]:{} {other}", sshd.port),
    )
    .unwrap();
    for policy in [HostKeyPolicy::Strict, HostKeyPolicy::AcceptNew] {
        let mut host = sshd.host("a");
        host.ssh.host_key_policy = policy;
        let error = refusal(host).await;
        assert_eq!(error.stage, Stage::HostKeyChanged);
        let known = sshd.path("known").display().to_string();
        assert!(
            error
                .said
                .contains("REMOTE HOST IDENTIFICATION HAS CHANGED"),
            "{}",
            error.said
        );
        assert!(
            error.hint.contains(&format!("`{known}` line 2")),
            "{}",
            error.hint
        );
        assert!(
            error.hint.contains(&format!(
                "ssh-keygen -R '[127.0.0.1]:{}' -f '{known}'",
                sshd.port
            )),
            "{}",
            error.hint
        );
    }
}

#[tokio::test]
async fn a_new_key_is_learned_where_the_inventory_accepts_that() {
    let sshd = Sshd::start("");
    std::fs::remove_file(sshd.path("known")).unwrap();
    let mut host = sshd.host("a");
    host.ssh.host_key_policy = HostKeyPolicy::AcceptNew;
    let reach = Reach::new(&[host]);
    assert_eq!(
        reach.run("a", read("echo in")).await.unwrap().text(),
        "in\n"
    );
    let strict = Reach::new(&[sshd.host("a")]);
    assert_eq!(
        strict.run("a", read("echo in")).await.unwrap().text(),
        "in\n"
    );
}

#[tokio::test]
async fn a_closed_port_is_no_connection() {
    let ssh = How {
        port: Some(sshd::free_port()),
        config: Some("/dev/null".into()),
        ..How::default()
    };
    let port = ssh.port.unwrap();
    let error = refusal(sshd::host("a", "127.0.0.1", ssh)).await;
    assert_eq!(error.stage, Stage::Tcp(format!("127.0.0.1 port {port}")));
    assert!(error.said.contains("Connection refused"), "{}", error.said);
}

#[tokio::test]
async fn a_port_that_never_answers_is_no_connection_in_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ssh = How {
        port: Some(listener.local_addr().unwrap().port()),
        config: Some("/dev/null".into()),
        ..How::default()
    };
    let runtime = runtime();
    let settings = Settings {
        connect_timeout: Duration::from_secs(1),
        ..settings(runtime.path().into())
    };
    let reach = Ssh::new(&[sshd::host("a", "127.0.0.1", ssh)], settings).unwrap();
    let error = reach.run("a", read("true")).await.unwrap_err();
    assert_eq!(error.stage, Stage::Tcp("127.0.0.1".into()));
    assert!(error.said.contains("timed out"), "{}", error.said);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_told() {
    let ssh = How {
        config: Some("/dev/null".into()),
        ..How::default()
    };
    let error = refusal(sshd::host("a", "no..such", ssh)).await;
    assert_eq!(error.stage, Stage::NameLookup("no..such".into()));
    assert!(
        error.said.contains("Could not resolve hostname"),
        "{}",
        error.said
    );
}

#[tokio::test]
async fn an_address_that_looks_like_an_option_is_not_taken_for_one() {
    let ssh = How {
        config: Some("/dev/null".into()),
        ..How::default()
    };
    let error = refusal(sshd::host("a", "-oProxyCommand=touch /tmp/never", ssh)).await;
    assert!(
        !std::path::Path::new("/tmp/never").exists()
            && matches!(error.stage, Stage::Tcp(_) | Stage::NameLookup(_)),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_silent_proxy_command_of_the_users_configuration_is_no_connection_in_time() {
    let (sshd, runtime) = (
        Sshd::with_files("", &[("config", "ProxyCommand sleep 9\n")]),
        runtime(),
    );
    let mut host = sshd.host("a");
    host.ssh.config = Some(sshd.path("config"));
    let settings = Settings {
        connect_timeout: Duration::from_secs(1),
        ..settings(runtime.path().into())
    };
    let reach = Ssh::new(&[host], settings).unwrap();
    let error = reach.run("a", read("true")).await.unwrap_err();
    assert_eq!(error.stage, Stage::Tcp("127.0.0.1".into()));
    assert!(
        error.said.contains("timed out") && error.hint.contains("ProxyCommand"),
        "{error:?}"
    );
}

#[tokio::test]
async fn many_hosts_behind_one_sshd_that_drops_handshakes_are_all_reached() {
    let sshd = Sshd::start("MaxStartups 2:50:5");
    let names: Vec<String> = (0..12).map(|n| format!("h{n}")).collect();
    let hosts: Vec<Host> = names.iter().map(|name| sshd.host(name)).collect();
    let reach = Reach::new(&hosts);
    let all = names
        .iter()
        .map(|name| reach.run(name, read("echo $1").arg(name)));
    for (name, out) in names.iter().zip(join_all(all).await) {
        assert_eq!(out.unwrap().text().trim(), name);
    }
}

#[tokio::test]
async fn more_commands_than_sshd_allows_sessions_all_run() {
    let sshd = Sshd::start("MaxSessions 2");
    let reach = Reach::new(&[sshd.host("a")]);
    let all = (0..7).map(|n| reach.run("a", read("sleep 0.1; echo $1").arg(n.to_string())));
    for (n, out) in join_all(all).await.into_iter().enumerate() {
        assert_eq!(out.unwrap().text().trim(), n.to_string());
    }
}

#[tokio::test]
async fn an_sshd_without_sessions_is_told() {
    let sshd = Sshd::start("MaxSessions 0");
    let error = refusal(sshd.host("a")).await;
    assert_eq!(error.stage, Stage::NoSession);
    assert!(error.hint.contains("MaxSessions"), "{error:?}");
}

#[tokio::test]
async fn a_host_with_an_ipv6_address_is_reached_directly_and_through_a_jump_host() {
    let sshd = Sshd::start("ListenAddress ::1");
    let key = std::fs::read_to_string(sshd.path("host.pub")).unwrap();
    let known = format!("[127.0.0.1]:{0} {key}[::1]:{0} {key}", sshd.port);
    std::fs::write(sshd.path("known"), known).unwrap();
    let host = |name: &str, jump: Vec<String>| {
        let ssh = How {
            jump,
            ..sshd.host(name).ssh
        };
        sshd::host(name, "::1", ssh)
    };
    let place = |address: &str| vec![format!("{address}:{}", sshd.port)];
    let hosts = [
        host("a", vec![]),
        host("b", place("127.0.0.1")),
        host("c", place("[::1]")),
    ];
    let reach = Reach::new(&hosts);
    for name in ["a", "b", "c"] {
        let seen = reach.run(name, read("echo $SSH_CONNECTION")).await.unwrap();
        assert!(seen.text().starts_with("::1 "), "{name}: {}", seen.text());
    }
}

#[tokio::test]
async fn a_match_block_of_the_users_configuration_decides_what_the_inventory_leaves_out() {
    let sshd = Sshd::start("SetEnv RIGHT=yes");
    let other = Sshd::start("");
    let text = format!(
        "Host blue-* green-*\n HostName 127.0.0.1\n\
         Match originalhost blue-* exec \"test %n = blue-1\"\n Port {}\n IdentityFile {}\n\
         Match originalhost *\n Port {}\n IdentityFile {}\n",
        sshd.port,
        sshd.path("client").display(),
        other.port,
        sshd.path("client").display(),
    );
    std::fs::write(sshd.path("config"), text).unwrap();
    let ssh = How {
        known_hosts: Some(sshd.knowing(&[&other])),
        config: Some(sshd.path("config")),
        ..How::default()
    };
    let reach = Reach::new(&[
        sshd::host("a", "blue-1", ssh.clone()),
        sshd::host("b", "green-1", ssh),
    ]);
    let right = reach.run("a", read("echo $RIGHT")).await.unwrap();
    assert_eq!(right.text(), "yes\n");
    let wrong = reach.run("b", read("echo $RIGHT")).await.unwrap_err();
    assert_eq!(
        wrong.stage,
        Stage::Authentication,
        "the other sshd: {wrong:?}"
    );
}
