//! What all fault sweeps share: their cases, repeatable chance, and all cores.
//!
//! `RUNNER_SWEEP=all` takes every case; without it a sweep may take a part of them. `RUNNER_SEED` repeats a sample.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::chance::Chance;
use crate::sim::{FAULTS, Fault};

/// Whether every case is wanted.
pub fn is_exhaustive() -> bool {
    std::env::var("RUNNER_SWEEP").is_ok_and(|what| what == "all")
}

/// Every command, each with one of `stride` of all faults in turn; with all of them where every case is wanted.
pub fn cases(commands: usize, stride: usize) -> Vec<(usize, Fault)> {
    let stride = if is_exhaustive() { 1 } else { stride };
    let kinds =
        |at: usize| (0..FAULTS.len()).filter(move |kind| (at + kind).is_multiple_of(stride));
    (0..commands)
        .flat_map(|at| kinds(at).map(move |kind| (at, FAULTS[kind])))
        .collect()
}

/// Runs cases on all cores.
pub fn on_all_cores<C: Sync>(cases: &[C], run: impl Fn(&C) + Sync) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    run(case);
                }
            });
        }
    });
}

/// Runs something where time is only counted.
pub fn paused<T>(work: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build();
    runtime.unwrap().block_on(work)
}

/// Repeatable chance, from `RUNNER_SEED` or a seed that is printed.
pub fn chance(what: &str) -> Chance {
    let given = std::env::var("RUNNER_SEED").ok();
    Chance::new(&format!("{what}: RUNNER_SEED"), given)
}

/// One of the list.
pub fn pick<'a, T>(chance: &mut Chance, list: &'a [T]) -> &'a T {
    &list[chance.below(list.len())]
}
