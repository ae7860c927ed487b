//! Clusters that begin with one member, which others join: what etcd does with the flags of a first start, and with the
//! list of its members.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::inventory::ONCE;
use super::model::{Host, State};
use super::scripts::Answer;

/// What a member advertises that was made by `--force-new-cluster`.
const UNSET: &str = "http://localhost:2380";
/// How long all members must have been connected for a further one to be added.
const CONNECTED: Duration = Duration::from_secs(5);

impl State {
    /// The members of a cluster with their peer URLs.
    pub fn peers(&self, cluster: u64) -> BTreeMap<String, String> {
        let usual = || {
            let names = self.hosts.keys();
            names.map(|name| (name.clone(), url(name))).collect()
        };
        self.lists.get(&cluster).cloned().unwrap_or_else(usual)
    }

    /// How many members a cluster has.
    pub fn voters(&self, cluster: u64) -> usize {
        let list = self.lists.get(&cluster);
        list.map_or(self.hosts.len(), BTreeMap::len)
    }

    /// Whether a host is a member of a cluster, started or not.
    pub fn lists(&self, cluster: u64, host: &Host) -> bool {
        let list = self.lists.get(&cluster);
        list.is_none_or(|list| list.contains_key(&host.data.name()))
    }

    /// A member's name as its cluster lists it: one that was never started has none yet.
    pub fn listed_name<'a>(&self, cluster: u64, name: &'a str) -> &'a str {
        let unnamed = self.lists.contains_key(&cluster) && self.hosts[name].data.now != cluster;
        if unnamed { "" } else { name }
    }

    /// What a start makes of the data, with the flags that systemd has read.
    pub fn begin(&mut self, name: &str) -> Result<(), String> {
        let flags = self.hosts[name].loaded.get(ONCE).cloned();
        let flags = flags.unwrap_or_default();
        if self.hosts[name].data.now == 0 {
            return self.join(name, &flags);
        }
        if flags.contains("\"--force-new-cluster=true\"") {
            self.force(name);
        }
        Ok(())
    }

    /// Whatever the data say, it is the only member now.
    fn force(&mut self, name: &str) {
        let cluster = self.hosts[name].data.now;
        let Some(list) = self.lists.get_mut(&cluster) else {
            let what = format!("{name} was made a cluster of one with data that are not for it");
            self.violations.push(what);
            return;
        };
        if list.keys().any(|other| other != name) {
            let what = format!("{name} was made a cluster of one again, once others had joined");
            self.violations.push(what);
        }
        list.retain(|other, _| other == name);
        let own = list.entry(name.to_owned());
        own.or_insert_with(|| UNSET.to_owned());
    }

    /// A member without data asks those that it is told of, and they must list the same as it is told.
    fn join(&mut self, name: &str, flags: &str) -> Result<(), String> {
        let Some(told) = told(flags) else {
            let what = format!("{name} was started without data and not to join others");
            self.violations.push(what);
            return Err("C | etcdmain: begins a cluster of its own".to_owned());
        };
        let mut others = self.hosts.iter().filter(|(other, host)| {
            let reached = told.get(*other) == Some(&url(other));
            *other != name && reached && host.serves()
        });
        let Some(cluster) = others.next().map(|(_, host)| host.data.now) else {
            return Err("C | etcdmain: cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs".to_owned());
        };
        let list = self.peers(cluster);
        if list.len() != told.len() {
            return Err(
                "C | etcdmain: error validating peerURLs: member count is unequal".to_owned(),
            );
        }
        if list != told {
            return Err(
                "C | etcdmain: error validating peerURLs: unmatched member while checking PeerURLs"
                    .to_owned(),
            );
        }
        if !self.lists.contains_key(&cluster) {
            let what =
                format!("{name} has joined the old cluster, which has seen it with other data");
            self.violations.push(what);
        }
        self.host(name).data.now = cluster;
        Ok(())
    }
}

fn url(name: &str) -> String {
    format!("http://{name}:2380")
}

/// The members that a first start is told of, if it is to join them.
fn told(flags: &str) -> Option<BTreeMap<String, String>> {
    let (_, list) = flags.split_once("\"--initial-cluster=")?;
    let (list, rest) = list.split_once('"')?;
    if !rest.contains("\"--initial-cluster-state=existing\"") {
        return None;
    }
    let pairs = list.split(',').filter_map(|pair| pair.split_once('='));
    let pairs = pairs.map(|(name, url)| (name.to_owned(), url.to_owned()));
    Some(pairs.collect())
}

/// Sets the peer URLs of the only member.
pub fn set_peers(state: &mut State, name: &str, urls: &str) -> Answer {
    let cluster = asked(state, name)?;
    if state.voters(cluster) != 1 {
        return Err("the cluster has other members".to_owned());
    }
    let Some(list) = state.lists.get_mut(&cluster) else {
        return Ok("same".to_owned());
    };
    match list.insert(name.to_owned(), urls.to_owned()) {
        Some(before) if before == urls => Ok("same".to_owned()),
        _ => Ok(String::new()),
    }
}

/// Adds a member through that host, which refuses while another one is not well; as long as the script does.
pub async fn add(state: &Mutex<State>, name: &str, args: &[String]) -> Answer {
    let seconds = args[8].parse().expect("seconds");
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        let added = {
            let mut state = state.lock().unwrap();
            state.tick();
            add_once(&mut state, name, &args[6], &args[7])
        };
        if added.is_ok() || Instant::now() >= end {
            return added;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

fn add_once(state: &mut State, name: &str, new: &str, urls: &str) -> Answer {
    let cluster = asked(state, name)?;
    let list = state.peers(cluster);
    if list.values().any(|listed| listed == urls) {
        return Ok("same".to_owned());
    }
    let up = |other: &String| {
        let host = &state.hosts[other];
        let process = host.process.as_ref().filter(|_| state.counts(host));
        process.is_some_and(|process| process.started.elapsed() >= CONNECTED)
    };
    if list.len() > 1 && !list.keys().all(up) {
        return Err("Error: etcdserver: unhealthy cluster".to_owned());
    }
    let list = state.lists.get_mut(&cluster);
    let list = list.ok_or("Error: etcdserver: all are members".to_owned())?;
    list.insert(new.to_owned(), urls.to_owned());
    Ok(String::new())
}

/// The cluster of a member that answers for it.
fn asked(state: &State, name: &str) -> Result<u64, String> {
    if !state.healthy(name) {
        return Err("Error: context deadline exceeded".to_owned());
    }
    Ok(state.hosts[name].data.now)
}
