//! To come.

pub mod inventory;
