//! Colour, if it is wanted.

use crate::plan::Severity;

/// Whether and how to colour; plain by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether control sequences may be written.
    pub colour: bool,
}

impl Style {
    /// Headings.
    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// What may be skipped.
    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// Removed lines and refusals.
    pub fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// Added lines.
    pub fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// Places in a file.
    pub fn cyan(self, text: &str) -> String {
        self.wrap("36", text)
    }

    /// A severity's colour.
    pub fn severity(self, severity: Severity, text: &str) -> String {
        match severity {
            Severity::Block => self.wrap("1;31", text),
            Severity::Acknowledge => self.wrap("1;33", text),
            Severity::Warn => self.wrap("33", text),
            Severity::Note => self.wrap("36", text),
        }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}
