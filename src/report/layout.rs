//! How a line of the bars looks at a given width. Pure: the same row, width and moment give the same line.

use jiff::Timestamp;

use super::board::{Board, ClusterRow, HostRow, State};
use super::text::{Paint, between, bytes, count, duration, fit, one_line};

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// From here a bar and words have room, below only figures.
const WIDE: usize = 60;
const BAR_FROM: usize = 110;
const BAR: usize = 24;

/// What is said of a cluster that is staged while others are in work.
const TURN: &str = "staged, waits for its turn";

/// What all lines of one drawing share.
#[derive(Clone, Copy, Debug)]
pub struct Canvas {
    /// Columns.
    pub width: usize,
    /// The moment drawn.
    pub now: Timestamp,
    /// Colours.
    pub paint: Paint,
}

/// The line over a cluster's hosts.
pub fn cluster(row: &ClusterRow, board: &Board, canvas: Canvas) -> String {
    let end = row.ending.as_ref().map_or(canvas.now, |(_, at)| *at);
    let time = duration(between(row.since, end));
    let hops = if row.hops > 1 {
        format!(", hop {} of {}", row.hop_number, row.hops)
    } else {
        String::new()
    };
    let stopping = match (&row.ending, board.interrupts) {
        (Some(_), _) | (None, 0) => "",
        (None, 1) => ", stopping after this member",
        (None, _) => ", abandoned",
    };
    let waits = row.awaits_its_turn() && row.has_begun() && board.clusters.len() > 1;
    let steps = if waits {
        TURN.to_owned()
    } else {
        format!("{} of {} steps done", row.ended.min(row.steps), row.steps)
    };
    let left = if canvas.width >= WIDE {
        format!("{} {}{hops}, {steps}{stopping}", row.name, row.hop)
    } else {
        format!("{} {}", row.name, row.hop)
    };
    let room = canvas.width.saturating_sub(time.chars().count() + 1);
    let left = format!("{:<room$}", fit(&one_line(&left), room));
    format!("{} {}", canvas.paint.bold(&left), canvas.paint.dim(&time))
}

/// The one line of a cluster that has ended, where there are others.
pub fn folded(row: &ClusterRow, canvas: Canvas) -> String {
    let Some((ending, at)) = &row.ending else {
        return String::new();
    };
    let state = match ending.status {
        0 => State::Done,
        130 => State::Waiting,
        _ => State::Failed,
    };
    let time = duration(between(row.since, *at));
    let room = canvas.width.saturating_sub(time.chars().count() + 3);
    let text = one_line(&format!("{}: {}", row.name, ending.summary));
    let text = format!("{:<room$}", fit(&text, room));
    format!("{} {text} {}", mark(state, canvas), canvas.paint.dim(&time))
}

/// A cluster in one line, where its hosts have no room: mark, name, steps, and what its hosts are at.
pub fn dense(row: &ClusterRow, name_width: usize, canvas: Canvas) -> String {
    let name_width = name_width.min((canvas.width / 3).max(8));
    let name = one_line(&row.name);
    let name = format!("{:<name_width$}", fit(&name, name_width));
    let steps = format!("{:>3} of {:<3}", row.ended.min(row.steps), row.steps);
    let time = format!(" {:>5}", duration(between(row.since, canvas.now)));
    let (state, what) = hosts_at(row);
    let taken = 2 + name_width + 1 + steps.chars().count() + 1 + time.chars().count();
    let room = canvas.width.saturating_sub(taken);
    let what = format!("{:<room$}", fit(&what, room));
    format!(
        "{} {name} {} {}{}",
        mark(state, canvas),
        canvas.paint.dim(&steps),
        tinted(state, &what, canvas.paint),
        canvas.paint.dim(&time)
    )
}

