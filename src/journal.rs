//! The journal of a run: one event a line, on disk before the act that it announces.
//!
//! It lies in `<state_dir>/runs/<run>/journal.ndjson`, folder 0700, file 0600. Whoever shows events gets them from
//! a [`Recorder`], which hands each one on only after it is written; so nothing is ever shown that a crash of runner
//! could unsay. What announces an act is brought to the disk before it, with all that was written before; so nothing is
//! done that even a power cut could leave unwritten.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::event::{Event, FORMAT, Kind};

/// What can be wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The run's folder could not be made.
    #[error("the run's folder `{}` cannot be made", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The file could not be opened, or one of that run's id is there already.
    #[error("the journal `{}` cannot be opened", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// An event could not be brought to disk, so what it announces was not done.
    #[error("the journal `{}` cannot be written", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// A line that is not the last is not an event.
    #[error("line {line} of the journal `{}` is not an event", .path.display())]
    NotAnEvent {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The parser's word.
        source: serde_json::Error,
    },
    /// A later release of runner wrote it.
    #[error("the journal `{}` has format {found}, this runner reads up to {FORMAT}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The format found.
        found: u32,
    },
}

/// An open journal of one run.
#[derive(Debug)]
pub struct Journal {
    run: String,
    path: PathBuf,
    file: File,
    next: u64,
}

/// Numbers events, writes them down and then hands them to whoever listens.
#[derive(Debug)]
pub struct Recorder {
    run: String,
    path: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    journal: Journal,
    listeners: Vec<Sender<Event>>,
    /// Why an event could not be written, if one could not.
    broken: Option<String>,
    ended: bool,
}

/// What a journal holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Its events, in order.
    pub events: Vec<Event>,
    /// The torn last line, if a crash left one; its event never counted, so its act was never begun.
    pub torn: Option<String>,
}

/// A past run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// Its journal.
    pub path: PathBuf,
}

/// Makes the id of a new run, such as `20261120T120102Z-4f2a`: its time in UTC, and four random digits.
pub fn new_run_id(now: Timestamp) -> String {
    let random = RandomState::new().build_hasher().finish();
    format!("{}-{:04x}", now.strftime("%Y%m%dT%H%M%SZ"), random & 0xffff)
}

/// Where the journals of all runs lie.
pub fn runs_dir(state_dir: &Path) -> PathBuf {
    state_dir.join("runs")
}

impl Journal {
    /// Makes the run's folder and its empty journal.
    ///
    /// # Errors
    /// [`JournalError::Folder`], [`JournalError::Open`]; also when a run of that id has a journal already.
    pub fn create(state_dir: &Path, run_id: &str) -> Result<Self, JournalError> {
        let dir = runs_dir(state_dir).join(run_id);
        private_dir(&dir)?;
        let path = dir.join("journal.ndjson");
        let opened = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        let file = opened.map_err(|source| JournalError::Open {
            path: path.clone(),
            source,
        })?;
        sync_dir(&dir)?;
        Ok(Self::over(file, path, run_id))
    }

    /// Writes to a file that is open already, such as a pipe.
    pub fn over(file: File, path: PathBuf, run_id: &str) -> Self {
        Self {
            run: run_id.to_owned(),
            path,
            file,
            next: 0,
        }
    }

    fn event(&self, kind: Kind) -> Event {
        Event {
            format: FORMAT,
            run: self.run.clone(),
            index: self.next,
            at: Timestamp::now(),
            kind,
        }
    }

    fn append(&mut self, event: &Event) -> io::Result<()> {
        self.next += 1;
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        match event.kind {
            // What has been announced goes on or is over: worth a line, not worth a wait for the disk. The next
            // announcement, or the ending, takes it along.
            Kind::StepProgress { .. }
            | Kind::StepEnded { .. }
            | Kind::Guarded { .. }
            | Kind::LogRead { .. } => Ok(()),
            _ => sync(&self.file),
        }
    }
}

impl Recorder {
    /// Records into `journal`.
    pub fn new(journal: Journal) -> Self {
        Self {
            run: journal.run.clone(),
            path: journal.path.clone(),
            inner: Mutex::new(Inner {
                journal,
                listeners: Vec::new(),
                broken: None,
                ended: false,
            }),
        }
    }

