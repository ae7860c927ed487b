//! Parses, calls, turns the result into an exit status.

fn main() {}
