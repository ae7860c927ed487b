//! Ranges in texts: `etcd-[1:3]`, `[01:12]`, `[a:c]`.

use std::borrow::Cow;

use super::error::Problem;

/// The most texts that one pattern may stand for, so that a typo cannot eat the memory.
const MOST: usize = 10_000;

/// A text with ranges, which stands for several texts.
#[derive(Clone, Debug)]
pub struct Pattern<'a> {
    parts: Vec<Part<'a>>,
    count: usize,
}

#[derive(Clone, Debug)]
enum Part<'a> {
    Literal(&'a str),
    Numbers {
        first: u32,
        count: usize,
        width: usize,
    },
    Letters {
        first: u8,
        count: usize,
    },
}

impl<'a> Pattern<'a> {
    /// Reads the ranges of a text; brackets that hold no range are ordinary characters.
    ///
    /// # Errors
    /// When a range runs backwards or stands for too many texts.
    pub fn read(text: &'a str) -> Result<Self, Problem> {
        let mut parts = Vec::new();
        let mut literal = 0;
        let mut at = 0;
        while let Some(open) = text[at..].find('[').map(|found| at + found) {
            let close = text[open..].find(']').map(|found| open + found);
            let range = close.and_then(|close| part(&text[open + 1..close]));
            match (range, close) {
                (Some(range), Some(close)) => {
                    parts.push(Part::Literal(&text[literal..open]));
                    parts.push(range?);
                    literal = close + 1;
                    at = literal;
                }
                _ => at = open + 1,
            }
        }
        parts.push(Part::Literal(&text[literal..]));
        let count = parts
            .iter()
            .try_fold(1_usize, |all, part| all.checked_mul(part.count()))
            .filter(|count| *count <= MOST)
            .ok_or_else(|| too_large(text))?;
        Ok(Self { parts, count })
    }

    /// How many texts it stands for; 1 if it holds no range.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether it holds a range.
    pub fn is_range(&self) -> bool {
        self.parts.len() > 1
    }

    /// The text of that index; the last range runs fastest.
    pub fn nth(&self, index: usize) -> String {
        let mut left = self.count;
        let mut index = index;
        let mut text = String::new();
        for part in &self.parts {
            left /= part.count();
            text.push_str(&part.nth(index / left));
            index %= left;
        }
        text
    }
}

impl Part<'_> {
    fn count(&self) -> usize {
        match self {
            Self::Literal(_) => 1,
            Self::Numbers { count, .. } | Self::Letters { count, .. } => *count,
        }
    }

    fn nth(&self, index: usize) -> Cow<'_, str> {
        match *self {
            Self::Literal(literal) => Cow::Borrowed(literal),
            Self::Numbers { first, width, .. } => {
                let number = first as usize + index;
                Cow::Owned(format!("{number:0width$}"))
            }
            Self::Letters { first, .. } => {
                let step = u8::try_from(index).expect("there are 26 letters");
                Cow::Owned(char::from(first + step).to_string())
            }
        }
    }
}

/// The range between two brackets; `None` if it is none.
fn part(inner: &str) -> Option<Result<Part<'static>, Problem>> {
    let (first, last) = inner.split_once(':')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits(first) && digits(last) {
        return Some(numbers(inner, first, last));
    }
    let (&[first], &[last]) = (first.as_bytes(), last.as_bytes()) else {
        return None;
    };
    let same_case = (first.is_ascii_lowercase() && last.is_ascii_lowercase())
        || (first.is_ascii_uppercase() && last.is_ascii_uppercase());
    same_case.then(|| {
        let count = last.checked_sub(first).ok_or_else(|| backwards(inner))?;
        let count = usize::from(count) + 1;
        Ok(Part::Letters { first, count })
    })
}

fn numbers(inner: &str, first: &str, last: &str) -> Result<Part<'static>, Problem> {
    let width = if first.len() > 1 && first.starts_with('0') {
        first.len()
    } else {
        0
    };
    let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) else {
        return Err(too_large(&format!("[{inner}]")));
    };
    let count = last.checked_sub(first).ok_or_else(|| backwards(inner))?;
    Ok(Part::Numbers {
        first,
        count: (count as usize).saturating_add(1),
        width,
    })
}

fn backwards(inner: &str) -> Problem {
    Problem::RangeBackwards(format!("[{inner}]"))
}

fn too_large(text: &str) -> Problem {
    Problem::RangeTooLarge {
        range: text.to_owned(),
        most: MOST,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(text: &str) -> Vec<String> {
        let pattern = Pattern::read(text).unwrap();
        (0..pattern.count()).map(|i| pattern.nth(i)).collect()
    }

    #[test]
    fn a_range_stands_for_its_numbers_with_their_zeros() {
        assert_eq!(all("etcd-[1:3]"), ["etcd-1", "etcd-2", "etcd-3"]);
        assert_eq!(all("n[08:11]x"), ["n08x", "n09x", "n10x", "n11x"]);
        assert_eq!(all("[0:2]"), ["0", "1", "2"]);
        assert_eq!(all("db-[a:c]"), ["db-a", "db-b", "db-c"]);
        assert_eq!(all("[7:7]"), ["7"]);
    }

    #[test]
    fn several_ranges_multiply_and_the_last_runs_fastest() {
        assert_eq!(all("r[1:2]-[a:b]"), ["r1-a", "r1-b", "r2-a", "r2-b"]);
    }

    #[test]
    fn brackets_without_a_range_stay_as_they_are() {
        for text in [
            "fd00::1",
            "[fd00::1]",
            "a[b",
            "a]b",
            "[1:2:3]",
            "[]",
            "[:]",
            "[1:]",
            "[a:Z]",
            "[[x]",
        ] {
            assert_eq!(all(text), [text]);
        }
        assert_eq!(all("[[1:2]"), ["[1", "[2"]);
    }

    #[test]
    fn a_backward_range_and_a_huge_one_are_refused() {
        assert_eq!(
            Pattern::read("e[3:1]").unwrap_err(),
            Problem::RangeBackwards("[3:1]".into())
        );
        for text in [
            "[1:10001]",
            "[1:99999999999]",
            "[1:200][1:200]",
            "[0:4294967295]",
        ] {
            assert!(matches!(
                Pattern::read(text).unwrap_err(),
                Problem::RangeTooLarge { .. }
            ));
        }
    }

    proptest! {
        #[test]
        fn a_text_of_any_kind_is_read_without_a_panic(text in "[\\[\\]:0-9a-cé]{0,20}") {
            if let Ok(pattern) = Pattern::read(&text) {
                prop_assert!(pattern.count() >= 1);
                let _ = pattern.nth(0);
                let _ = pattern.nth(pattern.count() - 1);
            }
        }

        #[test]
        fn all_texts_of_a_range_differ_and_keep_what_surrounds_it(
            before in "[a-z.-]{0,5}", after in "[a-z.-]{0,5}", first in 0_u32..300, more in 0_u32..40,
        ) {
            let text = format!("{before}[{first}:{}]{after}", first + more);
            let all = all(&text);
            prop_assert_eq!(all.len(), more as usize + 1);
            for (i, one) in all.iter().enumerate() {
                prop_assert_eq!(one, &format!("{before}{}{after}", first as usize + i));
            }
        }
    }
}
