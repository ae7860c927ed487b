//! Commands that are held, and the locks that are made of them.

use std::sync::Arc;

use runner::engine::lock::{Locks, NotTaken};
use runner::inventory::Cluster;
use runner::transport::{Line, Transport};
use tokio::sync::{mpsc, watch};

use super::*;
use crate::engine_rig::holder;
use crate::sim::inventory;

/// Says where it is, reads to the end, and leaves a mark.
const WAIT: &str = "echo begun; cat >/dev/null; touch \"$1\"";

fn limited(host: &Host, forks: usize) -> Reach {
    let runtime = runtime();
    let settings = Settings {
        forks,
        ..settings(runtime.path().to_owned())
    };
    Reach {
        ssh: Ssh::new([host], settings).unwrap(),
        runtime,
    }
}

fn held(script: &str) -> (Command, watch::Sender<bool>, mpsc::Receiver<Line>) {
    let (hold, watched) = watch::channel(false);
    let (tell, told) = mpsc::channel(8);
    let command = Command {
        input: Input::Pulsed(watched),
        output: Sink::Lines(tell),
        ..read(script)
    };
    (command, hold, told)
}

#[tokio::test]
async fn a_held_command_talks_while_it_runs_takes_nobodys_turn_and_ends_when_let_go() {
    let sshd = Sshd::start("MaxSessions 2");
    let reach = limited(&sshd.host("a"), 1);
    let mark = sshd.path("mark");
    let (command, hold, mut told) = held(WAIT);
    let work = async {
        assert_eq!(told.recv().await.unwrap().text, b"begun");
        for _ in 0..3 {
            assert_eq!(reach.run("a", read("echo x")).await.unwrap().text(), "x\n");
        }
        assert!(!mark.exists());
        drop(hold);
    };
    let (ended, ()) = tokio::join!(reach.run("a", command.arg(mark.to_str().unwrap())), work);
    assert_eq!(ended.unwrap(), Output::default());
    assert!(mark.exists());
}

#[tokio::test]
async fn a_host_with_room_for_the_held_command_alone_says_so_instead_of_hanging() {
    let sshd = Sshd::start("MaxSessions 1");
    let reach = limited(&sshd.host("a"), 20);
    let (command, hold, mut told) = held("echo begun; cat >/dev/null");
    let work = async {
        told.recv().await.unwrap();
        let refused = reach.run("a", read("true")).await.unwrap_err();
        assert_eq!(refused.stage, Stage::NoSession);
        drop(hold);
    };
    let (ended, ()) = tokio::join!(reach.run("a", command), work);
    assert_eq!(ended.unwrap().status, 0);
    assert_eq!(reach.run("a", read("echo x")).await.unwrap().text(), "x\n");
}

#[tokio::test]
async fn a_command_that_nobody_waits_for_any_more_meets_the_end_of_its_input() {
    let sshd = Sshd::start("");
    let reach = limited(&sshd.host("a"), 20);
    let mark = sshd.path("mark");
    let (command, _hold, mut told) = held(WAIT);
    tokio::select! {
        ended = reach.run("a", command.arg(mark.to_str().unwrap())) => panic!("{ended:?}"),
        begun = told.recv() => assert_eq!(begun.unwrap().text, b"begun"),
    }
    sshd::until("the script has met the end", || mark.exists()).await;
}

fn one_host(sshd: &Sshd) -> Cluster {
    let mut cluster = inventory::cluster(1);
    cluster.hosts[0] = Host {
        data_dir: sshd.path("data dir").display().to_string(),
        ..sshd.host("a")
    };
    cluster
}

fn transport(cluster: &Cluster) -> (Arc<dyn Transport>, tempfile::TempDir) {
    let runtime = runtime();
    let ssh = Ssh::new(&cluster.hosts, settings(runtime.path().to_owned())).unwrap();
    (Arc::new(ssh), runtime)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_held_by_its_connection_and_the_other_run_reads_who_holds_it() {
    let sshd = Sshd::start("");
    let cluster = one_host(&sshd);
    let folder = sshd.path("locks");
    let locks = |run: &str| Locks::new(holder(run)).in_folder(folder.to_str().unwrap());
    let ((first, _a), (second, _b)) = (transport(&cluster), transport(&cluster));
    let (ours, theirs) = (locks("ours"), locks("theirs"));
    ours.take(&first, &cluster).await.unwrap();
    ours.take(&first, &cluster).await.unwrap();
    let Err(NotTaken::Taken(taken)) = theirs.take(&second, &cluster).await else {
        panic!("two runs hold one lock")
    };
    assert_eq!(taken.holder, Some(holder("ours")));
    ours.release().await;
    assert!(!folder.exists(), "the file and its folder are gone");
    theirs.take(&second, &cluster).await.unwrap();

    // The connection and the script die without a word: the file stays, the lock does not.
    sshd.sessions().into_iter().for_each(sshd::kill);
    sshd::until("the run has noticed", || {
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async { !theirs.are_held(&cluster).await })
        })
    })
    .await;
    ours.take(&first, &cluster).await.unwrap();
    ours.release().await;
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_run_that_lost_its_connection_gets_its_own_lock_again() {
    let sshd = Sshd::start("");
    let cluster = one_host(&sshd);
    let folder = sshd.path("locks");
    let locks = || Locks::new(holder("ours")).in_folder(folder.to_str().unwrap());
    let ((first, _a), (second, _b)) = (transport(&cluster), transport(&cluster));
    let (before, after) = (locks(), locks());
    before.take(&first, &cluster).await.unwrap();
    let let_go = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        before.release().await;
    };
    let (taken, ()) = tokio::join!(after.take(&second, &cluster), let_go);
    taken.unwrap();
    assert!(folder.exists());
    after.release().await;
}
