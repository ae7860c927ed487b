//! A plan, its findings and its file changes as text for people. Strings in, strings out: no terminal here.

mod diff;
mod style;
mod text;
mod words;

pub use diff::{diffs, unified};
pub use style::Style;
pub use text::{findings, plan, planned};
pub use words::words;
