//! One run a cluster at a time: a lock on this machine, before anything is contacted, and one on each host.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt as _, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::context::Context;
use super::decide::Decision;
use super::look;
use super::session::Session;
use crate::engine::lock::{Holder, LOCKED_HINT, NotTaken, UNLOCKABLE_HINT};
use crate::error::{Failure, Problem, Result};
use crate::exit::Exit;
use crate::inventory::Selected;
use crate::plan::{Finding, Severity};
use crate::transport::Transport;

/// Locks of clusters; let go when dropped, and by the system when the process dies.
#[derive(Debug)]
pub struct Locks {
    _held: Vec<Held>,
}

/// One lock. Its file goes away before it is let go, so whoever has the file open and gets the lock then has that of a
/// file which nobody else finds, and must open it anew.
#[derive(Debug)]
struct Held {
    _file: File,
    path: PathBuf,
}

impl Drop for Held {
    fn drop(&mut self) {
        // One that stays is empty of meaning: what counts is the lock.
        let _ = fs::remove_file(&self.path);
    }
}

/// Takes the locks of all these clusters, or of none.
///
/// # Errors
/// Another run holds one of them: its id is named.
pub fn take(context: &Context, selected: &[Selected]) -> Result<Locks> {
    let dir = context.state_dir.join("locks");
    let held = selected
        .iter()
        .map(|one| take_one(&dir, &one.cluster.name, &holder(&context.run)))
        .collect::<Result<Vec<_>>>()?;
    Ok(Locks { _held: held })
}

/// How long after hosts were looked at a plan may be locked in without a second look.
const FRESH: Duration = Duration::from_secs(5);

/// Refuses where another run holds the lock of a cluster: what that run does is why it is as it is. A cluster that
/// needs nothing needs no lock.
///
/// # Errors
/// Another run holds it.
pub fn refuse_taken(selected: &Selected, decision: &Decision) -> Result<()> {
    let planned = &decision.planned;
    let is_block = |one: &Finding| one.severity == Severity::Block;
    let is_needed = planned.plan.is_some() || planned.findings.iter().any(is_block);
    match &decision.taken {
        Some(taken) if is_needed => {
            let no = NotTaken::Taken(taken.clone());
            Err(not_taken(&selected.cluster.name, no))
        }
        _ => Ok(()),
    }
}

/// Takes the locks on the hosts of a cluster that is going to be changed, where the look has not; gives whether the
/// plan may have aged meanwhile.
///
/// # Errors
/// Another run holds one of them, or a host gives none.
pub async fn take_on_hosts(
    session: &Session<'_>,
    selected: &Selected,
    decision: &Decision,
) -> Result<bool> {
    if decision.planned.plan.is_none() {
        return Ok(false);
    }
    let cluster = &selected.cluster;
    let transport: Arc<dyn Transport> = session.transport.clone();
    let taking = session.locks.take(&transport, cluster);
    let taken = session.or_interrupt(taking).await?;
    let is_late = taken.map_err(|no| not_taken(&cluster.name, no))?;
    Ok(is_late || !decision.is_locked && decision.looked.elapsed() > FRESH)
}

fn not_taken(cluster: &str, no: NotTaken) -> Failure {
    let problem = |what: String| Problem::new(format!("cluster `{cluster}`: {what}"));
    let failure = match no {
        NotTaken::Taken(taken) => {
            Failure::new(Exit::Locked, problem(taken.to_string()).hint(LOCKED_HINT))
        }
        NotTaken::Unreachable(unreachable) => {
            Failure::new(Exit::Unreachable, look::unreachable_problem(&unreachable))
        }
        NotTaken::Failed(causes) => {
            let what = problem("a host gives no lock".to_owned()).hint(UNLOCKABLE_HINT);
            Failure::new(
                Exit::Refused,
                causes.into_iter().fold(what, Problem::because),
            )
        }
    };
    failure.changed("nothing")
}

