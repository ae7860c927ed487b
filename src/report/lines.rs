//! One line an event, without control characters: for logs, pipes and `--progress lines`.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use jiff::Timestamp;

use super::board::{Board, State};
use super::looking::{Looking, Talk};
use super::phrase::Phrases;
use super::text::{between, bytes, clock, duration, one_line};
use crate::event::{Event, Kind};

/// After this long without a line, what is awaited is named. 30 s are promised; the rest is for a consumer
/// thread that got its turn late.
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);
/// A transfer says how far it is at most this often.
const TRANSFER: Duration = Duration::from_secs(10);

/// Writes lines.
pub struct Lines {
    out: Box<dyn Write + Send>,
    board: Board,
    looking: Looking,
    verbose: u8,
    last: Option<Timestamp>,
    transfers: BTreeMap<String, Timestamp>,
}

impl Lines {
    /// A writer to `out`; `verbose` is the number of `-v`.
    pub fn new(out: Box<dyn Write + Send>, verbose: u8) -> Self {
        Self {
            out,
            board: Board::default(),
            looking: Looking::default(),
            verbose,
            last: None,
            transfers: BTreeMap::new(),
        }
    }

    /// Takes an event in and writes its line.
    pub fn report(&mut self, event: &Event) {
        self.board.apply(event);
        if self.is_due(event) {
            let phrases = Phrases {
                board: &self.board,
                verbose: self.verbose,
            };
            // Findings are shown with the plan already, in full; a line each is for `runs show`.
            let most = match &event.kind {
                Kind::Plan { .. } => 1,
                _ => usize::MAX,
            };
            for text in phrases.of(&event.kind).into_iter().take(most) {
                self.line(&text, event.at);
            }
        }
    }

    /// Takes talk in.
    pub fn talk(&mut self, talk: &Talk, now: Timestamp) {
        match talk {
            Talk::Say { text, .. } => self.write(text.trim_end()),
            Talk::Began { what, .. } => self.line(&one_line(what), now),
            Talk::Answered { .. } | Talk::Progress { .. } | Talk::Over => {}
        }
        if let Some(failed) = self.looking.apply(talk, now) {
            self.line(&failed, now);
        }
        if matches!(talk, Talk::Progress { .. }) {
            self.looked(now);
        }
    }

    /// Names what is awaited if nothing was said for a while.
    pub fn tick(&mut self, now: Timestamp) {
        let quiet = self
            .last
            .is_some_and(|last| between(last, now) >= SIGN_OF_LIFE);
        if !quiet {
            return;
        }
        let awaited: Vec<String> = self
            .looking
            .awaited(now)
            .into_iter()
            .chain(self.awaited(now))
            .collect();
        if !awaited.is_empty() {
            self.line(&format!("still: {}", awaited.join("; ")), now);
        }
    }

    /// Says how far a download is, when there was no line for a while.
    fn looked(&mut self, now: Timestamp) {
        let is_due = self.last.is_none_or(|last| between(last, now) >= TRANSFER);
        if let Some(said) = self.looking.awaited(now).filter(|_| is_due) {
            self.line(&said, now);
        }
    }

    fn awaited(&self, now: Timestamp) -> Vec<String> {
        self.board
            .busy()
            .map(|(cluster, host)| {
                let time = duration(between(host.since, now));
                let verb = if host.state == State::Undoing {
                    "undo: "
                } else {
                    ""
                };
                let note = match (host.note.as_str(), host.bytes) {
                    ("", _) => String::new(),
                    (note, None) => format!(" ({})", one_line(note)),
                    (note, Some((done, all))) => {
                        format!(" ({}: {} of {})", one_line(note), bytes(done), bytes(all))
                    }
                };
                let what = one_line(&host.what);
                let since = clock(host.since);
                format!(
                    "{}/{}: {verb}{what}{note}, since {since}, for {time}",
                    cluster.name, host.host
                )
            })
            .collect()
    }

    /// Progress of transfers comes many times a second; one in ten seconds is enough for a log.
    fn is_due(&mut self, event: &Event) -> bool {
        let Kind::StepProgress {
            host,
            bytes: Some(_),
            ..
        } = &event.kind
        else {
            return true;
        };
        let last = self.transfers.get(host);
        let due = self.verbose > 1 || last.is_none_or(|last| between(*last, event.at) >= TRANSFER);
        if due {
            self.transfers.insert(host.clone(), event.at);
        }
        due
    }

    fn line(&mut self, text: &str, at: Timestamp) {
        self.last = Some(at);
        self.write(&format!("{} {text}", clock(at)));
    }

    /// A closed stderr is no reason to stop a run; the journal has everything.
    fn write(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
    }
}
