//! Plain tables: columns as wide as their widest cell, two spaces between, nothing after the last.

use std::fmt::Write as _;

use crate::report::text::Paint;

/// A table under construction.
#[derive(Debug)]
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new(head: &[&str]) -> Self {
        Self {
            head: head.iter().map(|&cell| cell.to_owned()).collect(),
            rows: Vec::new(),
        }
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
            let _ = writeln!(text, "{}", line(row, &widths));
        }
        text
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["HOST", "VERSION"]);
        table.row(["etcd-10".to_owned(), "3.5.16".to_owned()]);
        assert_eq!(table.text(), "HOST     VERSION\netcd-10  3.5.16\n");
    }
}
