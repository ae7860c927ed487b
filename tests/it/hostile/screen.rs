//! What a host prints can neither move the terminal nor make an event that was not.

use std::time::Duration;

use proptest::prelude::*;
use runner::event::{Ending, Event, FORMAT, Kind, MemberState};
use runner::plan::{Outcome, StepId};
use runner::report::json::Json;
use runner::report::lines::Lines;
use runner::report::summary;
use runner::report::text::{Paint, tame};

use super::damage::fuzz;
use crate::reporters::Buffer;

/// What a host might say.
fn saying() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        prop::collection::vec(
            prop::sample::select(vec![
                "\u{1b}[2J",
                "\u{1b}]0;x\u{7}",
                "\r",
                "\n",
                "\u{8}",
                "\u{9b}1m",
                "\u{202e}",
                "\u{85}",
                "\u{2028}",
                "{\"kind\":\"ended\",\"status\":0}",
                "word",
                "\u{1b}[1;31m",
                "\0",
                "\t",
                "\u{1b}P",
                "\u{1b}[?1049h",
            ]),
            0..8,
        )
        .prop_map(|parts| parts.concat()),
    ]
}

fn event(index: u64, kind: Kind) -> Event {
    Event {
        format: FORMAT,
        run: "20261120T120102Z-4f2a".to_owned(),
        index,
        at: "2026-11-20T12:01:02Z".parse().unwrap(),
        kind,
    }
}

/// A run in which everything that a host can say is that.
fn run(said: &str) -> Vec<Event> {
    let (cluster, host) = ("prod".to_owned(), "etcd-1".to_owned());
    let said = || said.to_owned();
    let ending = Ending {
        cluster: cluster.clone(),
        status: 6,
        summary: said(),
        causes: vec![said(), said()],
        members: vec![MemberState {
            host: host.clone(),
            member: said(),
            id: None,
            state: said(),
        }],
        changed: true,
        hint: said(),
        left: vec![said()],
    };
    let step = StepId(1);
    let kinds = [
        Kind::StepStarted {
            cluster: cluster.clone(),
            host: host.clone(),
            step,
            what: said(),
            undo: false,
        },
        Kind::StepProgress {
            cluster: cluster.clone(),
            host: host.clone(),
            step,
            what: said(),
            bytes: None,
        },
        Kind::Guarded {
            cluster: cluster.clone(),
            host: host.clone(),
            step,
            refused: Some(said()),
        },
        Kind::StepEnded {
            cluster: cluster.clone(),
            host: host.clone(),
            step,
            outcome: Outcome::Failed {
                causes: vec![said()],
            },
            took_ms: 5,
            undo: false,
        },
        Kind::UndoStarted {
            cluster,
            host,
            because: vec![said()],
        },
        Kind::ClusterEnded {
            ending: ending.clone(),
        },
        Kind::Ended {
            status: 6,
            summary: said(),
            clusters: vec![ending],
            took_ms: 7,
        },
    ];
    (0..)
        .zip(kinds)
        .map(|(index, kind)| event(index, kind))
        .collect()
}

fn assert_tame(text: &str) {
    let moves = |c: &char| c.is_control() && *c != '\n' || "\u{2028}\u{2029}\u{202e}".contains(*c);
    assert_eq!(text.chars().find(moves), None, "{text:?}");
}

#[test]
fn lines_are_one_an_event_whatever_a_host_says() {
    fuzz(&saying(), |said| {
        let told = |said: &str| {
            let buffer = Buffer::default();
            let mut lines = Lines::new(Box::new(buffer.clone()), 2);
            for event in &run(said) {
                lines.report(event);
            }
            buffer.text()
        };
        let text = told(&said);
        assert_tame(&text);
        if !said.trim().is_empty() {
            assert_eq!(
                text.lines().count(),
                told("word").lines().count(),
                "{text:?}"
            );
        }
    });
}

#[test]
fn json_has_one_object_an_event_that_reads_back_whatever_a_host_says() {
    fuzz(&saying(), |said| {
        let buffer = Buffer::default();
        let mut json = Json::new(Box::new(buffer.clone()));
        let events = run(&said);
        for event in &events {
            json.report(event);
        }
        let text = buffer.text();
        let read = text
            .split_terminator('\n')
            .map(|line| serde_json::from_str::<Event>(line).unwrap());
        assert_eq!(read.collect::<Vec<_>>(), events);
    });
}

#[test]
fn the_summary_is_as_long_whatever_a_host_says() {
    fuzz(&saying(), |said| {
        let told = |said: &str| {
            let Some(Kind::ClusterEnded { ending }) =
                run(said).into_iter().map(|event| event.kind).nth(5)
            else {
                panic!("the sixth event is the cluster's ending");
            };
            let ending = Ending {
                status: 0,
                ..ending
            };
            summary::text(&[ending], Duration::from_secs(1), Paint::when(false))
        };
        let text = told(&said);
        assert_tame(&text);
        assert_eq!(
            text.lines().count(),
            told("word").lines().count(),
            "{text:?}"
        );
    });
}

#[test]
fn what_goes_to_the_terminal_has_our_colours_and_no_other_control() {
    fuzz(&saying(), |said| {
        let painted = format!("{}{said}", Paint::when(true).red("error:"));
        let text = tame(&painted).into_owned();
        let rest = text.replacen("\u{1b}[", "", text.matches("\u{1b}[").count());
        assert!(
            !rest.chars().any(|c| c.is_control() && !"\n\t".contains(c)),
            "{text:?}"
        );
        for part in text.split("\u{1b}[").skip(1) {
            let code = part.split('m').next().unwrap();
            assert!(
                code.chars().all(|c| c.is_ascii_digit() || c == ';'),
                "{text:?}"
            );
        }
    });
}
