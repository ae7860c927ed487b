//! How many backups of a cluster stay on this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The end of a snapshot's name.
const SNAPSHOT: &str = ".db";

/// The end of the name of a copied v2 store.
const STORE: &str = ".v2.tar.gz";

/// How many runs' snapshots stay, and how many runs' copies of v2 stores, here and on hosts. The newest snapshot is what a
/// way back rests on. A run that broke off while it deleted keys of API 2 is followed by one that copies what is left: then
/// the whole is in the copies before.
pub fn stay(keep: usize) -> [usize; 2] {
    [keep.max(1), keep.max(2)]
}

/// Deletes all backups in the folder of one cluster but those of the newest runs; snapshots and copies of v2 stores, of
/// which a run has one a member, are counted apart. Tells the names of those that are gone.
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
    let mut ours: BTreeMap<String, PathBuf> = BTreeMap::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let name = entry.file_name().to_string_lossy().into_owned();
            ours.insert(name, entry.path());
        }
    }
    let mut gone = Vec::new();
    for (kind, keep) in [SNAPSHOT, STORE].into_iter().zip(stay(keep)) {
        let names = || ours.keys();
        let runs: BTreeSet<&str> = names()
            .filter_map(|name| run(name, cluster, kind))
            .collect();
        let old: BTreeSet<&str> = runs.into_iter().rev().skip(keep).collect();
        let is_old = |name: &&String| run(name, cluster, kind).is_some_and(|run| old.contains(run));
        gone.extend(names().filter(is_old).cloned());
    }
    for name in &gone {
        let path = &ours[name];
        fs::remove_file(path)?;
        match fs::remove_file(format!("{}.json", path.display())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(gone)
}

/// The run in the name of a file that is called `CLUSTER-RUN`, or `CLUSTER-RUN-RELEASE` with whatever more, and ends so.
fn run<'n>(name: &'n str, cluster: &str, end: &str) -> Option<&'n str> {
    let rest = name.strip_prefix(cluster)?.strip_prefix('-')?;
    let (run, release) = rest.strip_suffix(end)?.split_at_checked(RUN.len())?;
    let fits = |(pattern, c): (char, char)| match pattern {
        '0' => c.is_ascii_digit(),
        'x' => c.is_ascii_hexdigit(),
        same => c == same,
    };
    let numbered = release
        .strip_prefix('-')
        .is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()));
    let is_ours = RUN.chars().zip(run.chars()).all(fits) && (release.is_empty() || numbered);
    is_ours.then_some(run)
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
    #[test]
    fn copies_of_v2_stores_stay_for_two_runs_at_least_whatever_members_they_are_of() {
        let dir = tempfile::tempdir().unwrap();
        let names = [
            "prod-20261118T120000Z-ffff-3.4.23-m1.v2.tar.gz",
            "prod-20261118T120000Z-ffff-3.4.23-m2.v2.tar.gz",
            "prod-20261119T120000Z-0000-3.4.23-m1.v2.tar.gz",
            "prod-20261120T120000Z-4f2a-3.4.23-m1.v2.tar.gz",
            "prod-20261120T120000Z-4f2a-3.4.23-m2.v2.tar.gz",
            "prod-20261120T120000Z-4f2a-3.4.23.db",
        ];
        for name in names {
            fs::write(dir.path().join(name), name).unwrap();
            fs::write(dir.path().join(format!("{name}.json")), "{}").unwrap();
        }
        assert!(prune(dir.path(), "prod", 3).unwrap().is_empty());
        assert_eq!(prune(dir.path(), "prod", 1).unwrap(), names[..2]);
        assert!(prune(dir.path(), "prod", 1).unwrap().is_empty());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 8);
    }
}
