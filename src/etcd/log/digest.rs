//! What a window of lines comes to.

use serde::{Deserialize, Serialize};

use super::rules::Class;
use super::{Line, Of, Rules, Situation};
use crate::etcd::Minor;

/// The most kinds of lines that are kept of one host and window; a crash loop repeats few, a chatty log has no end.
const KINDS: usize = 12;

/// What the lines of one host and window come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// Complaints that were expected.
    pub expected: u32,
    /// Lines that only inform.
    pub routine: u32,
    /// The others, each kind once, the gravest first.
    pub odd: Vec<Odd>,
    /// Lines of further kinds, which are not kept.
    pub more: u32,
    /// Signs, each with its last line.
    pub said: Vec<Said>,
}

/// Lines that were not expected and mean the same, or differ in numbers only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Odd {
    /// How grave they are.
    pub grade: Grade,
    /// The first of them.
    pub text: String,
    /// How many there are.
    pub times: u32,
    /// What they mean, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub means: Option<String>,
}

/// How grave a line is that was not expected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// It says so itself, or is known to mean a failure.
    #[default]
    Error,
    /// It says so itself, or is known to mean no good.
    Warning,
    /// It has no level, and nothing is known of it.
    Unknown,
}

/// A sign that a line gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Which.
    pub sign: String,
    /// The value in it, such as the cluster version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The line.
    pub text: String,
}

/// Sorts lines by the rules, for how things were when they were written.
pub fn digest<'a>(
    rules: &Rules,
    lines: impl IntoIterator<Item = &'a Line>,
    there: Situation,
) -> Digest {
    let mut found = Digest::default();
    let mut kinds: Vec<String> = Vec::new();
    for line in lines {
        match rules.class(line, there) {
            Class::Sign(sign) => found.note(Said {
                sign: sign.name.clone(),
                value: sign.value(line),
                text: line.quoted(),
            }),
            Class::Expected => found.expected += 1,
            Class::Routine => found.routine += 1,
            Class::Known(known) => {
                found.keep(&mut kinds, line, known.grade, Some(&known.means));
            }
            Class::Error => found.keep(&mut kinds, line, Grade::Error, None),
            Class::Warning => found.keep(&mut kinds, line, Grade::Warning, None),
            Class::Unknown => found.keep(&mut kinds, line, Grade::Unknown, None),
        }
    }
    found.odd.sort_by_key(|odd| odd.grade);
    found
}

impl Digest {
    /// The lines of a grade, those that are not kept left out.
    pub fn count(&self, grade: Grade) -> u32 {
        let of_grade = self.odd.iter().filter(|odd| odd.grade == grade);
        of_grade.map(|odd| odd.times).sum()
    }

    /// The signs that this release gives and that were not seen; those of the cluster with this value.
    pub fn lacks<'a>(&self, rules: &'a Rules, of: Of, line: Minor) -> Vec<&'a str> {
        let signs = rules.signs(of, line);
        let seen = |name: &str| {
            let mut said = self.said.iter();
            said.any(|said| said.sign == name && (of == Of::Member || said.tells(line)))
        };
        signs
            .map(|sign| sign.name.as_str())
            .filter(|name| !seen(name))
            .collect()
    }

    fn note(&mut self, said: Said) {
        self.said.retain(|known| known.sign != said.sign);
        self.said.push(said);
    }

    fn keep(&mut self, kinds: &mut Vec<String>, line: &Line, grade: Grade, means: Option<&str>) {
        let kind = means.map_or_else(|| kind(&line.text), str::to_owned);
        let mut known = kinds.iter().zip(&mut self.odd);
        if let Some((_, odd)) = known.find(|(known, odd)| **known == kind && odd.grade == grade) {
            odd.times += 1;
        } else if kinds.len() < KINDS {
            kinds.push(kind);
            self.odd.push(Odd {
                grade,
                text: line.quoted(),
                times: 1,
                means: means.map(str::to_owned),
            });
        } else {
            self.more += 1;
        }
    }
}

impl Said {
    /// Whether its value is of that line of etcd: `3.5`, or `2.1.0` as the oldest releases say it.
    fn tells(&self, line: Minor) -> bool {
        let line = line.to_string();
        let value = self.value.as_deref().unwrap_or_default();
        let rest = value.strip_prefix(line.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

/// A text with its numbers and ids left out.
fn kind(text: &str) -> String {
    let mut kind = String::with_capacity(text.len());
    for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let is_number = word.contains(|c: char| c.is_ascii_digit());
        kind.push_str(if is_number { "#" } else { word });
    }
    kind
}
