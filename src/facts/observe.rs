//! Asks members what they see: the reading that `status` shows and that guards repeat before each disruptive step.

use std::time::Duration;

use futures_util::future::join_all;

use crate::etcd::{Version, wire};
use crate::inventory::{Cluster, Host};
use crate::secret::Secret;
use crate::transport::{Command, Output, Transport, Unreachable};

use super::answer::answer;
use super::parse::Frames;
use super::{Answer, Observation};

/// The title of the observing command.
pub const TITLE: &str = "observe member";

/// The observing script. Its parameters: `bin_dir install_dir client_url cacert cert key depth`.
pub const SCRIPT: &str = concat!(
    include_str!("lib.sh"),
    include_str!("page.sh"),
    include_str!("observe.sh"),
    "observe \"$@\"\n"
);

/// How much a member is asked.
///
/// From 3.4 on, where the JSON gateway answers and neither a user nor a client certificate is needed, one curl asks all;
/// else each question starts an etcdctl, and where cores are few that is what a look costs. Measured on a real
/// three-member cluster on a loopback with two cores: `Full` takes 19 ms a host by the gateway and 45 ms by etcdctl, and a
/// quarter of its processor time. Without quorum both take a time-out of 5 s once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// As `Cluster`, and whether etcd's user may read every key.
    #[default]
    Full,
    /// As `Member`, and what all members know alike: the member list, and before 3.4 the alarm list.
    Cluster,
    /// Version page, status and health; alarms only as far as the status names them (3.4 on).
    Member,
    /// The version page alone, which starts no etcdctl. It makes no [`Answer`]; see [`cluster_version`].
    Page,
}

impl Depth {
    /// As the script is told it.
    fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Cluster => "cluster",
            Self::Member => "member",
            Self::Page => "page",
        }
    }
}

/// Asks all members of a cluster at once.
pub async fn observe(
    transport: &dyn Transport,
    cluster: &Cluster,
    deadline: Duration,
) -> Observation {
    observe_to(transport, cluster, |_| Depth::Full, deadline).await
}

/// Asks all members of a cluster at once, each as much as `depth` says.
pub async fn observe_to(
    transport: &dyn Transport,
    cluster: &Cluster,
    depth: impl Fn(&Host) -> Depth,
    deadline: Duration,
) -> Observation {
    let asked = cluster.hosts.iter().map(|host| {
        let depth = depth(host);
        async move {
            let answer = observe_host_to(transport, host, depth, deadline).await;
            (host.name.clone(), answer)
        }
    });
    Observation {
        hosts: join_all(asked).await.into_iter().collect(),
    }
}

/// Asks the member on one host.
pub async fn observe_host(transport: &dyn Transport, host: &Host, deadline: Duration) -> Answer {
    observe_host_to(transport, host, Depth::Full, deadline).await
}

/// Asks the member on one host, as much as `depth` says.
pub async fn observe_host_to(
    transport: &dyn Transport,
    host: &Host,
    depth: Depth,
    deadline: Duration,
) -> Answer {
    match transport
        .run(&host.name, command(host, depth, deadline))
        .await
    {
        Ok(output) => read(&output, host),
        Err(unreachable) => Answer::Silent {
            because: in_one_line(&unreachable),
        },
    }
}

/// The cluster's version as the member on one host sees it: the cheapest of all looks. `None` if it does not tell.
pub async fn cluster_version(
    transport: &dyn Transport,
    host: &Host,
    deadline: Duration,
) -> Option<Version> {
    let command = command(host, Depth::Page, deadline);
    let output = transport.run(&host.name, command).await.ok()?;
    let frames = Frames::parse(&output.stdout).ok()?;
    wire::versions(&frames.text("version")).ok()?.cluster
}

/// The command that asks the member on one host.
pub fn command(host: &Host, depth: Depth, deadline: Duration) -> Command {
    let mut command = Command::read(TITLE, SCRIPT, deadline)
        .args(endpoint_args(host))
        .arg(depth.word());
    command.secrets = secrets(host);
    command
}

/// The arguments by which a script reaches the member: `bin_dir install_dir client_url cacert cert key`; an empty
/// text stands for none.
pub fn endpoint_args(host: &Host) -> [String; 6] {
    let tls = host.tls.clone().unwrap_or_default();
    [
        host.bin_dir.clone(),
        host.install_dir.clone(),
        host.client_url.clone(),
        tls.cacert.unwrap_or_default(),
        tls.cert.unwrap_or_default(),
        tls.key.unwrap_or_default(),
    ]
}

/// etcd's user and password, if the inventory names one, as etcdctl reads them.
pub fn secrets(host: &Host) -> Vec<(String, Secret)> {
    let user = |auth: &crate::inventory::Auth| {
        let both = format!("{}:{}", auth.user, auth.password.reveal());
        ("ETCDCTL_USER".to_owned(), Secret::new(both))
    };
    host.auth.iter().map(user).collect()
}

fn read(output: &Output, host: &Host) -> Answer {
    let read = Frames::parse(&output.stdout).and_then(|frames| answer(&frames, host));
    read.unwrap_or_else(|error| Answer::Silent {
        because: format!(
            "the answer cannot be read: {error}; the script ended with status {} and said {:?}",
            output.status,
            output.complaint()
        ),
    })
}

fn in_one_line(unreachable: &Unreachable) -> String {
    if unreachable.said.is_empty() {
        unreachable.to_string()
    } else {
        format!("{unreachable}: {}", unreachable.said)
    }
}
