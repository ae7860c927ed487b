//! Which problems are echoes of others, so that each mistake in a text is told once.

use std::collections::HashSet;
use std::mem::{Discriminant, discriminant};

use super::error::Problem;
use super::source::{Place, Pos};

type Clash = (Pos, Problem);

/// Drops echoes and what was found twice, and puts the rest in the order of the files.
pub fn tidy(mut clashes: Vec<Clash>) -> Vec<Clash> {
    let wrong: HashSet<String> = clashes.iter().filter_map(|(_, p)| p.wrong_key()).collect();
    let of_range = |(pos, problem): &Clash| problem.is_of_range().then_some(*pos);
    let ranges: HashSet<Pos> = clashes.iter().filter_map(of_range).collect();
    let mut seen = HashSet::new();
    clashes.retain(|(pos, problem)| {
        // A range that does not fit stays in the text, which is then no address either.
        let of_range = ranges.contains(pos) && !problem.is_of_range();
        !of_range && !problem.follows(&wrong) && seen.insert((*pos, problem.identity()))
    });
    clashes.sort_by_key(|(pos, _)| *pos);
    clashes
}

impl Problem {
    /// What tells it from other problems at its place. A text that many hosts inherit, or that stands for many
    /// by a range, has one problem of a kind, whatever the hosts' names.
    fn identity(&self) -> (Discriminant<Self>, String) {
        let mut any = self.clone();
        let text = match &mut any {
            Self::SameFolder { host, .. }
            | Self::InsideData { host, .. }
            | Self::HalfOfTwo { host, .. }
            | Self::AddressTaken { host, .. }
            | Self::MemberTaken { host, .. } => {
                host.clear();
                any.to_string()
            }
            other if other.is_of_one_value() => String::new(),
            other => other.to_string(),
        };
        (discriminant(self), text)
    }

    /// Whether one value alone is wrong, which cannot be so twice in the same way.
    fn is_of_one_value(&self) -> bool {
        matches!(
            self,
            Self::UnknownKey { .. }
                | Self::Empty(_)
                | Self::ControlCharacter(_)
                | Self::LeadingDash { .. }
                | Self::ForbiddenCharacter { .. }
                | Self::NotAVersion(_)
                | Self::MoreThanAnAddress { .. }
                | Self::NotAbsolute { .. }
                | Self::PathClimbs { .. }
                | Self::RootFolder(_)
                | Self::NotAUnit(_)
                | Self::NotAMode(_)
                | Self::NotAnOwner(_)
                | Self::NotAChoice { .. }
                | Self::NotAUrl { .. }
                | Self::UnknownPlaceholder { .. }
        )
    }

    /// Whether it would not be there, had a refused value been read.
    fn follows(&self, wrong: &HashSet<String>) -> bool {
        match self {
            Self::HalfOfTwo { missing, .. } => wrong.contains(*missing),
            // The built-in folder stands in for the refused one.
            Self::SameFolder {
                other, other_key, ..
            } => **other == Place::BuiltIn && wrong.contains(*other_key),
            Self::InsideData { other, .. } => {
                **other == Place::BuiltIn && wrong.contains("data_dir")
            }
            _ => false,
        }
    }

    /// Whether a range is wrong.
    fn is_of_range(&self) -> bool {
        matches!(
            self,
            Self::RangeBackwards(_) | Self::RangeTooLarge { .. } | Self::RangeMismatch { .. }
        )
    }

    /// The key of a value that was refused.
    fn wrong_key(&self) -> Option<String> {
        match self {
            Self::WrongType { key, .. }
            | Self::Empty(key)
            | Self::ControlCharacter(key)
            | Self::LeadingDash { key, .. }
            | Self::ForbiddenCharacter { key, .. }
            | Self::NotAbsolute { key, .. }
            | Self::PathClimbs { key, .. }
            | Self::RootFolder(key)
            | Self::NoHome(key) => Some(key.clone()),
            _ => None,
        }
    }
}
