//! The reading scripts, run by real shells against stand-ins that print what real tools printed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use runner::facts::observe::{self, Depth, observe, observe_host, observe_host_to};
use runner::facts::{Answer, MemberView};
use runner::inventory::{Auth, Host, Tls};
use runner::secret::Secret;
use runner::transport::Transport;

use crate::local_shell::LocalShell;

mod gathering;
mod recorded;
mod stage;

use stage::{Stage, answers, cluster};

const DEADLINE: Duration = Duration::from_secs(60);
const SHELLS: [&[&str]; 3] = [&["sh"], &["dash"], &["bash", "--posix"]];

fn answered(answer: Answer) -> MemberView {
    match answer {
        Answer::Member(view) => *view,
        Answer::Silent { because } => panic!("silent: {because}"),
    }
}

fn silent(answer: Answer) -> String {
    match answer {
        Answer::Silent { because } => because,
        Answer::Member(view) => panic!("answered: {view:?}"),
    }
}

#[tokio::test]
async fn a_member_is_observed_alike_by_every_shell() {
    for version in ["3.4.23", "3.5.16", "3.5.30"] {
        let stage = Stage::new(version);
        let mut seen = Vec::new();
        for shell in SHELLS {
            let view = answered(observe_host(&stage.shell(shell), &stage.host(), DEADLINE).await);
            assert_eq!(view.version.to_string(), version);
            assert_eq!((&view.health, view.members.len()), (&Ok(()), 1));
            seen.push(view);
        }
        assert!(seen.iter().all(|view| *view == seen[0]), "{version}");
    }
}

/// A member of 2.x with a quorum, whose pages are the recorded ones; it has no etcdctl.
fn pages(version: &str) -> Stage {
    let stage = Stage::of_2_x(version);
    let page = |name: &str| {
        let path = stage::fixture(version, &format!("healthy.http-{name}.body"));
        format!("cat '{}'", path.display())
    };
    stage.tool(
        "curl",
        &format!(
            "for url; do :; done\ncase \"$* \" in\n*--head*/v2/keys/*) \
             printf 'X-Etcd-Cluster-Id: c11f1b527d62d98d\\r\\nX-Raft-Index: 73\\r\\nX-Raft-Term: 2\\r\\n' ;;\n\
             */v2/keys/*quorum=true*) echo '{{\"errorCode\":100,\"message\":\"Key not found\"}}' ;;\n\
             */v2/members/leader*) echo '{{\"id\":\"a0085f78fb57c98a\"}}' ;;\n*/version*) {} ;;\n\
             */v2/members*) {} ;;\n*/v2/stats/self*) {} ;;\n*) echo \"what? $*\" >&2; exit 9 ;;\nesac",
            page("version"),
            page("v2-members"),
            page("v2-stats-self"),
        ),
    );
    stage
}

#[tokio::test]
async fn a_member_of_2_x_is_observed_by_its_pages_alike_by_every_shell() {
    for version in ["2.0.13", "2.1.3", "2.2.5", "2.3.8"] {
        let stage = pages(version);
        for shell in SHELLS {
            let view = answered(observe_host(&stage.shell(shell), &stage.host(), DEADLINE).await);
            assert_eq!(view.version.to_string(), version);
            assert_eq!((&view.health, view.members.len()), (&Ok(()), 3));
            assert_eq!((view.raft_applied, view.raft_term), (73, 2));
            assert_eq!(view.cluster_id.to_string(), "c11f1b527d62d98d");
        }
    }
}

#[tokio::test]
async fn a_host_of_2_x_is_gathered_whole() {
    for version in ["2.0.13", "2.3.8"] {
        let stage = pages(version);
        let facts = gathering::facts(&stage, SHELLS[1], stage.host())
            .await
            .unwrap();
        for name in ["etcd", "etcdctl"] {
            let found = facts.binaries[name].version.clone().unwrap();
            assert_eq!(found.to_string(), version, "{name}");
        }
        assert_eq!(answered(facts.answer).version.to_string(), version);
        assert_eq!(facts.data.wal_bytes, 1500);
    }
}

#[tokio::test]
async fn a_guard_asks_for_status_and_health_and_nothing_more() {
    let stage = Stage::new("3.5.16");
    let noted = stage.path("noted").display().to_string();
    let body = fs::read_to_string(stage.path("bin/etcdctl")).unwrap();
    stage.script("bin/etcdctl", &format!("echo \"$*\" >>'{noted}'\n{body}"));
    let host = stage.host();
    let view =
        answered(observe_host_to(&stage.shell(SHELLS[0]), &host, Depth::Member, DEADLINE).await);
    assert_eq!((view.health, view.members), (Ok(()), vec![]));
    let noted = fs::read_to_string(noted).unwrap();
    assert!(noted.contains("endpoint status") && noted.contains("endpoint health"));
    assert_eq!(noted.lines().count(), 2, "{noted}");
}

