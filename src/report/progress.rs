//! Bars on a terminal: one line a host, drawn again and again on stderr. The only module that names indicatif.
#![expect(
    clippy::disallowed_types,
    reason = "this is the one module that draws bars"
)]

use std::collections::{BTreeMap, BTreeSet};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;

use super::board::{Board, ClusterRow, HostRow};
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
    /// Clusters whose ending was said.
    folded: BTreeSet<String>,
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
            folded: BTreeSet::new(),
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
        if board.clusters.len() > 1 && cluster.ending.is_some() {
            self.fold(cluster, canvas);
            return;
        }
        let head = layout::cluster(cluster, board, canvas);
        let mut above = self.line(&cluster.name, "", None);
        above.set_message(head);
        if board.clusters.len() > 1 && cluster.awaits_its_turn() {
            self.remove(&cluster.hosts, &cluster.name);
            return;
        }
        for row in &cluster.hosts {
            let text = layout::host(row, name_width, canvas);
            above = self.line(&cluster.name, &row.host, Some(&above));
            above.set_message(text);
        }
    }

    /// Says once, above all that still moves, how a cluster ended, and takes its lines away.
    fn fold(&mut self, cluster: &ClusterRow, canvas: Canvas) {
        if !self.folded.insert(cluster.name.clone()) {
            return;
        }
        self.remove(&cluster.hosts, &cluster.name);
        if let Some(head) = self.lines.remove(&(cluster.name.clone(), String::new())) {
            self.drop_line(&head);
        }
        let _ = self.multi.println(layout::folded(cluster, canvas));
    }

    fn remove(&mut self, hosts: &[HostRow], cluster: &str) {
        for row in hosts {
            let place = (cluster.to_owned(), row.host.clone());
            if let Some(line) = self.lines.remove(&place) {
                self.drop_line(&line);
            }
        }
    }

    fn drop_line(&self, line: &ProgressBar) {
        line.finish_and_clear();
        self.multi.remove(line);
    }

    /// A line of its own for a host or, without one, for its cluster; a new one is put under the one `above`.
    fn line(&mut self, cluster: &str, host: &str, above: Option<&ProgressBar>) -> ProgressBar {
        let multi = &self.multi;
        let place = (cluster.to_owned(), host.to_owned());
        let line = self.lines.entry(place).or_insert_with(|| match above {
            Some(above) => multi.insert_after(above, bare_line()),
            None => new_line(multi),
        });
        line.clone()
    }
}

fn new_line(multi: &MultiProgress) -> ProgressBar {
    multi.add(bare_line())
}

fn bare_line() -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_msg}").expect("the template is a constant");
    // Hidden until the lines that it belongs to take it in.
    ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()).with_style(style)
}
