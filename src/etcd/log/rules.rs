//! The rules of `logs.toml`: which lines are signs, known to be wrong, expected or routine.

use std::sync::OnceLock;

use serde::Deserialize;

use super::{Grade, Level, Line};
use crate::etcd::Minor;

/// The format of these files.
pub const FORMAT: u32 = 1;

const EMBEDDED: &str = include_str!("../logs.toml");

/// All rules.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    format: u32,
    #[serde(rename = "sign")]
    signs: Vec<Sign>,
    known: Vec<Known>,
    expected: Vec<Expected>,
    routine: Vec<Routine>,
}

/// Why rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// It is not TOML of the right shape.
    #[error("the rules about log lines cannot be read")]
    Shape(#[from] toml::de::Error),
    /// It is of another format.
    #[error("the rules about log lines have format {found}, this build reads {FORMAT}")]
    Format {
        /// What it says.
        found: u32,
    },
}

/// A line that tells that something has come about.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sign {
    /// What it is called.
    pub name: String,
    /// Whose it is.
    pub of: Of,
    text: Vec<Pattern>,
    /// The field of a JSON line that holds its value.
    field: Option<String>,
    /// What stands before the value in a plain line.
    after: Option<String>,
    from: Option<Minor>,
    until: Option<Minor>,
    /// What it tells.
    pub means: String,
    /// Where it is written.
    pub source: String,
}

/// Whose sign it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    /// That of a member that has come up.
    Member,
    /// That of the cluster: every member says it.
    Cluster,
    /// That of the cluster, said by the leader alone.
    Leader,
}

/// A line that is never expected and whose meaning is known.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// How grave it is.
    #[serde(default)]
    pub grade: Grade,
    text: Vec<Pattern>,
    from: Option<Minor>,
    until: Option<Minor>,
    /// What it means.
    pub means: String,
    /// Where it is written.
    pub source: String,
}

/// A complaint that is as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    at: At,
    text: Vec<Pattern>,
    from: Option<Minor>,
    until: Option<Minor>,
    /// Why it is expected.
    pub why: String,
    /// Where it is written.
    pub source: String,
}

/// Where and when a complaint is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum At {
    /// On any host, while a member is down or comes up.
    Peer,
    /// On the host of the member in turn, as it stops.
    Stop,
    /// On the host of the member in turn, as it starts.
    Start,
    /// On any host, while two releases run.
    Mixed,
    /// Anywhere, at any time.
    Always,
}

/// A line without a level that tells of ordinary work.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Routine {
    text: Vec<Pattern>,
    from: Option<Minor>,
    until: Option<Minor>,
    source: String,
}

/// Pieces in their order, anywhere in a text or from its beginning.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
struct Pattern {
    is_anchored: bool,
    pieces: Vec<String>,
}

/// Where and when lines were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// Whether it is, or is about to be, the turn of this host's member.
    pub is_in_turn: bool,
    /// Whether two releases run.
    pub is_mixed: bool,
    /// The lowest and the highest line that a member runs.
    pub lines: (Minor, Minor),
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class<'a> {
    Sign(&'a Sign),
    Known(&'a Known),
    Expected,
    Routine,
    Error,
    Warning,
    Unknown,
}

impl Rules {
    /// The rules that this build carries.
    pub fn embedded() -> &'static Self {
        static ONCE: OnceLock<Rules> = OnceLock::new();
        ONCE.get_or_init(|| Self::from_toml(EMBEDDED).expect("a test reads the embedded rules"))
    }

    /// Reads rules.
    ///
    /// # Errors
    /// It is not TOML of this shape, or is of another format.
    pub fn from_toml(text: &str) -> Result<Self, RulesError> {
        let rules: Self = toml::from_str(text)?;
        if rules.format != FORMAT {
            return Err(RulesError::Format {
                found: rules.format,
            });
        }
        Ok(rules)
    }

    /// The signs that a release gives.
    pub fn signs(&self, of: Of, line: Minor) -> impl Iterator<Item = &Sign> {
        let fits = move |sign: &&Sign| sign.of == of && spans(sign.from, sign.until, (line, line));
        self.signs.iter().filter(fits)
    }

    /// What a line is. What is known to be wrong is so at any level; what else only informs is routine.
    pub(super) fn class(&self, line: &Line, there: Situation) -> Class<'_> {
        let says = |text: &[Pattern], from, until| {
            spans(from, until, there.lines) && text.iter().any(|one| one.fits(&line.text))
        };
        let mut known = self.known.iter();
        if let Some(known) = known.find(|rule| says(&rule.text, rule.from, rule.until)) {
            return Class::Known(known);
        }
        let mut signs = self.signs.iter();
        if let Some(sign) = signs.find(|rule| says(&rule.text, rule.from, rule.until)) {
            return Class::Sign(sign);
        }
        if line.level == Level::Info {
            return Class::Routine;
        }
        let mut expected = self.expected.iter();
        let fits =
            |rule: &Expected| rule.at.holds(there) && says(&rule.text, rule.from, rule.until);
        if line.level != Level::Critical && expected.any(fits) {
            return Class::Expected;
        }
        let mut routine = self.routine.iter();
        match line.level {
            Level::Critical | Level::Error => Class::Error,
            Level::Warning => Class::Warning,
            _ if routine.any(|rule| says(&rule.text, rule.from, rule.until)) => Class::Routine,
            _ if line.text.trim().is_empty() => Class::Routine,
            _ => Class::Unknown,
        }
    }
}

/// Whether a rule's lines of etcd meet those that run.
fn spans(from: Option<Minor>, until: Option<Minor>, lines: (Minor, Minor)) -> bool {
    from.is_none_or(|from| from <= lines.1) && until.is_none_or(|until| until >= lines.0)
}

impl At {
    fn holds(self, there: Situation) -> bool {
        match self {
            Self::Peer | Self::Always => true,
            Self::Stop | Self::Start => there.is_in_turn,
            Self::Mixed => there.is_mixed,
        }
    }
}

impl Sign {
    /// The value that a line of it tells, such as the new cluster version.
    pub(super) fn value(&self, line: &Line) -> Option<String> {
        let field = self.field.as_ref();
        let in_field = field.and_then(|name| line.fields.get(name)).cloned();
        in_field.or_else(|| {
            let (_, value) = line.text.rsplit_once(self.after.as_ref()?)?;
            Some(value.trim().to_owned())
        })
    }
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        let rest = text.strip_prefix('^');
        Self {
            is_anchored: rest.is_some(),
            pieces: rest
                .unwrap_or(&text)
                .split('*')
                .map(str::to_owned)
                .collect(),
        }
    }
}

impl Pattern {
    fn fits(&self, text: &str) -> bool {
        let mut rest = text;
        for (at, piece) in self.pieces.iter().enumerate() {
            let Some(found) = rest.find(piece.as_str()) else {
                return false;
            };
            if at == 0 && self.is_anchored && found != 0 {
                return false;
            }
            rest = &rest[found + piece.len()..];
        }
        true
    }
}
