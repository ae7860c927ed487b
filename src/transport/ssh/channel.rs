//! One command on one channel: feeds stdin, takes the answer apart, ends when both marks came.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use openssh::{Child, ChildStderr, ChildStdin, ChildStdout, Error, Session, Stdio};
use rustix::pipe::fcntl_setpipe_size;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

use super::answer::{Stderr, Stdout};
use super::lines::Lines;
use super::place::Place;
use super::remote::Remote;
use crate::secret::Secret;
use crate::transport::{BEAT, Command, Growing, Input, Meter, Sink, Stream};

/// How much is read or written at once, and the size that pipes are asked for. The kernel allows that without rights.
pub(super) const PIECE: usize = 1 << 20;

/// How much of a file that is sent is held here, twice: many go out at once.
const HELD: usize = 128 << 10;

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
        /// Whether the script's shell had its rights, and had taken what is sent first unless a password came before.
        started: bool,
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
    /// How often sudo asked for the password.
    pub(super) questions: u32,
    /// The captured output.
    pub(super) stdout: Vec<u8>,
    /// The script's complaints, or sudo's.
    pub(super) stderr: Vec<u8>,
}

/// A channel with a shell that waits for a script.
pub(super) struct Channel {
    child: Child<Arc<Session>>,
    /// Nothing once a script was fed to its end.
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: ChildStderr,
}

impl Channel {
    fn new(mut child: Child<Arc<Session>>) -> Self {
        let stdin = child.stdin().take().expect("stdin is piped");
        let stdout = child.stdout().take().expect("stdout is piped");
        let stderr = child.stderr().take().expect("stderr is piped");
        let _ = fcntl_setpipe_size(&stdin, PIECE);
        let _ = fcntl_setpipe_size(&stdout, PIECE);
        Self {
            child,
            stdin: Some(stdin),
            stdout,
            stderr,
        }
    }

    /// Closes our ends and waits until sshd has closed the channel too.
    pub(super) async fn close(self) {
        let Self {
            child,
            stdin,
            stdout,
            stderr,
        } = self;
        drop((stdin, stdout, stderr));
        let _ = child.wait().await;
    }
}

/// Opens a channel and starts the fixed wrapper there.
pub(super) async fn open(session: &Arc<Session>, line: &str) -> Result<Channel, NotOpened> {
    let mut command = Arc::clone(session).arc_raw_command(line);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    match command.spawn().await {
        Ok(child) => Ok(Channel::new(child)),
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
pub(super) async fn converse(
    channel: &mut Channel,
    host: &str,
    remote: &Remote,
    command: &Command,
) -> Result<Answer, NoAnswer> {
    let stdin = &mut channel.stdin;
    let (stdout, stderr) = (&mut channel.stdout, &mut channel.stderr);
    let (progress, rise) = watch::channel(Rise::default());
    let reading = async {
        let lines = |stream| Lines::of(&command.output, host, stream, &remote.mark);
        let (out, err) = (lines(Stream::Out), lines(Stream::Err));
        tokio::try_join!(read_stdout(stdout, remote, &command.output, out), async {
            Ok(read_stderr(stderr, remote, progress, err).await)
        })
    };
    let feeding = feed(stdin, remote, command, rise);
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
            questions: err.questions(),
            stdout: out.place.keep(),
            stderr: err.words().to_vec(),
        }),
        _ => Err(NoAnswer::Cut {
            begun: out.begun || err.has_begun(),
            started: err.was_started(),
            words: [&out.noise[..], err.words()].concat(),
        }),
    }
}

/// How far the way to root is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rise {
    /// How often sudo asked for the password.
    questions: u32,
    /// Whether the script's shell has the rights.
    was_started: bool,
}

/// Answers sudo's first question, and waits until the script's shell has the rights. Says no if it never will: a second
/// question means that the password is wrong, and the end of stdin is the answer to that.
async fn risen(stdin: &mut ChildStdin, password: &Secret, mut rise: watch::Receiver<Rise>) -> bool {
    let asked = rise.wait_for(|rise| rise.was_started || rise.questions > 0);
    match asked.await.map(|rise| *rise) {
        Err(_) => return false,
        Ok(rise) if rise.was_started => return true,
        Ok(_) => {}
    }
    let line = format!("{}\n", password.reveal());
    if stdin.write_all(line.as_bytes()).await.is_err() {
        return false;
    }
    let answered = rise.wait_for(|rise| rise.was_started || rise.questions > 1);
    answered.await.is_ok_and(|rise| rise.was_started)
}

