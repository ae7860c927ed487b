//! Durations as people type them.

use std::time::Duration;

/// A text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// A number without a unit, a unit without a number, or an unknown unit.
    #[error("`{0}` is not a duration such as `30s`, `2m` or `1h30m` (units: ms, s, m, h, d)")]
    NotADuration(String),
    /// More than fits.
    #[error("`{0}` is longer than anyone can wait")]
    TooLong(String),
}

/// Reads `30s`, `2m`, `1h30m`: numbers, each with one of the units `ms`, `s`, `m`, `h`, `d`.
///
/// # Errors
/// A bare number is refused: whether it means seconds or minutes would be a guess.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let wrong = || DurationError::NotADuration(text.to_owned());
    let long = || DurationError::TooLong(text.to_owned());
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let (number, tail) = split_where(rest, |c| !c.is_ascii_digit());
        let (unit, tail) = split_where(tail, |c| c.is_ascii_digit());
        let millis = millis_of(unit.trim()).ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let part = number.checked_mul(millis).ok_or_else(long)?;
        total = total
            .checked_add(Duration::from_millis(part))
            .ok_or_else(long)?;
        rest = tail;
    }
    Ok(total)
}

fn split_where(text: &str, stop: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(stop).unwrap_or(text.len()))
}

fn millis_of(unit: &str) -> Option<u64> {
    Some(match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units_add_up() {
        for (text, seconds) in [("30s", 30), ("2m", 120), ("1h30m", 5400), ("1d", 86_400)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)));
        }
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
    }

    #[test]
    fn a_bare_number_is_refused_with_the_units() {
        for text in ["30", "", "s", "3 parsecs", "-3s", "1.5h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        let error = parse_duration("30").unwrap_err().to_string();
        assert!(error.contains("`30s`") && error.contains("ms, s, m, h, d"));
    }

    #[test]
    fn what_does_not_fit_is_an_error_and_no_overflow() {
        assert!(matches!(
            parse_duration("999999999999999999d"),
            Err(DurationError::TooLong(_))
        ));
    }
}
