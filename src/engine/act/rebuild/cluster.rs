//! The cluster that is made anew: its members' URLs, further members, and the proof that all have the same keys.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::super::client::{client, endpoint_args, secrets};
use super::super::{Failure, OBSERVE, Task, changed, unchanged};
use crate::engine::wait;
use crate::etcd::Version;
use crate::inventory::{Cluster, Host};
use crate::plan::Outcome;
use crate::transport::Command;

/// The title of [`PEERS`].
pub const PEERS_TITLE: &str = "set the peer URLs";
/// The title of [`ADD`].
pub const ADD_TITLE: &str = "add a member";
/// The title of [`HASH`].
pub const HASH_TITLE: &str = "read the hash of the keys";

/// Sets the peer URLs of the only member. Arguments: the six of an endpoint, `urls`.
const PEERS: &str = concat!(
    client!(),
    r#"
list=$(ctl 10 member list)
[ "$(printf '%s\n' "$list" | grep -c .)" -eq 1 ] || die "the cluster has other members: $list"
case $list in *" $1,"*) echo same; exit 0 ;; esac
ctl 20 member update "${list%%,*}" --peer-urls="$1" >/dev/null
"#
);

/// Adds a member, unless one with these peer URLs is there. Arguments: the six of an endpoint, `name urls seconds`.
///
/// etcd refuses while it takes another member for unhealthy, which it does for 5 s after each start.
const ADD: &str = concat!(
    client!(),
    r#"
name=$1 urls=$2 end=$(($(date +%s) + $3))
while :; do
  list=$(ctl 10 member list)
  case $list in *" $urls,"*) [ -n "${asked-}" ] || echo same; exit 0 ;; esac
  asked=1
  said=$(ctl 10 member add "$name" --peer-urls="$urls" 2>&1) || {
    [ "$(date +%s)" -lt "$end" ] || die "$(printf '%s\n' "$said" | tail -n 2)"
    sleep 1
  }
done
"#
);

/// Prints `revision=` of the member, and `hash=` of its keys at a revision, if one is given and the client knows how.
/// Arguments: the six of an endpoint, `revision`, which may be empty.
const HASH: &str = concat!(
    client!(),
    r#"
status=$(ctl 5 endpoint status -w json)
printf 'revision=%s\n' "$(printf '%s' "$status" | sed -n 's/.*"revision":\([0-9][0-9]*\).*/\1/p')"
[ -n "$1" ] || exit 0
known=$(ctl 5 help endpoint hashkv 2>&1 || :)
case $known in *--rev*) ;; *) exit 0 ;; esac
hash=$(ctl 10 endpoint hashkv --rev "$1" -w json)
printf 'hash=%s\n' "$(printf '%s' "$hash" | sed -n 's/.*"hash":\([0-9][0-9]*\).*/\1/p')"
"#
);

fn command(task: &Task<'_>, host: &Host, title: &str, script: &str) -> Command {
    let mut command = task.command(title, script).args(endpoint_args(host));
    command.secrets = secrets(host);
    command
}

/// `Rebuild::SetPeers`.
pub(super) async fn set_peers(task: &Task<'_>, urls: &str) -> Result<Outcome, Failure> {
    let command = command(task, task.turn.host, PEERS_TITLE, PEERS).arg(urls);
    Ok(match task.ask(command).await?.text().trim() {
        "same" => unchanged(format!("its peer URLs are {urls}")),
        _ => changed(format!("its peer URLs are {urls}")),
    })
}

/// `Rebuild::AddMember`.
pub(super) async fn add(task: &Task<'_>, name: &str, urls: &str) -> Result<Outcome, Failure> {
    let seconds = task.left().as_secs().saturating_sub(10).max(1).to_string();
    let command = command(task, task.turn.host, ADD_TITLE, ADD);
    let command = command.args([name, urls, seconds.as_str()]);
    Ok(match task.ask(command).await?.text().trim() {
        "same" => unchanged(format!("{name} is a member")),
        _ => changed(format!("{name} is a member")),
    })
}

