//! The time before there is a plan: hosts are reached, releases fetched. Talk only, never data.

use jiff::Timestamp;

use super::layout::Canvas;
use super::text::{between, bytes, duration, fit, one_line};

/// What commands say to people while they look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Talk {
    /// Something begins that takes a while.
    Began {
        /// What, as a phrase: "reach 3 hosts", "get etcd 3.5.16".
        what: String,
        /// Hosts that are to answer; empty if it is not about hosts.
        hosts: Vec<String>,
    },
    /// A host answered, or cannot be asked.
    Answered {
        /// Which.
        host: String,
        /// Why it cannot be asked.
        failed: Option<String>,
    },
    /// How far what began is.
    Progress {
        /// In a few words: "waiting for another run", "unpacking".
        what: String,
        /// Bytes done and, if known, in all.
        bytes: Option<(u64, Option<u64>)>,
    },
    /// What began is over.
    Over,
    /// A text for people, such as the plan before the question; may have several lines.
    Say {
        /// The text.
        text: String,
        /// Whether it is kept back with `--quiet`.
        quiet: bool,
    },
}

/// What is being looked at now; the newest is shown, and what it interrupted comes back after it.
#[derive(Clone, Debug, Default)]
pub struct Looking {
    now: Vec<Phase>,
}

#[derive(Clone, Debug)]
struct Phase {
    what: String,
    hosts: usize,
    missing: Vec<String>,
    since: Timestamp,
    note: String,
}

impl Looking {
    /// Takes talk in; gives back a line about a host that cannot be asked.
    pub fn apply(&mut self, talk: &Talk, now: Timestamp) -> Option<String> {
        match talk {
            Talk::Began { what, hosts } => {
                self.now.push(Phase {
                    what: one_line(what),
                    hosts: hosts.len(),
                    missing: hosts.clone(),
                    since: now,
                    note: String::new(),
                });
                None
            }
            Talk::Answered { host, failed } => {
                for phase in &mut self.now {
                    phase.missing.retain(|missing| missing != host);
                }
                failed.as_ref().map(|why| one_line(why))
            }
            Talk::Progress { what, bytes } => {
                if let Some(phase) = self.now.last_mut() {
                    phase.note = noted(what, *bytes);
                }
                None
            }
            Talk::Over => {
                self.now.pop();
                None
            }
            Talk::Say { .. } => None,
        }
    }

    /// The line to draw, if something goes on.
    pub fn line(&self, canvas: Canvas) -> Option<String> {
        let phase = self.now.last()?;
        let time = duration(between(phase.since, canvas.now));
        let room = canvas.width.saturating_sub(time.chars().count() + 1);
        let text = format!("{:<room$}", fit(&phase.said(), room));
        Some(format!("{text} {}", canvas.paint.dim(&time)))
    }

    /// What is awaited, for a sign of life.
    pub fn awaited(&self, now: Timestamp) -> Option<String> {
        let phase = self.now.last()?;
        let time = duration(between(phase.since, now));
        Some(format!("{} (for {time})", phase.said()))
    }
}

impl Phase {
    fn said(&self) -> String {
        if self.hosts == 0 {
            return match self.note.as_str() {
                "" => self.what.clone(),
                note => format!("{}: {note}", self.what),
            };
        }
        let answered = self.hosts - self.missing.len();
        let mut text = format!("{}: {answered} answered", self.what);
        if !self.missing.is_empty() && answered > 0 {
            text = format!("{text}, awaiting {}", one_line(&self.missing.join(", ")));
        }
        text
    }
}

fn noted(what: &str, transfer: Option<(u64, Option<u64>)>) -> String {
    let what = one_line(what);
    match transfer {
        Some((done, Some(all))) => format!("{what} {} of {}", bytes(done), bytes(all)),
        Some((done, None)) => format!("{what} {}", bytes(done)),
        None => what,
    }
}
