//! The terminal that bars are drawn on: how large it is, that it does not write into them, and that it stops no run.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

/// How the terminal was before [`unecho`]; here, since a thread that is stuck in it can put nothing back.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Keeps the terminal on stdin from echoing `^C` between the bars, where it would leave a stale line. Does nothing
/// if there is none, or if it is another process group's.
pub fn unecho() {
    let Some(before) = tcgetattr(io::stdin()).ok().filter(|_| is_ours()) else {
        return;
    };
    let mut modes = before.clone();
    modes.local_modes.remove(LocalModes::ECHOCTL);
    if tcsetattr(io::stdin(), OptionalActions::Now, &modes).is_ok() {
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
    }
}

/// Puts the terminal back as it was before [`unecho`].
pub fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before.filter(|_| is_ours()) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
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
