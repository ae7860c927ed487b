//! The release that an undo leads to: what ran before, as long as its binaries are on the host.

use crate::etcd::Version;

use super::seats::Seat;

/// Whether the installed binaries have to be copied before they are switched away.
pub(super) fn keeps(seat: &Seat, to: &Version) -> bool {
    let Some(version) = installed(seat).filter(|version| *version != to) else {
        return false;
    };
    let staged = seat.facts.staged.get(version);
    !seat
        .facts
        .binaries
        .iter()
        .all(|(name, binary)| staged.and_then(|files| files.get(name)) == Some(&binary.sha256))
}

/// The release of the installed `etcd`.
pub(super) fn installed<'a>(seat: &Seat<'a>) -> Option<&'a Version> {
    seat.facts.binaries.get("etcd")?.version.as_ref()
}

/// The release that an undo leads to, and the binaries it has.
pub(super) struct Previous {
    /// What it is.
    pub version: Version,
    /// Its binaries.
    pub files: Vec<String>,
}

/// What runs, if it is installed or staged; else what is installed, which a restart would have started anyway. For
/// a member that an interrupted run left down and switched: the newest staged release below the target.
pub(super) fn previous(seat: &Seat, to: &Version) -> Option<Previous> {
    let installed = installed(seat);
    let newest = || seat.facts.staged.keys().rev().find(|version| *version < to);
    let running = seat
        .version()
        .or(installed.filter(|version| *version < to))
        .or_else(newest)?;
    if installed != Some(running)
        && let Some(files) = seat
            .facts
            .staged
            .get(running)
            .filter(|files| files.contains_key("etcd"))
    {
        return Some(Previous {
            version: running.clone(),
            files: files.keys().cloned().collect(),
        });
    }
    installed
        .filter(|version| *version != to)
        .map(|version| Previous {
            version: version.clone(),
            files: seat.facts.binaries.keys().cloned().collect(),
        })
}