/// A stand-in for curl that gives the recorded pages of the gateway, and an etcdctl that notes what it is asked.
fn gateway(version: &str, recorded: &str) -> Stage {
    let stage = Stage::new(version);
    let page = |name: &str| stage::fixture(version, name).display().to_string();
    stage.tool(
        "curl",
        &format!(
            "case \"$*\" in\n*/v3/*) cat '{}' ;;\n*) cat '{}' ;;\nesac",
            page(&format!("{recorded}.gateway")),
            page("version.json")
        ),
    );
    let body = fs::read_to_string(stage.path("bin/etcdctl")).unwrap();
    let noted = stage.path("noted").display().to_string();
    stage.script("bin/etcdctl", &format!("echo \"$*\" >>'{noted}'\n{body}"));
    stage
}

#[tokio::test]
async fn a_member_is_observed_by_its_gateway_alike_by_every_shell_and_no_etcdctl_is_started() {
    for version in ["3.4.23", "3.5.16", "3.5.30"] {
        let stage = gateway(version, "healthy");
        for shell in SHELLS {
            let view = answered(observe_host(&stage.shell(shell), &stage.host(), DEADLINE).await);
            assert_eq!(view.version.to_string(), version);
            assert_eq!((&view.health, view.members.len()), (&Ok(()), 3));
            assert_eq!(view.id.to_string(), "caa02f5db90751d6");
            assert!(view.leader.is_some() && view.raft_applied == view.raft_index);
            assert_eq!((view.db_bytes, view.db_in_use_bytes), (20480, Some(16384)));
        }
        assert!(!stage.path("noted").exists(), "{version}");
    }
}

#[tokio::test]
async fn without_quorum_the_gateway_tells_all_but_the_read() {
    for version in ["3.4.23", "3.5.16", "3.5.30"] {
        let stage = gateway(version, "quorum-lost");
        let view = answered(observe_host(&stage.shell(SHELLS[1]), &stage.host(), DEADLINE).await);
        let why = "no answer to a read in time (etcdserver: no leader)".to_owned();
        assert_eq!((view.health, view.leader), (Err(why), None), "{version}");
        assert_eq!(view.members.len(), 3, "{version}");
        assert!(!stage.path("noted").exists(), "{version}");
    }
}

/// The gateway has no such page when it is off, and refuses a read that its user may not do.
#[tokio::test]
async fn etcdctl_is_asked_where_the_gateway_refuses_or_a_user_or_a_certificate_is_needed() {
    let with_user = Auth {
        user: "root".to_owned(),
        password_file: PathBuf::from("password"),
        password: Secret::new("s3cret"),
    };
    let with_certificate = Tls {
        cert: Some("/etc/etcd/client.crt".to_owned()),
        ..Tls::default()
    };
    let off = "404 page not found\n\n@404\n";
    let well = fs::read_to_string(stage::fixture("3.5.16", "healthy.gateway")).unwrap();
    let read = well.lines().rev().nth(1).unwrap();
    let refused = r#"{"error":"etcdserver: user name is empty","code":3}"#;
    let refused = well.replace(&format!("{read}\n@200"), &format!("{refused}\n@400"));
    let page = well.lines().next().unwrap();
    let cases = [
        (format!("{page}\n@200\n{}", off.repeat(3)), None, None),
        (refused, None, None),
        (well.replace("\"version\"", "\"release\""), None, None),
        (well.clone(), Some(with_user), None),
        (well, None, Some(with_certificate)),
    ];
    for (said, auth, tls) in cases {
        let stage = gateway("3.5.16", "healthy");
        fs::write(stage.path("said"), &said).unwrap();
        let curl = fs::read_to_string(stage.path("tools/curl")).unwrap();
        let recorded = stage::fixture("3.5.16", "healthy.gateway");
        let ours = stage.path("said").display().to_string();
        stage.tool(
            "curl",
            &curl.replace(&recorded.display().to_string(), &ours),
        );
        let host = Host {
            auth,
            tls,
            ..stage.host()
        };
        let view = answered(observe_host(&stage.shell(SHELLS[1]), &host, DEADLINE).await);
        assert_eq!((view.health, view.members.len()), (Ok(()), 1), "{said}");
        let noted = fs::read_to_string(stage.path("noted")).unwrap();
        assert!(noted.contains("endpoint health"), "{said}");
    }
}

