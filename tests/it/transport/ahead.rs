//! Shells that are started before it is known for what.

use super::*;

/// Shells of this sshd that wait for a script.
fn waiting(sshd: &Sshd) -> Vec<u32> {
    let waits = |pid: &u32| {
        let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        // The wrapper; `timeout` takes its place for a script that is fed.
        words.starts_with("/bin/sh\0-c\0unset runner_line")
    };
    sshd.sessions().into_iter().filter(waits).collect()
}

#[tokio::test]
async fn where_scripts_follow_each_other_the_shell_of_the_next_waits_until_nobody_wants_it() {
    let sshd = Sshd::start("");
    let reach = Reach::new(&[sshd.host("a")]);
    reach.run("a", read("true")).await.unwrap();
    assert_eq!(waiting(&sshd), Vec::<u32>::new());
    reach.ssh.expect("a", true);
    for word in ["one", "two", "three"] {
        sshd::until("a shell waits", || waiting(&sshd).len() == 1).await;
        let before = waiting(&sshd);
        let script = read("echo $1; cat; exit 3").arg(word);
        let command = Command {
            input: Input::Bytes(b"payload".to_vec()),
            ..script
        };
        let ran = reach.run("a", command).await.unwrap();
        assert_eq!((ran.text(), ran.status), (format!("{word}\npayload"), 3));
        let used = || waiting(&sshd).iter().all(|pid| !before.contains(pid));
        sshd::until("that shell has run the script", used).await;
    }
    reach.ssh.expect("a", false);
    sshd::until("no shell waits", || waiting(&sshd).is_empty()).await;
}

#[tokio::test]
async fn one_shell_runs_all_scripts_that_are_not_fed_until_one_kills_it() {
    let sshd = Sshd::start("");
    let reach = Reach::new(&[sshd.host("a")]);
    reach.run("a", read("true")).await.unwrap();
    reach.ssh.expect("a", true);
    sshd::until("a shell waits", || waiting(&sshd).len() == 1).await;
    let shell = waiting(&sshd);
    for status in [0, 7, 3] {
        let script = format!("echo out; echo err >&2; cat; exit {status}");
        let ran = reach.run("a", read(&script)).await.unwrap();
        assert_eq!((ran.text(), ran.status), ("out\n".to_owned(), status));
        assert_eq!(ran.complaint(), "err");
        assert_eq!(waiting(&sshd), shell);
    }
    // Two at once take two shells, and both stay.
    let both = tokio::join!(
        reach.run("a", read("sleep 0.2; echo one")),
        reach.run("a", read("sleep 0.2; echo two"))
    );
    assert_eq!(
        both.0.unwrap().text() + &both.1.unwrap().text(),
        "one\ntwo\n"
    );
    assert_eq!(waiting(&sshd).len(), 2);
    waiting(&sshd).into_iter().for_each(sshd::kill);
    let ran = reach.run("a", read("echo again")).await;
    assert_eq!(ran.unwrap().text(), "again\n");
    reach.ssh.expect("a", false);
    sshd::until("no shell waits", || waiting(&sshd).is_empty()).await;
}

#[tokio::test]
async fn a_shell_that_died_while_it_waited_is_not_missed() {
    let sshd = Sshd::start("");
    let reach = Reach::new(&[sshd.host("a")]);
    reach.run("a", read("true")).await.unwrap();
    reach.ssh.expect("a", true);
    sshd::until("a shell waits", || waiting(&sshd).len() == 1).await;
    let gone: Vec<u32> = sshd.sessions();
    let is_shell = |pid: &&u32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sh\n")
    };
    gone.iter().filter(is_shell).copied().for_each(sshd::kill);
    sshd::until("it is dead", || waiting(&sshd).is_empty()).await;
    let ran = reach.run("a", read("echo again")).await;
    assert_eq!(ran.unwrap().text(), "again\n");
}

#[tokio::test]
async fn where_sshd_opens_few_sessions_none_is_kept_for_later() {
    let sshd = Sshd::start("MaxSessions 2");
    let reach = Reach::new(&[sshd.host("a")]);
    reach.ssh.expect("a", true);
    let all = (0..6).map(|_| reach.run("a", read("echo done")));
    for ran in futures_util::future::join_all(all).await {
        assert_eq!(ran.unwrap().text(), "done\n");
    }
}
