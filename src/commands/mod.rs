//! The imperative shell: one short file a subcommand.

pub mod inventory;
pub mod rehearse;
