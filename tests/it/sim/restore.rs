//! Data folders, and what a restore does to them.

use runner::engine::act::file::digest;
use runner::engine::act::rebuild;
use runner::etcd::{MemberId, Minor};
use runner::transport::{Command, Input};

use super::model::{Host, State};
use super::scripts::Answer;

/// The id of the cluster that the model begins with.
pub const ORIGINAL: u64 = 77;

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
}

impl Data {
    pub fn original(at: usize) -> Self {
        Self {
            at: at as u64,
            now: ORIGINAL,
            prepared: None,
            aside: Vec::new(),
        }
    }

    /// Data of another cluster give another id.
    pub fn id(&self) -> MemberId {
        let salt = if self.now == ORIGINAL {
            0
        } else {
            self.now << 16
        };
        MemberId(salt + 0xa000 + self.at)
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
        host.serves() && host.data.now == self.main()
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

    /// A member on old data may be stopped once data are prepared everywhere.
    pub fn judge_stop_of_all(&mut self, name: &str) {
        let data = &self.hosts[name].data;
        let unprepared = self.hosts.values().any(|host| host.data.prepared.is_none());
        if data.prepared.is_some() && unprepared {
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
        rebuild::DISCARD_TITLE,
        rebuild::EXCHANGE_TITLE,
        rebuild::PUT_BACK_TITLE,
        rebuild::HASH_TITLE,
    ]
    .contains(&title)
}

pub fn run(state: &mut State, name: &str, command: &Command) -> Answer {
    let args = &command.args;
    match command.title.as_str() {
        rebuild::HAS_TITLE if state.hosts[name].backups.contains(&args[0]) => Ok(digest(&args[0])),
        rebuild::HAS_TITLE => Ok(String::new()),
        rebuild::PLACE_TITLE => place(state, name, args, &command.input),
        rebuild::HASH_TITLE => hash(state, name),
        rebuild::DISCARD_TITLE => Ok(match state.host(name).data.prepared.take() {
            Some(_) => String::new(),
            None => "same".to_owned(),
        }),
        _ if state.hosts[name].process.is_some() && command.title != rebuild::PREPARE_TITLE => {
            let title = &command.title;
            state
                .violations
                .push(format!("{name}: {title} while it runs"));
            Err("it runs".to_owned())
        }
        rebuild::PREPARE_TITLE => prepare(state.host(name), args),
        rebuild::EXCHANGE_TITLE => Ok(exchange(state.host(name), args)),
        _ => Ok(put_back(state.host(name), args)),
    }
}

fn place(state: &mut State, name: &str, args: &[String], input: &Input) -> Answer {
    let Input::File(path) = input else {
        panic!("a backup without a file")
    };
    let text = std::fs::read_to_string(path).expect("a backup to send");
    if digest(&text) != args[2] {
        return Err("the backup arrived damaged".to_owned());
    }
    let path = format!("{}/{}", args[0], args[1]);
    state.host(name).backups.insert(path);
    Ok(String::new())
}

fn prepare(host: &mut Host, args: &[String]) -> Answer {
    if !host.backups.contains(&args[6]) {
        return Err(format!("`{}` is not there", args[6]));
    }
    if host.data.aside.iter().any(|(tag, _)| *tag == args[1]) {
        return Err("the data are exchanged already".to_owned());
    }
    // The same token gives the same cluster on every host.
    let token = &args[9];
    let sum = token
        .bytes()
        .fold(5381_u64, |sum, byte| (sum * 33 + u64::from(byte)) % 65_521);
    host.data.prepared = Some(100 + sum);
    Ok(String::new())
}

fn exchange(host: &mut Host, args: &[String]) -> String {
    let Some(new) = host.data.prepared.take() else {
        return "same".to_owned();
    };
    host.data.aside.push((args[1].clone(), host.data.now));
    host.data.now = new;
    String::new()
}

fn put_back(host: &mut Host, args: &[String]) -> String {
    let Some(at) = host.data.aside.iter().position(|(tag, _)| *tag == args[1]) else {
        return "same".to_owned();
    };
    let (_, old) = host.data.aside.remove(at);
    host.data.now = old;
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
