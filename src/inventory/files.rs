//! Local files that settings name, each read once.

use std::collections::HashMap;
use std::path::Path;

use super::TemplateSource;
use super::error::Problem;
use crate::secret::Secret;

/// Reads templates and passwords, and remembers them.
#[derive(Default)]
pub struct Files {
    texts: HashMap<std::path::PathBuf, Result<String, String>>,
}

impl Files {
    /// A template's text.
    pub fn template(&mut self, path: &Path) -> Result<TemplateSource, Problem> {
        match self.text(path) {
            Ok(text) => Ok(TemplateSource {
                path: path.to_owned(),
                text: text.clone(),
            }),
            Err(why) => Err(Problem::TemplateUnreadable {
                path: path.display().to_string(),
                why: why.clone(),
            }),
        }
    }

    /// The password in a file, without the line's end.
    pub fn password(&mut self, path: &Path) -> Result<Secret, Problem> {
        let shown = path.display().to_string();
        let text = match self.text(path) {
            Ok(text) => text.trim_end_matches(['\n', '\r']),
            Err(why) => {
                return Err(Problem::PasswordUnreadable {
                    path: shown,
                    why: why.clone(),
                });
            }
        };
        if text.is_empty() {
            return Err(Problem::PasswordEmpty(shown));
        }
        if text.chars().any(char::is_control) {
            return Err(Problem::PasswordLines(shown));
        }
        Ok(Secret::new(text))
    }

    fn text(&mut self, path: &Path) -> &Result<String, String> {
        self.texts
            .entry(path.to_owned())
            .or_insert_with(|| read(path))
    }
}

/// Reads a text file; the error is in words for people.
pub fn read(path: &Path) -> Result<String, String> {
    let bytes = std::fs::read(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "you may not read it".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => e.to_string(),
    })?;
    String::from_utf8(bytes).map_err(|_| "it is not text in UTF-8".to_owned())
}