/// What matters most of what a cluster's hosts are at; those that are at the same are named together.
fn hosts_at(row: &ClusterRow) -> (State, String) {
    if row.awaits_its_turn() {
        return (State::Waiting, TURN.to_owned());
    }
    let order = [
        State::Undoing,
        State::Failed,
        State::Working,
        State::Waiting,
    ];
    let found = order.into_iter().find_map(|state| {
        let mut at = row.hosts.iter().filter(|host| host.state == state);
        at.next().map(|first| (state, first, at.count()))
    });
    match found {
        Some((State::Waiting, ..)) => (State::Waiting, "between two steps".to_owned()),
        Some((state, first, others)) => {
            let more = match others {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let said = format!("{}{more}: {}", first.host, first.what);
            (state, one_line(&said))
        }
        None => (State::Done, "done".to_owned()),
    }
}

/// The clusters for which there is no room.
pub fn rest(rows: &[&ClusterRow], canvas: Canvas) -> String {
    let staged = rows.iter().filter(|row| row.awaits_its_turn()).count();
    let text = format!(
        "and {}, {staged} of them staged",
        count(rows.len(), "more cluster")
    );
    canvas.paint.dim(&fit(&text, canvas.width))
}

/// A host's line: mark, name, step k of n, what, and the time since it began.
pub fn host(row: &HostRow, name_width: usize, canvas: Canvas) -> String {
    let name_width = name_width.min((canvas.width / 4).max(8));
    let name = format!("{:<name_width$}", fit(&row.host, name_width));
    let steps = figures(row, canvas.width);
    let time = time_of(row, canvas.now);
    let taken = 2 + name_width + 1 + steps.chars().count() + 1 + time.chars().count();
    let room = canvas.width.saturating_sub(taken);
    let what = format!("{:<room$}", fit(&what_of(row, room), room));
    format!(
        "{} {name} {} {}{}",
        mark(row.state, canvas),
        canvas.paint.dim(&steps),
        tinted(row.state, &what, canvas.paint),
        canvas.paint.dim(&time)
    )
}

fn figures(row: &HostRow, width: usize) -> String {
    let (begun, all) = (row.begun, row.steps.len());
    match width {
        BAR_FROM.. => format!("{} step {begun:>2} of {all:<2}", bar(row)),
        WIDE..BAR_FROM => format!("step {begun:>2} of {all:<2}"),
        _ => format!("{begun:>2}/{all:<2}"),
    }
}

fn bar(row: &HostRow) -> String {
    let finished = match row.state {
        State::Working | State::Failed | State::Undoing => row.begun.saturating_sub(1),
        State::Waiting | State::Done => row.begun,
    };
    let full = finished * BAR / row.steps.len().max(1);
    format!("{}{}", "━".repeat(full), "╌".repeat(BAR - full))
}

fn time_of(row: &HostRow, now: Timestamp) -> String {
    match row.state {
        State::Working | State::Undoing => format!(" {:>7}", duration(between(row.since, now))),
        State::Waiting | State::Done | State::Failed => String::new(),
    }
}

/// The step in hand and, where there is room, what it said last or how much is sent.
fn what_of(row: &HostRow, room: usize) -> String {
    let what = one_line(&row.what);
    let note = match row.bytes {
        Some((done, all)) => format!("{} of {}", bytes(done), bytes(all)),
        None => one_line(&row.note),
    };
    let both = format!("{what}: {note}");
    if note.is_empty() || both.chars().count() > room {
        what
    } else {
        both
    }
}

fn mark(state: State, canvas: Canvas) -> String {
    let tenths = canvas.now.as_millisecond().unsigned_abs() / 100;
    let frame = SPINNER[usize::try_from(tenths % 10).unwrap_or_default()];
    match state {
        State::Waiting => canvas.paint.dim("·"),
        State::Working => canvas.paint.cyan(frame),
        State::Undoing => canvas.paint.yellow(frame),
        State::Done => canvas.paint.green("✔"),
        State::Failed => canvas.paint.red("✘"),
    }
}

fn tinted(state: State, text: &str, paint: Paint) -> String {
    match state {
        State::Waiting => paint.dim(text),
        State::Undoing => paint.yellow(text),
        State::Failed => paint.red(text),
        State::Working | State::Done => text.to_owned(),
    }
}
