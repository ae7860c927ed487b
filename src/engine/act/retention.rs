//! How many backups of a cluster stay on this machine.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Deletes all but the newest backups in the folder of one cluster. Tells the names of those that are gone.
///
/// Only files that are named as ours are looked at: cluster, run id, release. The time in it sorts as text.
///
/// # Errors
/// The folder is there and cannot be read, or a file cannot be deleted.
pub fn prune(dir: &Path, cluster: &str, keep: usize) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut ours: Vec<(String, PathBuf)> = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_ours(&name, cluster) && entry.file_type()?.is_file() {
            ours.push((name, entry.path()));
        }
    }
    ours.sort();
    // The newest one is what a way back rests on.
    let gone = ours.len().saturating_sub(keep.max(1));
    ours.truncate(gone);
    for (_, path) in &ours {
        fs::remove_file(path)?;
        match fs::remove_file(format!("{}.json", path.display())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(ours.into_iter().map(|(name, _)| name).collect())
}

/// Whether a file is called `CLUSTER-RUN.db` or `CLUSTER-RUN-RELEASE.db`.
fn is_ours(name: &str, cluster: &str) -> bool {
    let rest = name
        .strip_prefix(cluster)
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|rest| rest.strip_suffix(".db"));
    let Some((run, release)) = rest.and_then(|rest| rest.split_at_checked(RUN.len())) else {
        return false;
    };
    let fits = |(pattern, c): (char, char)| match pattern {
        '0' => c.is_ascii_digit(),
        'x' => c.is_ascii_hexdigit(),
        same => c == same,
    };
    let numbered = release
        .strip_prefix('-')
        .is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()));
    RUN.chars().zip(run.chars()).all(fits) && (release.is_empty() || numbered)
}

/// The shape of a run's id.
const RUN: &str = "00000000T000000Z-xxxx";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stay_and_nobody_elses_are_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let names = [
            "prod-20261118T120000Z-ffff-3.4.23.db",
            "prod-20261119T120000Z-0000.db",
            "prod-20261120T120000Z-4f2a-3.5.16.db",
            "prod-eu-20250101T000000Z-4f2a-3.5.16.db",
            "prod-20250101T000000Z-4f2a-mine.db",
            "prod-notes.db",
            "prod-20250101T000000Z-4f2a-3.5.16.db.part",
        ];
        for name in names {
            fs::write(dir.path().join(name), name).unwrap();
        }
        assert_eq!(prune(dir.path(), "prod", 2).unwrap(), names[..1]);
        assert_eq!(prune(dir.path(), "prod", 0).unwrap(), names[1..2]);
        assert!(prune(dir.path(), "prod", 1).unwrap().is_empty());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 5);
        assert!(
            prune(&dir.path().join("none"), "prod", 1)
                .unwrap()
                .is_empty()
        );
    }
}
