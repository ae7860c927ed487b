//! Recorded texts, damaged in the ways of networks, disks and people with bad intentions.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

/// Pieces that mean something to a shell, a parser, a terminal or a frame.
const PIECES: [&str; 22] = [
    "\"",
    "'",
    "\\",
    "$(touch /tmp/owned)",
    "`id`",
    "--data-dir=/",
    "\n@members 0 2\n[]\n",
    "@status 0 99999999999999999999\n",
    "\u{1b}[2J\u{1b}]0;owned\u{7}",
    "\u{9b}31m\u{202e}",
    "\0",
    "-1",
    "18446744073709551616",
    "1e999",
    "null",
    "{",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "../../../etc/passwd",
    "\r\n\r\n",
    "\u{fffd}\u{1f600}",
    "3.5.16-rc.1+x",
    "{\"kind\":\"ended\",\"status\":0}\n",
];

/// One damage.
#[derive(Clone, Debug)]
pub enum Damage {
    /// A byte becomes another one.
    Byte(Index, u8),
    /// What follows is missing.
    Cut(Index),
    /// A stretch is missing.
    Gap(Index, usize),
    /// A stretch comes twice.
    Echo(Index, usize),
    /// Something comes between.
    Piece(Index, &'static str),
    /// Any bytes come between.
    Noise(Index, Vec<u8>),
}

/// Any one.
pub fn any_damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, to)| Damage::Byte(at, to)),
        at().prop_map(Damage::Cut),
        (at(), 1..64_usize).prop_map(|(at, long)| Damage::Gap(at, long)),
        (at(), 1..200_usize).prop_map(|(at, long)| Damage::Echo(at, long)),
        (at(), select(&PIECES[..])).prop_map(|(at, piece)| Damage::Piece(at, piece)),
        (at(), prop::collection::vec(any::<u8>(), 1..12))
            .prop_map(|(at, noise)| Damage::Noise(at, noise)),
    ]
}

impl Damage {
    /// Does it.
    pub fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |at: &Index| at.index(bytes.len() + 1);
        match self {
            Self::Byte(at, to) => {
                let at = place(at).min(bytes.len().saturating_sub(1));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = *to;
                }
            }
            Self::Cut(at) => bytes.truncate(place(at)),
            Self::Gap(at, long) => {
                let at = place(at);
                bytes.drain(at..(at + long).min(bytes.len()));
            }
            Self::Echo(at, long) => {
                let at = place(at);
                let twice = bytes[at..(at + long).min(bytes.len())].to_vec();
                bytes.splice(at..at, twice);
            }
            Self::Piece(at, piece) => drop(bytes.splice(place(at)..place(at), piece.bytes())),
            Self::Noise(at, noise) => {
                drop(bytes.splice(place(at)..place(at), noise.iter().copied()));
            }
        }
    }
}

/// One of the samples with some damages; now and then nothing but noise.
pub fn damaged(samples: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    assert!(!samples.is_empty(), "there is nothing to damage");
    let hurt = (select(samples), prop::collection::vec(any_damage(), 0..5));
    prop_oneof![
        9 => hurt.prop_map(|(mut bytes, damages)| {
            for damage in damages {
                damage.apply(&mut bytes);
            }
            bytes
        }),
        1 => prop::collection::vec(any::<u8>(), 0..300),
    ]
}

/// The recorded files whose names end so.
pub fn fixtures(ends: &[&str]) -> Vec<Vec<u8>> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let folders = fs::read_dir(top)
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_dir());
    let files = folders.flat_map(|folder| fs::read_dir(folder.path()).unwrap().flatten());
    let wanted = files.filter(|file| {
        let name = file.file_name().into_string().unwrap();
        ends.iter().any(|end| name.ends_with(end))
    });
    wanted.map(|file| fs::read(file.path()).unwrap()).collect()
}

/// Tries inputs: as many as proptest's own count (`PROPTEST_CASES`), or as many as `RUNNER_FUZZ_SECONDS` have room for.
/// A failure shows the smallest input that was found for it.
pub fn fuzz<S: Strategy>(inputs: &S, check: impl Fn(S::Value)) {
    let seconds = std::env::var("RUNNER_FUZZ_SECONDS").ok();
    let time = seconds.map_or(Duration::ZERO, |text| {
        Duration::from_secs(text.parse().expect("RUNNER_FUZZ_SECONDS is a number"))
    });
    let began = Instant::now();
    loop {
        let config = Config {
            failure_persistence: None,
            ..Config::default()
        };
        let tried = TestRunner::new(config).run(inputs, |input| {
            check(input);
            Ok(())
        });
        if let Err(found) = tried {
            panic!("{found}");
        }
        if began.elapsed() >= time {
            return;
        }
    }
}
