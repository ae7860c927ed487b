//! Mounts of the lab: found by path, taken away innermost first.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::LabError;
use super::dirs::{make, read};
use super::tool::{Cancel, Tool};

/// Whether something is mounted exactly there.
pub(super) fn is_mounted(path: &Path) -> Result<bool, LabError> {
    Ok(points()?.iter().any(|point| point == path))
}

/// The mount points at and below the folder, innermost first.
pub(super) fn below(folder: &Path) -> Result<Vec<PathBuf>, LabError> {
    let mut found: Vec<_> = points()?;
    found.retain(|point| point.starts_with(folder));
    found.reverse();
    Ok(found)
}

/// Unmounts everything at and below the folder.
pub(super) fn unmount_below(folder: &Path) -> Result<(), LabError> {
    for point in below(folder)? {
        // A killed container's mount namespace is torn down a moment after its last process.
        let what = format!("`{}` was not unmounted", point.display());
        Cancel::default().wait(&what, Duration::from_secs(10), || {
            let unmount = Tool::new("umount").arg(&point).run();
            unmount.map_err(|error| error.to_string())
        })?;
    }
    Ok(())
}

/// Makes `hosts`, where changes of hosts are kept, and puts memory there when its file system
/// cannot be the upper layer of an overlay; returns whether it had to.
pub(super) fn room_for_overlays(hosts: &Path, base: &Path) -> Result<bool, LabError> {
    let trial = hosts.join("trial");
    for part in ["upper", "work", "root"] {
        make(&trial.join(part))?;
    }
    let part = |name: &str| trial.join(name).display().to_string();
    let (lower, upper, work) = (base.display(), part("upper"), part("work"));
    let layers = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    let overlay = ["-t", "overlay", "overlay", "-o", &layers];
    let mounted = Tool::new("mount").args(overlay).arg(part("root")).run();
    unmount_below(&trial)?;
    fs::remove_dir_all(&trial).map_err(LabError::io("remove", &trial))?;
    if mounted.is_ok() {
        return Ok(false);
    }
    let memory = ["-t", "tmpfs", "-o", "mode=0700,size=75%", "runner-lab"];
    Tool::new("mount").args(memory).arg(hosts).run()?;
    Ok(true)
}

fn points() -> Result<Vec<PathBuf>, LabError> {
    let table = read(Path::new("/proc/self/mountinfo"))?;
    let point = |line: &str| Some(PathBuf::from(unescape(line.split(' ').nth(4)?)));
    Ok(table.lines().filter_map(point).collect())
}

/// The kernel writes blanks and backslashes of paths as octal escapes.
fn unescape(text: &str) -> String {
    let plain = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    plain.iter().fold(text.to_owned(), |text, (escape, blank)| {
        text.replace(escape, blank)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_file_system_is_mounted_and_a_fresh_folder_is_not() {
        assert!(is_mounted(Path::new("/")).unwrap());
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_mounted(folder.path()).unwrap());
        assert!(below(folder.path()).unwrap().is_empty());
    }

    #[test]
    fn blanks_in_mount_points_are_read_back() {
        assert_eq!(unescape("/a\\040b\\134c"), "/a b\\c");
    }
}
