//! Parses, calls, turns the result into an exit status.

use std::process::ExitCode;

use runner::cli::Cli;

fn main() -> ExitCode {
    runner::commands::run(Cli::from_process())
}
