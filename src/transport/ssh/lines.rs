//! A script's output line by line, while it runs.

use tokio::sync::mpsc::Sender;

use crate::transport::{Line, Sink, Stream};

/// A line is cut here, so that output without line ends does not pile up.
const LONGEST: usize = 64 << 10;

/// Cuts one stream of an answer into lines and sends them on as they come.
pub(super) struct Lines {
    to: Sender<Line>,
    host: String,
    stream: Stream,
    between: Between,
    /// A line whose end has not come.
    part: Vec<u8>,
}

impl Lines {
    /// For one stream of this command, if its sink wants lines.
    pub(super) fn of(sink: &Sink, host: &str, stream: Stream, mark: &str) -> Option<Self> {
        let Sink::Lines(to) = sink else {
            return None;
        };
        let between = match stream {
            Stream::Out => Between::new(format!("B:{mark}\n"), format!("E:{mark}\n")),
            Stream::Err => Between::new(format!("R:{mark}\n"), format!("S:{mark}:")),
        };
        Some(Self {
            to: to.clone(),
            host: host.to_owned(),
            stream,
            between,
            part: Vec::new(),
        })
    }

    /// Takes a piece of the stream.
    pub(super) async fn take(&mut self, piece: &[u8]) {
        let bytes = self.between.push(piece);
        for chunk in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.part.extend_from_slice(chunk);
            if self.part.ends_with(b"\n") {
                self.part.pop();
                self.send().await;
            }
            while self.part.len() >= LONGEST {
                let rest = self.part.split_off(LONGEST);
                self.send().await;
                self.part = rest;
            }
        }
    }

    /// Sends what is left when the stream has ended.
    pub(super) async fn finish(mut self) {
        let rest = self.between.finish();
        self.part.extend(rest);
        if !self.part.is_empty() {
            self.send().await;
        }
    }

    async fn send(&mut self) {
        let line = Line {
            host: self.host.clone(),
            stream: self.stream,
            text: std::mem::take(&mut self.part),
        };
        // A receiver that has gone away wants no more lines.
        let _ = self.to.send(line).await;
    }
}

/// Gives what stands between two marks as soon as it is certain: only what may be the beginning of the second is kept.
struct Between {
    begin: Vec<u8>,
    end: Vec<u8>,
    pending: Vec<u8>,
    begun: bool,
    ended: bool,
}

impl Between {
    fn new(begin: String, end: String) -> Self {
        Self {
            begin: begin.into_bytes(),
            end: end.into_bytes(),
            pending: Vec::new(),
            begun: false,
            ended: false,
        }
    }

    fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        if self.ended {
            return Vec::new();
        }
        self.pending.extend_from_slice(piece);
        if !self.begun {
            let Some(at) = find(&self.pending, &self.begin) else {
                let kept = self.pending.len().min(self.begin.len());
                self.pending.drain(..self.pending.len() - kept);
                return Vec::new();
            };
            self.pending.drain(..at + self.begin.len());
            self.begun = true;
        }
        if let Some(at) = find(&self.pending, &self.end) {
            self.ended = true;
            self.pending.truncate(at);
            return std::mem::take(&mut self.pending);
        }
        let certain = self.pending.len() - beginning(&self.pending, &self.end);
        let rest = self.pending.split_off(certain);
        std::mem::replace(&mut self.pending, rest)
    }

    /// What was kept back and is no mark after all.
    fn finish(&mut self) -> Vec<u8> {
        if self.begun {
            std::mem::take(&mut self.pending)
        } else {
            Vec::new()
        }
    }
}

/// How much of the end of `bytes` may be the beginning of `mark`.
fn beginning(bytes: &[u8], mark: &[u8]) -> usize {
    let most = mark.len().saturating_sub(1).min(bytes.len());
    (1..=most)
        .rev()
        .find(|len| bytes.ends_with(&mark[..*len]))
        .unwrap_or(0)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_between_the_marks_comes_out_however_the_stream_is_cut(body in "[a-zE:\n]{0,200}", cut in 1usize..40) {
            let stream = format!("noise B:cafB:cafe\n{body}E:cafe\nlogout\n");
            let mut between = Between::new("B:cafe\n".into(), "E:cafe\n".into());
            let mut got: Vec<u8> = stream.as_bytes().chunks(cut).flat_map(|piece| between.push(piece)).collect();
            got.extend(between.finish());
            prop_assert_eq!(String::from_utf8(got).unwrap(), body);
        }
    }

    #[test]
    fn a_line_is_certain_as_soon_as_it_ends() {
        let mut between = Between::new("B:cafe\n".into(), "E:cafe\n".into());
        assert_eq!(between.push(b"B:cafe\none\n"), b"one\n");
        assert_eq!(between.push(b"two\nE"), b"two\n");
        assert_eq!(between.push(b"nd\n"), b"End\n");
    }

    #[tokio::test]
    async fn a_line_without_an_end_comes_in_pieces_and_the_last_one_at_the_end() {
        let (to, mut from) = tokio::sync::mpsc::channel(8);
        let mut lines = Lines::of(&Sink::Lines(to), "a", Stream::Out, "cafe").unwrap();
        lines.take(b"B:cafe\n").await;
        lines.take(&vec![b'x'; LONGEST + 5]).await;
        lines.take(b"\nlast").await;
        lines.finish().await;
        let mut lengths = Vec::new();
        while let Some(line) = from.recv().await {
            lengths.push(line.text.len());
        }
        assert_eq!(lengths, [LONGEST, 5, 4]);
    }
}
