//! What etcd and systemd write to a unit's journal: lines, what they mean, and what a window of them comes to.
//!
//! While a member is down the others complain, and that is as it should be. What is expected, what is a sign of success
//! and what never is well stands in `logs.toml`, with its sources; this module reads lines of every form that a
//! release writes, and sorts them by those rules. Pure: who fetches the lines is the engine.

mod digest;
mod line;
mod rules;
#[cfg(test)]
mod tests;

pub use digest::{Digest, Grade, Odd, Said, digest};
pub use line::{Level, Line};
pub use rules::{At, Of, Rules, RulesError, Sign, Situation};
