//! Loss, closing, and what is left when the process is killed.

use std::io::{BufRead as _, BufReader};
use std::process::{Command as Process, Stdio};

use super::*;

#[tokio::test]
async fn a_connection_that_dies_under_a_command_is_lost_and_the_next_command_connects_again() {
    let sshd = Sshd::start("");
    let reach = Reach::new(&[sshd.host("a")]);
    reach.run("a", read("true")).await.unwrap();
    let masters = || sshd::running(&format!("{}/", reach.runtime.path().display()));
    let is_master = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm"))
            .is_ok_and(|name| name.starts_with("ssh"))
    };
    let marker = sshd.path("begun");
    let script = read("touch \"$1\"; sleep 20").arg(marker.to_str().unwrap());
    let kill = async {
        sshd::until("the script runs", || marker.exists()).await;
        masters().into_iter().filter(is_master).for_each(sshd::kill);
    };
    let (lost, ()) = tokio::join!(reach.run("a", script), kill);
    assert_eq!(lost.unwrap_err().stage, Stage::Lost("try".into()));
    assert_eq!(
        reach.run("a", read("echo again")).await.unwrap().text(),
        "again\n"
    );
}

#[tokio::test]
async fn a_connection_that_died_between_commands_is_not_noticed() {
    let sshd = Sshd::start("");
    let reach = Reach::new(&[sshd.host("a")]);
    reach.run("a", read("true")).await.unwrap();
    let folder = std::fs::read_dir(reach.runtime.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let socket = folder.join("0.s");
    let status = Process::new("ssh")
        .args(["-F", "none", "-S"])
        .arg(&socket)
        .args(["-O", "exit", "x"])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(
        reach.run("a", read("echo again")).await.unwrap().text(),
        "again\n"
    );
}

#[tokio::test]
async fn a_host_that_hangs_is_given_up_soon_after_the_deadline_and_asked_anew() {
    let sshd = Sshd::start("");
    let reach = Reach::new(&[sshd.host("a")]);
    let marker = sshd.path("begun");
    let mut script = read("touch \"$1\"; sleep 20").arg(marker.to_str().unwrap());
    script.deadline = Duration::from_secs(1);
    let freeze = async {
        sshd::until("the script runs", || marker.exists()).await;
        sshd.sessions().into_iter().for_each(sshd::freeze);
    };
    let (late, ()) = tokio::join!(reach.run("a", script), freeze);
    let after = Duration::from_secs(1);
    assert_eq!(
        late.unwrap_err().stage,
        Stage::Deadline {
            title: "try".into(),
            after
        }
    );
    assert_eq!(
        reach.run("a", read("echo again")).await.unwrap().text(),
        "again\n"
    );
}

#[tokio::test]
async fn ctrl_c_on_the_terminal_reaches_neither_masters_nor_keeper() {
    let sshd = Sshd::start("");
    let reach = Reach::new(&[sshd.host("a")]);
    reach.run("a", read("true")).await.unwrap();
    let own = rustix::process::getpgrp();
    let processes = reach.processes();
    assert!(processes.len() >= 2, "a master and the keeper");
    for pid in processes {
        let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap());
        assert_ne!(rustix::process::getpgid(pid).unwrap(), own);
    }
}

#[tokio::test]
async fn nothing_is_left_after_close_and_after_drop() {
    let sshd = Sshd::start("");
    let reach = Reach::new(&[sshd.host("a"), sshd.host("b")]);
    reach.run("a", read("true")).await.unwrap();
    reach.run("b", read("true")).await.unwrap();
    assert!(reach.processes().len() >= 3, "two masters and the keeper");
    reach.ssh.close().await;
    assert!(reach.is_empty());
    sshd::until("all processes end", || reach.processes().is_empty()).await;

    let Reach { ssh, runtime } = Reach::new(&[sshd.host("a")]);
    ssh.run("a", read("true")).await.unwrap();
    drop(ssh);
    assert!(std::fs::read_dir(runtime.path()).unwrap().next().is_none());
    sshd::until("all processes end", || {
        sshd::running(runtime.path().to_str().unwrap()).is_empty()
    })
    .await;
}

/// Not a test by itself: the process that the tests below kill. Connects, says so, and waits.
#[tokio::test]
#[ignore = "run by other tests in a process of its own"]
async fn victim() {
    let var = |name: &str| std::env::var(name).unwrap();
    let how = runner::inventory::Ssh {
        port: Some(var("VICTIM_PORT").parse().unwrap()),
        identity_file: Some(var("VICTIM_KEY").into()),
        known_hosts: Some(var("VICTIM_KNOWN").into()),
        config: Some("/dev/null".into()),
        ..Default::default()
    };
    let ssh = Ssh::new(
        &[sshd::host("a", "127.0.0.1", how)],
        settings(var("VICTIM_RUNTIME").into()),
    )
    .unwrap();
    ssh.run("a", read("true")).await.unwrap();
    println!("\nconnected");
    std::future::pending::<()>().await;
}

/// Starts the victim and waits until it is connected.
fn start_victim(sshd: &Sshd, runtime: &std::path::Path) -> std::process::Child {
    let mut child = Process::new(std::env::current_exe().unwrap())
        .args([
            "transport::life::victim",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env("VICTIM_PORT", sshd.port.to_string())
        .env("VICTIM_KEY", sshd.path("client"))
        .env("VICTIM_KNOWN", sshd.path("known"))
        .env("VICTIM_RUNTIME", runtime)
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "connected"));
    child
}

#[tokio::test]
async fn nothing_is_left_after_kill_9() {
    let (sshd, runtime) = (Sshd::start(""), runtime());
    let mut victim = start_victim(&sshd, runtime.path());
    victim.kill().unwrap();
    victim.wait().unwrap();
    sshd::until("the folder is gone", || {
        std::fs::read_dir(runtime.path()).unwrap().next().is_none()
    })
    .await;
    sshd::until("all processes end", || {
        sshd::running(runtime.path().to_str().unwrap()).is_empty()
    })
    .await;
}

#[tokio::test]
async fn what_a_killed_run_and_its_killed_keeper_left_is_swept_by_the_next_run() {
    let (sshd, runtime) = (Sshd::start(""), runtime());
    let mut victim = start_victim(&sshd, runtime.path());
    let path = runtime.path().to_str().unwrap();
    sshd::running("runner-keeper")
        .into_iter()
        .filter(|pid| sshd::running(path).contains(pid))
        .for_each(sshd::kill);
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert!(std::fs::read_dir(path).unwrap().next().is_some() && !sshd::running(path).is_empty());
    let next = Ssh::new(&[], settings(path.into())).unwrap();
    assert_eq!(std::fs::read_dir(path).unwrap().count(), 1);
    drop(next);
    assert!(std::fs::read_dir(path).unwrap().next().is_none());
    sshd::until("all processes end", || sshd::running(path).is_empty()).await;
}
