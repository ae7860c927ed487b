//! `runner runs`: past runs from their journals.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::context::Context;
use super::out;
use super::table::Table;
use crate::cli::Runs;
use crate::error::{Failure, Problem, Result};
use crate::event::{Ending, Event, FORMAT, Kind};
use crate::exit::Exit;
use crate::journal::{self, Replay, Run};
use crate::report::board::Board;
use crate::report::phrase::Phrases;
use crate::report::summary::changed;
use crate::report::text::{clock, duration, one_line};

/// Runs the command.
pub fn run(context: &Context, command: &Runs) -> Result<Exit> {
    match command {
        Runs::List => list(context),
        Runs::Show { id } => show(context, id),
    }
}

/// A past run in one line.
#[derive(Serialize)]
struct Entry {
    format: u32,
    kind: &'static str,
    run: String,
    began: Option<Timestamp>,
    clusters: Vec<String>,
    /// `None` if the run never came to its end.
    status: Option<u8>,
    took_ms: Option<u64>,
    summary: String,
}

fn list(context: &Context) -> Result<Exit> {
    let mut runs = journal::list(&context.state_dir).map_err(|error| unreadable(&error))?;
    runs.reverse();
    let entries: Vec<Entry> = runs.iter().map(entry).collect();
    if context.json() {
        for entry in &entries {
            out::object(entry);
        }
    } else if entries.is_empty() {
        let place = context.state_dir.display();
        out::talk(&format!("no runs under `{place}` yet\n"));
    } else {
        out::data(&table(&entries));
    }
    Ok(Exit::Done)
}

fn entry(run: &Run) -> Entry {
    let replay = journal::read(&run.path);
    let events = replay.as_ref().map_or(&[][..], |replay| &replay.events[..]);
    let ended = events.iter().rev().find_map(|event| match &event.kind {
        Kind::Ended {
            status,
            summary,
            took_ms,
            ..
        } => Some((*status, summary.clone(), *took_ms)),
        _ => None,
    });
    let summary = match (&ended, &replay) {
        (Some((_, summary, _)), _) => summary.clone(),
        (None, Ok(_)) => "has no ending: it runs still, or was killed".to_owned(),
        (None, Err(error)) => error.to_string(),
    };
    Entry {
        format: FORMAT,
        kind: "run",
        run: run.id.clone(),
        began: events.first().map(|event| event.at),
        clusters: clusters(events),
        status: ended.as_ref().map(|(status, ..)| *status),
        took_ms: ended.map(|(.., took)| took),
        summary,
    }
}

fn clusters(events: &[Event]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for event in events {
        if let Kind::Plan { cluster, .. } = &event.kind
            && !names.contains(cluster)
        {
            names.push(cluster.clone());
        }
    }
    names
}

fn table(entries: &[Entry]) -> String {
    let mut table = Table::new(&["RUN", "STATUS", "TOOK", "CLUSTERS", "ENDING"]);
    for entry in entries {
        table.row([
            entry.run.clone(),
            entry
                .status
                .map_or_else(|| "-".to_owned(), |status| status.to_string()),
            entry
                .took_ms
                .map_or_else(|| "-".to_owned(), |ms| duration(Duration::from_millis(ms))),
            one_line(&entry.clusters.join(",")),
            one_line(&entry.summary),
        ]);
    }
    table.text()
}

fn show(context: &Context, id: &str) -> Result<Exit> {
    let run = find(context, id)?;
    let replay = journal::read(&run.path).map_err(|error| unreadable(&error))?;
    if context.json() {
        for event in &replay.events {
            out::object(event);
        }
    } else {
        out::data(&told(&replay, context.global.verbose));
    }
    Ok(Exit::Done)
}

fn find(context: &Context, id: &str) -> Result<Run> {
    let mut runs = journal::list(&context.state_dir).map_err(|error| unreadable(&error))?;
    runs.retain(|run| run.id.starts_with(id));
    match runs.len() {
        1 => Ok(runs.remove(0)),
        0 => {
            let what = format!(
                "there is no run `{id}` under `{}`",
                context.state_dir.display()
            );
            Err(Failure::new(
                Exit::Usage,
                Problem::new(what).hint("`runner runs list` shows all"),
            ))
        }
        _ => {
            let what = format!("`{id}` is the beginning of {} runs", runs.len());
            let newest = runs.iter().rev().take(3).map(|run| run.id.as_str());
            let newest = newest.collect::<Vec<_>>().join(", ");
            let problem = Problem::new(what)
                .because(format!("the newest of them: {newest}"))
                .hint("write more of the id; `runner runs list` shows all");
            Err(Failure::new(Exit::Usage, problem))
        }
    }
}

