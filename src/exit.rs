//! Exit status, as documented for users.

/// Why the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// A bug in runner.
    Bug = 1,
    /// Usage or inventory invalid; nothing was contacted.
    Usage = 2,
    /// Refused by the preflight or a guard before any change.
    Refused = 3,
    /// A host unreachable or facts incomplete; nothing changed.
    Unreachable = 4,
    /// Failed; the failed member was put back and the cluster is healthy.
    PutBack = 5,
    /// Failed, and the cluster needs a person.
    NeedsPerson = 6,
    /// Another run holds the lock.
    Locked = 7,
    /// Only with `--detailed-exitcode`: there is something to do.
    SomethingToDo = 10,
    /// Interrupted, stopped at a safe point.
    Interrupted = 130,
}

impl Exit {
    /// Every way to end.
    pub const ALL: [Self; 10] = [
        Self::Done,
        Self::Bug,
        Self::Usage,
        Self::Refused,
        Self::Unreachable,
        Self::PutBack,
        Self::NeedsPerson,
        Self::Locked,
        Self::SomethingToDo,
        Self::Interrupted,
    ];

    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// How bad it is, to find the worst of several: a bug first, then what needs a person, then what is safe, most
    /// changed first.
    pub fn weight(self) -> u8 {
        match self {
            Self::Done | Self::SomethingToDo => 0,
            Self::Interrupted => 1,
            Self::Usage => 2,
            Self::Locked => 3,
            Self::Refused => 4,
            Self::Unreachable => 5,
            Self::PutBack => 6,
            Self::NeedsPerson => 7,
            Self::Bug => 8,
        }
    }

    /// What a number means; one that is not documented can only come from a bug.
    pub fn from_code(code: u8) -> Self {
        let known = Self::ALL.into_iter().find(|exit| exit.code() == code);
        known.unwrap_or(Self::Bug)
    }
}
