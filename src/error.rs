//! Failures as people read them: what is wrong, because of what, what was changed, what to do.

use std::error::Error;
use std::fmt::Write as _;

use crate::exit::Exit;
use crate::report::text::{Paint, harmless};

/// Why a command ends without success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit status.
    pub exit: Exit,
    /// What is wrong; several are all listed.
    pub problems: Vec<Problem>,
    /// What was changed on hosts; `None` for commands that never change any.
    pub changed: Option<String>,
    /// What the run left on hosts and here on purpose.
    pub left: Vec<String>,
    /// What to do next, if it is not said by a problem's own hint.
    pub hint: Option<String>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub what: String,
    /// From the nearest cause to the furthest.
    pub because: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What commands return.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A failure of one problem.
    pub fn new(exit: Exit, problem: impl Into<Problem>) -> Self {
        Self::several(exit, [problem.into()])
    }

    /// A failure of several problems.
    pub fn several(exit: Exit, problems: impl IntoIterator<Item = Problem>) -> Self {
        Self {
            exit,
            problems: problems.into_iter().collect(),
            changed: None,
            left: Vec::new(),
            hint: None,
        }
    }

    /// Says what was changed.
    #[must_use]
    pub fn changed(mut self, what: impl Into<String>) -> Self {
        self.changed = Some(what.into());
        self
    }

    /// Says what was left on purpose.
    #[must_use]
    pub fn left(mut self, left: impl IntoIterator<Item = String>) -> Self {
        self.left.extend(left);
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Writes it out, without control characters of whoever is quoted.
    pub fn render(&self, paint: Paint) -> String {
        let mut out = String::new();
        let alone = self.problems.len() == 1;
        for problem in &self.problems {
            problem.render(&mut out, paint);
            if let (Some(text), false) = (&problem.hint, alone) {
                hint(&mut out, paint, text);
            }
        }
        if let Some(changed) = &self.changed {
            line(&mut out, &paint.bold("changed:"), "changed:", changed);
        }
        for left in &self.left {
            line(&mut out, &paint.bold("left:"), "left:", left);
        }
        let last = self.problems.iter().filter(|_| alone);
        for text in last.filter_map(|one| one.hint.as_ref()).chain(&self.hint) {
            hint(&mut out, paint, text);
        }
        out
    }
}

impl Problem {
    /// A problem without causes.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            ..Self::default()
        }
    }

    /// A problem from an error and the chain of its sources.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let mut problem = Self::new(error.to_string());
        let mut next = error.source();
        while let Some(cause) = next {
            problem.push_cause(cause.to_string());
            next = cause.source();
        }
        problem
    }

    /// Adds a cause, unless it says what was said already.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.push_cause(cause.into());
        self
    }

    /// Adds a hint, unless it is empty.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        self.hint = (!hint.is_empty()).then_some(hint);
        self
    }

    fn push_cause(&mut self, cause: String) {
        let said = cause == self.what || self.because.contains(&cause);
        if !said && !cause.trim().is_empty() {
            self.because.push(cause);
        }
    }

    fn render(&self, out: &mut String, paint: Paint) {
        line(out, &paint.red("error:"), "error:", &self.what);
        for cause in &self.because {
            line(out, &paint.yellow("because:"), "because:", cause);
        }
    }
}

impl From<String> for Problem {
    fn from(what: String) -> Self {
        Self::new(what)
    }
}

impl From<&str> for Problem {
    fn from(what: &str) -> Self {
        Self::new(what)
    }
}

fn hint(out: &mut String, paint: Paint, text: &str) {
    line(out, &paint.cyan("hint:"), "hint:", text);
}

/// Writes one labelled text; further lines of it are indented under the first.
fn line(out: &mut String, painted: &str, label: &str, text: &str) {
    let indent = " ".repeat(label.len() + 1);
    let text = text.trim_end();
    for (number, part) in text.lines().enumerate() {
        let part = harmless(part);
        let _ = if number == 0 {
            writeln!(out, "{painted} {part}")
        } else {
            writeln!(out, "{indent}{part}")
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot stop `{unit}`")]
    struct Outer {
        unit: String,
        source: Inner,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("exit status 1")]
    struct Inner(#[source] std::io::Error);

    fn chain() -> Outer {
        Outer {
            unit: "etcd.service".into(),
            source: Inner(std::io::Error::other("exit status 1")),
        }
    }

    #[test]
    fn the_chain_is_walked_and_never_repeats_itself() {
        let problem = Problem::of(&chain()).hint("try again");
        let failure = Failure::new(Exit::NeedsPerson, problem).changed("nothing");
        assert_eq!(
            failure.render(Paint::OFF),
            "error: cannot stop `etcd.service`\nbecause: exit status 1\nchanged: nothing\nhint: try again\n"
        );
    }

    #[test]
    fn every_problem_is_listed() {
        let failure = Failure::several(Exit::Unreachable, ["a".into(), "b".into()]);
        assert_eq!(failure.render(Paint::OFF), "error: a\nerror: b\n");
    }

    #[test]
    fn foreign_control_characters_do_no_harm_and_further_lines_are_indented() {
        let failure = Failure::new(Exit::Unreachable, "bad \u{1b}[2J\nname\r\u{7}");
        assert_eq!(
            failure.render(Paint::OFF),
            "error: bad \\x1b[2J\n       name\\r\\x07\n"
        );
    }

    #[test]
    fn colours_are_only_in_the_labels() {
        let text = Failure::new(Exit::Bug, "x").render(Paint::ON);
        assert_eq!(text, "\u{1b}[1;31merror:\u{1b}[0m x\n");
    }
}
