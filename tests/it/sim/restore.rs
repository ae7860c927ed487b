//! Data folders, and what a restore does to them.

use std::collections::BTreeMap;

use runner::engine::act::backup::hex;
use runner::engine::act::file::digest;
use runner::engine::act::rebuild;
use runner::etcd::{MemberId, Minor};
use runner::transport::{Command, Input};
use sha2::{Digest, Sha256};

use super::joining;
use super::model::{Host, State};
use super::scripts::Answer;

/// The id of the cluster that the model begins with.
pub const ORIGINAL: u64 = 77;

/// The least id of a cluster that is made of a copy of the v2 store.
const COMPOSED: u64 = 100_000;

/// What is in a data folder, by the id of the cluster that it belongs to; 0 is nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    at: u64,
    /// In `member`.
    pub now: u64,
    /// Made beside it.
    pub prepared: Option<u64>,
    /// Moved aside, with the tag of the restore.
    pub aside: Vec<(String, u64)>,
    /// The digests of sealed copies of the v2 store, by their paths.
    sealed: BTreeMap<String, String>,
}

impl Data {
    pub fn original(at: usize) -> Self {
        Self {
            at: at as u64,
            now: ORIGINAL,
            prepared: None,
            aside: Vec::new(),
            sealed: BTreeMap::new(),
        }
    }

    fn is_aside(&self, tag: &str) -> bool {
        self.aside.iter().any(|(other, _)| other == tag)
    }

    /// Data of another cluster give another id.
    pub fn id(&self) -> MemberId {
        self.id_in(self.now)
    }

    /// Its member's id in a cluster.
    pub fn id_in(&self, cluster: u64) -> MemberId {
        let salt = if cluster == ORIGINAL {
            0
        } else {
            cluster << 16
        };
        MemberId(salt + 0xa000 + self.at)
    }

    /// Its member's name.
    pub fn name(&self) -> String {
        format!("etcd-{}", self.at)
    }
}

impl State {
    /// The cluster that most serving members belong to.
    pub fn main(&self) -> u64 {
        let serving = || {
            self.hosts
                .values()
                .filter(|host| host.serves())
                .map(|host| host.data.now)
        };
        let count = |id: &u64| serving().filter(|other| other == id).count();
        serving().max_by_key(count).unwrap_or(ORIGINAL)
    }

    /// Whether a host serves, and with the others.
    pub fn counts(&self, host: &Host) -> bool {
        let main = self.main();
        host.serves() && host.data.now == main && self.lists(main, host)
    }

    /// Whom a host takes for the leader.
    pub fn leader_of(&self, host: &Host) -> Option<MemberId> {
        self.leader.filter(|_| host.data.now == self.main())
    }

    /// The cluster version of data.
    pub fn line(&self, data: u64) -> Minor {
        let none = Minor::new(0, 0);
        match data {
            ORIGINAL => self.cluster_version,
            other => self.lines.get(&other).copied().unwrap_or(none),
        }
    }

    pub fn raise_line(&mut self, minor: Minor) {
        match self.main() {
            ORIGINAL => self.cluster_version = minor,
            other => drop(self.lines.insert(other, minor)),
        }
    }

    /// A member on old data may be stopped once data are prepared everywhere, or for a cluster of one that all join.
    pub fn judge_stop_of_all(&mut self, name: &str) {
        let data = &self.hosts[name].data;
        let mut prepared = self.hosts.values().map(|host| host.data.prepared);
        let ready = prepared.clone().flatten().any(|id| id >= COMPOSED)
            || prepared.all(|prepared| prepared.is_some());
        if (data.now == ORIGINAL || data.prepared.is_some()) && !ready {
            self.violations
                .push(format!("{name} was stopped before all had prepared data"));
        }
    }
}

pub fn knows(title: &str) -> bool {
    [
        rebuild::HAS_TITLE,
        rebuild::PLACE_TITLE,
        rebuild::PREPARE_TITLE,
        rebuild::COMPOSE_TITLE,
        rebuild::DISCARD_TITLE,
        rebuild::EXCHANGE_TITLE,
        rebuild::PUT_BACK_TITLE,
        rebuild::PEERS_TITLE,
        rebuild::HASH_TITLE,
    ]
    .contains(&title)
}

