//! Who owns a lab: the process that made it, so that the next start can tell a crashed one.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::dirs::{Dirs, Locked, make, read, write};
use super::net::Network;
use super::tool::Cancel;
use super::{LabError, cgroup, host, mounts};

/// The process that made a lab. Its start time and the boot tell it from a later one of the same id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    pid: u32,
    started: u64,
    boot: String,
}

/// What `destroy` and `sweep` need to know of a lab: its id and its folder.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) folder: PathBuf,
}

/// Makes the folder of a new lab, with its owner's mark, under an id that nothing else has.
pub(super) fn claim(dirs: &Dirs) -> Result<Found, LabError> {
    make(&dirs.state)?;
    let _lock = lock(dirs)?;
    loop {
        let id = fresh_id()?;
        let folder = dirs.state.join(&id);
        let network = network(&id);
        if folder.exists() || network.path().exists() {
            continue;
        }
        make(&folder)?;
        mark(&folder, &Owner::of(std::process::id())?)?;
        return Ok(Found { id, folder });
    }
}

/// Marks a lab as one that outlives its owner.
pub(super) fn keep(folder: &Path) -> Result<(), LabError> {
    write(&folder.join("kept"), "", 0o600)
}

/// Takes the owner's name off a lab: from now on anyone may destroy it.
pub(super) fn disown(folder: &Path) -> Result<(), LabError> {
    let nobody = Owner {
        pid: 0,
        started: 0,
        boot: String::new(),
    };
    mark(folder, &nobody)
}

fn mark(folder: &Path, owner: &Owner) -> Result<(), LabError> {
    let text = serde_json::to_string(owner).expect("numbers and strings become JSON");
    write(&folder.join("owner"), &text, 0o600)
}

/// Destroys the labs whose owners are gone, kept ones excepted; returns their ids.
///
/// # Errors
/// When a lab could not be taken away in full; its folder stays, so a later sweep tries again.
pub fn sweep(dirs: &Dirs) -> Result<Vec<String>, LabError> {
    destroy_those(dirs, |lab| !is_kept(lab) && !has_owner(lab))
}

/// Destroys the labs that were kept and whose owners are gone; returns their ids.
///
/// # Errors
/// As [`sweep`].
pub fn destroy_kept(dirs: &Dirs) -> Result<Vec<String>, LabError> {
    destroy_those(dirs, |lab| is_kept(lab) && !has_owner(lab))
}

/// Destroys the labs that this process made and does not keep: for the last act after a signal.
///
/// # Errors
/// As [`sweep`].
pub fn destroy_own(dirs: &Dirs) -> Result<Vec<String>, LabError> {
    let this = Owner::of(std::process::id())?;
    destroy_those(dirs, |lab| {
        !is_kept(lab) && owner(lab).as_ref() == Some(&this)
    })
}

fn destroy_those(dirs: &Dirs, which: impl Fn(&Found) -> bool) -> Result<Vec<String>, LabError> {
    if !dirs.state.is_dir() {
        return Ok(Vec::new());
    }
    let _lock = lock(dirs)?;
    let mut ids = Vec::new();
    for lab in list(dirs).into_iter().filter(which) {
        destroy(&lab)?;
        ids.push(lab.id);
    }
    Ok(ids)
}

/// Takes away everything that carries the lab's id: processes, mounts, network, folder.
pub(super) fn destroy(lab: &Found) -> Result<(), LabError> {
    cgroup::destroy(&host::group(&lab.id))?;
    mounts::unmount_below(&lab.folder)?;
    network(&lab.id).destroy()?;
    leftovers(&lab.id);
    if let Some(point) = mounts::below(&lab.folder)?.pop() {
        return Err(LabError::StillMounted(point));
    }
    match fs::remove_dir_all(&lab.folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(LabError::io("remove", &lab.folder)(error))
        }
        _ => Ok(()),
    }
}

/// Removes what a killed container manager leaves of itself.
fn leftovers(id: &str) {
    let prefix = format!("r{id}-");
    for folder in [
        "/run/systemd/nspawn/propagate",
        "/run/systemd/nspawn/unix-export",
    ] {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let ours = entries.filter(|e| e.file_name().to_string_lossy().starts_with(&prefix));
        for entry in ours {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

pub(super) fn network(id: &str) -> Network {
    Network::named(format!("runner-lab-{id}"))
}

fn list(dirs: &Dirs) -> Vec<Found> {
    let entries = fs::read_dir(&dirs.state).into_iter().flatten().flatten();
    let folders = entries.map(|entry| entry.path());
    let labs = folders.filter(|folder| folder.join("owner").is_file());
    let found = labs.filter_map(|folder| {
        let id = folder.file_name()?.to_str()?.to_owned();
        Some(Found { id, folder })
    });
    found.collect()
}

fn is_kept(lab: &Found) -> bool {
    lab.folder.join("kept").exists()
}

fn has_owner(lab: &Found) -> bool {
    owner(lab).is_some_and(|owner| Owner::of(owner.pid).is_ok_and(|now| now == owner))
}

fn owner(lab: &Found) -> Option<Owner> {
    serde_json::from_str(&read(&lab.folder.join("owner")).ok()?).ok()
}

fn lock(dirs: &Dirs) -> Result<Locked, LabError> {
    Locked::take(&dirs.state.join("lock"), &Cancel::default(), &|| ())
}

fn fresh_id() -> Result<String, LabError> {
    let random = read(Path::new("/proc/sys/kernel/random/uuid"))?;
    Ok(random.chars().take(5).collect())
}

impl Owner {
    fn of(pid: u32) -> Result<Self, LabError> {
        let stat = read(&PathBuf::from(format!("/proc/{pid}/stat")))?;
        // The second field is the program's name in parentheses and may hold anything.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let mut fields = fields.split_whitespace();
        let is_dead = fields.next().is_none_or(|state| state == "Z");
        let started = fields.nth(18).and_then(|field| field.parse().ok());
        let started = if is_dead { None } else { started };
        Ok(Self {
            pid,
            started: started.unwrap_or(0),
            boot: read(Path::new("/proc/sys/kernel/random/boot_id"))?
                .trim()
                .to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dirs(folder: &Path) -> Dirs {
        let state = folder.join("state");
        let cache = folder.join("cache");
        Dirs { state, cache }
    }

    #[test]
    fn a_lab_of_this_process_has_an_owner_and_is_not_swept() {
        let folder = tempfile::tempdir().unwrap();
        let lab = claim(&dirs(folder.path())).unwrap();
        assert!(has_owner(&lab));
        assert!(sweep(&dirs(folder.path())).unwrap().is_empty());
        assert!(lab.folder.exists());
    }

    #[test]
    fn a_lab_whose_owner_has_another_start_time_is_swept_unless_kept() {
        let folder = tempfile::tempdir().unwrap();
        let dirs = dirs(folder.path());
        let lab = claim(&dirs).unwrap();
        let mut gone = owner(&lab).unwrap();
        gone.started += 1;
        mark(&lab.folder, &gone).unwrap();
        keep(&lab.folder).unwrap();
        assert!(sweep(&dirs).unwrap().is_empty());
        fs::remove_file(lab.folder.join("kept")).unwrap();
        assert_eq!(sweep(&dirs).unwrap(), [lab.id]);
        assert!(!lab.folder.exists());
    }
}
