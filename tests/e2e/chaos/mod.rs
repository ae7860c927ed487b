//! Chaos: everything that may strike an upgrade, whenever it may strike, on real hosts under a writing client.
//!
//! Whatever happens: no acknowledged write is lost, never more members are down than the fault takes down and one, the
//! run tells what is so, the next `upgrade` completes, and nothing of ours is left on any host or here.
//!
//! `RUNNER_CHAOS=all` runs every case (two labs, about an hour); `RUNNER_CHAOS=WORDS` those whose line has these
//! words; without it a sample by a seed that is printed, and that `RUNNER_CHAOS_SEED` repeats. With `RUNNER_CHAOS_RUNS=N`
//! each is run so often. The table goes to stderr and to `chaos.md` in the state folder.

mod bench;
mod cases;
mod strike;
mod table;
mod trial;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Instant;

use bench::Bench;
use cases::Case;
use table::{Row, Table};

/// The release that is there.
const OLD: &str = "3.4.23";
/// The release that is wanted.
const NEW: &str = "3.5.16";
/// How many cases a sample has.
const SAMPLE: usize = 6;

#[test]
fn whatever_strikes_nothing_is_lost_the_truth_is_told_and_the_next_upgrade_gets_home() {
    let wish = std::env::var("RUNNER_CHAOS").unwrap_or_default();
    let (cases, labs) = match wish.as_str() {
        "" => (sample(cases::all()), 1),
        "all" => (cases::all(), 2),
        words => {
            let has = |case: &Case| Row::of(case).words().contains(words);
            (cases::all().into_iter().filter(has).collect(), 1)
        }
    };
    assert!(!cases.is_empty(), "no case has the words `{wish}`");
    let runs = std::env::var("RUNNER_CHAOS_RUNS").map_or(1, |runs| {
        runs.parse().expect("RUNNER_CHAOS_RUNS is a number")
    });
    let cases: Vec<Case> = std::iter::repeat_n(cases, runs).flatten().collect();
    let table = Table::new(cases.len());
    let left = Mutex::new(cases.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..labs {
            scope.spawn(|| work(&left, &table));
        }
    });
    table.verdict();
}

/// Takes case after case. A lab in which one went wrong is not used again.
fn work(left: &Mutex<impl Iterator<Item = Case>>, table: &Table) {
    let mut lab: Option<Bench> = None;
    loop {
        let Some(case) = left.lock().unwrap().next() else {
            return;
        };
        let mut row = Row::of(&case);
        let began = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(|| {
            match &lab {
                Some(bench) => bench.fresh(),
                None => lab = Some(Bench::new()),
            }
            trial::run(lab.as_ref().unwrap(), &case, &mut row);
        }));
        if let Err(panic) = ended {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            row.problem = Some(text.unwrap_or_default());
            lab = None;
        }
        row.took = began.elapsed();
        table.add(row);
    }
}

/// Some of the quick cases, by a seed.
fn sample(all: Vec<Case>) -> Vec<Case> {
    let given = std::env::var("RUNNER_CHAOS_SEED").ok();
    let mut chance = crate::common::chance::Chance::new("RUNNER_CHAOS_SEED", given);
    let mut quick: Vec<Case> = all.into_iter().filter(Case::is_quick).collect();
    let draw = |_| quick.remove(chance.below(quick.len()));
    (0..SAMPLE).map(draw).collect()
}