pub fn run(state: &mut State, name: &str, command: &Command) -> Answer {
    let args = &command.args;
    match command.title.as_str() {
        rebuild::HAS_TITLE => Ok(has(&state.hosts[name], &args[0])),
        rebuild::PLACE_TITLE => place(state, name, args, &command.input),
        rebuild::PEERS_TITLE => joining::set_peers(state, name, &args[6]),
        rebuild::HASH_TITLE => hash(state, name),
        rebuild::DISCARD_TITLE => Ok(match state.host(name).data.prepared.take() {
            Some(_) => String::new(),
            None => "same".to_owned(),
        }),
        rebuild::PREPARE_TITLE => prepare(state.host(name), args),
        rebuild::COMPOSE_TITLE => compose(state, name, args),
        _ if state.hosts[name].process.is_some() => {
            let title = &command.title;
            state
                .violations
                .push(format!("{name}: {title} while it runs"));
            Err("it runs".to_owned())
        }
        rebuild::EXCHANGE_TITLE => exchange(&mut state.host(name).data, args),
        _ => Ok(put_back(&mut state.host(name).data, args)),
    }
}

fn place(state: &mut State, name: &str, args: &[String], input: &Input) -> Answer {
    let Input::File(path) = input else {
        panic!("a backup without a file")
    };
    let bytes = std::fs::read(path).expect("a backup to send");
    let sum = hex(&Sha256::digest(bytes));
    if sum != args[2] {
        return Err("the backup arrived damaged".to_owned());
    }
    let path = format!("{}/{}", args[0], args[1]);
    let host = state.host(name);
    if path.ends_with(".sealed") {
        host.data.sealed.insert(path, sum);
    } else {
        host.backups.insert(path);
    }
    Ok(String::new())
}

fn has(host: &Host, path: &String) -> String {
    let snapshot = host.backups.contains(path).then(|| digest(path));
    let sealed = host.data.sealed.get(path).cloned();
    snapshot.or(sealed).unwrap_or_default()
}

/// What both makers look for first.
fn makes(host: &Host, args: &[String]) -> Result<(), String> {
    if !host.backups.contains(&args[6]) {
        return Err(format!("`{}` is not there", args[6]));
    }
    if host.data.is_aside(&args[1]) {
        return Err("the data are exchanged already".to_owned());
    }
    Ok(())
}

fn prepare(host: &mut Host, args: &[String]) -> Answer {
    makes(host, args)?;
    // The same token gives the same cluster on every host.
    host.data.prepared = Some(100 + sum(&args[9]));
    Ok(String::new())
}

/// A cluster that has no member before its first start.
fn compose(state: &mut State, name: &str, args: &[String]) -> Answer {
    let host = state.host(name);
    makes(host, args)?;
    if !host.data.sealed.contains_key(&args[7]) {
        return Err(format!("`{}` is not there", args[7]));
    }
    let id = COMPOSED + sum(&args[1]);
    host.data.prepared = Some(id);
    state.lists.insert(id, BTreeMap::new());
    Ok(String::new())
}

fn sum(text: &str) -> u64 {
    let bytes = text.bytes().map(u64::from);
    bytes.fold(5381, |sum, byte| (sum * 33 + byte) % 65_521)
}

fn exchange(data: &mut Data, args: &[String]) -> Answer {
    let new = data.prepared.take();
    match (args[2] == "yes", new, data.now) {
        (true, None, 0) => return Err("the prepared data are gone".to_owned()),
        (true, None, _) | (false, _, 0) => return Ok("same".to_owned()),
        (_, _, 0) => {}
        _ if data.is_aside(&args[1]) => return Err("data are aside already".to_owned()),
        (_, _, old) => data.aside.push((args[1].clone(), old)),
    }
    data.now = new.unwrap_or_default();
    Ok(String::new())
}

/// What is in place of the old data is moved away, and so is what came where there were none.
fn put_back(data: &mut Data, args: &[String]) -> String {
    let at = data.aside.iter().position(|(tag, _)| *tag == args[1]);
    if at.is_none() && (args[2] == "yes" || data.prepared.is_some() || data.now == 0) {
        return "same".to_owned();
    }
    data.now = at.map_or(0, |at| data.aside.remove(at).1);
    String::new()
}

fn hash(state: &State, name: &str) -> Answer {
    if !state.healthy(name) {
        return Err("context deadline exceeded".to_owned());
    }
    Ok(format!(
        "revision={}\nhash={}\n",
        state.index, state.hosts[name].data.now
    ))
}
