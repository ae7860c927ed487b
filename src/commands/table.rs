//! Plain tables: columns as wide as their widest cell, two spaces between, nothing after the last. On a terminal the last
//! column goes on below itself where it is too long.

use std::fmt::Write as _;

use crate::report::text::Paint;

/// A table under construction.
#[derive(Debug)]
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    columns: Option<usize>,
}

/// The least that a folded column has: on terminals that are too narrow even for that, the terminal folds.
const LEAST: usize = 16;

impl Table {
    /// A table with these headings.
    pub fn new(head: &[&str]) -> Self {
        Self {
            head: head.iter().map(|&cell| cell.to_owned()).collect(),
            rows: Vec::new(),
            columns: None,
        }
    }

    /// The same for a terminal of so many columns; `None`: for whoever reads line by line.
    #[must_use]
    pub fn for_terminal(self, columns: Option<usize>) -> Self {
        Self { columns, ..self }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The text, uncoloured.
    pub fn text(&self) -> String {
        self.painted(Paint::OFF)
    }

    /// The text with bold headings.
    pub fn painted(&self, paint: Paint) -> String {
        let widths = self.widths();
        let mut text = String::new();
        let _ = writeln!(text, "{}", paint.bold(&line(&self.head, &widths)));
        for row in &self.rows {
            for cells in self.folded(row, &widths) {
                let _ = writeln!(text, "{}", line(&cells, &widths));
            }
        }
        text
    }

    /// A row as the rows that it takes.
    fn folded(&self, row: &[String], widths: &[usize]) -> Vec<Vec<String>> {
        let Some((last, others)) = row.split_last() else {
            return Vec::new();
        };
        let before = widths[..others.len()].iter().map(|width| width + 2);
        let room = self
            .columns
            .map_or(usize::MAX, |columns| columns.saturating_sub(before.sum()));
        let pieces = fold(last, room.max(LEAST)).into_iter().enumerate();
        let row = |(at, piece)| {
            let others = others.iter().map(|cell| match at {
                0 => cell.clone(),
                _ => String::new(),
            });
            others.chain([piece]).collect()
        };
        pieces.map(row).collect()
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths = vec![0; self.head.len()];
        for row in std::iter::once(&self.head).chain(&self.rows) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let padded: Vec<String> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:<width$}"))
        .collect();
    padded.join("  ").trim_end().to_owned()
}

/// Breaks a text after words, so that no piece is wider than `room` unless it is one word.
fn fold(text: &str, room: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for word in text.split(' ') {
        let piece = pieces.last_mut().expect("there is always one");
        let width = piece.chars().count() + 1 + word.chars().count();
        if piece.is_empty() {
            word.clone_into(piece);
        } else if width <= room {
            piece.push(' ');
            piece.push_str(word);
        } else {
            pieces.push(word.to_owned());
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_terminal_a_long_last_cell_goes_on_below_itself_and_in_a_pipe_it_is_one_line() {
        let long = "refused: DISK_FREE, MEMBER_DOWN, VERSION_SKEW";
        let table = || {
            let mut table = Table::new(&["CLUSTER", "FINDINGS"]);
            table.row(["dead".to_owned(), long.to_owned()]);
            table
        };
        let folded = table().for_terminal(Some(40)).text();
        let wanted = "CLUSTER  FINDINGS\n\
                      dead     refused: DISK_FREE,\n         \
                      MEMBER_DOWN, VERSION_SKEW\n";
        assert_eq!(folded, wanted);
        assert!(folded.lines().all(|line| line.len() <= 40));
        assert_eq!(table().text().lines().count(), 2);
        assert!(
            table()
                .for_terminal(Some(3))
                .text()
                .contains("MEMBER_DOWN,")
        );
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["HOST", "VERSION"]);
        table.row(["etcd-10".to_owned(), "3.5.16".to_owned()]);
        assert_eq!(table.text(), "HOST     VERSION\netcd-10  3.5.16\n");
    }
}
