//! `runner exec`: one command on many hosts, with live output.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::{Semaphore, mpsc, watch};

use self::show::Screen;
use super::context::Context;
use super::look::unreachable_problem;
use super::session::{Session, with};
use crate::cli::Exec;
use crate::error::{Failure, Problem, Result};
use crate::exit::Exit;
use crate::report::text::count;
use crate::transport::{Command, Input, Line, Output, Sink, Stage, Transport as _, Unreachable};

mod show;

const TITLE: &str = "run the command";
const SCRIPT: &str = include_str!("run.sh");
/// Without `--timeout`: nobody waits longer for a command that was typed.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Lines that may be on their way to a slow terminal; a host that prints more waits.
const LINES: usize = 1024;
/// What ending a command may take after Ctrl-C; the host kills it after two seconds.
const PATIENCE: Duration = Duration::from_secs(8);

/// How it went on a host.
pub enum Went {
    /// It ended.
    Ended {
        /// With this status.
        status: i32,
        /// After this time.
        took: Duration,
    },
    /// It could not be run, or its end is unknown.
    Unreachable(Box<Unreachable>),
    /// It was not begun, or not awaited, because of Ctrl-C.
    Left,
}

/// Runs the command on every selected host.
///
/// # Errors
/// It fails somewhere, a host is unreachable, or Ctrl-C.
pub fn run(context: &Context, args: &Exec) -> Result<Exit> {
    with(context, async |session: &Session| {
        let hosts = chosen(session);
        let mut screen = Screen::new(context, &hosts);
        screen.begin(&args.command);
        if context.global.check {
            screen.end(Exit::Done, "nothing was run", &BTreeMap::new());
            return Ok(Exit::Done);
        }
        let (went, interrupted) = everywhere(session, &hosts, &args.command, &mut screen).await;
        let exit = exit(&went, interrupted);
        let summary = summary(&went, interrupted);
        screen.end(exit, &summary, &went);
        match exit {
            Exit::Done => Ok(exit),
            _ => Err(failure(exit, summary, &went)),
        }
    })
}

fn chosen(session: &Session<'_>) -> Vec<String> {
    let all = session.selected.iter().flat_map(|selected| {
        let hosts = selected.cluster.hosts.iter();
        hosts.filter(|host| selected.chosen.contains(&host.name))
    });
    all.map(|host| host.name.clone()).collect()
}

/// Runs it on all hosts, `forks` at once, and shows each line as it comes. Says whether Ctrl-C ended it.
async fn everywhere(
    session: &Session<'_>,
    hosts: &[String],
    words: &[String],
    screen: &mut Screen<'_>,
) -> (BTreeMap<String, Went>, bool) {
    let (lines, mut coming) = mpsc::channel(LINES);
    let (ended, mut endings) = mpsc::unbounded_channel();
    let (release, released) = watch::channel(false);
    let slots = Arc::new(Semaphore::new(usize::from(session.context.global.forks)));
    let deadline = session.context.global.timeout.unwrap_or(DAY);
    let command = command(
        words,
        deadline,
        session.context.global.escalate,
        lines,
        released.clone(),
    );
    let runs = hosts.iter().map(|host| {
        let (slots, command, ended, released) = (&slots, command.clone(), ended.clone(), &released);
        async move {
            let _slot = slots.acquire().await;
            let began = Instant::now();
            if !*released.borrow() {
                let answer = session.transport.run(host, command).await;
                let _ = ended.send((host.clone(), went(answer, began.elapsed())));
            }
        }
    });
    let all = join_all(runs);
    tokio::pin!(all);
    let mut found = BTreeMap::new();
    let mut interrupted = false;
    let mut patience = None;
    loop {
        tokio::select! {
            biased;
            () = session.signals.first(), if !interrupted => {
                interrupted = true;
                release.send_replace(true);
                patience = Some(Box::pin(tokio::time::sleep(PATIENCE)));
            }
            Some(line) = coming.recv() => screen.line(&line),
            Some((host, went)) = endings.recv() => {
                screen.went(&host, &went);
                found.insert(host, went);
            }
            () = async { patience.as_mut().expect("checked").await }, if patience.is_some() => break,
            _ = &mut all => break,
        }
    }
    drain(&mut coming, &mut endings, screen, &mut found);
    for host in hosts {
        found.entry(host.clone()).or_insert(Went::Left);
    }
    (found, interrupted)
}