/// Sends the script, then the payload and the end of it. A script that ends without reading is no error. Whose shell stays
/// gets no end.
async fn feed(
    channel: &mut Option<ChildStdin>,
    remote: &Remote,
    command: &Command,
    rise: watch::Receiver<Rise>,
) -> Result<(), NoAnswer> {
    let Some(stdin) = channel else {
        return Ok(());
    };
    let fed = send(stdin, remote, command, rise).await;
    if !remote.stays {
        *channel = None;
    }
    fed
}

async fn send(
    stdin: &mut ChildStdin,
    remote: &Remote,
    command: &Command,
    rise: watch::Receiver<Rise>,
) -> Result<(), NoAnswer> {
    if let Some(password) = &remote.password
        && !risen(stdin, password, rise).await
    {
        return Ok(());
    }
    if stdin.write_all(&remote.header).await.is_err() {
        return Ok(());
    }
    match &command.input {
        Input::None => {}
        Input::Bytes(bytes) => {
            let _ = stdin.write_all(bytes).await;
        }
        Input::Held(released) => {
            let _ = released.clone().wait_for(|released| *released).await;
        }
        Input::Pulsed(released) => beat(stdin, released.clone()).await,
        Input::File(path) => send_file(stdin, path, None, command.meter.as_ref())
            .await
            .map_err(|error| NoAnswer::Local(path.clone(), error))?,
        Input::Growing(file) => {
            let path = file.path();
            send_file(stdin, path, Some(file.clone()), command.meter.as_ref())
                .await
                .map_err(|error| NoAnswer::Local(path.to_owned(), error))?;
        }
    }
    Ok(())
}

/// Sends signs of life until the command is released or the script does not read them.
async fn beat(stdin: &mut ChildStdin, mut released: watch::Receiver<bool>) {
    let mut is_released = async || released.wait_for(|released| *released).await.map(|_| ());
    while tokio::time::timeout(BEAT, is_released()).await.is_err() {
        if stdin.write_all(b"\n").await.is_err() {
            return;
        }
    }
}

/// Sends a file to its end; to that which it will have, if it still grows.
async fn send_file(
    stdin: &mut ChildStdin,
    path: &Path,
    mut growing: Option<Growing>,
    meter: Option<&Meter>,
) -> std::io::Result<()> {
    meter.inspect(|meter| meter.reset());
    let mut file = File::open(path).await?;
    file.set_max_buf_size(HELD);
    let mut piece = vec![0; HELD];
    let mut sent = 0;
    loop {
        if let Some(growing) = &mut growing
            && !growing.has_more_than(sent).await?
        {
            return Ok(());
        }
        let n = file.read(&mut piece).await?;
        if n == 0 || stdin.write_all(&piece[..n]).await.is_err() {
            return Ok(());
        }
        sent += n as u64;
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
    mut lines: Option<Lines>,
) -> Result<Out, NoAnswer> {
    let mut parser = Stdout::new(&remote.mark);
    let mut place = Place::new(sink).await?;
    let mut piece = vec![0; PIECE / 4];
    while !parser.is_complete() {
        let n = from.read(&mut piece).await.unwrap_or(0);
        if let Some(lines) = &mut lines {
            lines.take(&piece[..n]).await;
        }
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
    if let Some(lines) = lines {
        lines.finish().await;
    }
    place.flush().await?;
    Ok(Out {
        place,
        is_complete: parser.is_complete(),
        begun: parser.has_begun(),
        noise: parser.noise().to_vec(),
    })
}

/// Reads stderr up to the status, and tells how far the way to root is.
async fn read_stderr(
    mut from: impl AsyncRead + Unpin,
    remote: &Remote,
    progress: watch::Sender<Rise>,
    mut lines: Option<Lines>,
) -> Stderr {
    let mut parser = Stderr::new(&remote.mark);
    let mut piece = vec![0; 16 << 10];
    while parser.status().is_none() {
        let n = from.read(&mut piece).await.unwrap_or(0);
        if n == 0 {
            break;
        }
        parser.push(&piece[..n]);
        if let Some(lines) = &mut lines {
            lines.take(&piece[..n]).await;
        }
        progress.send_replace(Rise {
            questions: parser.questions(),
            was_started: parser.was_started(),
        });
    }
    if let Some(lines) = lines {
        lines.finish().await;
    }
    parser
}
