//! stdout for data, stderr for talk. Whoever reads may have gone: that is no reason to fail.

use std::io::{self, IsTerminal};

use super::signals;
use crate::cli::{Choice, Format, Global, Progress};
use crate::error::Failure;
use crate::report::json::Json;
use crate::report::lines::Lines;
use crate::report::outlet::{Outlet, Patience, Through, outlets};
use crate::report::progress::Bars;
use crate::report::terminal::{restore, size};
use crate::report::text::{Paint, bytes, tame};
use crate::report::{Reporter, colours};

/// The two streams, and whether each is coloured.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    /// Colours of stdout.
    pub stdout: Paint,
    /// Colours of stderr.
    pub stderr: Paint,
}

impl Out {
    /// Decides on colours from the flag, `NO_COLOR` and what the streams are.
    pub fn new(global: &Global) -> Self {
        let always = match global.color {
            Choice::Auto => None,
            Choice::Always => Some(true),
            Choice::Never => Some(false),
        };
        let no_color = std::env::var("NO_COLOR").ok();
        let paint = |terminal| colours(always, no_color.as_deref(), terminal);
        Self {
            stdout: paint(io::stdout().is_terminal()),
            stderr: paint(io::stderr().is_terminal()),
        }
    }

    /// Writes what went wrong; it is the last that is said, so [`finish`] waits for it.
    pub fn failure(self, failure: &Failure) {
        outlets().put(Outlet::Err, tame(&failure.render(self.stderr)).as_bytes());
    }

    /// The reporters that the flags ask for.
    pub fn reporters(self, global: &Global) -> Vec<Reporter> {
        let mut reporters = Vec::new();
        if global.output == Format::Json {
            reporters.push(Reporter::Json(Json::new(Box::new(Through(Outlet::Out)))));
        }
        reporters.push(match progress(global) {
            Progress::Bars => Reporter::Bars(Bars::stderr(self.stderr)),
            Progress::Lines => {
                Reporter::Lines(Lines::new(Box::new(Through(Outlet::Err)), global.verbose))
            }
            Progress::Auto | Progress::None => Reporter::Texts(Box::new(Through(Outlet::Err))),
        });
        reporters
    }
}

/// Writes data to stdout. What hosts have said cannot move a terminal.
pub fn data(text: &str) {
    write(Outlet::Out, text);
}

/// Writes one JSON object and a line end to stdout.
pub fn object(object: &impl serde::Serialize) {
    let mut text = serde_json::to_string(object).expect("our objects have string keys only");
    text.push('\n');
    data(&text);
}

/// Writes talk to stderr, as tame as data.
pub fn talk(text: &str) {
    write(Outlet::Err, text);
}

/// What is not taken soon is kept, and comes in its turn.
fn write(outlet: Outlet, text: &str) {
    outlets().put(outlet, tame(text).as_bytes());
    outlets().drain(Patience::SOON);
}

/// Waits, at the very end, for whoever reads; a signal ends that. Data that nobody has taken is not lost in silence.
pub fn finish() {
    restore();
    if outlets().drain(Patience::NONE) {
        return;
    }
    signals::hurrying();
    if outlets().drain(Patience::LAST) {
        return;
    }
    let lost = outlets().pending(Outlet::Out);
    if lost > 0 {
        let lost = u64::try_from(lost).unwrap_or(u64::MAX);
        talk(&format!(
            "stdout takes nothing: {} were not written\n",
            bytes(lost)
        ));
    }
}

/// The columns of a stream that is a terminal.
pub fn columns(stream: &impl IsTerminal) -> Option<usize> {
    stream.is_terminal().then(|| size().columns)
}

/// What `auto` means here. With JSON on stdout, talk would only get in the way, unless stderr is a screen of its own.
fn progress(global: &Global) -> Progress {
    let screen = io::stderr().is_terminal();
    let json = global.output == Format::Json;
    match global.progress {
        _ if global.quiet => Progress::None,
        Progress::Auto if json && (!screen || io::stdout().is_terminal()) => Progress::None,
        Progress::Auto if screen => Progress::Bars,
        Progress::Auto => Progress::Lines,
        asked => asked,
    }
}
