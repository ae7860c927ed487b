//! What all fault sweeps share: their cases, repeatable chance, and all cores.
//!
//! `RUNNER_SWEEP=all` takes every case; without it a sweep may take a part of them. `RUNNER_SEED` repeats a sample.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "whoever sees a failure needs the seed")]

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// Repeatable chance (splitmix64), from `RUNNER_SEED` or a seed that is printed.
pub struct Chance(u64);

impl Chance {
    pub fn new(what: &str) -> Self {
        let given = std::env::var("RUNNER_SEED").ok();
        let seed = given.map_or_else(
            || RandomState::new().build_hasher().finish(),
            |seed| seed.parse().expect("RUNNER_SEED is a number"),
        );
        println!("{what}: RUNNER_SEED={seed}");
        Self(seed)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }

    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}
