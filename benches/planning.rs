//! Plans fleets of 1,000, 2,000 and 3,000 clusters of three members from facts at hand, and keeps all plans.
//!
//! ```console
//! $ cargo bench --bench planning
//! ```
//!
//! Fails if the time for 3,000 is more than 1.2 times three times that for 1,000, or if the process ever held
//! 100 MB.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "its figures are what it is for")]

use std::time::{Duration, Instant};

use runner::plan::Planned;

#[expect(dead_code, reason = "tests break what is only planned here")]
#[path = "../tests/it/world.rs"]
mod world;

use world::World;

const SIZES: [usize; 3] = [1000, 2000, 3000];
const TURNS: usize = 5;
const MOST_BYTES: u64 = 100_000_000;

fn main() {
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); SIZES.len()];
    let mut peaks = [0; SIZES.len()];
    for _ in 0..TURNS {
        for (at, size) in SIZES.into_iter().enumerate() {
            times[at].push(fleet(size));
            peaks[at] = peak();
        }
    }
    let medians: Vec<Duration> = times.iter_mut().map(|times| median(times)).collect();
    for (at, size) in SIZES.into_iter().enumerate() {
        let (least, most) = (times[at][0], times[at][TURNS - 1]);
        let thousands = f64::from(u32::try_from(size).unwrap()) / 1000.0;
        println!(
            "{size} clusters of 3: {:.0} ms ({:.0} to {:.0}), {:.0} ms per 1,000",
            millis(medians[at]),
            millis(least),
            millis(most),
            millis(medians[at]) / thousands,
        );
    }
    let growth = millis(medians[2]) / millis(medians[0]);
    let held = peaks.into_iter().max().unwrap();
    println!("3,000 take {growth:.2} times as long as 1,000; at most {held} bytes held");
    assert!(growth <= 3.6, "planning does not grow linearly");
    assert!(held < MOST_BYTES, "more than {MOST_BYTES} bytes held");
}

/// Plans that many clusters; only the planning is timed, and all plans are kept until its end.
fn fleet(size: usize) -> Duration {
    let mut took = Duration::ZERO;
    let mut plans: Vec<Planned> = Vec::with_capacity(size);
    for number in 0..size {
        let mut world = World::healthy(3, "3.4.23", "3.5.16");
        world.cluster.name = format!("cluster-{number:04}");
        world.facts.cluster.clone_from(&world.cluster.name);
        let began = Instant::now();
        let planned = world.plan();
        took += began.elapsed();
        assert!(planned.plan.is_some(), "{:?}", planned.findings);
        plans.push(planned);
    }
    took
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The most memory that this process has held so far, as Linux counts it.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.unwrap().parse::<u64>().unwrap() * 1024
}
