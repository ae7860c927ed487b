//! `--output json`: one JSON object a line on stdout, flushed each.

use std::io::Write;

use crate::event::Event;

/// Writes events as they are.
pub struct Json {
    out: Box<dyn Write + Send>,
    /// Whoever read has gone; the run goes on and its journal is complete.
    gone: bool,
}

impl Json {
    /// A writer to `out`.
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self { out, gone: false }
    }

    /// Writes an event.
    pub fn report(&mut self, event: &Event) {
        if self.gone {
            return;
        }
        let mut line = serde_json::to_vec(event).expect("events have string keys only");
        line.push(b'\n');
        let written = self.out.write_all(&line).and_then(|()| self.out.flush());
        self.gone = written.is_err();
    }
}
