//! `runner` upgrades etcd clusters on bare-metal fleets over SSH, member by member.
//!
//! It **looks, decides, shows, does and remembers, in that order, in modules that cannot do each other's work.**

pub mod cli;
pub mod commands;
pub mod engine;
pub mod error;
pub mod etcd;
pub mod event;
pub mod exit;
pub mod facts;
pub mod fleet;
pub mod inventory;
pub mod journal;
pub mod lab;
pub mod plan;
pub mod releases;
pub mod report;
pub mod secret;
pub mod template;
pub mod transport;
