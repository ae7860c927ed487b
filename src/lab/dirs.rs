//! Where the lab keeps things on this machine.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::LabError;
use super::tool::Cancel;

/// The folders of all labs of this user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dirs {
    /// Running labs, a folder each.
    pub state: PathBuf,
    /// The base file system and etcd releases; safe to remove while no lab runs.
    pub cache: PathBuf,
}

impl Dirs {
    /// The folders under the XDG state and cache directories.
    pub fn of_user() -> Self {
        Self {
            state: xdg("XDG_STATE_HOME", ".local/state").join("runner/lab"),
            cache: xdg("XDG_CACHE_HOME", ".cache").join("runner/lab"),
        }
    }
}

fn xdg(variable: &str, fallback: &str) -> PathBuf {
    let named = env::var_os(variable).map(PathBuf::from);
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/root".into()));
    named
        .filter(|path| path.is_absolute())
        .unwrap_or_else(|| home().join(fallback))
}

/// A lock on a file that other runs of the program respect; given back when dropped.
#[derive(Debug)]
pub(super) struct Locked {
    _file: File,
}

impl Locked {
    /// Takes the lock, saying so when another run holds it.
    pub(super) fn take(file: &Path, cancel: &Cancel, waiting: &dyn Fn()) -> Result<Self, LabError> {
        let open = File::options().create(true).append(true).open(file);
        let open = open.map_err(LabError::io("open", file))?;
        if flock(&open, FlockOperation::NonBlockingLockExclusive).is_err() {
            waiting();
            let what = format!("lock `{}` was not free", file.display());
            cancel.wait(&what, std::time::Duration::from_secs(900), || {
                flock(&open, FlockOperation::NonBlockingLockExclusive).map_err(|e| e.to_string())
            })?;
        }
        Ok(Self { _file: open })
    }
}

/// Makes a folder and its parents.
pub(super) fn make(folder: &Path) -> Result<(), LabError> {
    fs::create_dir_all(folder).map_err(LabError::io("make", folder))
}

/// Writes a file whose mode is `mode`, with its parents.
pub(super) fn write(file: &Path, text: &str, mode: u32) -> Result<(), LabError> {
    use std::os::unix::fs::PermissionsExt;
    if let Some(parent) = file.parent() {
        make(parent)?;
    }
    fs::write(file, text)
        .and_then(|()| fs::set_permissions(file, fs::Permissions::from_mode(mode)))
        .map_err(LabError::io("write", file))
}

/// Reads a text file.
pub(super) fn read(file: &Path) -> Result<String, LabError> {
    fs::read_to_string(file).map_err(LabError::io("read", file))
}
