//! Inventories as users write them: files on disk, layers, several files, errors as they are printed.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use runner::commands::inventory as command;
use runner::inventory::{self, Errors, Loaded, load_in, select};

mod errors;
mod examples;
mod layers;
mod scale;

/// A folder with files, gone with the test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Loads files of the folder, which is also the home folder.
    fn load(&self, files: &[&str], sets: &[&str]) -> Result<Loaded, Errors> {
        let files: Vec<PathBuf> = files.iter().map(|name| self.path(name)).collect();
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        load_in(&files, &sets, Some(self.0.path()))
    }

    /// A text in which the folder's own path is `DIR`.
    fn plain(&self, text: &str) -> String {
        text.replace(self.0.path().to_str().unwrap(), "DIR")
    }

    /// What is printed about the files.
    fn complaint(&self, files: &[&str], sets: &[&str]) -> String {
        self.plain(&self.load(files, sets).unwrap_err().to_string())
    }
}

/// What is printed about one text.
fn complaint(text: &str) -> String {
    Folder::new(&[("i.toml", text)]).complaint(&["i.toml"], &[])
}

/// The value and the origin of a host's setting.
fn setting(loaded: &Loaded, host: &str, key: &str) -> (String, String) {
    let settings = loaded.origins.of_host(host).unwrap();
    let setting = settings
        .into_iter()
        .find(|setting| setting.key == key)
        .unwrap();
    (setting.value, setting.from)
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
