//! Finds what the script printed between the marks, whatever rc files, banners and sudo print around it.

/// As much of stderr as is kept: its end.
const STDERR_KEPT: usize = 1 << 20;
/// As much noise as is kept before our mark comes.
const NOISE_KEPT: usize = 64 << 10;
/// Held back while streaming, so that noise after the end mark does not hide it.
const HELD_BACK: usize = 512;

/// Takes stdout apart while it streams.
pub(super) struct Stdout {
    begin: Vec<u8>,
    end: Vec<u8>,
    pending: Vec<u8>,
    begun: bool,
    ended: bool,
}

impl Stdout {
    /// Waits for the marks of this command.
    pub(super) fn new(mark: &str) -> Self {
        let line = |kind: &str| format!("{kind}:{mark}\n").into_bytes();
        Self {
            begin: line("B"),
            end: line("E"),
            pending: Vec::new(),
            begun: false,
            ended: false,
        }
    }

    /// Takes a piece and gives the script's bytes that are certain by now.
    pub(super) fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        self.pending.extend_from_slice(piece);
        if !self.begun && !self.begin_found() {
            keep_end(&mut self.pending, NOISE_KEPT);
            return Vec::new();
        }
        if self.pending.ends_with(&self.end) {
            self.ended = true;
            self.pending.truncate(self.pending.len() - self.end.len());
            return std::mem::take(&mut self.pending);
        }
        let certain = self.pending.len().saturating_sub(HELD_BACK);
        let rest = self.pending.split_off(certain);
        std::mem::replace(&mut self.pending, rest)
    }

    fn begin_found(&mut self) -> bool {
        if let Some(at) = find(&self.pending, &self.begin) {
            self.pending.drain(..at + self.begin.len());
            self.begun = true;
        }
        self.begun
    }

    /// Gives the rest after the end of the stream.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        if self.begun && !self.ended {
            if let Some(at) = rfind(&self.pending, &self.end) {
                self.pending.truncate(at);
                self.ended = true;
            }
            return std::mem::take(&mut self.pending);
        }
        Vec::new()
    }

    /// Whether the script's output is complete.
    pub(super) fn is_complete(&self) -> bool {
        self.ended
    }

    /// Whether our first mark came.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// What was printed instead of our mark.
    pub(super) fn noise(&self) -> &[u8] {
        if self.begun { &[] } else { &self.pending }
    }
}

/// Takes stderr apart while it streams.
pub(super) struct Stderr {
    begin: Vec<u8>,
    root: Vec<u8>,
    question: Vec<u8>,
    status: Vec<u8>,
    kept: Vec<u8>,
    begun: bool,
    started: bool,
    questions: u32,
    exit: Option<i32>,
}

impl Stderr {
    /// Waits for the marks of this command.
    pub(super) fn new(mark: &str) -> Self {
        let line = |kind: &str, end: &str| format!("{kind}:{mark}{end}").into_bytes();
        Self {
            begin: line("B", "\n"),
            root: line("R", "\n"),
            question: line("P", ":"),
            status: line("S", ":"),
            kept: Vec::new(),
            begun: false,
            started: false,
            questions: 0,
            exit: None,
        }
    }

    /// Takes a piece.
    pub(super) fn push(&mut self, piece: &[u8]) {
        if self.exit.is_some() {
            return;
        }
        self.kept.extend_from_slice(piece);
        if !self.begun {
            self.begun = drop_through(&mut self.kept, &self.begin);
        }
        if self.begun && !self.started {
            self.take_questions();
            self.started = drop_through(&mut self.kept, &self.root);
        }
        if self.begun {
            self.find_status(piece.len());
        }
        keep_end(&mut self.kept, STDERR_KEPT);
    }

    /// Counts how often sudo asked, and drops its prompts from its words.
    fn take_questions(&mut self) {
        while let Some(at) = find(&self.kept, &self.question) {
            self.kept.drain(at..at + self.question.len());
            self.questions += 1;
        }
    }

    /// How often sudo has asked for the password; a second time means that the first answer was wrong.
    pub(super) fn questions(&self) -> u32 {
        self.questions
    }

    /// Looks for the trailer in what is new.
    fn find_status(&mut self, new: usize) {
        let from = self.kept.len().saturating_sub(new + self.status.len() + 8);
        let Some(at) = rfind(&self.kept[from..], &self.status).map(|at| at + from) else {
            return;
        };
        let rest = &self.kept[at + self.status.len()..];
        let Some(end) = rest.iter().position(|byte| *byte == b':') else {
            return;
        };
        self.exit = std::str::from_utf8(&rest[..end])
            .ok()
            .and_then(|digits| digits.parse().ok());
        self.kept.truncate(at);
    }

