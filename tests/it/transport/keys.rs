//! Keys that are not simply a file: certificates and agents.

use std::path::Path;
use std::process::{Child, Command as Process, Stdio};

use super::*;
use runner::inventory::Ssh as How;

/// Runs a tool and expects it to succeed.
fn tool(name: &str, args: &[&Path], agent: &Path) {
    let mut process = Process::new(name);
    process.args(args).env("SSH_AUTH_SOCK", agent);
    let output = process.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{name}: {output:?}");
}

#[tokio::test]
async fn a_certificate_beside_the_key_is_used_where_only_its_authority_is_known() {
    let sshd = Sshd::start("TrustedUserCAKeys {dir}/other.pub");
    std::fs::write(sshd.path("authorized"), "").unwrap();
    let error = refusal(sshd.host("a")).await;
    assert_eq!(error.stage, Stage::Authentication);
    let login = String::from_utf8(Process::new("id").arg("-un").output().unwrap().stdout);
    let (authority, key) = (sshd.path("other"), sshd.path("client.pub"));
    let login = login.unwrap();
    let words = ["-q", "-I", "ops", "-n", login.trim(), "-s"].map(Path::new);
    let args = [&words[..], &[&authority, &key]].concat();
    tool("ssh-keygen", &args, Path::new(""));
    let reach = Reach::new(&[sshd.host("a")]);
    assert_eq!(
        reach.run("a", read("echo in")).await.unwrap().text(),
        "in\n"
    );
}

/// An agent that is gone after the test.
struct Agent(Child);

impl Agent {
    /// Starts one and waits until it listens.
    async fn start(socket: &Path) -> Self {
        let mut process = Process::new("ssh-agent");
        process.arg("-D").arg("-a").arg(socket);
        let child = process.stdout(Stdio::null()).spawn().unwrap();
        sshd::until("the agent listens", || socket.exists()).await;
        Self(child)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_key_that_only_an_agent_holds_opens_hosts_and_their_jump_hosts() {
    let (jump, target) = (Sshd::start(""), Sshd::start(""));
    std::fs::copy(target.path("client.pub"), jump.path("authorized")).unwrap();
    let socket = target.path("agent");
    let _agent = Agent::start(&socket).await;
    tool(
        "ssh-add",
        &[Path::new("-q"), &target.path("client")],
        &socket,
    );
    std::fs::remove_file(target.path("client")).unwrap();
    let config = format!("Host *\n IdentityAgent {}\n", socket.display());
    std::fs::write(target.path("config"), config).unwrap();
    let ssh = How {
        port: Some(target.port),
        known_hosts: Some(target.knowing(&[&jump])),
        config: Some(target.path("config")),
        jump: vec![format!("127.0.0.1:{}", jump.port)],
        ..How::default()
    };
    let reach = Reach::new(&[sshd::host("a", "127.0.0.1", ssh)]);
    let seen = reach.run("a", read("echo ${SSH_AUTH_SOCK:-none}")).await;
    assert_eq!(seen.unwrap().text(), "none\n", "it is not forwarded");
}
