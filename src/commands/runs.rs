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
            let ids: Vec<String> = runs.into_iter().map(|run| run.id).collect();
            let what = format!("`{id}` is the beginning of {} runs", ids.len());
            Err(Failure::new(
                Exit::Usage,
                Problem::new(what).because(ids.join(", ")),
            ))
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
            clusters, took_ms, ..
        } = &event.kind
        {
            endings(&mut text, clusters, *took_ms);
        }
    }
    if replay.torn.is_some() {
        text.push_str("the last line is torn: runner was killed while it wrote, before the act\n");
    }
    text
}

fn endings(text: &mut String, clusters: &[Ending], took_ms: u64) {
    for ending in clusters {
        let _ = writeln!(
            text,
            "changed: {}: {}",
            ending.cluster,
            one_line(&changed(ending))
        );
        for left in &ending.left {
            let _ = writeln!(text, "left: {}", one_line(left));
        }
    }
    let _ = writeln!(text, "took {}", duration(Duration::from_millis(took_ms)));
}

fn unreadable(error: &journal::JournalError) -> Failure {
    Failure::new(Exit::Usage, Problem::of(error))
}
