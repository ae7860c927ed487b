//! sudo's password: from a file, or asked for once at the terminal.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::cli::Global;
use crate::error::{Failure, Problem, Result};
use crate::exit::Exit;
use crate::secret::Secret;

/// More than any password; sudo itself takes fewer.
const MOST: u64 = 1000;

/// The password that the flags promise, if they do.
///
/// # Errors
/// A file that cannot be used, no terminal to ask at, or Ctrl-C at the question. Nothing was contacted then.
pub fn obtain(global: &Global) -> Result<Option<Secret>> {
    match &global.become_password_file {
        Some(file) => from_file(file).map(Some),
        None if global.ask_become_pass => ask().map(Some),
        None => Ok(None),
    }
}

fn from_file(path: &Path) -> Result<Secret> {
    let unusable = |why: String| {
        let what = format!("the password file `{}` cannot be used", path.display());
        let hint = "put the password alone into one line of a file that only you can read";
        Failure::new(Exit::Usage, Problem::new(what).because(why).hint(hint))
    };
    let text = read(path).map_err(|error| unusable(error.to_string()))?;
    let password = text.trim_end_matches(['\n', '\r']);
    match flaw(password) {
        Some(flaw) => Err(unusable(flaw.to_owned())),
        None => Ok(Secret::new(password)),
    }
}

/// The text of a file, or of a pipe such as `<(pass show sudo)`.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MOST + 2).read_to_string(&mut text)?;
    Ok(text)
}

/// What no password can be: it travels as one line.
fn flaw(password: &str) -> Option<&'static str> {
    if password.is_empty() {
        Some("it is empty")
    } else if password.len() as u64 > MOST {
        Some("it is longer than any password")
    } else if password.contains(['\n', '\r', '\0']) {
        Some("it has more than one line")
    } else {
        None
    }
}

fn ask() -> Result<Secret> {
    let no_terminal = |error: io::Error| {
        let problem = Problem::new("there is no terminal to ask for sudo's password at")
            .because(error.to_string())
            .hint("pass `--become-password-file FILE` instead of `-K`");
        Failure::new(Exit::Usage, problem)
    };
    let tty = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .map_err(no_terminal)?;
    let typed = typed(&tty).map_err(no_terminal)?;
    let typed = typed.ok_or_else(|| {
        Failure::new(Exit::Interrupted, "interrupted before anything was changed")
            .changed("nothing")
    })?;
    match flaw(&typed) {
        Some(flaw) => Err(Failure::new(
            Exit::Usage,
            Problem::new("this is no password").because(flaw),
        )),
        None => Ok(Secret::new(typed)),
    }
}

/// A line from the terminal that is not shown; `None` if Ctrl-C was typed. The terminal is put back in any case.
fn typed(tty: &File) -> io::Result<Option<String>> {
    let _quiet = Quiet::start(tty)?;
    (&*tty).write_all(b"sudo password: ")?;
    let mut line = Line::default();
    let mut byte = [0];
    let ended = loop {
        let end = (&*tty).read(&mut byte)? == 0;
        match line.take(byte[0], end) {
            Typed::More => {}
            Typed::Done => break Some(()),
            Typed::Interrupt => break None,
        }
    };
    (&*tty).write_all(b"\n")?;
    let text = String::from_utf8(line.bytes).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(ended.map(|()| text))
}

/// What is typed, with the few keys that edit it.
#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
}

enum Typed {
    More,
    Done,
    Interrupt,
}

impl Line {
    fn take(&mut self, byte: u8, end: bool) -> Typed {
        const CTRL_C: u8 = 3;
        const CTRL_D: u8 = 4;
        const CTRL_U: u8 = 0x15;
        const CTRL_BACKSLASH: u8 = 0x1c;
        match byte {
            _ if end => return Typed::Done,
            b'\n' | b'\r' | CTRL_D => return Typed::Done,
            CTRL_C | CTRL_BACKSLASH => return Typed::Interrupt,
            CTRL_U => self.bytes.clear(),
            8 | 0x7f => self.rub_out(),
            byte => self.bytes.push(byte),
        }
        Typed::More
    }

    /// Takes the last character away, which may be several bytes.
    fn rub_out(&mut self) {
        while self.bytes.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
    }
}

/// A terminal that shows nothing of what is typed and makes no signals of it, until this is dropped.
struct Quiet<'t> {
    tty: &'t File,
    before: Termios,
}

impl<'t> Quiet<'t> {
    fn start(tty: &'t File) -> io::Result<Self> {
        let before = tcgetattr(tty)?;
        let mut quiet = before.clone();
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(tty, OptionalActions::Flush, &quiet)?;
        Ok(Self { tty, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.tty, OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<Secret> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        from_file(file.path())
    }

    #[test]
    fn a_password_file_holds_one_line() {
        assert_eq!(file("se cret \n").unwrap().reveal(), "se cret ");
        for bad in ["", "\n", "a\nb\n", &"x".repeat(2000)] {
            assert_eq!(file(bad).unwrap_err().exit, Exit::Usage, "{bad:?}");
        }
    }

    #[test]
    fn what_is_typed_can_be_corrected() {
        let mut line = Line::default();
        for byte in "wrong\u{15}pä\u{7f}asz\u{7f}s".bytes() {
            assert!(matches!(line.take(byte, false), Typed::More));
        }
        assert!(matches!(line.take(b'\r', false), Typed::Done));
        assert_eq!(line.bytes, b"pass");
        assert!(matches!(line.take(3, false), Typed::Interrupt));
    }
}
