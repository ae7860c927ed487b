//! What people and programs see of a run. Nothing else writes to a terminal while a run goes on.
//!
//! A [`Show`] is a thread of its own behind an unbounded channel: a terminal that is closed, suspended or slow can
//! fill memory a little, and can never hold up the engine between a stop and a start.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::event::Event;

pub mod board;
pub mod json;
pub mod layout;
pub mod lines;
pub mod log;
pub mod looking;
pub mod outlet;
pub mod phrase;
pub mod progress;
pub mod screen;
pub mod summary;
pub mod terminal;
pub mod text;

use json::Json;
use lines::Lines;
pub use looking::Talk;
use outlet::{Patience, outlets};
use progress::Bars;
use text::Paint;

/// The time between two drawings of bars: ten a second looks alive and costs little.
const FRAME: Duration = Duration::from_millis(100);
/// The time between two looks at whether a sign of life is due.
const LISTEN: Duration = Duration::from_secs(1);

/// Something that shows events.
pub enum Reporter {
    /// One line a host, drawn again and again.
    Bars(Bars),
    /// One line an event.
    Lines(Lines),
    /// One JSON object an event.
    Json(Json),
    /// Only texts for people, no progress.
    Texts(Box<dyn Write + Send>),
}

impl Reporter {
    /// Shows an event.
    pub fn report(&mut self, event: &Event) {
        match self {
            Self::Bars(bars) => bars.report(event),
            Self::Lines(lines) => lines.report(event),
            Self::Json(json) => json.report(event),
            Self::Texts(_) => {}
        }
    }

    /// Shows talk.
    pub fn talk(&mut self, talk: &Talk, now: Timestamp) {
        match self {
            Self::Bars(bars) => bars.talk(talk, now),
            Self::Lines(lines) => lines.talk(talk, now),
            Self::Json(_) => {}
            Self::Texts(out) => {
                if let Talk::Say { text, quiet: false } = talk {
                    let _ = writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush());
                }
            }
        }
    }

    /// Shows that time goes by.
    pub fn tick(&mut self, now: Timestamp) {
        match self {
            Self::Bars(bars) => bars.draw(now),
            Self::Lines(lines) => lines.tick(now),
            Self::Json(_) | Self::Texts(_) => {}
        }
    }

    fn finish(&mut self, now: Timestamp) {
        if let Self::Bars(bars) = self {
            bars.finish(now);
        }
    }

    fn period(&self) -> Duration {
        match self {
            Self::Bars(_) => FRAME,
            Self::Lines(_) | Self::Json(_) | Self::Texts(_) => LISTEN,
        }
    }
}

enum Message {
    Event(Box<Event>),
    Talk(Talk),
    Flush(Sender<()>),
    Finish,
}

/// The reporters of a run, in a thread of their own.
pub struct Show {
    sender: Sender<Message>,
    is_over: Arc<AtomicBool>,
}

/// Tells that the thread has ended, however it did.
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
        outlets().nudge();
    }
}

/// A way to send to a [`Show`] from anywhere; never blocks, never fails.
#[derive(Clone)]
pub struct Voice {
    sender: Sender<Message>,
}

impl Show {
    /// Starts the thread.
    pub fn start(reporters: Vec<Reporter>) -> Self {
        let (sender, receiver) = channel();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Over(Arc::clone(&is_over));
        // Without a thread nothing is shown, and the channel says so.
        let _ = std::thread::Builder::new()
            .name("report".to_owned())
            .spawn(move || {
                let _over = over;
                consume(&receiver, reporters);
            });
        Self { sender, is_over }
    }

    /// A way to send to it.
    pub fn voice(&self) -> Voice {
        Voice {
            sender: self.sender.clone(),
        }
    }

    /// Waits until everything sent so far is shown, before a question is asked. A terminal that stands still is not
    /// awaited.
    pub fn flush(&self) {
        let (done, shown) = channel::<()>();
        if self.sender.send(Message::Flush(done)).is_ok() {
            let is_shown = || shown.try_recv() != Err(TryRecvError::Empty);
            outlets().wait(Patience::SOON, is_shown);
        }
    }

    /// Shows what is left and ends the thread, if it gets there; later messages go nowhere.
    pub fn finish(&self, patience: Patience) {
        let _ = self.sender.send(Message::Finish);
        outlets().wait(patience, || self.is_over.load(Ordering::Acquire));
    }
}

impl Voice {
    /// Sends an event.
    pub fn event(&self, event: Event) {
        let _ = self.sender.send(Message::Event(Box::new(event)));
    }

    /// Sends talk.
    pub fn talk(&self, talk: Talk) {
        let _ = self.sender.send(Message::Talk(talk));
    }

    /// Sends a text for people; what hosts have said in it cannot move a terminal.
    pub fn say(&self, text: impl Into<String>) {
        self.talk(Talk::Say {
            text: text::tame(&text.into()).into_owned(),
            quiet: false,
        });
    }
}

fn consume(receiver: &Receiver<Message>, mut reporters: Vec<Reporter>) {
    let period = reporters
        .iter()
        .map(Reporter::period)
        .min()
        .unwrap_or(LISTEN);
    let mut last = Instant::now();
    loop {
        let left = period.saturating_sub(last.elapsed());
        match receiver.recv_timeout(left) {
            Ok(Message::Finish) | Err(RecvTimeoutError::Disconnected) => break,
            Ok(message) => {
                show(&mut reporters, message);
                outlets().nudge();
            }
            Err(RecvTimeoutError::Timeout) => {
                last = Instant::now();
                each(&mut reporters, |reporter| reporter.tick(Timestamp::now()));
            }
        }
    }
    each(&mut reporters, |reporter| reporter.finish(Timestamp::now()));
}

fn show(reporters: &mut [Reporter], message: Message) {
    match message {
        Message::Event(event) => each(reporters, |reporter| reporter.report(&event)),
        Message::Talk(talk) => {
            let now = Timestamp::now();
            each(reporters, |reporter| reporter.talk(&talk, now));
        }
        Message::Flush(done) => {
            let _ = done.send(());
        }
        Message::Finish => {}
    }
}

fn each(reporters: &mut [Reporter], mut act: impl FnMut(&mut Reporter)) {
    reporters.iter_mut().for_each(&mut act);
}

/// Whether to colour what goes to a stream, from the flag, `NO_COLOR` and whether it is a terminal.
pub fn colours(always: Option<bool>, no_color: Option<&str>, is_terminal: bool) -> Paint {
    let asked_not_to = no_color.is_some_and(|value| !value.is_empty());
    Paint::when(always.unwrap_or(is_terminal && !asked_not_to))
}
