//! One command on one channel: feeds stdin, takes the answer apart, ends when both marks came.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use openssh::{Child, ChildStdin, Error, Session, Stdio};
use rustix::pipe::fcntl_setpipe_size;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use super::answer::{Stderr, Stdout};
use super::place::Place;
use super::remote::Remote;
use crate::transport::{Command, Input, Meter, Sink};

/// How much is read or written at once, and the size that pipes are asked for. The kernel allows that without rights.
pub(super) const PIECE: usize = 1 << 20;

/// Why a channel could not be opened. Nothing was run: the script goes out only after the channel stands.
pub(super) enum NotOpened {
    /// sshd refuses a further session, in ssh's words.
    Refused(String),
    /// The master or its connection is gone.
    Gone,
}

/// Why there is no answer.
pub(super) enum NoAnswer {
    /// A local file cannot be used.
    Local(PathBuf, std::io::Error),
    /// More stdout than is captured.
    TooMuch,
    /// The streams ended without all of our marks.
    Cut {
        /// Whether the first mark came: the wrapper ran.
        begun: bool,
        /// What was printed instead.
        words: Vec<u8>,
    },
}

/// What came back.
pub(super) struct Answer {
    /// The status of the script, or of sudo if the script never started.
    pub(super) status: i32,
    /// Whether the script was started at all.
    pub(super) was_started: bool,
    /// The captured output.
    pub(super) stdout: Vec<u8>,
    /// The script's complaints, or sudo's.
    pub(super) stderr: Vec<u8>,
}

/// Opens a channel and starts the fixed wrapper there.
pub(super) async fn open(
    session: &Arc<Session>,
    remote: &Remote,
) -> Result<Child<Arc<Session>>, NotOpened> {
    let mut command = Arc::clone(session).arc_raw_command(&remote.line);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    match command.spawn().await {
        Ok(child) => Ok(child),
        Err(Error::SshMux(error)) if is_refusal(&error.to_string()) => {
            Err(NotOpened::Refused(error.to_string()))
        }
        Err(_) => Err(NotOpened::Gone),
    }
}

fn is_refusal(words: &str) -> bool {
    words.contains("refused by peer") || words.contains("prohibited")
}

/// Talks with the script until its answer is complete.
pub(super) async fn converse<S>(
    child: &mut Child<S>,
    remote: &Remote,
    command: &Command,
) -> Result<Answer, NoAnswer> {
    let stdin = child.stdin().take().expect("stdin is piped");
    let stdout = child.stdout().take().expect("stdout is piped");
    let stderr = child.stderr().take().expect("stderr is piped");
    let _ = fcntl_setpipe_size(&stdin, PIECE);
    let _ = fcntl_setpipe_size(&stdout, PIECE);
    let reading = async {
        tokio::try_join!(read_stdout(stdout, remote, &command.output), async {
            Ok(read_stderr(stderr, remote).await)
        })
    };
    let feeding = feed(stdin, &remote.header, command);
    tokio::pin!(reading, feeding);
    let (out, err) = tokio::select! {
        both = &mut reading => both?,
        fed = &mut feeding => {
            fed?;
            reading.await?
        }
    };
    finished(out, &err)
}

/// Puts the two streams together.
fn finished(out: Out, err: &Stderr) -> Result<Answer, NoAnswer> {
    match err.status() {
        Some(status) if out.is_complete => Ok(Answer {
            status,
            was_started: err.was_started(),
            stdout: out.place.keep(),
            stderr: err.words().to_vec(),
        }),
        _ => Err(NoAnswer::Cut {
            begun: out.begun || err.has_begun(),
            words: [&out.noise[..], err.words()].concat(),
        }),
    }
}

/// Sends the script, then the payload. A script that ends without reading is no error.
async fn feed(mut stdin: ChildStdin, header: &[u8], command: &Command) -> Result<(), NoAnswer> {
    if stdin.write_all(header).await.is_err() {
        return Ok(());
    }
    match &command.input {
        Input::None => {}
        Input::Bytes(bytes) => {
            let _ = stdin.write_all(bytes).await;
        }
        Input::File(path) => send_file(&mut stdin, path, command.meter.as_ref())
            .await
            .map_err(|error| NoAnswer::Local(path.clone(), error))?,
    }
    Ok(())
}

async fn send_file(
    stdin: &mut ChildStdin,
    path: &Path,
    meter: Option<&Meter>,
) -> std::io::Result<()> {
    meter.inspect(|meter| meter.reset());
    let mut file = File::open(path).await?;
    file.set_max_buf_size(PIECE);
    let mut piece = vec![0; PIECE];
    loop {
        let n = file.read(&mut piece).await?;
        if n == 0 || stdin.write_all(&piece[..n]).await.is_err() {
            return Ok(());
        }
        meter.inspect(|meter| meter.add(n));
    }
}

/// How stdout ended.
struct Out {
    place: Place,
    /// Whether the end mark came.
    is_complete: bool,
    begun: bool,
    noise: Vec<u8>,
}

/// Reads stdout up to our end mark.
async fn read_stdout(
    mut from: impl AsyncRead + Unpin,
    remote: &Remote,
    sink: &Sink,
) -> Result<Out, NoAnswer> {
    let mut parser = Stdout::new(&remote.mark);
    let mut place = Place::new(sink).await?;
    let mut piece = vec![0; PIECE / 4];
    while !parser.is_complete() {
        let n = from.read(&mut piece).await.unwrap_or(0);
        let bytes = if n == 0 {
            parser.finish()
        } else {
            parser.push(&piece[..n])
        };
        place.take(&bytes).await?;
        if n == 0 {
            break;
        }
    }
    place.flush().await?;
    Ok(Out {
        place,
        is_complete: parser.is_complete(),
        begun: parser.has_begun(),
        noise: parser.noise().to_vec(),
    })
}

/// Reads stderr up to the status.
async fn read_stderr(mut from: impl AsyncRead + Unpin, remote: &Remote) -> Stderr {
    let mut parser = Stderr::new(&remote.mark);
    let mut piece = vec![0; 16 << 10];
    while parser.status().is_none() {
        match from.read(&mut piece).await {
            Ok(n) if n > 0 => parser.push(&piece[..n]),
            _ => break,
        }
    }
    parser
}
