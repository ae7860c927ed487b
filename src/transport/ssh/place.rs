//! Where a script's stdout goes. A local file that did not receive all of it is removed again.

use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use super::channel::{NoAnswer, PIECE};
use crate::transport::Sink;

/// The most stdout that is captured.
const CAPTURE_MOST: usize = 8 << 20;

/// Takes stdout as it comes.
pub(super) enum Place {
    /// Captures it.
    Memory(Vec<u8>),
    /// Streams it.
    File(Partial),
    /// Drops it: it is sent on as lines.
    Elsewhere,
}

/// A local file that is removed unless it is kept.
pub(super) struct Partial {
    path: PathBuf,
    file: File,
    is_kept: bool,
}

impl Place {
    /// Makes the local file, if there is one.
    pub(super) async fn new(sink: &Sink) -> Result<Self, NoAnswer> {
        match sink {
            Sink::Capture => Ok(Self::Memory(Vec::new())),
            Sink::File(path) => Partial::create(path).await.map(Self::File),
            Sink::Lines(_) => Ok(Self::Elsewhere),
        }
    }

    /// Takes a piece.
    pub(super) async fn take(&mut self, bytes: &[u8]) -> Result<(), NoAnswer> {
        match self {
            Self::Memory(all) if all.len() + bytes.len() > CAPTURE_MOST => Err(NoAnswer::TooMuch),
            Self::Memory(all) => {
                all.extend_from_slice(bytes);
                Ok(())
            }
            Self::File(partial) => {
                let written = partial.file.write_all(bytes).await;
                written.map_err(|error| NoAnswer::Local(partial.path.clone(), error))
            }
            Self::Elsewhere => Ok(()),
        }
    }

    /// Waits until all is written.
    pub(super) async fn flush(&mut self) -> Result<(), NoAnswer> {
        match self {
            Self::Memory(_) | Self::Elsewhere => Ok(()),
            Self::File(partial) => {
                let flushed = partial.file.flush().await;
                flushed.map_err(|error| NoAnswer::Local(partial.path.clone(), error))
            }
        }
    }

    /// Keeps the file, or gives what was captured: the answer is complete.
    pub(super) fn keep(self) -> Vec<u8> {
        match self {
            Self::Memory(all) => all,
            Self::File(mut partial) => {
                partial.is_kept = true;
                Vec::new()
            }
            Self::Elsewhere => Vec::new(),
        }
    }
}

impl Partial {
    async fn create(path: &Path) -> Result<Self, NoAnswer> {
        let mut options = File::options();
        options.write(true).create_new(true).mode(0o600);
        let mut file = options
            .open(path)
            .await
            .map_err(|error| NoAnswer::Local(path.to_owned(), error))?;
        file.set_max_buf_size(PIECE);
        Ok(Self {
            path: path.to_owned(),
            file,
            is_kept: false,
        })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
