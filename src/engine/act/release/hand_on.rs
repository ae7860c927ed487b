//! A neighbour that hands a release on, for hosts behind a slow link.
//!
//! The neighbour listens at its peer address on a port by chance for as long as we hold the script there, and gives out
//! the binaries of the one release: anybody may have those. What arrives is checked as an upload is, so nothing has
//! to be believed, and a neighbour that cannot give, or not be reached, costs a few seconds and nothing else.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::{Failure, Task};
use crate::etcd::Version;
use crate::plan::Neighbour;
use crate::transport::{Command, Input, Line, Output, Sink, Stream, Unreachable};

/// The title of [`HAND_ON`].
pub const HAND_ON_TITLE: &str = "hand a release on";

/// Gives out binaries of `<install_dir>/<version>` until nobody holds it any more. Prints its port.
///
/// Arguments: `install_dir version address`.
const HAND_ON: &str = include_str!("hand_on.sh");

/// How long a neighbour may take until it listens: a login shell and two processes.
const READY: Duration = Duration::from_secs(10);

/// More lines than it prints.
const LINES: usize = 8;

/// A neighbour that gives, until it is dropped.
#[derive(Debug)]
pub(super) struct Giver {
    /// The host's name.
    pub host: String,
    address: String,
    port: String,
    /// Dropped to end it.
    _hold: watch::Sender<bool>,
    _script: JoinHandle<Result<Output, Unreachable>>,
}

impl Giver {
    /// Asks a neighbour to give; `None` if it does not, which is told.
    ///
    /// # Errors
    /// The journal takes no more.
    pub(super) async fn ask(
        task: &Task<'_>,
        neighbour: &Neighbour,
        version: &Version,
    ) -> Result<Option<Self>, Failure> {
        let Some(host) = task.turn.cluster.host(&neighbour.host) else {
            return Ok(None);
        };
        let (hold, released) = watch::channel(false);
        let (tell, printed) = mpsc::channel(LINES);
        let data = [
            host.install_dir.clone(),
            version.to_string(),
            neighbour.address.clone(),
        ];
        let command = Command {
            input: Input::Held(released),
            output: Sink::Lines(tell),
            privileged: false,
            ..task.command(HAND_ON_TITLE, HAND_ON)
        };
        let command = command.args(data);
        let (transport, name) = (task.turn.engine.transport.clone(), host.name.clone());
        let script = tokio::spawn(async move { transport.run(&name, command).await });
        let ready = timeout(READY, port(printed)).await;
        let Some(port) = ready.ok().flatten() else {
            script.abort();
            task.progress(&format!("{} does not hand {version} on", host.name))?;
            return Ok(None);
        };
        task.progress(&format!("takes {version} from {}", host.name))?;
        Ok(Some(Self {
            host: host.name.clone(),
            address: neighbour.address.clone(),
            port,
            _hold: hold,
            _script: script,
        }))
    }

    /// Whether a binary has come from the neighbour, by this upload; why not is told.
    ///
    /// # Errors
    /// The host itself is lost, or the journal takes no more.
    pub(super) async fn gives(
        &self,
        task: &Task<'_>,
        name: &str,
        upload: Command,
    ) -> Result<bool, Failure> {
        let upload = upload.arg(&self.address).arg(&self.port);
        let output = task.reach(upload).await?;
        if !output.is_success() {
            let said = output.complaint();
            task.progress(&format!(
                "{} gives no {name} ({said}), so it is sent",
                self.host
            ))?;
        }
        Ok(output.is_success())
    }
}

/// The port that the script prints.
async fn port(mut printed: mpsc::Receiver<Line>) -> Option<String> {
    loop {
        let line = printed.recv().await?;
        if line.stream == Stream::Out {
            let port = String::from_utf8(line.text).ok()?;
            return port.parse::<u16>().is_ok().then_some(port);
        }
    }
}
