//! What every command starts from.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::out::Out;
use super::panics::Place;
use super::password;
use crate::cli::{Format, Global};
use crate::error::{Failure, Problem, Result};
use crate::exit::Exit;
use crate::journal;
use crate::secret::Secret;

/// Flags, terminal, folders and the run's id.
pub struct Context {
    /// The flags of the command line.
    pub global: Global,
    /// stdout and stderr.
    pub out: Out,
    /// The id that this run has, whether or not it keeps a journal.
    pub run: String,
    /// Where journals are kept.
    pub state_dir: PathBuf,
    /// Where to look after a panic.
    pub place: Arc<Place>,
    /// When the command began.
    pub began: Instant,
    /// How long people took for their answers, in milliseconds.
    waited: AtomicU64,
    /// sudo's password, once it was asked for or read.
    password: OnceLock<Option<Secret>>,
}

impl Context {
    /// Makes it from the flags and the environment.
    pub fn new(global: Global, out: Out, place: Arc<Place>) -> Result<Self> {
        let run = journal::new_run_id(Timestamp::now());
        place.run(&run);
        Ok(Self {
            out,
            state_dir: state_dir(&global)?,
            run,
            place,
            global,
            began: Instant::now(),
            waited: AtomicU64::new(0),
            password: OnceLock::new(),
        })
    }

    /// The password for sudo that the flags promise; asked for once.
    ///
    /// # Errors
    /// As [`password::obtain`].
    pub fn become_password(&self) -> Result<Option<Secret>> {
        if let Some(known) = self.password.get() {
            return Ok(known.clone());
        }
        let asked = Instant::now();
        let obtained = password::obtain(&self.global)?;
        self.waited(asked.elapsed());
        Ok(self.password.get_or_init(|| obtained).clone())
    }

    /// Notes that someone took this long for an answer.
    pub fn waited(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.waited.fetch_add(ms, Ordering::Relaxed);
    }

    /// How long the command has worked so far, without waiting for answers.
    pub fn took(&self) -> Duration {
        let waited = Duration::from_millis(self.waited.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(waited)
    }

    /// Whether stdout takes one JSON object a line.
    pub fn json(&self) -> bool {
        self.global.output == Format::Json
    }

    /// The inventory files to read.
    pub fn inventory_files(&self) -> Result<Vec<PathBuf>> {
        let default = PathBuf::from("inventory.toml");
        match self.global.inventory.as_slice() {
            [] if default.is_file() => Ok(vec![default]),
            [] => Err(Failure::new(
                Exit::Usage,
                Problem::new("no inventory: there is no `inventory.toml` in this folder")
                    .hint("name one with `-i FILE`"),
            )),
            files => Ok(files.to_vec()),
        }
    }

    /// Where unpacked releases are kept.
    pub fn cache_dir(&self) -> PathBuf {
        absolute("XDG_CACHE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
            .map_or_else(
                || self.state_dir.join("releases"),
                |dir| dir.join("runner/releases"),
            )
    }
}

/// A runtime for commands that talk to hosts.
///
/// # Errors
/// The system gives no threads.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Bug, Problem::of(&error)))
}

fn state_dir(global: &Global) -> Result<PathBuf> {
    global
        .state_dir
        .clone()
        .or_else(|| absolute("XDG_STATE_HOME").map(|dir| dir.join("runner")))
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state/runner")))
        .ok_or_else(|| {
            let what = "no place for journals: neither XDG_STATE_HOME nor HOME is an absolute path";
            Failure::new(
                Exit::Usage,
                Problem::new(what).hint("name one with `--state-dir DIR`"),
            )
        })
}

/// A folder that the environment names; the XDG rules say to ignore relative ones.
fn absolute(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}
