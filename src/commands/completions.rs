//! `runner completions`.

use clap_complete::Shell;

use super::out;
use crate::cli;
use crate::exit::Exit;

/// Prints a completion script.
pub fn run(shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "runner", &mut script);
    out::data(&String::from_utf8_lossy(&script));
    Exit::Done
}
