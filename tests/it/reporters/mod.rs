//! What people and programs see, from recorded streams.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as the tests do"
)]

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{InMemoryTerm, ProgressDrawTarget};
use jiff::SignedDuration;
use runner::event::{Event, Kind};
use runner::report::json::Json;
use runner::report::lines::Lines;
use runner::report::outlet::Patience;
use runner::report::progress::Bars;
use runner::report::terminal::Size;
use runner::report::text::Paint;
use runner::report::{Reporter, Show, Talk, colours, summary};

mod fleet;
mod log;
mod stream;

use stream::Stream;

/// A writer that tests can read.
#[derive(Clone, Default)]
pub struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A reader that has gone.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }
}

/// A terminal that takes nothing until the test lets it go.
struct Stuck(std::sync::mpsc::Receiver<()>);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.recv();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn built(build: impl FnOnce(&mut Stream) -> &mut Stream) -> Stream {
    let mut stream = Stream::new();
    build(&mut stream);
    stream
}

/// A terminal that is always that large.
fn size(columns: usize, rows: usize) -> Box<dyn Fn() -> Size + Send> {
    Box::new(move || Size { columns, rows })
}

/// Bars of a stream, drawn some seconds after its last event.
fn screen(stream: &Stream, columns: u16, seconds_later: i64) -> String {
    let term = InMemoryTerm::new(24, columns);
    let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
    let mut bars = Bars::on(target, size(usize::from(columns), 24), Paint::OFF);
    for event in &stream.events {
        bars.report(event);
    }
    bars.finish(stream.now() + SignedDuration::from_secs(seconds_later));
    term.contents()
}

fn lines(stream: &Stream, verbose: u8) -> String {
    let buffer = Buffer::default();
    let mut lines = Lines::new(Box::new(buffer.clone()), verbose);
    for event in &stream.events {
        lines.report(event);
    }
    buffer.text()
}

#[test]
fn bars_of_a_member_that_starts_fit_200_80_and_40_columns() {
    let stream = built(Stream::second_member_starts);
    for columns in [200, 80, 40] {
        let screen = screen(&stream, columns, 12);
        let widest = screen.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(usize::from(columns)), "{screen}");
        assert_eq!(
            screen.lines().count(),
            4,
            "a line a host and one over them: {screen}"
        );
        insta::assert_snapshot!(format!("bars_starting_{columns}"), screen);
    }
}

#[test]
fn bars_stay_away_while_a_plan_waits_for_its_answer() {
    assert_eq!(screen(&built(Stream::planned), 80, 5), "");
}

#[test]
fn bars_keep_a_tick_for_each_finished_host() {
    let screen = screen(&built(Stream::done), 80, 0);
    assert_eq!(screen.matches('✔').count(), 3, "{screen}");
    insta::assert_snapshot!("bars_done_80", screen);
}

#[test]
fn bars_show_which_member_failed_and_what_became_of_it() {
    let stream = built(Stream::put_back);
    insta::assert_snapshot!("bars_put_back_80", screen(&stream, 80, 0));
    insta::assert_snapshot!("bars_put_back_40", screen(&stream, 40, 0));
}

#[test]
fn bars_of_looking_name_the_hosts_that_have_not_answered() {
    let now = Stream::new().now();
    let term = InMemoryTerm::new(24, 80);
    let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
    let mut bars = Bars::on(target, size(80, 24), Paint::OFF);
    let hosts = stream::HOSTS.map(|(host, _)| host.to_owned()).to_vec();
    bars.talk(
        &Talk::Began {
            what: "reach 3 hosts".into(),
            hosts,
        },
        now,
    );
    bars.talk(
        &Talk::Answered {
            host: "etcd-1".into(),
            failed: None,
        },
        now,
    );
    bars.talk(
        &Talk::Answered {
            host: "etcd-2".into(),
            failed: Some("host `etcd-2`: no route\u{1b}[2J".into()),
        },
        now,
    );
    insta::assert_snapshot!("bars_looking_80", term.contents());
    bars.talk(&Talk::Over, now);
    assert!(!term.contents().contains("reach"), "{}", term.contents());
}

#[test]
fn the_time_over_the_bars_begins_with_the_first_step_not_with_the_question() {
    let mut stream = built(Stream::second_member_starts);
    let plan = stream.events.first_mut().unwrap();
    assert!(matches!(plan.kind, Kind::Plan { .. }));
    plan.at -= SignedDuration::from_mins(30);
    let screen = screen(&stream, 80, 2);
    assert!(!screen.contains("30m"), "{screen}");
}

#[test]
fn a_download_says_how_far_it_is() {
    let now = Stream::new().now();
    let buffer = Buffer::default();
    let mut lines = Lines::new(Box::new(buffer.clone()), 0);
    let began = Talk::Began {
        what: "get etcd 3.5.16".into(),
        hosts: Vec::new(),
    };
    lines.talk(&began, now);
    for (second, mib) in [(1, 1), (11, 9), (12, 10), (22, 18)] {
        let bytes = Some((mib << 20, Some(20 << 20)));
        let what = "downloading".into();
        let talk = Talk::Progress { what, bytes };
        lines.talk(&talk, now + SignedDuration::from_secs(second));
    }
    let text = buffer.text();
    let told: Vec<&str> = text.lines().map(|line| &line[10..]).collect();
    assert_eq!(
        told,
        [
            "get etcd 3.5.16",
            "get etcd 3.5.16: downloading 9.0 MiB of 20.0 MiB (for 11s)",
            "get etcd 3.5.16: downloading 18.0 MiB of 20.0 MiB (for 22s)"
        ],
        "at most one line in ten seconds"
    );
}

