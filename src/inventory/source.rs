//! The texts that settings come from, and positions in them.

use std::fmt;
use std::path::{Path, PathBuf};

/// A position: a byte of one source. Small, so that every value can carry its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pos {
    /// Which source, in the order in which they were added.
    pub source: u32,
    /// The byte in its text.
    pub offset: u32,
}

/// What a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The built-in defaults.
    BuiltIn,
    /// An inventory file.
    File,
    /// One `-e KEY=VALUE`.
    Set,
}

/// A position as people read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the built-in defaults.
    BuiltIn,
    /// In a file.
    File {
        /// The file as the user named it.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
    },
    /// On the command line: the key of an `-e`.
    Set(String),
    /// A file as a whole, when it could not be read.
    Whole(PathBuf),
    /// The command line as a whole.
    CommandLine,
}

/// One text and where it came from.
#[derive(Clone, Debug)]
struct Source {
    kind: Kind,
    /// The file's path, or the key of an `-e`.
    name: PathBuf,
    /// The folder that relative paths in it start from.
    base: PathBuf,
    text: String,
    line_starts: Vec<usize>,
}

/// All texts of a load, so that a [`Pos`] can be turned into a [`Place`].
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<Source>);

impl Sources {
    /// Adds a text and returns its number.
    pub fn add(&mut self, kind: Kind, name: &Path, base: PathBuf, text: String) -> u32 {
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        self.0.push(Source {
            kind,
            name: name.to_owned(),
            base,
            text,
            line_starts,
        });
        u32::try_from(self.0.len() - 1).expect("a command line holds fewer than 2^32 arguments")
    }

    /// The text of a source.
    pub fn text(&self, source: u32) -> &str {
        &self.0[source as usize].text
    }

    /// The folder that relative paths at this position start from.
    pub fn base(&self, pos: Pos) -> &Path {
        &self.0[pos.source as usize].base
    }

    /// Whether the position is on the command line.
    pub fn is_set(&self, pos: Pos) -> bool {
        self.0[pos.source as usize].kind == Kind::Set
    }

    /// Whether the position is in the built-in defaults.
    pub fn is_built_in(&self, pos: Pos) -> bool {
        self.0[pos.source as usize].kind == Kind::BuiltIn
    }

    /// The position for people.
    pub fn place(&self, pos: Pos) -> Place {
        let source = &self.0[pos.source as usize];
        match source.kind {
            Kind::BuiltIn => Place::BuiltIn,
            Kind::Set => Place::Set(source.name.display().to_string()),
            Kind::File => source.place(pos.offset as usize),
        }
    }
}

impl Source {
    fn place(&self, offset: usize) -> Place {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts[line - 1];
        let before = self.text.get(start..offset.min(self.text.len()));
        Place::File {
            file: self.name.clone(),
            line,
            column: before.map_or(0, |text| text.chars().count()) + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built in"),
            Self::File { file, line, column } => {
                write!(f, "{}:{line}:{column}", file.display())
            }
            Self::Set(key) if key.is_empty() => f.write_str("-e"),
            Self::Set(key) => write!(f, "-e {key}"),
            Self::Whole(file) => write!(f, "{}", file.display()),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_start_at_one() {
        let mut sources = Sources::default();
        let text = "a = 1\nü = \"x\"\n".to_owned();
        let source = sources.add(Kind::File, Path::new("f.toml"), PathBuf::new(), text);
        let at = |offset| sources.place(Pos { source, offset }).to_string();
        assert_eq!(at(0), "f.toml:1:1");
        assert_eq!(at(11), "f.toml:2:5");
        assert_eq!(at(15), "f.toml:3:1");
        assert_eq!(at(99), "f.toml:3:1");
    }
}
