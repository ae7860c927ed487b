//! One line of a journal, in whichever form its release writes.
//!
//! | release | form |
//! | --- | --- |
//! | 2.0, 2.1 | `2026/11/20 09:44:35 etcdserver: text`, no level |
//! | 2.2 to 3.4 | `2026-11-20 09:45:11.918492 I \| etcdserver: text`; as a child of systemd only the text, with journald's own fields for level and package |
//! | 3.4 with `--logger=zap`, 3.5 and later | a JSON object with `level`, `msg`, `error` and more |
//!
//! Libraries add their own: raft and gRPC write `WARNING: 2026/11/20 …`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

/// The most of a line that is kept, in characters.
const KEPT: usize = 300;

/// How grave a line says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It does not say.
    Unsaid,
    /// Information, a notice or less.
    Info,
    /// A warning.
    Warning,
    /// An error.
    Error,
    /// The process is ending.
    Critical,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How grave it says it is.
    pub level: Level,
    /// The message without time and package; in brackets the `error` of a JSON line.
    pub text: String,
    /// The other fields of a JSON line.
    pub fields: BTreeMap<String, String>,
}

impl Line {
    /// Reads one object of `journalctl -o json`; `None` if it is none.
    pub fn of_entry(json: &str) -> Option<Self> {
        let entry: Map<String, Value> = serde_json::from_str(json).ok()?;
        let text = message(entry.get("MESSAGE")?);
        let field = |name: &str| entry.get(name).and_then(Value::as_str);
        let by_systemd = field("SYSLOG_IDENTIFIER") == Some("systemd");
        if by_systemd || field("PACKAGE").is_some() {
            let level = field("PRIORITY").map_or(Level::Unsaid, by_priority);
            return Some(Self::plain(level, &text));
        }
        Some(Self::of(&text))
    }

    /// Reads a line as etcd writes it.
    pub fn of(text: &str) -> Self {
        let text = text.trim_end();
        zap(text)
            .or_else(|| capnslog(text))
            .or_else(|| standard(text))
            .unwrap_or_else(|| Self::plain(Level::Unsaid, text))
    }

    /// The message with its fields, cut to what is kept.
    pub fn quoted(&self) -> String {
        let mut said = self.text.clone();
        for (name, value) in &self.fields {
            let _ = write!(said, " {name}={value}");
        }
        match said.char_indices().nth(KEPT) {
            Some((at, _)) => format!("{}…", &said[..at]),
            None => said,
        }
    }

    fn plain(level: Level, text: &str) -> Self {
        Self {
            level,
            text: text.to_owned(),
            fields: BTreeMap::new(),
        }
    }
}

/// A text, or its bytes where they are not printable; nothing where it has more than journalctl shows.
fn message(value: &Value) -> String {
    let byte = |value: &Value| value.as_u64().and_then(|byte| u8::try_from(byte).ok());
    match value {
        Value::String(text) => text.clone(),
        Value::Array(bytes) => {
            let bytes: Vec<u8> = bytes.iter().filter_map(byte).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        _ => "a line that is too long to be shown".to_owned(),
    }
}

/// journald's priorities are those of syslog.
fn by_priority(priority: &str) -> Level {
    match priority {
        "0" | "1" | "2" => Level::Critical,
        "3" => Level::Error,
        "4" => Level::Warning,
        _ => Level::Info,
    }
}

fn zap(text: &str) -> Option<Line> {
    if !text.starts_with('{') {
        return None;
    }
    let mut object: Map<String, Value> = serde_json::from_str(text).ok()?;
    let level = match object.remove("level")?.as_str()? {
        "debug" | "info" => Level::Info,
        "warn" => Level::Warning,
        "error" => Level::Error,
        _ => Level::Critical,
    };
    let mut text = object.remove("msg")?.as_str()?.to_owned();
    if let Some(error) = object.remove("error") {
        let _ = write!(text, " ({})", in_words(&error));
    }
    for known in ["ts", "caller", "logger", "stacktrace"] {
        object.remove(known);
    }
    let fields = object.iter();
    let fields = fields.map(|(name, value)| (name.clone(), in_words(value)));
    Some(Line {
        level,
        text,
        fields: fields.collect(),
    })
}

fn in_words(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn capnslog(text: &str) -> Option<Line> {
    let (head, rest) = text.split_once(" | ")?;
    let (time, letter) = head.rsplit_once(' ')?;
    if !is_time(time, '-') {
        return None;
    }
    let level = match letter {
        "D" | "T" | "I" | "N" => Level::Info,
        "W" => Level::Warning,
        "E" => Level::Error,
        "C" => Level::Critical,
        _ => return None,
    };
    Some(Line::plain(level, without_package(rest)))
}

/// Go's own form, with what libraries put before and behind the time.
fn standard(text: &str) -> Option<Line> {
    let words = [
        ("", Level::Unsaid),
        ("raft", Level::Unsaid),
        ("INFO: ", Level::Info),
        ("WARNING: ", Level::Warning),
        ("ERROR: ", Level::Error),
        ("FATAL: ", Level::Critical),
    ];
    let (level, rest) = words.iter().find_map(|(before, level)| {
        let rest = text.strip_prefix(before)?;
        let rest = rest
            .get(..19)
            .filter(|time| is_time(time, '/'))
            .map(|_| &rest[19..]);
        rest.map(|rest| (*level, rest.trim_start()))
    })?;
    let behind = [
        ("DEBUG: ", Level::Info),
        ("INFO: ", Level::Info),
        ("WARN: ", Level::Warning),
        ("WARNING: ", Level::Warning),
        ("ERROR: ", Level::Error),
    ];
    let said = behind
        .iter()
        .find_map(|(word, level)| Some((*level, rest.strip_prefix(word)?)));
    let (level, rest) = said.unwrap_or((level, rest));
    Some(Line::plain(level, without_package(rest)))
}

/// `YYYY?MM?DD HH:MM:SS`, and a fraction.
fn is_time(text: &str, between: char) -> bool {
    let shape = text.chars().enumerate().all(|(at, c)| match at {
        4 | 7 => c == between,
        10 => c == ' ',
        13 | 16 => c == ':',
        19 => c == '.',
        _ => c.is_ascii_digit(),
    });
    shape && text.len() >= 19
}

/// Drops `etcdserver/membership: ` and the like.
fn without_package(text: &str) -> &str {
    let is_package = |name: &str| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "/._-".contains(c);
        !name.is_empty() && name.chars().all(fits)
    };
    match text.split_once(": ") {
        Some((name, rest)) if is_package(name) => rest,
        _ => text,
    }
}
