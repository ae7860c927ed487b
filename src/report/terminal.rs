//! The terminal that bars are drawn on: how wide it is, and that it does not write into them.

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

/// The width of the terminal on stderr; 80 where it does not say.
pub fn width() -> usize {
    rustix::termios::tcgetwinsize(io::stderr())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|width| *width > 0)
        .unwrap_or(80)
}