/// Who this run is, for those who find its locks.
pub fn holder(run: &str) -> Holder {
    let named = |name: &str| std::env::var(name).ok().filter(|user| !user.is_empty());
    let uid = || format!("user {}", rustix::process::getuid().as_raw());
    let machine = rustix::system::uname();
    Holder {
        run: run.to_owned(),
        who: named("USER")
            .or_else(|| named("LOGNAME"))
            .unwrap_or_else(uid),
        from: machine.nodename().to_string_lossy().into_owned(),
        since: jiff::Timestamp::now(),
    }
}

fn take_one(dir: &Path, cluster: &str, holder: &Holder) -> Result<Held> {
    let path = dir.join(file_name(cluster));
    let mut file = loop {
        let file = open(dir, &path).map_err(|error| unusable(&path, &error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) if is_still(&file, &path) => break file,
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(taken(cluster, file)),
            Err(error) => return Err(unusable(&path, &error.into())),
        }
    };
    // Cannot fail: strings and a time.
    let words = serde_json::to_string(holder).unwrap_or_default();
    let named = file
        .set_len(0)
        .and_then(|()| file.write_all(words.as_bytes()));
    named.map_err(|error| unusable(&path, &error))?;
    Ok(Held { _file: file, path })
}

/// Whether the open file is the one of that name, and not one that its holder has taken away meanwhile.
fn is_still(file: &File, path: &Path) -> bool {
    let of = |data: io::Result<fs::Metadata>| data.ok().map(|data| (data.dev(), data.ino()));
    let named = of(fs::metadata(path));
    named.is_some() && named == of(file.metadata())
}

fn open(dir: &Path, path: &PathBuf) -> io::Result<File> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    options.open(path)
}

/// Letters and digits as they are, all else by its number: no two clusters share a file, and none leaves the folder.
fn file_name(cluster: &str) -> String {
    let mut name = String::new();
    for byte in cluster.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "_{byte:02x}");
        }
    }
    name + ".lock"
}

fn taken(cluster: &str, mut file: File) -> Failure {
    let mut words = String::new();
    let _ = file.read_to_string(&mut words);
    let what = format!("the lock of cluster `{cluster}`");
    let who = match serde_json::from_str::<Holder>(&words) {
        Ok(holder) => holder.holds(&what),
        Err(_) => format!("another run holds {what}"),
    };
    let problem = Problem::new(who).hint("wait until it has ended; `runner runs list` shows it");
    Failure::new(Exit::Locked, problem).changed("nothing")
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    let what = format!("the lock `{}` cannot be taken", path.display());
    Failure::new(Exit::Usage, Problem::new(what).because(error.to_string())).changed("nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_run_is_told_who_holds_the_lock_until_the_first_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let first = take_one(dir.path(), "prod", &holder("20261120T120102Z-4f2a")).unwrap();
        let refused = take_one(dir.path(), "prod", &holder("b")).unwrap_err();
        assert_eq!(refused.exit, Exit::Locked);
        let what = &refused.problems[0].what;
        assert!(what.starts_with("run 20261120T120102Z-4f2a of "), "{what}");
        assert!(
            what.contains(" holds the lock of cluster `prod`, since 2"),
            "{what}"
        );
        drop(first);
        let second = take_one(dir.path(), "prod", &holder("b")).unwrap();
        drop(second);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn of_many_who_take_and_let_go_at_once_never_two_hold_the_lock() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let dir = tempfile::tempdir().unwrap();
        let (inside, had) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while had.load(Ordering::SeqCst) < 2000 {
                        if let Ok(held) = take_one(dir.path(), "prod", &holder("a")) {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                            had.fetch_add(1, Ordering::SeqCst);
                            inside.fetch_sub(1, Ordering::SeqCst);
                            drop(held);
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn a_lock_stays_in_its_folder_and_belongs_to_one_cluster() {
        assert_eq!(file_name("prod-1"), "prod-1.lock");
        assert_eq!(file_name("../x"), "_2e_2e_2fx.lock");
        assert_ne!(file_name("a_2e"), file_name("a."));
    }
}
