//! The language of etcd: versions, members, quorum, what its tools print. Pure: no I/O, no clock.

pub mod catalogue;
pub mod dialect;
pub mod log;
pub mod member;
pub mod old;
pub mod quorum;
pub mod version;
pub mod wal;
pub mod wire;

pub use member::{Alarm, AlarmKind, Member, MemberId};
pub use version::{Minor, Version};
