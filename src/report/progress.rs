//! Bars on a terminal: one line a host, drawn again and again on stderr. The only module that names indicatif.
#![expect(
    clippy::disallowed_types,
    reason = "this is the one module that draws bars"
)]

use std::collections::BTreeMap;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;

use super::board::{Board, ClusterRow};
use super::layout::{self, Canvas};
use super::looking::{Looking, Talk};
use super::terminal::{self, Unechoed};
use super::text::Paint;
use crate::event::Event;

/// The bars of a run.
pub struct Bars {
    multi: MultiProgress,
    board: Board,
    looking: Looking,
    looking_line: Option<ProgressBar>,
    lines: BTreeMap<(String, String), ProgressBar>,
    width: Box<dyn Fn() -> usize + Send>,
    paint: Paint,
    /// Held from the first bar to the last.
    unechoed: Option<Unechoed>,
    is_screen: bool,
}

impl Bars {
    /// Bars on stderr; the width is asked again at each drawing, since terminals change size.
    pub fn stderr(paint: Paint) -> Self {
        let target = ProgressDrawTarget::stderr_with_hz(20);
        Self {
            is_screen: true,
            ..Self::on(target, Box::new(terminal::width), paint)
        }
    }

    /// Bars on any target; tests draw into memory.
    pub fn on(
        target: ProgressDrawTarget,
        width: Box<dyn Fn() -> usize + Send>,
        paint: Paint,
    ) -> Self {
        Self {
            multi: MultiProgress::with_draw_target(target),
            board: Board::default(),
            looking: Looking::default(),
            looking_line: None,
            lines: BTreeMap::new(),
            width,
            paint,
            unechoed: None,
            is_screen: false,
        }
    }

    /// Takes an event in and draws.
    pub fn report(&mut self, event: &Event) {
        self.board.apply(event);
        self.draw(event.at);
    }

    /// Takes talk in: the time before there is a plan.
    pub fn talk(&mut self, talk: &Talk, now: Timestamp) {
        if let Talk::Say { text, .. } = talk {
            let _ = self.multi.println(text.trim_end());
            return;
        }
        if let Some(failed) = self.looking.apply(talk, now) {
            let _ = self.multi.println(failed);
        }
        self.draw(now);
    }

    /// Draws the moment.
    pub fn draw(&mut self, now: Timestamp) {
        let canvas = Canvas {
            width: (self.width)(),
            now,
            paint: self.paint,
        };
        self.draw_looking(canvas);
        let board = std::mem::take(&mut self.board);
        if self.is_screen && self.unechoed.is_none() && board.busy().next().is_some() {
            self.unechoed = Unechoed::stdin();
        }
        // A plan alone draws nothing: it may wait for an answer, and the question must stay readable.
        for cluster in board.clusters.iter().filter(|row| row.has_begun()) {
            self.draw_cluster(cluster, &board, canvas);
        }
        self.board = board;
    }

    /// Draws the last time and leaves the lines on the screen.
    pub fn finish(&mut self, now: Timestamp) {
        self.draw(now);
        for line in self.lines.values() {
            line.abandon();
        }
        self.unechoed = None;
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
                    line.finish_and_clear();
                    self.multi.remove(&line);
                }
            }
        }
    }

    fn draw_cluster(&mut self, cluster: &ClusterRow, board: &Board, canvas: Canvas) {
        let name_width = cluster
            .hosts
            .iter()
            .map(|row| row.host.chars().count())
            .max();
        let name_width = name_width.unwrap_or_default();
        let head = layout::cluster(cluster, board, canvas);
        self.line(&cluster.name, "").set_message(head);
        for row in &cluster.hosts {
            let text = layout::host(row, name_width, canvas);
            self.line(&cluster.name, &row.host).set_message(text);
        }
    }

    fn line(&mut self, cluster: &str, host: &str) -> &ProgressBar {
        let multi = &self.multi;
        self.lines
            .entry((cluster.to_owned(), host.to_owned()))
            .or_insert_with(|| new_line(multi))
    }
}

fn new_line(multi: &MultiProgress) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_msg}").expect("the template is a constant");
    multi.add(ProgressBar::no_length().with_style(style))
}
