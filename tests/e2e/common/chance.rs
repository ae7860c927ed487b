//! Chance that can be repeated (splitmix64).

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Write as _;

/// A sequence of numbers by a seed.
pub struct Chance(u64);

impl Chance {
    /// By the given seed, or by one of its own; says which, under that variable's name.
    pub fn new(variable: &str, given: Option<String>) -> Self {
        let seed = given.map_or_else(
            || RandomState::new().build_hasher().finish(),
            |seed| seed.parse().expect("the seed is a number"),
        );
        // Also if the test passes: its own output would be kept from everybody.
        let _ = writeln!(std::io::stderr(), "{variable}={seed}");
        Self(seed)
    }

    /// A number below the end.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).expect("it is below the end")
    }
}