/// `Rebuild::SettleAmong`: as if the cluster had only these hosts.
pub(super) async fn settle(
    task: &Task<'_>,
    version: &Version,
    hosts: &[String],
) -> Result<Outcome, Failure> {
    let mut cluster = task.turn.cluster.clone();
    cluster.hosts.retain(|host| hosts.contains(&host.name));
    wait::settle_in(task, &cluster, version, 0).await
}

/// `Rebuild::Prove`. A client may write meanwhile, so hashes are compared at a revision that all have.
pub(super) async fn prove(task: &Task<'_>, revision: u64) -> Result<Outcome, Failure> {
    let cluster = task.turn.cluster;
    let mut pause = std::time::Duration::from_millis(200);
    loop {
        let lack = match compared(task, cluster, revision).await? {
            Ok(what) => return Ok(unchanged(what)),
            Err(lack) => lack,
        };
        if task.left().is_zero() {
            return Err(Failure::Failed(vec![
                "the members do not have the same keys".to_owned(),
                lack,
            ]));
        }
        task.progress(&lack)?;
        task.pause(&mut pause).await?;
    }
}

/// What was proven, or what keeps it from being so.
async fn compared(
    task: &Task<'_>,
    cluster: &Cluster,
    least: u64,
) -> Result<Result<String, String>, Failure> {
    let revisions = match all(task, cluster, "", "revision").await? {
        Ok(revisions) => revisions,
        Err(lack) => return Ok(Err(lack)),
    };
    let number = |text: &String| text.parse::<u64>().unwrap_or(0);
    let common = revisions.values().map(number).min().unwrap_or(0);
    if common < least {
        return Ok(Err(format!(
            "the cluster is at revision {common}, the backup at {least}"
        )));
    }
    let hashes = match all(task, cluster, &common.to_string(), "hash").await? {
        Ok(hashes) => hashes,
        Err(lack) => return Ok(Err(lack)),
    };
    let mut different: Vec<&String> = hashes.values().collect();
    different.sort();
    different.dedup();
    Ok(match different.as_slice() {
        [one] if one.is_empty() => Ok(format!("all are at revision {common} or later")),
        [one] => Ok(format!(
            "all have the same keys: hash {one} at revision {common}"
        )),
        _ => Err(format!("hashes at revision {common}: {}", pairs(&hashes))),
    })
}

fn pairs(hashes: &BTreeMap<&str, String>) -> String {
    let pairs: Vec<String> = hashes
        .iter()
        .map(|(host, hash)| format!("{host} {hash}"))
        .collect();
    pairs.join(", ")
}

type Asked<'c> = Result<BTreeMap<&'c str, String>, String>;

/// One field of every member's answer.
async fn all<'c>(
    task: &Task<'_>,
    cluster: &'c Cluster,
    revision: &str,
    field: &str,
) -> Result<Asked<'c>, Failure> {
    let engine = task.turn.engine;
    let asked = cluster.hosts.iter().map(|host| {
        let mut command = command(task, host, HASH_TITLE, HASH).arg(revision);
        command.deadline = OBSERVE;
        engine.transport.run(&host.name, command)
    });
    let answers = engine.unless_abandoned(join_all(asked)).await?;
    let mut found = BTreeMap::new();
    for (host, answer) in cluster.hosts.iter().zip(answers) {
        let output = match answer {
            Ok(output) if output.is_success() => output,
            Ok(output) => {
                return Ok(Err(format!(
                    "`{}`: {}",
                    host.name,
                    output.complaint().trim()
                )));
            }
            Err(gone) => return Ok(Err(gone.to_string())),
        };
        let text = output.text();
        let prefix = format!("{field}=");
        let value = text.lines().find_map(|line| line.strip_prefix(&prefix));
        found.insert(host.name.as_str(), value.unwrap_or_default().to_owned());
    }
    Ok(Ok(found))
}