#[test]
fn lines_have_one_line_an_event_and_no_control_characters() {
    for (name, stream) in [
        ("done", built(Stream::done)),
        ("put_back", built(Stream::put_back)),
    ] {
        let text = lines(&stream, 0);
        assert!(
            text.chars().all(|c| c == '\n' || !c.is_control()),
            "{text:?}"
        );
        insta::assert_snapshot!(format!("lines_{name}"), text);
    }
}

#[test]
fn more_words_bring_the_guards() {
    let stream = built(Stream::done);
    assert!(!lines(&stream, 0).contains("guard"));
    assert_eq!(lines(&stream, 1).matches("guard passed").count(), 2);
}

#[test]
fn lines_give_a_sign_of_life_at_least_every_30_seconds_while_something_is_awaited() {
    let stream = built(Stream::second_member_starts);
    let buffer = Buffer::default();
    let mut lines = Lines::new(Box::new(buffer.clone()), 0);
    stream.events.iter().for_each(|event| lines.report(event));
    let before = buffer.text().lines().count();
    for second in 1..=60 {
        lines.tick(stream.now() + SignedDuration::from_secs(second));
    }
    let text = buffer.text();
    let signs: Vec<&str> = text.lines().skip(before).collect();
    assert_eq!(signs.len(), 3, "{signs:?}");
    insta::assert_snapshot!("lines_sign_of_life", signs.join("\n"));
}

#[test]
fn lines_stay_silent_while_nothing_is_awaited() {
    let stream = built(Stream::done);
    let buffer = Buffer::default();
    let mut lines = Lines::new(Box::new(buffer.clone()), 0);
    stream.events.iter().for_each(|event| lines.report(event));
    let before = buffer.text();
    lines.tick(stream.now() + SignedDuration::from_secs(300));
    assert_eq!(buffer.text(), before);
}

#[test]
fn json_is_one_object_a_line_that_reads_back_with_the_plan_first_and_the_ending_last() {
    let stream = built(Stream::put_back);
    let buffer = Buffer::default();
    let mut json = Json::new(Box::new(buffer.clone()));
    stream.events.iter().for_each(|event| json.report(event));
    let text = buffer.text();
    let read: Vec<Event> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(read, stream.events);
    assert!(matches!(read.first().unwrap().kind, Kind::Plan { .. }));
    assert!(matches!(read.last().unwrap().kind, Kind::Ended { .. }));
    for line in text.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        for key in ["format", "run", "index", "at", "kind"] {
            assert!(object.get(key).is_some(), "{key} is missing in {line}");
        }
    }
    let first = text.lines().next().unwrap();
    let pretty: serde_json::Value = serde_json::from_str(first).unwrap();
    insta::assert_snapshot!("json_plan_keys", keys(&pretty));
}

fn keys(value: &serde_json::Value) -> String {
    let object = value.as_object().unwrap();
    object.keys().cloned().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_reader_that_has_gone_stops_nothing() {
    let stream = built(Stream::done);
    let show = Show::start(vec![
        Reporter::Json(Json::new(Box::new(Closed))),
        Reporter::Lines(Lines::new(Box::new(Closed), 0)),
    ]);
    let voice = show.voice();
    stream
        .events
        .into_iter()
        .for_each(|event| voice.event(event));
    show.flush();
    show.finish(Patience::LAST);
}

#[test]
fn a_terminal_that_takes_nothing_holds_up_no_one() {
    let (gate, held) = std::sync::mpsc::channel::<()>();
    let show = Show::start(vec![Reporter::Lines(Lines::new(Box::new(Stuck(held)), 0))]);
    let voice = show.voice();
    let (sent, all_sent) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for _ in 0..100 {
            built(Stream::done)
                .events
                .into_iter()
                .for_each(|event| voice.event(event));
        }
        sent.send(()).unwrap();
    });
    all_sent
        .recv_timeout(Duration::from_secs(60))
        .expect("sending never waits for the terminal");
    drop(gate);
    show.finish(Patience::LAST);
}

#[test]
fn the_summary_names_every_member_and_what_was_left() {
    let stream = built(Stream::done);
    let Kind::Ended {
        clusters, took_ms, ..
    } = &stream.events.last().unwrap().kind
    else {
        panic!("the last event is the ending");
    };
    let text = summary::text(clusters, Duration::from_millis(*took_ms), Paint::OFF);
    insta::assert_snapshot!("summary_done", text);
}

#[test]
fn nothing_changed_is_said_in_so_many_words() {
    let mut ending = stream::ending(0, "all 3 members run 3.5.16 already", &["runs 3.5.16"; 3]);
    ending.changed = false;
    assert_eq!(summary::changed(&ending), "nothing");
}

#[test]
fn no_color_and_pipes_switch_colours_off_unless_they_are_asked_for() {
    assert_eq!(colours(None, None, true), Paint::ON);
    assert_eq!(colours(None, Some("1"), true), Paint::OFF);
    assert_eq!(colours(None, Some(""), true), Paint::ON);
    assert_eq!(colours(None, None, false), Paint::OFF);
    assert_eq!(colours(Some(true), Some("1"), false), Paint::ON);
    assert_eq!(colours(Some(false), None, true), Paint::OFF);
}