/// What had come when the last command ended.
fn drain(
    lines: &mut mpsc::Receiver<Line>,
    endings: &mut mpsc::UnboundedReceiver<(String, Went)>,
    screen: &mut Screen<'_>,
    found: &mut BTreeMap<String, Went>,
) {
    while let Ok(line) = lines.try_recv() {
        screen.line(&line);
    }
    while let Ok((host, went)) = endings.try_recv() {
        screen.went(&host, &went);
        found.insert(host, went);
    }
}

fn command(
    words: &[String],
    deadline: Duration,
    privileged: bool,
    lines: mpsc::Sender<Line>,
    released: watch::Receiver<bool>,
) -> Command {
    Command {
        input: Input::Held(released),
        output: Sink::Lines(lines),
        privileged,
        ..Command::read(TITLE, SCRIPT, deadline).args(words)
    }
}

fn went(answer: Result<Output, Unreachable>, took: Duration) -> Went {
    match answer {
        Ok(Output { status, .. }) => Went::Ended { status, took },
        Err(unreachable) => Went::Unreachable(Box::new(unreachable)),
    }
}

/// By section 3 of the contract: a command that failed may have changed anything, so it needs a person; a host where it
/// did not even begin is unreachable.
fn exit(went: &BTreeMap<String, Went>, interrupted: bool) -> Exit {
    let any = |is: &dyn Fn(&Went) -> bool| went.values().any(is);
    if interrupted {
        Exit::Interrupted
    } else if any(&failed) {
        Exit::NeedsPerson
    } else if any(&|one| matches!(one, Went::Unreachable(_))) {
        Exit::Unreachable
    } else {
        Exit::Done
    }
}

/// Whether it began on a host and did not end well, as far as we know.
fn failed(went: &Went) -> bool {
    match went {
        Went::Ended { status, .. } => *status != 0,
        Went::Unreachable(unreachable) => has_begun(unreachable),
        Went::Left => false,
    }
}

fn has_begun(unreachable: &Unreachable) -> bool {
    matches!(unreachable.stage, Stage::Lost(_) | Stage::Deadline { .. })
}

fn summary(went: &BTreeMap<String, Went>, interrupted: bool) -> String {
    let hosts = count(went.len(), "host");
    let well = |one: &&Went| matches!(one, Went::Ended { status: 0, .. });
    let well = went.values().filter(well).count();
    if interrupted {
        format!("interrupted; it ended with status 0 on {well} of {hosts}")
    } else {
        format!("it ended with status 0 on {well} of {hosts}")
    }
}

fn failure(exit: Exit, summary: String, went: &BTreeMap<String, Went>) -> Failure {
    let problems: Vec<Problem> = went
        .iter()
        .filter_map(|(host, one)| problem(host, one))
        .collect();
    let begun: Vec<&str> = went
        .iter()
        .filter(|(_, one)| match one {
            Went::Ended { .. } => true,
            Went::Unreachable(unreachable) => has_begun(unreachable),
            Went::Left => exit == Exit::Interrupted,
        })
        .map(|(host, _)| host.as_str())
        .collect();
    let changed = match begun.as_slice() {
        [] => "nothing".to_owned(),
        hosts => format!("what the command did on {}", hosts.join(", ")),
    };
    let problems = if exit == Exit::Interrupted {
        vec![Problem::new(summary)]
    } else {
        problems
    };
    Failure::several(exit, problems).changed(changed)
}

fn problem(host: &str, went: &Went) -> Option<Problem> {
    match went {
        Went::Ended { status: 0, .. } | Went::Left => None,
        Went::Ended { status, .. } => Some(Problem::new(format!(
            "host `{host}`: the command ended with status {status}"
        ))),
        Went::Unreachable(unreachable) => Some(unreachable_problem(unreachable)),
    }
}
