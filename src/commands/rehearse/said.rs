//! What a rehearsal says while it sets the stage, and of what its clients saw.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::super::out;
use crate::lab::writer::Seen;
use crate::report::text::duration;

/// What goes on for this long is said again. A word can be almost that old when it is looked at, so something is
/// said at least every 28 s; 30 s are promised.
const SIGN_OF_LIFE: Duration = Duration::from_secs(14);

/// What was said last, and when.
#[derive(Default)]
pub(super) struct Said(Mutex<Option<(String, Instant)>>);

impl Said {
    /// Says it now.
    pub(super) fn say(&self, text: &str) {
        talk(text);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((text.to_owned(), Instant::now()));
    }

    fn still(&self) -> Option<String> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (text, since) = last.as_ref()?;
        let time = since.elapsed();
        (time >= SIGN_OF_LIFE).then(|| format!("still: {text} (for {})", duration(time)))
    }
}

/// Repeats from time to time what goes on for long.
pub(super) async fn signs_of_life(said: Option<Arc<Said>>) {
    let mut ticks = tokio::time::interval(SIGN_OF_LIFE);
    loop {
        ticks.tick().await;
        if let Some(text) = said.as_ref().and_then(|said| said.still()) {
            talk(&text);
        }
    }
}

/// What the client saw, for people.
pub(super) fn words(cluster: &str, seen: &Seen) -> String {
    let seconds = Duration::from_millis(seen.wrote_for_ms).as_secs_f64();
    let mut text = format!(
        "client of `{cluster}`: {} writes acknowledged in {seconds:.1} s, {} lost, longest gap {} ms, {} attempts made again\n",
        seen.acknowledged, seen.lost, seen.longest_gap_ms, seen.errors
    );
    if seen.by_api_2 > 0 {
        use std::fmt::Write;
        let _ = writeln!(text, "  {} of them by API 2", seen.by_api_2);
    }
    let told = [("lost", &seen.lost_examples), ("not read", &seen.unread)];
    for (title, examples) in told {
        for example in examples {
            text.extend(["  ", title, ": ", example, "\n"].map(str::to_owned));
        }
    }
    text
}

/// Talk goes to stderr.
pub(super) fn talk(text: &str) {
    out::talk(&format!("{text}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_saw_is_one_line_and_its_examples() {
        let seen = Seen {
            acknowledged: 3,
            lost: 1,
            lost_examples: vec!["key at member".to_owned()],
            longest_gap_ms: 40,
            wrote_for_ms: 1500,
            ..Seen::default()
        };
        let text = words("lab", &seen);
        assert!(text.contains("3 writes acknowledged in 1.5 s, 1 lost, longest gap 40 ms"));
        assert!(text.ends_with("  lost: key at member\n"));
    }
}
