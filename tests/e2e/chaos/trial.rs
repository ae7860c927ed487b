//! One case from a fresh cluster to one that is home.

use std::time::{Duration, Instant};

use runner::lab::Cancel;
use serde_json::Value;

use super::bench::Bench;
use super::cases::{Case, Fault};
use super::strike::{heal, prepare, strike};
use super::table::Row;
use super::watch::Watch;
use super::{NEW, OLD};
use crate::common::follow::{Run, Told, When};
use crate::common::look::{answers, await_true, litter, logins};
use crate::common::run::{installed, running};

/// How long a cluster that was mended may take to be well by itself.
const RECOVERY: Duration = Duration::from_secs(60);

/// How long a healthy member may be silent, because the members elect a leader.
const ELECTION: Duration = Duration::from_secs(15);

/// Runs it and asserts all that must hold.
pub fn run(bench: &Bench, case: &Case, row: &mut Row) {
    prepare(bench, case);
    let started = main_process(bench);
    let writer = bench.cluster.writer();
    writer.await_more(20).unwrap();
    let watch = Watch::start(&bench.cluster.lab);
    let (told, struck) = upgrade(bench, case);
    row.ending = told
        .status
        .map_or("killed".to_owned(), |status| format!("exit {status}"));
    tells_the_truth(bench, case, &told, struck.as_deref());
    if matches!(case.fault, Fault::Bad(_)) {
        nobody_else_was_touched(bench, &started, &told);
    }
    let healed = watch.clock();
    heal(bench, case, struck.as_deref());
    if case.fault != Fault::Killed {
        recover(bench);
    }
    let again = watch.clock();
    row.resumed = gets_home(bench, &told);
    let downs = watch.finish();
    row.down = downs.most.len();
    writer.await_more(20).unwrap();
    row.seen = writer.finish().unwrap();
    assert!(row.seen.is_clean(), "{:?}", row.seen);
    assert!(
        row.down <= case.may_be_down(),
        "{:?} were down together; healed at {healed} ms, the next upgrade began at {again} ms\n{}\n{}",
        downs.most,
        downs.changes.join("\n"),
        told.err
    );
    nothing_is_left(bench);
}

/// The upgrade that is struck.
fn upgrade(bench: &Bench, case: &Case) -> (Told, Option<String>) {
    let args = [&["upgrade", "--yes", "--output", "json"], case.args()].concat();
    let mut run = Run::begin(bench.command(&args));
    let Some(in_hand) = run.until(case.when) else {
        let told = run.finish();
        panic!(
            "`{}` never came; exit {:?}:\n{}",
            case.when, told.status, told.err
        );
    };
    let struck = match case.when {
        When::Before => None,
        _ => strike(bench, case, &in_hand, &mut run),
    };
    (run.finish(), struck)
}

/// The status is one that is right, and what is told of each member is so.
fn tells_the_truth(bench: &Bench, case: &Case, told: &Told, struck: Option<&str>) {
    if case.ends.is_empty() {
        assert_eq!(told.status, None, "{}", told.err);
        return;
    }
    let status = told.status.unwrap();
    assert!(case.ends.contains(&status), "exit {status}:\n{}", told.err);
    let members = told.members();
    for (host, state) in &members {
        let is_struck = struck == Some(host);
        if is_struck && case.fault == Fault::MemberRemoved {
            // It may have been removed behind the last look.
            continue;
        }
        if let Some(version) = said_healthy(state) {
            assert!(
                answers_soon(bench, host),
                "{host} {state}; it does not answer\n{}",
                told.err
            );
            assert_eq!(running(&bench.cluster, host).0, version, "{host} {state}");
        } else if state.starts_with("is unknown") {
            assert!(
                is_struck,
                "{host} {state}, and can be reached\n{}",
                told.err
            );
        } else {
            assert!(
                is_struck || !answers(&bench.cluster, host),
                "{host} {state}; it answers\n{}",
                told.err
            );
        }
    }
    let all_new = || {
        bench
            .hosts()
            .iter()
            .filter(|host| struck != Some(host))
            .all(|host| running(&bench.cluster, host).0 == NEW)
    };
    match status {
        0 => assert!(all_new() && members.len() == 3, "{}", told.err),
        // Refused, or a host could not be reached: nobody was stopped.
        3 | 4 => bench
            .hosts()
            .iter()
            .filter(|host| struck != Some(host))
            .for_each(|host| {
                assert_eq!(installed(&bench.cluster, host), OLD, "{host}");
            }),
        5 => bench
            .hosts()
            .iter()
            .filter(|host| struck != Some(host))
            .for_each(|host| {
                assert!(
                    answers_soon(bench, host),
                    "{host} is not healthy\n{}",
                    told.err
                );
            }),
        _ => {}
    }
}

