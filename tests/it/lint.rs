//! Each invariant of plans, broken on purpose.