    /// The run's id.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The journal's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives a receiver of all further events. It is unbounded: a slow listener never holds up a run.
    pub fn subscribe(&self) -> Receiver<Event> {
        let (sender, receiver) = channel();
        self.lock().listeners.push(sender);
        receiver
    }

    /// Writes an event to disk, then hands it on.
    ///
    /// After one failure every later call fails too: a journal with a hole would tell a wrong story. The ending is handed
    /// on all the same: whoever looks on waits for it. After it nothing is written: an interrupt that comes while somebody
    /// reads what was said is none of the run.
    ///
    /// # Errors
    /// [`JournalError::Write`]; the caller must not do what the event announces.
    pub fn record(&self, kind: Kind) -> Result<(), JournalError> {
        let mut inner = self.lock();
        if inner.ended {
            return Ok(());
        }
        inner.ended = matches!(kind, Kind::Ended { .. });
        let event = inner.journal.event(kind);
        let written = match &inner.broken {
            Some(why) => Err(io::Error::other(why.clone())),
            None => inner.journal.append(&event),
        };
        if let Err(error) = &written {
            inner.broken = Some(error.to_string());
        }
        if written.is_ok() || inner.ended {
            inner
                .listeners
                .retain(|listener| listener.send(event.clone()).is_ok());
        }
        written.map_err(|source| JournalError::Write {
            path: self.path.clone(),
            source,
        })
    }

    /// Whether the run's ending is written.
    pub fn is_ended(&self) -> bool {
        self.lock().ended
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a journal. A torn last line is left out and told apart.
///
/// # Errors
/// The file cannot be read, a line before the last is no event, or a later format.
pub fn read(path: &Path) -> Result<Replay, JournalError> {
    let bytes = fs::read(path).map_err(|source| JournalError::Open {
        path: path.to_owned(),
        source,
    })?;
    let whole = bytes
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1);
    let (lines, rest) = bytes.split_at(whole);
    let mut events = Vec::new();
    for (at, line) in lines.split(|b| *b == b'\n').enumerate() {
        if !line.is_empty() {
            events.push(parse(path, at + 1, line)?);
        }
    }
    let torn = (!rest.is_empty()).then(|| String::from_utf8_lossy(rest).into_owned());
    Ok(Replay { events, torn })
}

/// Lists past runs, oldest first; none if there is no folder yet.
///
/// # Errors
/// The folder is there and cannot be read.
pub fn list(state_dir: &Path) -> Result<Vec<Run>, JournalError> {
    let dir = runs_dir(state_dir);
    let failed = |source| JournalError::Open {
        path: dir.clone(),
        source,
    };
    let entries = match fs::read_dir(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut runs = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let path = entry.path().join("journal.ndjson");
        if path.is_file() {
            let id = entry.file_name().to_string_lossy().into_owned();
            runs.push(Run { id, path });
        }
    }
    runs.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(runs)
}

fn parse(path: &Path, line: usize, text: &[u8]) -> Result<Event, JournalError> {
    #[derive(serde::Deserialize)]
    struct Head {
        format: u32,
    }
    let not_an_event = |source| JournalError::NotAnEvent {
        path: path.to_owned(),
        line,
        source,
    };
    let head: Head = serde_json::from_slice(text).map_err(not_an_event)?;
    if head.format > FORMAT {
        return Err(JournalError::Format {
            path: path.to_owned(),
            found: head.format,
        });
    }
    serde_json::from_slice(text).map_err(not_an_event)
}

fn private_dir(dir: &Path) -> Result<(), JournalError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| JournalError::Folder {
        path: dir.to_owned(),
        source,
    })
}

fn sync_dir(dir: &Path) -> Result<(), JournalError> {
    let synced = File::open(dir).and_then(|open| open.sync_all());
    synced.map_err(|source| JournalError::Folder {
        path: dir.to_owned(),
        source,
    })
}

fn sync(file: &File) -> io::Result<()> {
    match file.sync_data() {
        // A pipe or a terminal holds nothing back that could be synced.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
            Ok(())
        }
        synced => synced,
    }
}

#[cfg(test)]
mod tests;
