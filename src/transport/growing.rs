//! A local file that is read while somebody still writes it.

use std::io;
use std::path::{Path, PathBuf};

use tokio::sync::watch;

/// How far a file is.
#[derive(Clone, Debug, Default)]
struct Written {
    bytes: u64,
    /// Set at the end: whether it is whole, or why not.
    end: Option<Result<(), String>>,
}

/// A file and how far it is; clones read the same file.
#[derive(Clone, Debug)]
pub struct Growing {
    path: PathBuf,
    written: watch::Receiver<Written>,
}

/// Tells the readers how far the file is. Dropped before the end it tells them that the file stays torn.
#[derive(Debug)]
pub struct Writer(watch::Sender<Written>);

impl Growing {
    /// A file in which nothing is yet.
    pub fn new(path: PathBuf) -> (Self, Writer) {
        let (sender, written) = watch::channel(Written::default());
        (Self { path, written }, Writer(sender))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size in bytes, once it is whole.
    pub fn size(&self) -> Option<u64> {
        let written = self.written.borrow();
        matches!(written.end, Some(Ok(()))).then_some(written.bytes)
    }

    /// Waits until there are more bytes than so many. No, if there never will be.
    ///
    /// # Errors
    /// The file was not written to its end.
    pub async fn has_more_than(&mut self, bytes: u64) -> io::Result<bool> {
        let further = |written: &Written| written.bytes > bytes || written.end.is_some();
        let written = self.written.wait_for(further).await;
        let written = written.map_err(|_| io::Error::other("it was not written to its end"))?;
        match &written.end {
            Some(Err(said)) => Err(io::Error::other(said.clone())),
            _ => Ok(written.bytes > bytes),
        }
    }

    /// Waits until it is whole.
    ///
    /// # Errors
    /// It never will be.
    pub async fn whole(&mut self) -> io::Result<()> {
        self.has_more_than(u64::MAX).await.map(drop)
    }
}

impl Writer {
    /// So many bytes more can be read.
    pub fn add(&self, bytes: usize) {
        self.0.send_modify(|written| written.bytes += bytes as u64);
    }

    /// The file is whole, or will never be.
    pub fn end(self, result: &io::Result<()>) {
        let end = result.as_ref().map_err(io::Error::to_string);
        self.0
            .send_modify(|written| written.end = Some(end.copied()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_is_told_of_bytes_of_the_end_and_of_a_torn_file() {
        let (mut growing, writer) = Growing::new("x".into());
        writer.add(3);
        assert!(growing.has_more_than(2).await.unwrap());
        assert_eq!(growing.size(), None);
        writer.end(&Ok(()));
        assert!(!growing.has_more_than(3).await.unwrap());
        growing.whole().await.unwrap();
        assert_eq!(growing.size(), Some(3));

        let (mut full, writer) = Growing::new("x".into());
        writer.add(3);
        writer.end(&Err(io::Error::other("the disk is full")));
        let said = full.has_more_than(0).await.unwrap_err().to_string();
        assert_eq!((said.as_str(), full.size()), ("the disk is full", None));

        let (mut torn, writer) = Growing::new("x".into());
        drop(writer);
        assert!(torn.whole().await.is_err());
    }
}