#[tokio::test]
async fn etcdctl_is_told_the_url_the_certificates_and_the_user_and_nothing_of_the_callers_environment()
 {
    let stage = Stage::new("3.5.16");
    stage.script(
        "bin/etcdctl",
        "echo \"$*\" >&2; env | grep -i '^ETCD\\|proxy' | sort >&2; exit 3",
    );
    let mut host = stage.host();
    host.client_url = "https://10.0.0.1:2379/".to_owned();
    host.tls = Some(Tls {
        cacert: Some("/etc/my ca".to_owned()),
        cert: Some("$(touch /x)".to_owned()),
        key: Some("a'b\"c".to_owned()),
    });
    host.auth = Some(Auth {
        user: "root".to_owned(),
        password_file: PathBuf::from("password"),
        password: Secret::new("s3cret"),
    });
    let command = observe::command(&host, Depth::Full, DEADLINE);
    assert!(!format!("{command:?}").contains("s3cret"));
    let shell = stage.shell(SHELLS[0]);
    let output = Transport::run(&shell, "etcd-1", command).await.unwrap();
    let told = &answers(&output.text())["status.err"];
    let expected = "--endpoints=https://10.0.0.1:2379 --dial-timeout=8s --command-timeout=9s --cacert=/etc/my ca \
                    --cert=$(touch /x) --key=a'b\"c endpoint status -w json\nETCDCTL_API=3\nETCDCTL_USER=root:s3cret";
    assert_eq!(told, expected);
}

#[tokio::test]
async fn each_reason_for_silence_is_told_apart() {
    let stage = Stage::new("3.4.23");
    let shell = stage.shell(SHELLS[0]);
    stage.tool("curl", "echo 'curl: (7) Failed to connect' >&2; exit 7");
    let refused = silent(observe_host(&shell, &stage.host(), DEADLINE).await);
    assert_eq!(
        refused,
        "connection refused: nothing listens at `http://127.0.0.1:2379`"
    );
    stage.tool("curl", "echo 'curl: (28) Operation timed out' >&2; exit 28");
    let late = silent(observe_host(&shell, &stage.host(), DEADLINE).await);
    assert!(
        late.starts_with("no answer from `http://127.0.0.1:2379` in time"),
        "{late}"
    );
    stage.tool("curl", "echo '{}'");
    stage.script(
        "bin/etcdctl",
        "echo 'Error: etcdserver: user name is empty' >&2; exit 1",
    );
    let stranger = silent(observe_host(&shell, &stage.host(), DEADLINE).await);
    assert!(stranger.contains("wants a user"), "{stranger}");
    stage.script(
        "bin/etcdctl",
        "echo NAME: etcdctl - A simple command line client",
    );
    let help = silent(observe_host(&shell, &stage.host(), DEADLINE).await);
    assert!(help.contains("no JSON in \"NAME: etcdctl"), "{help}");
    let nowhere = LocalShell {
        shell: vec!["no-such-shell"],
        path: stage.path("tools"),
    };
    let unreachable = silent(observe_host(&nowhere, &stage.host(), DEADLINE).await);
    assert!(unreachable.starts_with("host `etcd-1`:"), "{unreachable}");
}

#[tokio::test]
async fn etcdctl_is_found_under_the_install_folder_when_the_bin_folder_has_none() {
    let stage = Stage::new("3.5.16");
    stage.install("opt/3.5.16", "3.5.16");
    fs::remove_file(stage.path("bin/etcdctl")).unwrap();
    let view = answered(observe_host(&stage.shell(SHELLS[0]), &stage.host(), DEADLINE).await);
    assert_eq!(view.health, Ok(()));
}

#[tokio::test]
async fn all_hosts_are_asked_at_once() {
    let stage = Stage::new("3.5.16");
    // Each call waits until all three are there: one after the other would never end.
    let meet = stage.path("meet");
    fs::create_dir(&meet).unwrap();
    stage.tool(
        "curl",
        &format!(
            "cd '{}' && touch $$ && until [ $(ls | wc -l) -ge 3 ]; do :; done; exit 7",
            meet.display()
        ),
    );
    let named = |name: &str| Host {
        name: name.to_owned(),
        ..stage.host()
    };
    let three = cluster(vec![named("a"), named("b"), named("c")]);
    let seen = observe(&stage.shell(SHELLS[0]), &three, DEADLINE).await;
    assert_eq!(seen.hosts.len(), 3);
    assert!(seen.hosts.values().all(|answer| answer.view().is_none()));
}