fn told(replay: &Replay, verbose: u8) -> String {
    let mut board = Board::default();
    let mut text = String::new();
    for event in &replay.events {
        board.apply(event);
        let phrases = Phrases {
            board: &board,
            verbose,
        };
        for line in phrases.of(&event.kind) {
            let _ = writeln!(text, "{} {line}", clock(event.at));
        }
        if let Kind::Ended {
            status,
            summary,
            clusters,
            took_ms,
        } = &event.kind
        {
            endings(&mut text, clusters);
            ended(&mut text, *status, summary, *took_ms);
        }
    }
    let is_over = |event: &Event| matches!(event.kind, Kind::Ended { .. });
    if !replay.events.last().is_some_and(is_over) {
        unended(&mut text, &board);
    }
    if replay.torn.is_some() {
        text.push_str("the last line is torn: runner was killed while it wrote, before the act\n");
    }
    text
}

fn endings(text: &mut String, clusters: &[Ending]) {
    for ending in clusters {
        let mut line = |label: &str, said: &str| {
            let _ = writeln!(text, "{label}: {}", one_line(said));
        };
        ending
            .causes
            .iter()
            .for_each(|cause| line("because", cause));
        line(
            "changed",
            &format!("{}: {}", ending.cluster, changed(ending)),
        );
        ending.left.iter().for_each(|left| line("left", left));
        if !ending.hint.is_empty() {
            line("hint", &ending.hint);
        }
    }
}

fn ended(text: &mut String, status: u8, summary: &str, took_ms: u64) {
    let time = duration(Duration::from_millis(took_ms));
    let _ = writeln!(
        text,
        "exit status {status} after {time}: {}",
        one_line(summary)
    );
}

/// What a run without an ending was at.
fn unended(text: &mut String, board: &Board) {
    text.push_str("no ending: it runs still, or was killed\n");
    for (cluster, host) in board.busy() {
        let (cluster, at, what) = (&cluster.name, &host.host, one_line(&host.what));
        let _ = writeln!(text, "in hand: {cluster}/{at}: {what}");
    }
    text.push_str(
        "hint: `runner status` shows the members; `runner upgrade --resume` goes on where a run was killed\n",
    );
}

fn unreadable(error: &journal::JournalError) -> Failure {
    Failure::new(Exit::Usage, Problem::of(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::StepId;

    fn event(index: u64, kind: Kind) -> Event {
        Event {
            format: FORMAT,
            run: "r".to_owned(),
            index,
            at: Timestamp::UNIX_EPOCH,
            kind,
        }
    }

    fn ending() -> Ending {
        Ending {
            cluster: "prod".to_owned(),
            status: 5,
            summary: "step 2 of 9 failed".to_owned(),
            causes: vec!["the disk is full".to_owned()],
            members: Vec::new(),
            changed: false,
            hint: "make room".to_owned(),
            left: vec!["a backup".to_owned()],
        }
    }

    #[test]
    fn a_run_that_failed_shows_causes_hint_and_status() {
        let kind = Kind::Ended {
            status: 5,
            summary: "prod: step 2 of 9 failed".to_owned(),
            clusters: vec![ending()],
            took_ms: 61_000,
        };
        let replay = Replay {
            events: vec![event(0, kind)],
            torn: None,
        };
        assert_eq!(
            told(&replay, 0),
            "because: the disk is full\nchanged: prod: nothing\nleft: a backup\nhint: make room\n\
             exit status 5 after 1m 01s: prod: step 2 of 9 failed\n"
        );
    }

    #[test]
    fn a_run_that_was_killed_says_so_and_that_its_last_line_is_torn() {
        let kind = Kind::StepStarted {
            cluster: "prod".to_owned(),
            host: "etcd-1".to_owned(),
            step: StepId(4),
            what: "stop etcd.service".to_owned(),
            undo: false,
        };
        let replay = Replay {
            events: vec![event(0, kind)],
            torn: Some("{\"form".to_owned()),
        };
        let text = told(&replay, 0);
        assert!(text.contains("stop etcd.service"), "{text}");
        assert!(
            text.contains("no ending: it runs still, or was killed"),
            "{text}"
        );
        assert!(text.contains("`runner upgrade --resume`"), "{text}");
        assert!(text.ends_with("before the act\n"), "{text}");
    }
}
