//! What is true on the hosts now. Types and parsing are pure; `gather` and `observe` read hosts and change nothing.

pub mod gather;
pub mod observe;
pub mod parse;
pub mod types;

pub use types::*;
