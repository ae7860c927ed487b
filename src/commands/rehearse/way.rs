//! The releases that a rehearsal passes.

use std::collections::BTreeSet;

use crate::etcd::Version;
use crate::etcd::catalogue::Catalogue;
use crate::lab::releases::Places;
use crate::lab::{Cancel, LabError};
use crate::plan::Finding;
use crate::plan::path::{Available, path};

/// The releases to pass, in order, the target last. What the folders and packages have is only looked at where the way
/// is longer than one hop.
///
/// # Errors
/// Why no way leads there with what can be had.
pub(super) fn way(
    places: &Places,
    from: &Version,
    to: &Version,
    cancel: &Cancel,
) -> Result<Vec<Version>, LabError> {
    let ends = BTreeSet::from([from.clone(), to.clone()]);
    if let Ok(direct) = find(from, to, ends.clone()) {
        return Ok(direct);
    }
    let mut offered = places.offered(cancel)?;
    offered.extend(ends);
    find(from, to, offered).map_err(|findings| refused(&findings))
}

fn find(
    from: &Version,
    to: &Version,
    there: BTreeSet<Version>,
) -> Result<Vec<Version>, Vec<Finding>> {
    path(from, to, &Available::Listed(there), Catalogue::embedded())
}

fn refused(findings: &[Finding]) -> LabError {
    let told = findings.iter().map(|finding| {
        let (code, subject, reason) = (&finding.code, &finding.subject, &finding.reason);
        format!("{code} {subject}: {reason} ({})", finding.hint)
    });
    LabError::Unsupported(told.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Dirs;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    /// A folder with a folder for each release, and what may be passed on the way from one to the other.
    fn through(there: &[&str], from: &str, to: &str) -> Result<Vec<Version>, String> {
        let folder = tempfile::tempdir().unwrap();
        for release in there {
            for binary in ["etcd", "etcdctl"] {
                let file = folder.path().join(release).join(binary);
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                std::fs::write(file, "").unwrap();
            }
        }
        let dirs = Dirs {
            cache: folder.path().join("cache"),
            ..Dirs::of_user()
        };
        let places = Places::new(Some(folder.path()), None, &dirs);
        let found = way(&places, &version(from), &version(to), &Cancel::default());
        found.map_err(|error| error.to_string())
    }

    #[test]
    fn a_long_way_passes_a_release_of_every_line() {
        let there = ["2.0.13", "2.1.3", "2.2.5", "2.3.8", "3.0.17"];
        let passed = through(&there, "2.0.13", "3.0.17").unwrap();
        assert_eq!(
            passed,
            there[1..].iter().copied().map(version).collect::<Vec<_>>()
        );
        assert_eq!(through(&there[..1], "2.0.13", "2.0.13").unwrap(), []);
    }

    #[test]
    fn a_line_that_is_not_there_is_named_before_anything_is_booted() {
        let refused = through(&["2.0.13", "2.2.5"], "2.0.13", "2.2.5").unwrap_err();
        assert!(refused.contains("2.1"), "{refused}");
    }
}
