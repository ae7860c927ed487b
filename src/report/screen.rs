//! Which lines the bars have. Pure: the same board, size and moment give the same lines.
//!
//! Hosts are shown where all of them have room; else each cluster has one line; and where even these are too many,
//! those that wait are counted instead, so that nothing that goes on is ever below the edge of the terminal.

use super::board::{Board, ClusterRow};
use super::layout::{self, Canvas};

/// A line of the bars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is about: a line is drawn where the one about the same was.
    pub about: About,
    /// What it says.
    pub text: String,
}

/// What a line is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// A cluster.
    Cluster(String),
    /// A cluster's host.
    Host(String, String),
    /// The clusters that have no line.
    Rest,
}

/// Decides how much is shown of each cluster, and remembers it, so that lines do not come and go all the time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Screen {
    dense: bool,
}

impl Screen {
    /// The lines of what goes on, at most `height` of them where there are several clusters.
    pub fn lines(&mut self, board: &Board, height: usize, canvas: Canvas) -> Vec<Line> {
        let several = board.clusters.len() > 1;
        // A plan alone draws nothing: it may wait for an answer, and the question must stay readable. A cluster that
        // has ended beside others is said once, above the lines.
        let shown = |row: &&ClusterRow| row.has_begun() && !(several && row.ending.is_some());
        let rows: Vec<&ClusterRow> = board.clusters.iter().filter(shown).collect();
        let full: usize = rows.iter().map(|row| 1 + hosts_shown(row, several)).sum();
        // Back to all hosts only where there is room to spare.
        let most = if self.dense { height * 2 / 3 } else { height };
        self.dense = several && full > most;
        if self.dense {
            return dense(&rows, height, canvas);
        }
        let each = rows.iter().flat_map(|row| full_lines(row, board, canvas));
        each.collect()
    }
}

fn hosts_shown(row: &ClusterRow, several: bool) -> usize {
    if several && row.awaits_its_turn() {
        0
    } else {
        row.hosts.len()
    }
}

fn full_lines(row: &ClusterRow, board: &Board, canvas: Canvas) -> Vec<Line> {
    let widths = row.hosts.iter().map(|host| host.host.chars().count());
    let width = widths.max().unwrap_or_default();
    let head = Line {
        about: About::Cluster(row.name.clone()),
        text: layout::cluster(row, board, canvas),
    };
    let shown = hosts_shown(row, board.clusters.len() > 1);
    let hosts = row.hosts.iter().take(shown).map(|host| Line {
        about: About::Host(row.name.clone(), host.host.clone()),
        text: layout::host(host, width, canvas),
    });
    std::iter::once(head).chain(hosts).collect()
}

/// A line a cluster; if they are too many, those that are in work come before those that wait.
fn dense(rows: &[&ClusterRow], height: usize, canvas: Canvas) -> Vec<Line> {
    let fits = rows.len() <= height;
    let room = if fits {
        rows.len()
    } else {
        height.saturating_sub(1)
    };
    let mut by_need: Vec<usize> = (0..rows.len()).collect();
    by_need.sort_by_key(|at| rows[*at].awaits_its_turn());
    let mut kept = by_need[..room].to_vec();
    kept.sort_unstable();
    let widths = rows.iter().map(|row| row.name.chars().count());
    let width = widths.max().unwrap_or_default();
    let mut lines: Vec<Line> = kept
        .into_iter()
        .map(|at| Line {
            about: About::Cluster(rows[at].name.clone()),
            text: layout::dense(rows[at], width, canvas),
        })
        .collect();
    if !fits {
        let rest: Vec<&ClusterRow> = by_need[room..].iter().map(|at| rows[*at]).collect();
        lines.push(Line {
            about: About::Rest,
            text: layout::rest(&rest, canvas),
        });
    }
    lines
}
