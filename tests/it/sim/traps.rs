//! What a member's raft log and database hold, and which releases do not get over it (etcd-upgrades 1.4).

use runner::etcd::{Minor, Version};
use runner::facts::{DataFacts, OldRequests, SnapFacts};

/// The raft log of a member since its newest snapshot, and its database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The raft index of the newest snapshot; 0 before the first one.
    pub snapshot: u64,
    /// Where the change of the cluster's version from 2.x to 3.0 stands.
    pub from_2: Option<u64>,
    /// Where the last request of a client of API 2 or of a health probe stands.
    pub client: Option<u64>,
    /// Where the last request of API 2 stands.
    pub any: Option<u64>,
    /// Whether 3.0 or later has opened the data folder.
    pub opened: bool,
    /// Whether the newest snapshot holds keys of API 2.
    pub keys: bool,
    /// Whether it comes from 2.x and has applied no v3 write since.
    pub unwritten: bool,
}

/// What a release does with such a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// Its process ends right after the start.
    Panics(&'static str),
    /// It runs and answers nothing.
    NotCapable,
}

impl Log {
    /// The log of a member that was born on that release.
    pub fn of(version: &Version) -> Self {
        let two = version.minor().major < 3;
        Self {
            any: (version.minor() <= Minor::new(3, 5)).then_some(4),
            opened: !two,
            unwritten: two,
            ..Self::default()
        }
    }

    fn since(&self, index: Option<u64>) -> bool {
        index.is_some_and(|index| index > self.snapshot)
    }

    /// What becomes of a start of that release.
    pub fn trap(&self, version: &Version) -> Option<Trap> {
        let minor = version.minor();
        let is = |major, second| minor == Minor::new(major, second);
        if minor.major < 3 && self.opened {
            return Some(Trap::Panics(
                "C | etcdmain: experimental-v3demo cannot be disabled once it is enabled",
            ));
        }
        if minor >= Minor::new(3, 1) && self.unwritten {
            return Some(Trap::Panics("panic: failed to find database snapshot file"));
        }
        if is(3, 5) && self.since(self.from_2) {
            return Some(Trap::NotCapable);
        }
        if is(3, 6) && self.since(self.client) {
            return Some(Trap::Panics(
                "panic: detected disallowed v2 WAL for stage --v2-deprecation=write-only",
            ));
        }
        if is(3, 6) && self.keys {
            return Some(Trap::Panics(
                "panic: detected disallowed custom content in v2store for stage --v2-deprecation=write-only",
            ));
        }
        (is(3, 7) && self.since(self.any)).then_some(Trap::Panics(
            "panic: unmarshal should never fail (proto: cannot parse invalid wire-format data)",
        ))
    }

    /// A start of that release at this index: up to 3.5 it leaves a request of API 2.
    pub fn started(&mut self, version: &Version, index: u64) {
        self.opened |= version.minor().major >= 3;
        if version.minor() <= Minor::new(3, 5) {
            self.any = Some(index);
        }
    }

    /// The cluster's version was raised.
    pub fn raised(&mut self, minor: Minor, index: u64) {
        if minor == Minor::new(3, 0) {
            self.from_2 = Some(index);
        }
        if minor <= Minor::new(3, 5) {
            self.any = Some(index);
        }
    }

    /// As the gathering script would tell it.
    pub fn told(&self, version: Option<&Version>) -> DataFacts {
        let read = version.is_some_and(|version| {
            (Minor::new(3, 4)..=Minor::new(3, 6)).contains(&version.minor())
        });
        let old_requests = if read {
            OldRequests::Found {
                from_2: self.from_2,
                client: self.client,
                any: self.any,
            }
        } else {
            OldRequests::default()
        };
        DataFacts {
            snap: (self.snapshot > 0).then_some(SnapFacts {
                index: self.snapshot,
                bytes: 4096,
            }),
            old_requests,
            ..DataFacts::default()
        }
    }
}
