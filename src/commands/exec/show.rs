//! What `exec` shows: each line with its host in front, and a table at the end; or one JSON object a line.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::super::context::Context;
use super::super::out;
use super::super::table::Table;
use super::Went;
use crate::event::FORMAT;
use crate::exit::Exit;
use crate::report::text::{duration, harmless};
use crate::transport::{Line, Stream};

/// Writes for people or for programs.
pub struct Screen<'c> {
    context: &'c Context,
    hosts: Vec<String>,
    width: usize,
    index: u64,
}

/// One JSON object, with what all objects have.
#[derive(Serialize)]
struct Object<'o> {
    format: u32,
    run: &'o str,
    index: u64,
    at: Timestamp,
    #[serde(flatten)]
    kind: Kind<'o>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Kind<'o> {
    Plan {
        command: &'o [String],
        hosts: &'o [String],
    },
    Line {
        host: &'o str,
        stream: &'o str,
        text: &'o str,
    },
    HostEnded(Row<'o>),
    Ended {
        status: u8,
        summary: &'o str,
        hosts: Vec<Row<'o>>,
        took_ms: u64,
    },
}

/// How it went on a host: a status, or why there is none.
#[derive(Serialize)]
struct Row<'o> {
    host: &'o str,
    status: Option<i32>,
    took_ms: Option<u64>,
    error: Option<String>,
}

impl<'c> Screen<'c> {
    /// For these hosts.
    pub fn new(context: &'c Context, hosts: &[String]) -> Self {
        let width = hosts.iter().map(|host| host.chars().count()).max();
        Self {
            context,
            hosts: hosts.to_vec(),
            width: width.unwrap_or(0),
            index: 0,
        }
    }

    /// What is about to be run, and where.
    pub fn begin(&mut self, command: &[String]) {
        if self.context.json() {
            let hosts = self.hosts.clone();
            self.object(Kind::Plan {
                command,
                hosts: &hosts,
            });
        } else if self.context.global.check {
            let text = format!(
                "would run on {}:\n{}\n",
                self.hosts.join(", "),
                harmless(&command.join(" "))
            );
            out::data(&text);
        }
    }

    /// A line of a host.
    pub fn line(&mut self, line: &Line) {
        let text = String::from_utf8_lossy(&line.text);
        if self.context.json() {
            let stream = match line.stream {
                Stream::Out => "stdout",
                Stream::Err => "stderr",
            };
            let host = &line.host;
            return self.object(Kind::Line {
                host,
                stream,
                text: &text,
            });
        }
        let paint = match line.stream {
            Stream::Out => self.context.out.stdout,
            Stream::Err => self.context.out.stderr,
        };
        let head = paint.cyan(&format!("{:<width$} |", line.host, width = self.width));
        let shown = format!("{head} {}\n", plain(&text));
        match line.stream {
            Stream::Out => out::data(&shown),
            Stream::Err => out::talk(&shown),
        }
    }

    /// A host has ended.
    pub fn went(&mut self, host: &str, went: &Went) {
        if self.context.json() {
            self.object(Kind::HostEnded(row(host, went)));
        }
    }

    /// All have ended.
    pub fn end(&mut self, exit: Exit, summary: &str, went: &BTreeMap<String, Went>) {
        if self.context.json() {
            let hosts = went.iter().map(|(host, one)| row(host, one)).collect();
            let took_ms = millis(self.context.began.elapsed());
            return self.object(Kind::Ended {
                status: exit.code(),
                summary,
                hosts,
                took_ms,
            });
        }
        if !self.context.global.quiet && !went.is_empty() {
            out::data(&format!("\n{}", self.table(went)));
        }
    }

    fn table(&self, went: &BTreeMap<String, Went>) -> String {
        let mut table = Table::new(&["HOST", "STATUS", "TIME"]);
        for host in &self.hosts {
            let cells = match went.get(host) {
                Some(Went::Ended { status, took }) => (status.to_string(), duration(*took)),
                Some(Went::Unreachable(unreachable)) => (unreachable.stage.to_string(), "-".into()),
                Some(Went::Left) | None => ("interrupted".into(), "-".into()),
            };
            table.row([host.clone(), cells.0, cells.1]);
        }
        table.painted(self.context.out.stdout)
    }

    fn object(&mut self, kind: Kind<'_>) {
        out::object(&Object {
            format: FORMAT,
            run: &self.context.run,
            index: self.index,
            at: Timestamp::now(),
            kind,
        });
        self.index += 1;
    }
}

fn row<'o>(host: &'o str, went: &Went) -> Row<'o> {
    let (status, took_ms, error) = match went {
        Went::Ended { status, took } => (Some(*status), Some(millis(*took)), None),
        Went::Unreachable(one) => (None, None, Some(format!("{one}: {}", one.said))),
        Went::Left => (None, None, Some("interrupted".to_owned())),
    };
    Row {
        host,
        status,
        took_ms,
        error,
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A line without control characters; tabs go to the next of the usual stops, so that columns stay columns.
fn plain(text: &str) -> String {
    const STOP: usize = 8;
    let mut out = String::new();
    for part in text.trim_end_matches('\r').split_inclusive('\t') {
        let bare = part.trim_end_matches('\t');
        out.push_str(&harmless(bare));
        if bare.len() < part.len() {
            let column = out.chars().count();
            out.extend(std::iter::repeat_n(' ', STOP - column % STOP));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_steer_the_terminal_and_its_columns_stay() {
        assert_eq!(plain("a\tb\t\u{1b}[2Jc\r"), "a       b       \\x1b[2Jc");
        assert_eq!(plain("50%\r100%\r"), "50%\\r100%");
    }
}