/// Whether a member that is said to be healthy answers; an election that comes between may take some seconds.
fn answers_soon(bench: &Bench, host: &str) -> bool {
    let asked = || {
        let is_well = answers(&bench.cluster, host);
        is_well.then_some(()).ok_or("no answer".to_owned())
    };
    let wait = Cancel::default().wait("an answer", ELECTION, asked);
    wait.is_ok()
}

/// The version that a member is told to be healthy at.
fn said_healthy(state: &str) -> Option<&str> {
    let rest = state
        .strip_prefix("runs ")
        .or_else(|| state.strip_prefix("was put back on "))?;
    rest.strip_suffix(" and is healthy")
}

/// When each member's process was started.
fn main_process(bench: &Bench) -> Vec<String> {
    let ask = "systemctl show -p ExecMainStartTimestampMonotonic --value etcd.service";
    bench
        .hosts()
        .iter()
        .map(|host| bench.cluster.lab.sh(host, ask).unwrap())
        .collect()
}

/// A bad release was tried on one member, and all run the old one.
fn nobody_else_was_touched(bench: &Bench, before: &[String], told: &Told) {
    let after = main_process(bench);
    let touched = before
        .iter()
        .zip(&after)
        .filter(|(before, after)| before != after);
    assert_eq!(touched.count(), 1, "{before:?} {after:?}\n{}", told.err);
    for host in bench.hosts() {
        assert_eq!(running(&bench.cluster, &host).0, OLD, "{host}");
        assert_eq!(installed(&bench.cluster, &host), OLD, "{host}");
    }
}

/// Lets a mended cluster come to rest. A member that needs the next `upgrade` for it is left to that.
fn recover(bench: &Bench) {
    let well = || {
        let down = bench
            .hosts()
            .into_iter()
            .find(|host| !answers(&bench.cluster, host));
        down.map_or(Ok(()), Err)
    };
    let _ = Cancel::default().wait("the members are not well", RECOVERY, well);
}

/// The next `upgrade` completes, and another one has nothing to do.
fn gets_home(bench: &Bench, told: &Told) -> String {
    let began = Instant::now();
    let ran = bench.run(&["upgrade", "--yes"]);
    assert_eq!(
        ran.status, 0,
        "the next upgrade: {}\nthe struck one: {}",
        ran.err, told.err
    );
    // Where the struck run had come to its end, nothing was left to do but etcd's own tick, which nobody waits for.
    await_true(
        "every member runs the new release and sees its cluster version",
        || {
            let mut hosts = bench.hosts().into_iter();
            hosts.all(|host| running(&bench.cluster, &host) == (NEW.to_owned(), "3.5.0".to_owned()))
        },
    );
    for host in bench.hosts() {
        assert_eq!(installed(&bench.cluster, &host), NEW, "{host}");
        let file = bench
            .cluster
            .lab
            .sh(&host, "cat /etc/etcd/chaos.conf")
            .unwrap();
        assert_eq!(file, "new\n", "{host}");
    }
    let status = bench.run(&["status", "--output", "json"]).ends_with(0);
    let objects = status.objects();
    let shown = objects[0]["hosts"].as_object().unwrap().values();
    let versions: Vec<&Value> = shown.map(|host| &host["view"]["version"]).collect();
    assert_eq!(versions, [NEW, NEW, NEW]);
    if told.status == Some(0) {
        return "nothing was left to do".to_owned();
    }
    format!("yes, {} s", began.elapsed().as_secs())
}

/// Neither host nor this machine has anything of ours but journal, backup and releases.
fn nothing_is_left(bench: &Bench) {
    for host in bench.hosts() {
        await_true(&format!("nothing of ours is left on {host}"), || {
            litter(&bench.cluster, &host).is_empty() && logins(&bench.cluster, &host).is_empty()
        });
    }
    await_true("nothing of ours is left here", || {
        bench.litter_here().is_empty()
    });
    assert_eq!(bench.strange_files(), Vec::<String>::new());
}
