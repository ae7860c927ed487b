//! `runner man`.

use std::io;
use std::path::Path;

use super::out;
use crate::cli;
use crate::error::{Failure, Problem, Result};
use crate::exit::Exit;

/// Prints the page of `runner`, or writes one page a command.
pub fn run(dir: Option<&Path>) -> Result<Exit> {
    match dir {
        None => out::data(&page().map_err(|error| failed(&error))?),
        Some(dir) => write(dir).map_err(|error| {
            let what = format!("manual pages cannot be written to `{}`", dir.display());
            Failure::new(Exit::Usage, Problem::new(what).because(error.to_string()))
        })?,
    }
    Ok(Exit::Done)
}

fn page() -> io::Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(cli::command()).render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn write(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(cli::command(), dir)
}

fn failed(error: &io::Error) -> Failure {
    Failure::new(Exit::Bug, Problem::of(error))
}
