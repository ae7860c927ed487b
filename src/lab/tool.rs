//! Programs of this machine that the lab calls, and waiting for them.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::LabError;

/// How often a condition that nobody announces is looked at.
const GLANCE: Duration = Duration::from_millis(25);

/// A flag that stops long work at its next look; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks for the end.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Fails once the end was asked for.
    ///
    /// # Errors
    /// [`LabError::Interrupted`].
    pub fn check(&self) -> Result<(), LabError> {
        if self.0.load(Ordering::Acquire) {
            return Err(LabError::Interrupted);
        }
        Ok(())
    }

    /// Looks again and again until `look` gives `Ok`, or the time is up.
    ///
    /// # Errors
    /// [`LabError::TooLate`] with what `look` said last, or [`LabError::Interrupted`].
    pub fn wait<T>(
        &self,
        what: &str,
        after: Duration,
        mut look: impl FnMut() -> Result<T, String>,
    ) -> Result<T, LabError> {
        let end = Instant::now() + after;
        loop {
            self.check()?;
            match look() {
                Ok(value) => return Ok(value),
                Err(last) if Instant::now() >= end => {
                    let what = what.to_owned();
                    return Err(LabError::TooLate { what, after, last });
                }
                Err(_) => thread::sleep(GLANCE),
            }
        }
    }
}

/// A call of a program, with its output kept.
pub(super) struct Tool(Command);

impl Tool {
    /// A call of `program`.
    pub(super) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).env("PATH", search_path());
        Self(command)
    }

    /// Adds one argument.
    pub(super) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.0.arg(arg);
        self
    }

    /// Adds arguments.
    pub(super) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.0.args(args);
        self
    }

    /// Sets a variable of its environment.
    pub(super) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// Sets its working folder.
    pub(super) fn within(mut self, folder: &std::path::Path) -> Self {
        self.0.current_dir(folder);
        self
    }

    /// Runs it and returns what it wrote to stdout.
    pub(super) fn run(self) -> Result<String, LabError> {
        self.run_until(&Cancel::default())
    }

    /// Runs it, killing it when the end is asked for.
    pub(super) fn run_until(mut self, cancel: &Cancel) -> Result<String, LabError> {
        let mut out = scratch()?;
        let mut err = scratch()?;
        self.0.stdout(clone(&out)?).stderr(clone(&err)?);
        let mut child = self.0.spawn().map_err(|source| self.no_start(source))?;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(|e| self.no_start(e))? {
                break status;
            }
            if cancel.check().is_err() {
                let _ = child.kill();
                let _ = child.wait();
                return Err(LabError::Interrupted);
            }
            thread::sleep(Duration::from_millis(2));
        };
        let said = text(&mut out)?;
        if status.success() {
            return Ok(said);
        }
        let output = tail(&(text(&mut err)? + &said));
        let command = self.line();
        Err(LabError::Failed {
            command,
            status,
            output,
        })
    }

    fn no_start(&self, source: std::io::Error) -> LabError {
        let what = format!("cannot run `{}`", self.line());
        LabError::Io { what, source }
    }

    fn line(&self) -> String {
        let words = std::iter::once(self.0.get_program()).chain(self.0.get_args());
        let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
        words.join(" ")
    }
}

/// Where programs are looked for: administrators' folders too, which not every root's `PATH` names.
pub(super) fn search_path() -> OsString {
    let own = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = env::split_paths(&own).collect();
    folders.extend(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from));
    env::join_paths(folders).unwrap_or(own)
}

/// The last lines of a long output: enough to see the cause, short enough for a terminal.
fn tail(output: &str) -> String {
    let lines: Vec<_> = output.trim().lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

fn scratch() -> Result<File, LabError> {
    tempfile::tempfile().map_err(LabError::io("write a file in", &std::env::temp_dir()))
}

fn clone(file: &File) -> Result<File, LabError> {
    let again = file.try_clone();
    again.map_err(LabError::io("write a file in", &std::env::temp_dir()))
}

fn text(file: &mut File) -> Result<String, LabError> {
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut bytes))
        .map_err(LabError::io("read a file in", &std::env::temp_dir()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_is_reported_with_its_words() {
        let error = Tool::new("sh").args(["-c", "echo no luck >&2; exit 3"]);
        let message = error.run().unwrap_err().to_string();
        assert!(
            message.contains("no luck") && message.contains('3'),
            "{message}"
        );
    }

    #[test]
    fn a_cancelled_program_is_killed_at_once() {
        let cancel = Cancel::default();
        cancel.cancel();
        let begun = Instant::now();
        let ended = Tool::new("sleep").arg("60").run_until(&cancel);
        assert!(matches!(ended, Err(LabError::Interrupted)));
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn waiting_ends_with_what_was_seen_last() {
        let nothing = Cancel::default().wait("`x` did not come", Duration::ZERO, || {
            Err::<(), _>("only y".to_owned())
        });
        let message = nothing.unwrap_err().to_string();
        assert!(message.contains("`x` did not come") && message.contains("only y"));
    }
}
