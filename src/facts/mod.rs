//! What is true on the hosts now. Types and parsing are pure; `gather` and `observe` read hosts and change nothing.
//!
//! A reading script prints frames ([`parse`]), each with the native output of one tool; what they mean is worked
//! out here: [`answer`] for the member's own words, [`host`] for the machine around it.

pub mod answer;
pub mod backups;
pub mod gather;
pub mod host;
pub mod identity;
pub mod observe;
pub mod parse;
#[cfg(test)]
pub(crate) mod sample;
pub mod types;
mod unit;
mod v2;

pub use types::*;
