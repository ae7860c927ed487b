//! Bars on a terminal: one line a host, drawn again and again on stderr. The only module that names indicatif.
#![expect(
    clippy::disallowed_types,
    reason = "this is the one module that draws bars"
)]

use std::collections::{BTreeMap, BTreeSet};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;

use super::board::{Board, ClusterRow};
use super::layout::{self, Canvas};
use super::log;
use super::looking::{Looking, Talk};
use super::phrase::Phrases;
use super::screen::{About, Screen};
use super::terminal::{self, Size};
use super::text::{Paint, fit};
use crate::event::{Event, Kind};

/// The bars of a run.
pub struct Bars {
    multi: MultiProgress,
    board: Board,
    looking: Looking,
    looking_line: Option<ProgressBar>,
    lines: BTreeMap<About, ProgressBar>,
    screen: Screen,
    /// Clusters whose ending was said.
    folded: BTreeSet<String>,
    size: Box<dyn Fn() -> Size + Send>,
    paint: Paint,
    /// From the first bar to the last.
    is_unechoed: bool,
    is_screen: bool,
}

impl Bars {
    /// Bars on stderr; the size is asked again at each drawing, since terminals change size.
    pub fn stderr(paint: Paint) -> Self {
        let target = ProgressDrawTarget::stderr_with_hz(20);
        Self {
            is_screen: true,
            ..Self::on(target, Box::new(terminal::size), paint)
        }
    }

    /// Bars on any target; tests draw into memory.
    pub fn on(
        target: ProgressDrawTarget,
        size: Box<dyn Fn() -> Size + Send>,
        paint: Paint,
    ) -> Self {
        Self {
            multi: MultiProgress::with_draw_target(target),
            board: Board::default(),
            looking: Looking::default(),
            looking_line: None,
            lines: BTreeMap::new(),
            screen: Screen::default(),
            folded: BTreeSet::new(),
            size,
            paint,
            is_unechoed: false,
            is_screen: false,
        }
    }

    /// Takes an event in and draws.
    pub fn report(&mut self, event: &Event) {
        self.board.apply(event);
        self.say_log(event);
        self.draw(event.at);
    }

    /// Says above the lines what a log holds that was not expected.
    fn say_log(&mut self, event: &Event) {
        let Kind::LogRead { hosts, .. } = &event.kind else {
            return;
        };
        if log::is_clean(hosts) {
            return;
        }
        let phrases = Phrases {
            board: &self.board,
            verbose: 0,
        };
        let width = (self.size)().columns;
        for line in phrases.of(&event.kind) {
            let _ = self.multi.println(fit(&line, width));
        }
    }

    /// Takes talk in: the time before there is a plan.
    pub fn talk(&mut self, talk: &Talk, now: Timestamp) {
        if let Talk::Say { text, .. } = talk {
            self.say(text.trim_end());
            return;
        }
        if let Some(failed) = self.looking.apply(talk, now) {
            self.say(&failed);
        }
        self.draw(now);
    }

    fn say(&self, text: &str) {
        if !self.is_muted() {
            let _ = self.multi.println(text);
        }
    }

    fn is_muted(&self) -> bool {
        self.is_screen && terminal::is_muted(std::io::stderr())
    }

    /// Draws the moment.
    pub fn draw(&mut self, now: Timestamp) {
        if self.is_muted() {
            return;
        }
        let size = (self.size)();
        let canvas = Canvas {
            width: size.columns,
            now,
            paint: self.paint,
        };
        self.draw_looking(canvas);
        if self.is_screen && !self.is_unechoed && self.board.busy().next().is_some() {
            self.is_unechoed = true;
            terminal::unecho();
        }
        let looking = usize::from(self.looking_line.is_some());
        self.draw_board(size.rows.saturating_sub(looking), canvas);
    }

    /// Draws the last time and leaves the lines on the screen.
    pub fn finish(&mut self, now: Timestamp) {
        self.draw(now);
        if !self.is_muted() {
            for line in self.lines.values() {
                line.abandon();
            }
        }
        if std::mem::take(&mut self.is_unechoed) {
            terminal::restore();
        }
    }

    fn draw_looking(&mut self, canvas: Canvas) {
        match self.looking.line(canvas) {
            Some(text) => {
                let multi = &self.multi;
                let line = self.looking_line.get_or_insert_with(|| new_line(multi));
                line.set_message(text);
            }
            None => {
                if let Some(line) = self.looking_line.take() {
                    drop_line(&self.multi, &line);
                }
            }
        }
    }

    fn draw_board(&mut self, height: usize, canvas: Canvas) {
        let lines = self.screen.lines(&self.board, height, canvas);
        let kept: BTreeSet<&About> = lines.iter().map(|line| &line.about).collect();
        let (multi, before) = (&self.multi, std::mem::take(&mut self.lines));
        let (still, gone) = before
            .into_iter()
            .partition(|(about, _)| kept.contains(about));
        self.lines = still;
        let gone: BTreeMap<About, ProgressBar> = gone;
        for line in gone.values() {
            drop_line(multi, line);
        }
        self.fold_ended(canvas);
        let mut above: Option<ProgressBar> = None;
        for line in lines {
            let bar = self.line(line.about, above.as_ref());
            bar.set_message(line.text);
            above = Some(bar);
        }
    }

    /// Says once, above all that still moves, how each of several clusters ended.
    fn fold_ended(&mut self, canvas: Canvas) {
        if self.board.clusters.len() < 2 {
            return;
        }
        let ended = |row: &&ClusterRow| row.ending.is_some();
        for cluster in self.board.clusters.iter().filter(ended) {
            if self.folded.insert(cluster.name.clone()) {
                let _ = self.multi.println(layout::folded(cluster, canvas));
            }
        }
    }

    /// The line about something; a new one is put under the one `above`, or first.
    fn line(&mut self, about: About, above: Option<&ProgressBar>) -> ProgressBar {
        let multi = &self.multi;
        let line = self.lines.entry(about).or_insert_with(|| match above {
            Some(above) => multi.insert_after(above, bare_line()),
            None => multi.insert(0, bare_line()),
        });
        line.clone()
    }
}

fn drop_line(multi: &MultiProgress, line: &ProgressBar) {
    line.finish_and_clear();
    multi.remove(line);
}

fn new_line(multi: &MultiProgress) -> ProgressBar {
    multi.add(bare_line())
}

fn bare_line() -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_msg}").expect("the template is a constant");
    // Hidden until the lines that it belongs to take it in.
    ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()).with_style(style)
}
