//! The hours in which members may be worked on.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Time;
use jiff::{ToSpan, Zoned};

/// Hours of a day in local time, such as `22:00-04:00`: the first minute belongs to it, the last does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    from: Time,
    to: Time,
}

/// A text that is no window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// It is not two times of day.
    #[error("`{0}` is not a window such as `22:00-04:00`")]
    NotAWindow(String),
    /// It opens when it closes: whether that means always or never would be a guess.
    #[error("the window `{0}` opens and closes at the same minute")]
    Empty(String),
}

/// Tells the local time; tests bring their own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Zoned + Send + Sync>);

impl Clock {
    /// The control machine's clock and time zone.
    pub fn system() -> Self {
        Self::new(Zoned::now)
    }

    /// A clock that says what `tell` says.
    pub fn new(tell: impl Fn() -> Zoned + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// The time now.
    pub fn now(&self) -> Zoned {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl Window {
    /// How long it stays open; `None` if it is closed. On the night when clocks change, an hour more or less is
    /// what really passes.
    pub fn left(&self, now: &Zoned) -> Option<Duration> {
        let time = now.time();
        let over_midnight = self.to < self.from;
        let open = if over_midnight {
            time >= self.from || time < self.to
        } else {
            time >= self.from && time < self.to
        };
        if !open {
            return None;
        }
        let tomorrow = over_midnight && time >= self.from;
        let day = now.date().saturating_add(i64::from(tomorrow).days());
        let closes = day
            .to_datetime(self.to)
            .to_zoned(now.time_zone().clone())
            .ok()?;
        Duration::try_from(closes.duration_since(now)).ok()
    }

    /// Why nothing is begun now, if it is closed.
    pub fn closed(&self, now: &Zoned) -> Option<String> {
        let is_closed = self.left(now).is_none();
        is_closed.then(|| format!("it is {}, the window is {self}", now.strftime("%H:%M")))
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from.strftime("%H:%M"), self.to.strftime("%H:%M"));
        write!(f, "{from}-{to}")
    }
}

impl FromStr for Window {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, WindowError> {
        let wrong = || WindowError::NotAWindow(text.to_owned());
        let (from, to) = text.split_once('-').ok_or_else(wrong)?;
        let window = Self {
            from: time(from).ok_or_else(wrong)?,
            to: time(to).ok_or_else(wrong)?,
        };
        if window.from == window.to {
            return Err(WindowError::Empty(text.to_owned()));
        }
        Ok(window)
    }
}

/// `HH:MM`; `24:00` is the midnight at a day's end.
fn time(text: &str) -> Option<Time> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    let two = |part: &str| part.parse::<i8>().ok().filter(|_| digits(part));
    match (two(hours)?, two(minutes)?) {
        (24, 0) => Some(Time::midnight()),
        (hours, minutes) => Time::new(hours, minutes, 0, 0).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(window: &str, now: &str) -> Option<u64> {
        let window: Window = window.parse().unwrap();
        let now: jiff::Timestamp = now.parse().unwrap();
        let now = now.to_zoned(jiff::tz::TimeZone::UTC);
        window.left(&now).map(|left| left.as_secs() / 60)
    }

    #[test]
    fn a_window_in_a_day_opens_at_its_first_minute_and_closes_before_its_last() {
        assert_eq!(left("09:00-17:30", "2026-11-20T08:59:59Z"), None);
        assert_eq!(left("09:00-17:30", "2026-11-20T09:00:00Z"), Some(510));
        assert_eq!(left("09:00-17:30", "2026-11-20T17:29:00Z"), Some(1));
        assert_eq!(left("09:00-17:30", "2026-11-20T17:30:00Z"), None);
    }

    #[test]
    fn a_window_over_midnight_is_open_on_both_sides_of_it() {
        assert_eq!(left("22:00-04:00", "2026-11-20T23:00:00Z"), Some(300));
        assert_eq!(left("22:00-04:00", "2026-11-21T03:00:00Z"), Some(60));
        assert_eq!(left("22:00-04:00", "2026-11-21T12:00:00Z"), None);
        assert_eq!(left("22:00-24:00", "2026-11-20T23:00:00Z"), Some(60));
    }

    #[test]
    fn the_night_when_clocks_go_back_has_an_hour_more() {
        let Ok(zone) = jiff::tz::TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3") else {
            panic!("a POSIX time zone");
        };
        let now: jiff::Timestamp = "2026-10-24T21:00:00Z".parse().unwrap();
        let window: Window = "22:00-04:00".parse().unwrap();
        let left = window.left(&now.to_zoned(zone)).unwrap();
        assert_eq!(left.as_secs() / 60, 360);
    }

    #[test]
    fn what_is_no_window_is_refused_with_an_example() {
        for text in [
            "",
            "22:00",
            "22-04",
            "22:00-25:00",
            "9:00-17:00",
            "22:00-04:60",
            "+1:00-04:00",
        ] {
            let error = text.parse::<Window>().unwrap_err().to_string();
            assert!(error.contains("22:00-04:00"), "{text}: {error}");
        }
        assert!(matches!(
            "22:00-22:00".parse::<Window>(),
            Err(WindowError::Empty(_))
        ));
        assert_eq!(
            "22:00-04:00".parse::<Window>().unwrap().to_string(),
            "22:00-04:00"
        );
    }
}
