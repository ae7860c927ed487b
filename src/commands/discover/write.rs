//! Where the inventory goes: to stdout, or into a file that must not be there yet.

use std::io::Write as _;
use std::path::Path;

use crate::commands::out;
use crate::error::{Failure, Problem, Result};
use crate::exit::Exit;

pub(super) fn write(path: Option<&Path>, text: &str) -> Result<()> {
    let Some(path) = path else {
        out::data(text);
        return Ok(());
    };
    let created = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path);
    let written = created.and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(there_already(path)),
        Err(error) => {
            let what = format!("`{}` cannot be written", path.display());
            Err(
                Failure::new(Exit::Usage, Problem::new(what).because(error.to_string()))
                    .changed("nothing"),
            )
        }
    }
}

pub(super) fn there_already(path: &Path) -> Failure {
    let what = format!("`{}` is there already", path.display());
    let hint = "name another file, or move that one away: it is not overwritten";
    Failure::new(Exit::Usage, Problem::new(what).hint(hint))
}
