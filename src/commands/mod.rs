//! The imperative shell: one short file a subcommand.

pub mod rehearse;
