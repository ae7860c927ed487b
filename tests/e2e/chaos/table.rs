//! What came of each case.

use std::fs;
use std::io::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use runner::lab::Dirs;
use runner::lab::writer::Seen;

use super::cases::{Case, Fault};

/// One case's line.
#[derive(Clone, Debug, Default)]
pub struct Row {
    fault: String,
    phase: String,
    /// Its exit status, or that it was killed.
    pub ending: String,
    /// The most members that were down at once.
    pub down: usize,
    /// How often the case was run.
    runs: usize,
    /// What the client saw.
    pub seen: Seen,
    /// How long all of it took.
    pub took: Duration,
    /// How the cluster got home, and in how many seconds.
    pub resumed: String,
    /// What went wrong.
    pub problem: Option<String>,
}

impl Row {
    /// A line with nothing in it yet.
    pub fn of(case: &Case) -> Self {
        let fault = match case.fault {
            Fault::Killed => "runner killed".to_owned(),
            Fault::PowerCut(whose) => format!("power cut {whose:?}"),
            Fault::FullDisk(disk) => format!("disk full {disk:?}"),
            Fault::Bad(bad) => format!("release {bad:?}"),
            other => format!("{other:?}"),
        };
        Self {
            fault,
            phase: case.when.to_string(),
            runs: 1,
            ..Self::default()
        }
    }

    /// Fault and phase.
    pub fn words(&self) -> String {
        format!("{}: {}", self.fault, self.phase)
    }

    /// Takes another run of the same case into this line: sums, and the worst of each.
    fn join(&mut self, other: &Self) {
        self.runs += other.runs;
        self.seen.acknowledged += other.seen.acknowledged;
        self.seen.lost += other.seen.lost;
        self.seen.longest_gap_ms = self.seen.longest_gap_ms.max(other.seen.longest_gap_ms);
        self.down = self.down.max(other.down);
        for (ours, theirs) in [
            (&mut self.ending, &other.ending),
            (&mut self.resumed, &other.resumed),
        ] {
            if !ours.split("; ").any(|one| one == theirs) {
                *ours = format!("{ours}; {theirs}");
            }
        }
        self.problem = self.problem.take().or_else(|| other.problem.clone());
    }

    fn line(&self) -> String {
        let verdict = if self.problem.is_some() {
            "FAILED"
        } else {
            &self.resumed
        };
        format!(
            "| {} | {} | {} | {} | {} | {} ms | {} | {} | {verdict} |",
            self.fault,
            self.phase,
            self.runs,
            self.seen.acknowledged,
            self.seen.lost,
            self.seen.longest_gap_ms,
            self.down,
            self.ending
        )
    }
}

/// All lines, told as they come.
pub struct Table {
    rows: Mutex<Vec<Row>>,
    cases: usize,
}

const HEAD: &str = "| fault | phase | runs | writes acknowledged | lost | longest gap | most down | ending | resumed to completion |\n\
    |---|---|---|---|---|---|---|---|---|";

impl Table {
    /// An empty one.
    pub fn new(cases: usize) -> Self {
        Self {
            rows: Mutex::default(),
            cases,
        }
    }

    /// Adds a line.
    pub fn add(&self, row: Row) {
        let mut rows = self.rows.lock().unwrap();
        tell(&format!(
            "chaos {} of {} in {} s: {}",
            rows.len() + 1,
            self.cases,
            row.took.as_secs(),
            row.line()
        ));
        if let Some(problem) = &row.problem {
            tell(problem);
        }
        rows.push(row);
        let place = Dirs::of_user().state.with_file_name("chaos.md");
        let mut file = fs::File::create(&place).unwrap();
        writeln!(file, "{}", text(&rows)).unwrap();
    }

    /// Shows the table and fails if a case has.
    pub fn verdict(&self) {
        let rows = self.rows.lock().unwrap();
        let bad = |row: &Row| {
            row.problem
                .as_ref()
                .map(|why| format!("{}: {why}", row.words()))
        };
        let failed: Vec<String> = rows.iter().filter_map(bad).collect();
        assert!(
            failed.is_empty(),
            "{} of {} cases failed:\n{}",
            failed.len(),
            rows.len(),
            failed.join("\n\n")
        );
        assert_eq!(rows.len(), self.cases);
    }
}

/// Says something although the test may pass: its own output would be kept from everybody.
pub fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn text(rows: &[Row]) -> String {
    let mut cases: Vec<Row> = Vec::new();
    for row in rows {
        match cases.iter_mut().find(|case| case.words() == row.words()) {
            Some(case) => case.join(row),
            None => cases.push(row.clone()),
        }
    }
    let lines: Vec<String> = cases.iter().map(Row::line).collect();
    format!("{HEAD}\n{}", lines.join("\n"))
}
