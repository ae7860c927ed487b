//! The private folder with the control sockets, and the keeper that ends the masters when we are gone.
//!
//! The keeper is one small `sh` that waits for the end of a pipe which only this process holds. However we end, kill
//! -9 included, the pipe closes; the keeper then asks each master to exit and removes the folder. Folders of a run
//! whose keeper was killed too are swept by the next run: their lock is free.
//!
//! Rejected: an idle limit (`ControlPersist`), because ssh then throws away what `ProxyCommand` and `ProxyJump` say.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};

/// The longest path of the folder. A control path, with what ssh appends while it creates it, must stay under 108.
const LONGEST: usize = 58;
/// How long the keeper may take to end all masters before we go on without it.
const CLEANING: Duration = Duration::from_secs(10);
/// An empty folder without a lock is that of a run that died while it started, if it is older than this.
const ABANDONED: Duration = Duration::from_secs(3600);
/// What folder names begin with.
const PREFIX: &str = "runner-";

/// The keeper. Renaming first makes sure that no master can still add a socket that would be overlooked.
const KEEPER: &str = r#"trap '' HUP INT TERM QUIT
read -r _
mv "$1" "$1.gone" || exit 0
for socket in "$1.gone"/*.s; do
  [ -S "$socket" ] && ssh -F none -S "$socket" -O exit -- runner &
done
wait
rm -rf "$1.gone""#;

/// A private folder that does not outlive this process.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    keeper: Option<Child>,
    _lock: File,
}

impl Folder {
    /// Makes a folder, after sweeping those of dead runs.
    pub(super) fn new(wish: Option<&Path>) -> io::Result<Self> {
        let parent = parent(wish);
        sweep(&parent);
        let path = make(&parent)?;
        let lock = lock(&path)?;
        let keeper = start_keeper(&path, Stdio::piped())?;
        Ok(Self {
            path,
            keeper: Some(keeper),
            _lock: lock,
        })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Ends all masters and removes the folder; waits until that is done.
    pub(super) fn clean(&mut self) {
        let Some(mut keeper) = self.keeper.take() else {
            return;
        };
        drop(keeper.stdin.take());
        let (done, wait) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let _ = keeper.wait();
            let _ = done.send(());
        });
        let _ = wait.recv_timeout(CLEANING);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.clean();
    }
}

/// The first of wish, runtime folder and /tmp that is ours to use and short enough.
fn parent(wish: Option<&Path>) -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let usable = |path: &PathBuf| {
        let is_plain = path.to_str().is_some_and(|text| {
            text.chars().all(is_plain) && text.len() + PREFIX.len() + 7 <= LONGEST
        });
        is_plain
            && path.is_absolute()
            && path.symlink_metadata().is_ok_and(|data| is_private(&data))
    };
    let wish = wish.map(Path::to_owned);
    [wish, runtime]
        .into_iter()
        .flatten()
        .find(usable)
        .unwrap_or_else(|| PathBuf::from("/tmp"))
}

/// Characters that need no quoting in ssh's configuration nor in any shell.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "/._-+".contains(c)
}

/// Whether it is a folder of ours that nobody else can write to.
fn is_private(data: &Metadata) -> bool {
    data.is_dir() && data.uid() == rustix::process::geteuid().as_raw() && data.mode() & 0o022 == 0
}

/// Makes a folder with a random name that only we can enter.
fn make(parent: &Path) -> io::Result<PathBuf> {
    for _ in 0..16 {
        let path = parent.join(format!("{PREFIX}{}", &super::random_mark()?[..6]));
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(()) => return verified(path),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        "no free name for a private folder",
    ))
}

fn verified(path: PathBuf) -> io::Result<PathBuf> {
    let data = path.symlink_metadata()?;
    if is_private(&data) && data.mode() & 0o777 == 0o700 {
        return Ok(path);
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("{}: not private", path.display()),
    ))
}

/// Takes the lock before it gets its name, so that a sweep never meets a lock that is free by chance.
fn lock(folder: &Path) -> io::Result<File> {
    let draft = folder.join("lock.new");
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    std::fs::rename(&draft, folder.join("lock"))?;
    Ok(file)
}

/// Starts the keeper, out of reach of the terminal's Ctrl-C.
fn start_keeper(folder: &Path, stdin: Stdio) -> io::Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", KEEPER, "runner-keeper"])
        .arg(folder)
        .stdin(stdin)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .process_group(0)
        .spawn()
}

/// Cleans up after runs that were killed together with their keepers. What cannot be swept is left alone.
fn sweep(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let is_named = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(PREFIX));
        let Ok(data) = path.symlink_metadata() else {
            continue;
        };
        if is_named && is_private(&data) && data.mode() & 0o777 == 0o700 {
            sweep_one(&path, &data);
        }
    }
}

/// Cleans one folder if its run is dead; the lock is held meanwhile, so that two sweeps do not meet.
fn sweep_one(path: &Path, data: &Metadata) {
    let Ok(file) = OpenOptions::new().write(true).open(path.join("lock")) else {
        let age = data
            .modified()
            .ok()
            .and_then(|at| SystemTime::now().duration_since(at).ok());
        if age.is_some_and(|age| age > ABANDONED) {
            let _ = std::fs::remove_dir(path);
        }
        return;
    };
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
        && let Ok(mut keeper) = start_keeper(path, Stdio::null())
    {
        let _ = keeper.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn here() -> tempfile::TempDir {
        tempfile::Builder::new()
            .prefix("t")
            .rand_bytes(4)
            .tempdir_in("/tmp")
            .unwrap()
    }

    #[test]
    fn the_folder_is_private_short_and_gone_after_the_drop() {
        let parent = here();
        let folder = Folder::new(Some(parent.path())).unwrap();
        let path = folder.path().to_owned();
        assert_eq!(
            path.metadata().unwrap().permissions().mode() & 0o7777,
            0o700
        );
        assert!(path.starts_with(parent.path()) && path.as_os_str().len() <= LONGEST);
        drop(folder);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_of_a_dead_run_is_swept_and_that_of_a_living_one_stays() {
        let parent = here();
        let living = Folder::new(Some(parent.path())).unwrap();
        let dead = make(parent.path()).unwrap();
        drop(lock(&dead).unwrap());
        let foreign = parent.path().join("runner-open");
        std::fs::create_dir(&foreign).unwrap();
        std::fs::set_permissions(&foreign, std::fs::Permissions::from_mode(0o755)).unwrap();
        sweep(parent.path());
        assert!(living.path().exists() && foreign.exists() && !dead.exists());
    }

    #[test]
    fn a_parent_that_is_too_long_or_open_to_others_is_not_used() {
        let parent = here();
        let long = parent.path().join("x".repeat(60));
        std::fs::create_dir(&long).unwrap();
        assert_ne!(super::parent(Some(&long)), long);
        std::fs::set_permissions(parent.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert_ne!(super::parent(Some(parent.path())), parent.path());
    }
}
