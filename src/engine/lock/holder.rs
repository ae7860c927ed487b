//! Who holds a lock, and how others see it.

use std::fmt;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::DIR;
use crate::inventory::Cluster;
use crate::transport::{Command, Transport};

/// The title of [`WHO`].
pub const WHO_TITLE: &str = "look for a lock";

/// Prints what the holder of the lock wrote, or nothing. Writes nothing and never touches the lock itself, so that
/// looking cannot make a run fail: the process that the file names has it open, or nobody holds it. (/proc/locks would
/// leave it out inside of containers, where the process that took it is no more.)
///
/// Arguments: `dir data_dir`.
const WHO: &str = concat!(
    "set -eu
",
    include_str!("file.sh"),
    include_str!("who.sh")
);

/// Who holds a lock, in the holder's own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The run's id.
    pub run: String,
    /// The user who started it.
    pub who: String,
    /// The machine that it runs on.
    pub from: String,
    /// Since when.
    pub since: Timestamp,
}

/// A lock that somebody has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// The host.
    pub host: String,
    /// Who has it; `None` if the host does not say.
    pub holder: Option<Holder>,
}

/// Looks at all hosts of a cluster for a lock that somebody else than the run `own` holds; hosts that cannot be asked
/// are passed over. Takes none and writes nothing.
pub async fn look(
    transport: &dyn Transport,
    cluster: &Cluster,
    own: &str,
    deadline: Duration,
) -> Option<Taken> {
    let looks = cluster.hosts.iter().map(|host| async move {
        let command = Command::read(WHO_TITLE, WHO, deadline).args([DIR, host.data_dir.as_str()]);
        let text = transport.run(&host.name, command).await.ok()?.text();
        let holder = Holder::parse(&text);
        let host = host.name.clone();
        (!text.is_empty()).then_some(Taken { host, holder })
    });
    let mut looks: FuturesUnordered<_> = looks.collect();
    while let Some(look) = looks.next().await {
        let is_others = |taken: &Taken| taken.holder.as_ref().is_none_or(|one| one.run != own);
        if let Some(taken) = look.filter(is_others) {
            return Some(taken);
        }
    }
    None
}

impl Holder {
    /// Whether this run wins over the other where both want the locks. Both judge by what both have written, so they
    /// agree, whatever their clocks say.
    pub fn precedes(&self, other: &Self) -> bool {
        (self.since, &self.run) < (other.since, &other.run)
    }

    /// Reads what a holder wrote into its lock's file.
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text.lines().nth(1)?).ok()
    }
}

impl Holder {
    /// Says that this run holds something.
    pub fn holds(&self, what: &str) -> String {
        let Self {
            run,
            who,
            from,
            since,
        } = self;
        let since = since.strftime("%Y-%m-%dT%H:%M:%SZ");
        format!("run {run} of {who} on {from} holds {what}, since {since}")
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = format!("the lock on `{}`", self.host);
        match &self.holder {
            Some(holder) => f.write_str(&holder.holds(&what)),
            None => write!(f, "another run holds {what}"),
        }
    }
}