    /// The status, once the trailer came.
    pub(super) fn status(&self) -> Option<i32> {
        self.exit
    }

    /// Whether our first mark came.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether the script was started; if not although a status came, sudo or doas refused.
    pub(super) fn was_started(&self) -> bool {
        self.started
    }

    /// The words of the script, of sudo if it was never started, or of whatever came instead of our mark.
    pub(super) fn words(&self) -> &[u8] {
        &self.kept
    }
}

/// Drops everything through the first occurrence, and says whether there was one.
fn drop_through(bytes: &mut Vec<u8>, what: &[u8]) -> bool {
    let found = find(bytes, what);
    if let Some(at) = found {
        bytes.drain(..at + what.len());
    }
    found.is_some()
}

/// Drops the front beyond a limit, with some slack so that it is not done for every piece.
fn keep_end(bytes: &mut Vec<u8>, most: usize) {
    if bytes.len() > most * 2 {
        bytes.drain(..bytes.len() - most);
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn rfind(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).rposition(|window| window == what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn stdout_is_found_however_the_stream_is_cut(noise in "[a-zB:\n]{0,20}", body in prop::collection::vec(any::<u8>(), 0..2000), cut in 1usize..700) {
            let stream = [noise.as_bytes(), b"B:cafe\n", &body, b"E:cafe\n"].concat();
            let mut stdout = Stdout::new("cafe");
            let mut got: Vec<u8> = stream.chunks(cut).flat_map(|piece| stdout.push(piece)).collect();
            got.extend(stdout.finish());
            prop_assert_eq!(got, body);
            prop_assert!(stdout.is_complete());
        }

        #[test]
        fn stderr_is_found_however_the_stream_is_cut(cut in 1usize..60, words in "[a-z\n]{0,80}", status in 0i32..256) {
            let stream = format!("motd\nB:cafe\nlecture\nR:cafe\n{words}S:cafe:{status}:\n");
            let mut stderr = Stderr::new("cafe");
            stream.as_bytes().chunks(cut).for_each(|piece| stderr.push(piece));
            prop_assert_eq!(stderr.status(), Some(status));
            prop_assert!(stderr.was_started());
            prop_assert_eq!(stderr.words(), words.as_bytes());
        }
    }

    #[test]
    fn noise_after_the_end_mark_is_dropped() {
        let mut stdout = Stdout::new("cafe");
        let mut got = stdout.push(b"B:cafe\nbodyE:cafe\nlogout\n");
        got.extend(stdout.finish());
        assert_eq!(
            (got.as_slice(), stdout.is_complete()),
            (b"body".as_slice(), true)
        );
    }

    #[test]
    fn words_of_sudo_stay_when_the_script_never_started() {
        let mut stderr = Stderr::new("cafe");
        stderr.push(b"B:cafe\nsudo: a password is required\nS:cafe:1:\n");
        assert_eq!(
            (stderr.status(), stderr.was_started(), stderr.words()),
            (Some(1), false, b"sudo: a password is required\n".as_slice())
        );
    }

    #[test]
    fn questions_of_sudo_are_counted_however_they_are_cut_and_are_no_words() {
        let mut stderr = Stderr::new("cafe");
        let stream = b"B:cafe\n[sudo: P:cafe:] Password: \nSorry, try again.\nP:cafe:\nS:cafe:1:\n";
        stream.chunks(3).for_each(|piece| stderr.push(piece));
        assert_eq!((stderr.questions(), stderr.status()), (2, Some(1)));
        let words = String::from_utf8_lossy(stderr.words());
        assert!(
            words.contains("Sorry, try again.") && !words.contains("cafe"),
            "{words}"
        );
    }

    #[test]
    fn the_end_of_a_long_stderr_and_its_status_are_kept() {
        let mut stderr = Stderr::new("cafe");
        stderr.push(b"B:cafe\nR:cafe\n");
        (0..100).for_each(|_| stderr.push(&vec![b'x'; 100_000]));
        stderr.push(b"last words\nS:cafe:3:\n");
        assert!(
            stderr.words().ends_with(b"last words\n")
                && stderr.words().len() < STDERR_KEPT * 2 + 100_000
        );
        assert_eq!(stderr.status(), Some(3));
    }
}
