//! `runner completions`.

use clap_complete::Shell;

use super::context::Context;
use crate::cli;
use crate::exit::Exit;

/// Prints a completion script.
pub fn run(context: &Context, shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "runner", &mut script);
    context.out.data(&String::from_utf8_lossy(&script));
    Exit::Done
}
