//! The frames that reading scripts print: `@NAME STATUS LENGTH`, a newline, exactly LENGTH bytes and a newline.
//!
//! The length makes it impossible for anything that a tool or a file contains to pass for a frame.

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Which question it answers.
    pub name: String,
    /// The exit status of what answered.
    pub status: i32,
    /// What it printed, byte for byte except for trailing newlines.
    pub body: Vec<u8>,
}

/// All frames of an output, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frames(Vec<Frame>);

/// Why an output cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Something stands where a frame should begin.
    #[error("{found:?} stands where a frame should begin, after {after}")]
    NotAFrame {
        /// What stands there.
        found: String,
        /// The frame before, or the beginning.
        after: String,
    },
    /// The output ends within a frame.
    #[error("the output ends within frame `{frame}`: {got} of {length} bytes")]
    CutOff {
        /// The frame.
        frame: String,
        /// Bytes announced.
        length: usize,
        /// Bytes that came.
        got: usize,
    },
    /// A frame is not there.
    #[error("frame `{0}` is missing")]
    Missing(String),
    /// A frame is there and does not say what it should.
    #[error("frame `{frame}` says {said:?}, which is not {wanted}")]
    Unexpected {
        /// The frame.
        frame: String,
        /// What it says, the beginning of it.
        said: String,
        /// What was expected.
        wanted: &'static str,
    },
}

/// Renders one frame, for whatever stands in for a host in tests.
pub fn frame(name: &str, status: i32, body: &str) -> String {
    format!("@{name} {status} {}\n{body}\n", body.len())
}

impl Frame {
    /// The body as text, invalid UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// An error that says that this frame is not what was wanted.
    pub fn unexpected(&self, wanted: &'static str) -> ParseError {
        ParseError::Unexpected {
            frame: self.name.clone(),
            said: self.text().chars().take(120).collect(),
            wanted,
        }
    }
}

impl Frames {
    /// Reads all frames.
    ///
    /// # Errors
    /// [`ParseError`] at the first byte that does not fit.
    pub fn parse(mut bytes: &[u8]) -> Result<Self, ParseError> {
        let mut frames: Vec<Frame> = Vec::new();
        while !bytes.is_empty() {
            let after = frames.last().map_or_else(
                || "the beginning".to_owned(),
                |last| format!("frame `{}`", last.name),
            );
            let (found, rest) = next(bytes, after)?;
            frames.push(found);
            bytes = rest;
        }
        Ok(Self(frames))
    }

    /// The first frame of that name.
    pub fn get(&self, name: &str) -> Option<&Frame> {
        self.0.iter().find(|frame| frame.name == name)
    }

    /// The first frame of that name.
    ///
    /// # Errors
    /// [`ParseError::Missing`].
    pub fn need(&self, name: &str) -> Result<&Frame, ParseError> {
        self.get(name)
            .ok_or_else(|| ParseError::Missing(name.to_owned()))
    }

    /// The text of the first frame of that name; empty if there is none.
    pub fn text(&self, name: &str) -> String {
        self.get(name).map(Frame::text).unwrap_or_default()
    }

    /// All frames in order.
    pub fn iter(&self) -> impl Iterator<Item = &Frame> {
        self.0.iter()
    }
}

fn next(bytes: &[u8], after: String) -> Result<(Frame, &[u8]), ParseError> {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let head = &bytes[..end.unwrap_or(bytes.len())];
    let not_a_frame = || ParseError::NotAFrame {
        found: String::from_utf8_lossy(head).chars().take(80).collect(),
        after,
    };
    let Some((name, status, length)) = header(head) else {
        return Err(not_a_frame());
    };
    let body = &bytes[(head.len() + 1).min(bytes.len())..];
    if body.get(length) != Some(&b'\n') {
        return Err(ParseError::CutOff {
            frame: name,
            length,
            got: body.len().min(length),
        });
    }
    let frame = Frame {
        name,
        status,
        body: body[..length].to_vec(),
    };
    Ok((frame, &body[length + 1..]))
}

fn header(head: &[u8]) -> Option<(String, i32, usize)> {
    let text = std::str::from_utf8(head).ok()?.strip_prefix('@')?;
    let mut words = text.split(' ');
    let (name, status, length) = (words.next()?, words.next()?, words.next()?);
    let named = !name.is_empty() && words.next().is_none();
    named.then_some((name.to_owned(), status.parse().ok()?, length.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_body_that_looks_like_a_frame_stays_a_body() {
        let text = frame("status", 1, "x\n@members 0 2\n{}\n") + &frame("members", 0, "[]");
        let frames = Frames::parse(text.as_bytes()).unwrap();
        assert_eq!(frames.iter().count(), 2);
        assert_eq!(frames.text("members"), "[]");
        assert_eq!(frames.get("status").unwrap().status, 1);
    }

    #[test]
    fn an_output_that_ends_early_names_the_frame_and_both_sizes() {
        let text = frame("status", 0, "0123456789");
        let error = Frames::parse(&text.as_bytes()[..text.len() - 4]).unwrap_err();
        let said = "the output ends within frame `status`: 7 of 10 bytes";
        assert_eq!(error.to_string(), said);
    }

    #[test]
    fn noise_between_frames_is_refused_with_its_place() {
        let text = frame("host", 0, "a") + "Welcome!\n";
        let error = Frames::parse(text.as_bytes()).unwrap_err();
        let said = r#""Welcome!" stands where a frame should begin, after frame `host`"#;
        assert_eq!(error.to_string(), said);
    }

    proptest! {
        #[test]
        fn what_was_framed_is_read_back(bodies in prop::collection::vec((0..256_i32, ".*"), 0..8)) {
            let text: String = bodies.iter().map(|(status, body)| frame("n", *status, body)).collect();
            let frames = Frames::parse(text.as_bytes()).unwrap();
            let back: Vec<_> = frames.iter().map(|one| (one.status, one.text())).collect();
            prop_assert_eq!(back, bodies);
        }

        #[test]
        fn no_input_whatever_makes_the_reader_fall_over(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Frames::parse(&bytes);
        }
    }
}
