//! The terminal that bars are drawn on: how large it is, and that it does not write into them.

use std::io::{self, IsTerminal};

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
