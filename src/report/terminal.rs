//! The terminal that bars are drawn on: how large it is, that it does not write into them, and that it stops no run.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

/// Keeps the terminal from echoing `^C` between the bars, where it would leave a stale line; until it is dropped.
#[derive(Debug)]
pub struct Unechoed {
    before: Termios,
}

impl Unechoed {
    /// Takes hold of the terminal on stdin; `None` if there is none, or if it is another process group's.
    pub fn stdin() -> Option<Self> {
        let before = tcgetattr(io::stdin()).ok().filter(|_| is_ours())?;
        let mut modes = before.clone();
        modes.local_modes.remove(LocalModes::ECHOCTL);
        tcsetattr(io::stdin(), OptionalActions::Now, &modes).ok()?;
        Some(Self { before })
    }
}

impl Drop for Unechoed {
    fn drop(&mut self) {
        if is_ours() {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
        }
    }
}

/// Whether this process is in the foreground. One in the background would be stopped for touching the terminal.
fn is_ours() -> bool {
    io::stdin().is_terminal()
        && tcgetpgrp(io::stdin()).is_ok_and(|group| group == rustix::process::getpgrp())
}

/// Whether writing to this stream would stop the process: it is in the background of a terminal that stops those who
/// write from there (`stty tostop`). A run that is stopped leaves its member down.
pub fn is_muted(stream: impl AsFd) -> bool {
    let stream = stream.as_fd();
    let stops = |modes: Termios| modes.local_modes.contains(LocalModes::TOSTOP);
    tcgetattr(stream).is_ok_and(stops)
        && tcgetpgrp(stream).is_ok_and(|group| group != rustix::process::getpgrp())
}

/// A stream that leaves out what would stop the process.
#[derive(Debug)]
pub struct Polite<S>(pub S);

impl<S: Write + AsFd> Write for Polite<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if is_muted(&self.0) {
            return Ok(bytes.len());
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        if is_muted(&self.0) {
            return Ok(());
        }
        self.0.flush()
    }
}

/// How large a terminal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Characters in a line.
    pub columns: usize,
    /// Lines.
    pub rows: usize,
}

/// The size of the terminal on stderr; 80 columns and 24 rows where it does not say.
pub fn size() -> Size {
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok();
    let said = |number: Option<u16>, otherwise: usize| {
        let number = number.filter(|number| *number > 0);
        number.map_or(otherwise, usize::from)
    };
    Size {
        columns: said(size.map(|size| size.ws_col), 80),
        rows: said(size.map(|size| size.ws_row), 24),
    }
}
