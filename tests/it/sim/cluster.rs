//! What is asked of the cluster as a whole: who leads, and etcd's own downgrade (etcd-upgrades 7.3).

use std::collections::BTreeMap;
use std::time::Duration;

use runner::engine::act::{downgrade, leader};
use runner::etcd::{MemberId, Minor, Version};
use runner::transport::Command;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::model::{Host, State};
use super::restore::ORIGINAL;
use super::scripts::Answer;

/// The first line that stores its data as the cluster's version says, and that has a downgrade.
const STORES: Minor = Minor { major: 3, minor: 6 };
/// How long the leader takes to lower the cluster version, and to see that all members have gone.
const FOLLOW: Duration = Duration::from_secs(3);
/// How long a member takes to store its data as another line.
const STORE: Duration = Duration::from_secs(1);

/// etcd's own downgrade.
#[derive(Debug, Default)]
pub struct Formal {
    /// The line that it leads to, while it is enabled.
    pub to: Option<Minor>,
    since: Option<Instant>,
    storing: BTreeMap<String, Instant>,
}

pub fn knows(title: &str) -> bool {
    [
        leader::MOVE_TITLE,
        downgrade::ENABLE_TITLE,
        downgrade::CANCEL_TITLE,
        downgrade::END_TITLE,
    ]
    .contains(&title)
}

pub fn run(state: &mut State, name: &str, command: &Command) -> Answer {
    match command.title.as_str() {
        leader::MOVE_TITLE => move_leader(state, name, &command.args),
        downgrade::ENABLE_TITLE => Ok(enable(state, name, &command.args[6])),
        downgrade::END_TITLE => end(state, name),
        _ => cancel(state, name),
    }
}

/// Adds to a member's status what 3.6 and later tell.
pub fn tell(state: &State, host: &Host, version: &Version, status: &mut Value) {
    if version.minor() < STORES {
        return;
    }
    status["storageVersion"] = json!(format!("{}.0", host.stored));
    status["downgradeInfo"] = match state.formal.to {
        Some(to) => json!({"enabled": true, "targetVersion": format!("{to}.0")}),
        None => json!({}),
    };
}

/// The same as a reader of the status has it: the downgrade and the line of the data.
pub fn told(state: &State, host: &Host, version: &Version) -> (Option<Version>, Option<Version>) {
    let release = |line: Minor| Version::new(line.major, line.minor, 0);
    if version.minor() < STORES {
        return (None, None);
    }
    (state.formal.to.map(release), Some(release(host.stored)))
}

fn move_leader(state: &mut State, name: &str, args: &[String]) -> Answer {
    let target: MemberId = args[6].parse().expect("a member id");
    if state.leader != Some(state.hosts[name].id()) {
        return Err("Error: no leader endpoint given at [http://127.0.0.1:2379]".to_owned());
    }
    let to = state.name_of(target).to_owned();
    if !state.healthy(&to) {
        return Err(
            "Error: etcdserver: request timed out, leader transfer took too long".to_owned(),
        );
    }
    state.leader = Some(target);
    state.term += 1;
    Ok(String::new())
}

/// What the script makes of etcdctl's words.
fn enable(state: &mut State, name: &str, line: &str) -> String {
    let to: Minor = line.parse().expect("a line");
    if state.formal.to == Some(to) {
        return "same\n".to_owned();
    }
    if !has_command(state, name) {
        return "refused=Error: unknown command \"downgrade\" for \"etcdctl\"\n".to_owned();
    }
    if !state.healthy(name) {
        return "refused=Error: context deadline exceeded\n".to_owned();
    }
    if state.formal.to.is_some() {
        let said = "Error: etcdserver: cluster has a downgrade job in progress";
        return format!("refused={said}\n");
    }
    let before = Minor::new(state.cluster_version.major, state.cluster_version.minor - 1);
    if to != before {
        let said = "Error: etcdserver: invalid downgrade target version";
        return format!("refused={said}\n");
    }
    state.formal.to = Some(to);
    state.formal.since = None;
    "enabled\n".to_owned()
}

fn cancel(state: &mut State, name: &str) -> Answer {
    let Some(to) = state.formal.to else {
        return Ok("same\n".to_owned());
    };
    if !has_command(state, name) || !state.healthy(name) {
        return Err("Error: context deadline exceeded".to_owned());
    }
    let older = |host: &&Host| host.answers().is_some_and(|runs| runs.minor() <= to);
    if state.hosts.values().any(|host| older(&host)) {
        let what = format!("the downgrade was cancelled by {name} while members run {to}");
        state.violations.push(what);
    }
    state.formal.to = None;
    Ok("cancelled\n".to_owned())
}

fn end(state: &mut State, name: &str) -> Answer {
    if !state.healthy(name) {
        return Err("Error: context deadline exceeded".to_owned());
    }
    let newer = |host: &Host| host.answers().map(Version::minor) > state.formal.to;
    if state.formal.to.is_some() && state.hosts.values().any(newer) {
        let what = format!("the downgrade was ended by {name} while members run more");
        state.violations.push(what);
    }
    state.formal.to = None;
    Ok("ended\n".to_owned())
}

/// Whether the installed etcdctl knows `downgrade`.
fn has_command(state: &State, name: &str) -> bool {
    let installed = state.hosts[name].installed();
    installed.is_some_and(|version| version.minor() >= STORES)
}

impl State {
    /// The line below which no release starts on a host's data.
    pub fn least_line(&self, name: &str) -> Minor {
        let host = &self.hosts[name];
        let raised = self.line(host.data.now);
        if host.data.now == ORIGINAL {
            raised.max(host.stored)
        } else {
            raised
        }
    }

    /// Lets an enabled downgrade go on: the leader lowers the cluster version, members store their data so, and the leader
    /// ends it when all members have gone.
    pub fn downgrade(&mut self) {
        self.store();
        let Some(to) = self.formal.to.filter(|_| self.leader.is_some()) else {
            self.formal.since = None;
            return;
        };
        let all = self.hosts.values().map(Host::answers);
        let runs: Option<Vec<Minor>> = all.map(|runs| runs.map(Version::minor)).collect();
        let lowers = self.cluster_version != to && runs.is_some();
        let ends = runs.is_some_and(|runs| runs.iter().all(|runs| *runs == to));
        if !lowers && !ends {
            self.formal.since = None;
            return;
        }
        if self.formal.since.get_or_insert_with(Instant::now).elapsed() < FOLLOW {
            return;
        }
        self.formal.since = None;
        if lowers {
            self.raise_line(to);
        } else {
            self.formal.to = None;
        }
    }

    fn store(&mut self) {
        let line = self.cluster_version;
        for (name, host) in &mut self.hosts {
            let stores = host.answers().is_some_and(|runs| runs.minor() >= STORES);
            if !stores || host.stored == line || self.leader.is_none() {
                self.formal.storing.remove(name);
                continue;
            }
            let since = *self
                .formal
                .storing
                .entry(name.clone())
                .or_insert_with(Instant::now);
            if since.elapsed() >= STORE {
                host.stored = line;
            }
        }
    }
}
