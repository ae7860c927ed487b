//! A control group for each host: containers that share one kill each other's services, and a group
//! names every process of a host, so that a power cut misses none.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::LabError;
use super::dirs::make;
use super::tool::Cancel;

/// The hierarchies that systemd uses in a container: the only one of a unified tree, or the two
/// named ones of a hybrid or legacy tree.
fn hierarchies() -> Vec<PathBuf> {
    let top = Path::new("/sys/fs/cgroup");
    if top.join("cgroup.controllers").exists() {
        return vec![top.to_owned()];
    }
    let named = ["systemd", "unified"].map(|name| top.join(name));
    named.into_iter().filter(|path| path.is_dir()).collect()
}

/// Makes the group and returns the files that a process writes itself into.
pub(super) fn create(group: &Path) -> Result<Vec<PathBuf>, LabError> {
    let folders = hierarchies().into_iter().map(|top| top.join(group));
    let made = folders.map(|folder| {
        make(&folder)?;
        Ok(folder.join("cgroup.procs"))
    });
    made.collect()
}

/// Kills every process in the group and below it, until none is left.
pub(super) fn kill(group: &Path) -> Result<(), LabError> {
    let what = format!("processes of `{}` did not end", group.display());
    Cancel::default().wait(&what, Duration::from_secs(30), || {
        let left = processes(group);
        for pid in &left {
            let _ = kill_process(*pid, Signal::KILL);
        }
        if left.is_empty() {
            return Ok(());
        }
        Err(format!("{} processes", left.len()))
    })
}

/// Kills and removes the group.
pub(super) fn destroy(group: &Path) -> Result<(), LabError> {
    kill(group)?;
    for top in hierarchies() {
        let folders = below(&top.join(group));
        for folder in folders.iter().rev() {
            let what = format!("`{}` was not removed", folder.display());
            Cancel::default().wait(&what, Duration::from_secs(5), || {
                fs::remove_dir(folder).map_err(|error| error.to_string())
            })?;
        }
    }
    Ok(())
}

/// The processes of the group and of those below it.
fn processes(group: &Path) -> Vec<Pid> {
    let folders = hierarchies()
        .into_iter()
        .flat_map(|top| below(&top.join(group)));
    let files = folders.filter_map(|folder| fs::read_to_string(folder.join("cgroup.procs")).ok());
    let texts: Vec<String> = files.collect();
    let numbers = texts.iter().flat_map(|text| text.lines());
    let mut pids: Vec<_> = numbers
        .filter_map(|line| Pid::from_raw(line.parse().ok()?))
        .collect();
    pids.sort_unstable_by_key(|pid| pid.as_raw_nonzero());
    pids.dedup();
    pids
}

/// The folder and all below it, parents before children; nothing if it does not exist.
fn below(folder: &Path) -> Vec<PathBuf> {
    if !folder.is_dir() {
        return Vec::new();
    }
    let mut found = vec![folder.to_owned()];
    let children = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = children.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    found.extend(folders.flat_map(|entry| below(&entry.path())));
    found
}
