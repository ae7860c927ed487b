//! Small texts that all reporters share: quoting what others said, durations, sizes, colours.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;

/// Colours, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// No colours.
    pub const OFF: Self = Self { on: false };
    /// Colours.
    pub const ON: Self = Self { on: true };

    /// Colours if `on`.
    pub fn when(on: bool) -> Self {
        Self { on }
    }

    /// For what is wrong.
    pub fn red(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    /// For what needs care.
    pub fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    /// For what is well.
    pub fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// For what helps.
    pub fn cyan(self, text: &str) -> String {
        self.wrap("36", text)
    }

    /// For what stands out.
    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// For what may be skipped.
    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Makes control characters of foreign text visible, so that a host's words cannot move a cursor, clear a screen
/// or turn a line around. A tab becomes a space.
pub fn harmless(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c == '\t' || is_harmful(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        let _ = match c {
            '\t' => write!(out, " "),
            '\n' => write!(out, "\\n"),
            '\r' => write!(out, "\\r"),
            c if !is_harmful(c) => write!(out, "{c}"),
            c if c.is_ascii() => write!(out, "\\x{:02x}", u32::from(c)),
            c => write!(out, "\\u{{{:x}}}", u32::from(c)),
        };
    }
    Cow::Owned(out)
}

/// The same for a text that we have composed: its lines, tabs and colours stay, which are ours; all else that could move
/// a terminal becomes visible. A host's words can at most have a colour, which ends with the next of ours.
pub fn tame(text: &str) -> Cow<'_, str> {
    if !text
        .chars()
        .any(|c| is_harmful(c) && c != '\n' && c != '\t')
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = colour(rest).unwrap_or(c.len_utf8());
        let (piece, after) = rest.split_at(length);
        let stays = length > c.len_utf8() || c == '\n' || c == '\t';
        out.push_str(&if stays {
            Cow::Borrowed(piece)
        } else {
            harmless(piece)
        });
        rest = after;
    }
    Cow::Owned(out)
}

/// The length of the colour's sequence that a text begins with.
fn colour(text: &str) -> Option<usize> {
    let code = text.strip_prefix("\u{1b}[")?;
    let end = code.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    code[end..].starts_with('m').then_some(end + 3)
}

/// The same in one line: runs of white space, line ends included, become one space.
pub fn one_line(text: &str) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    harmless(&joined).into_owned()
}

/// Control characters (C0, DEL, C1) and those that turn the direction of writing or hide themselves.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Cuts a text to `width` characters; an ellipsis shows that something is missing.
pub fn fit(text: &str, width: usize) -> Cow<'_, str> {
    if text.chars().count() <= width {
        return Cow::Borrowed(text);
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    Cow::Owned(if width == 0 {
        String::new()
    } else {
        format!("{}…", kept.trim_end())
    })
}

/// A duration as people say it: `0.4s`, `12s`, `2m 05s`, `1h 02m`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{}.{}s", seconds, time.subsec_millis() / 100),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A size with a binary unit: `512 B`, `20.1 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut tenths = u128::from(count) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit < UNITS.len() - 1 {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// The time of day in UTC, to the second: `12:01:02Z`.
pub fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%SZ").to_string()
}

/// The time between two moments; none if the clock was set back.
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// `1 host`, `3 hosts`.
pub fn count(number: usize, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_direction_characters_become_visible() {
        assert_eq!(harmless("plain – text"), "plain – text");
        assert_eq!(
            tame("\u{1b}[1;31mred\u{1b}[0m\ta\n\u{1b}[2J\u{1b}[m\r\u{1b}"),
            "\u{1b}[1;31mred\u{1b}[0m\ta\n\\x1b[2J\u{1b}[m\\r\\x1b"
        );
        assert_eq!(harmless("a\u{1b}[31mb\r\n"), "a\\x1b[31mb\\r\\n");
        assert_eq!(
            harmless("\u{9b}2J\u{202e}x\u{7f}"),
            "\\u{9b}2J\\u{202e}x\\x7f"
        );
        assert_eq!(one_line("a\n  b\tc\u{7}"), "a b c\\x07");
    }

    #[test]
    fn a_text_that_does_not_fit_says_so() {
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("abcd", 3), "ab…");
        assert_eq!(fit("ab cd", 4), "ab…");
        assert_eq!(fit("abcd", 0), "");
    }

    #[test]
    fn durations_and_sizes_read_well() {
        let said = [400, 12_900, 125_000, 3_720_000].map(|ms| duration(Duration::from_millis(ms)));
        assert_eq!(said, ["0.4s", "12s", "2m 05s", "1h 02m"]);
        let said = [512, 1024, 21_100_000, 3 << 30].map(bytes);
        assert_eq!(said, ["512 B", "1.0 KiB", "20.1 MiB", "3.0 GiB"]);
    }
}
