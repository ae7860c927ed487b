//! A panic is a bug in runner: says so, with the run's id and its journal.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::out;

/// What to point at after a panic.
#[derive(Debug, Default)]
pub struct Place {
    run: Mutex<Option<String>>,
    journal: Mutex<Option<PathBuf>>,
}

impl Place {
    /// Remembers the run's id.
    pub fn run(&self, id: &str) {
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.to_owned());
    }

    /// Remembers the journal.
    pub fn journal(&self, path: &Path) {
        *self.journal.lock().unwrap_or_else(PoisonError::into_inner) = Some(path.to_owned());
    }

    fn words(&self, panic: &str) -> String {
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        let journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let run = run.as_deref().unwrap_or("not begun");
        let journal = journal.as_ref().map_or_else(
            || "nothing was changed, so there is no journal".to_owned(),
            |path| format!("its journal is `{}`", path.display()),
        );
        format!(
            "error: this is a bug in runner\nbecause: {panic}\nhint: report it with run {run}; {journal}\n"
        )
    }
}

/// Makes panics of all threads say where to look.
pub fn watch() -> Arc<Place> {
    let place = Arc::new(Place::default());
    let seen = Arc::clone(&place);
    std::panic::set_hook(Box::new(move |panic| {
        let text = seen.words(&panic.to_string().replace('\n', ": "));
        out::talk(&text);
    }));
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_names_the_run_and_its_journal() {
        let place = Place::default();
        place.run("20261120T120102Z-4f2a");
        place.journal(Path::new("/s/runs/r/journal.ndjson"));
        let words = place.words("panicked at x.rs:1:2: index out of bounds");
        assert!(words.starts_with("error: this is a bug in runner\n"));
        assert!(
            words.contains("run 20261120T120102Z-4f2a; its journal is `/s/runs/r/journal.ndjson`")
        );
    }
}
