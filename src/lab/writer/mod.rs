//! The writing client: writes numbered keys all the while, and tells afterwards what became of them.
//!
//! A cluster of 2.x it writes to by API 2. Once every member serves API 3 it does as its users do: it reads back what it
//! wrote, removes it, for later releases neither serve nor take it, and goes on by API 3.

pub mod client;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use self::client::{Access, Client};
use super::tool::Cancel;
use super::{LabError, Network};
use crate::etcd::dialect::Dialect;

/// Where all keys lie; with API 2 it is a folder, of which nothing may be left for releases that do not take it.
const FOLDER: &str = "runner-lab";

/// How often a key is written.
const PACE: Duration = Duration::from_millis(5);

/// How long one write may take before the next member is asked: an election takes about a second, and a
/// member that leads one answers late rather than never.
const WRITE_PATIENCE: Duration = Duration::from_secs(1);

/// How long a read of everything may take.
const READ_PATIENCE: Duration = Duration::from_secs(30);

/// How long a member may refuse to be read: it may have been started a moment ago.
const MEMBER_PATIENCE: Duration = Duration::from_secs(10);

/// How often members of an old cluster are asked whether they serve API 3 by now.
const API_PACE: Duration = Duration::from_secs(1);

/// How many examples of lost keys and errors are kept.
const EXAMPLES: usize = 5;

/// What a writing client saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Writes that the cluster acknowledged.
    pub acknowledged: u64,
    /// How many of them by API 2, before all members served API 3.
    pub by_api_2: u64,
    /// Acknowledged writes that at least one member does not have.
    pub lost: u64,
    /// Some of them, with the member's endpoint.
    pub lost_examples: Vec<String>,
    /// The longest time without an acknowledged write, in milliseconds.
    pub longest_gap_ms: u64,
    /// Attempts that were not acknowledged; each was made again at the next member.
    pub errors: u64,
    /// The first of them, in the words of the member or the network.
    pub error_examples: Vec<String>,
    /// Members that could not be read back from, and why.
    pub unread: Vec<String>,
    /// How long it wrote, in milliseconds.
    pub wrote_for_ms: u64,
}

impl Seen {
    /// Whether every acknowledged write was read back from every member.
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.unread.is_empty()
    }
}

/// A client that writes on a thread of its own inside the lab's network.
#[derive(Debug)]
pub struct Writer {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<Seen, LabError>>>,
}

impl Writer {
    /// Starts writing and returns after the first acknowledged write.
    ///
    /// # Errors
    /// When the network cannot be entered, or nothing was acknowledged within half a minute.
    pub fn start(network: &Network, endpoints: &[String]) -> Result<Self, LabError> {
        Self::start_as(network, endpoints, &Access::default())
    }

    /// As [`Writer::start`], at members that let not everybody in.
    ///
    /// # Errors
    /// As [`Writer::start`].
    pub fn start_as(
        network: &Network,
        endpoints: &[String],
        access: &Access,
    ) -> Result<Self, LabError> {
        let access = access.clone();
        let stop = Arc::new(AtomicBool::new(false));
        let count = Arc::new(AtomicU64::new(0));
        let (network, endpoints) = (network.clone(), endpoints.to_vec());
        let (stop_there, count_there) = (stop.clone(), count.clone());
        let thread = thread::spawn(move || {
            network.enter()?;
            let mut run = Run::new(&endpoints, access, count_there);
            run.write_until(&stop_there);
            Ok(run.read_back())
        });
        let writer = Self {
            stop,
            count,
            thread: Some(thread),
        };
        writer.await_more(1)?;
        Ok(writer)
    }

    /// How many writes were acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Waits until that many more writes were acknowledged.
    ///
    /// # Errors
    /// When that does not happen within half a minute.
    pub fn await_more(&self, more: u64) -> Result<(), LabError> {
        let wanted = self.acknowledged() + more;
        let what = format!("{wanted} writes were not acknowledged");
        Cancel::default().wait(&what, Duration::from_secs(30), || {
            let now = self.acknowledged();
            if now >= wanted {
                return Ok(());
            }
            Err(format!("{now} writes"))
        })
    }

    /// Stops writing, reads every acknowledged write back through every member and tells what it saw.
    ///
    /// # Errors
    /// When the lab's network could not be entered.
    pub fn finish(mut self) -> Result<Seen, LabError> {
        self.stop.store(true, Ordering::Release);
        let thread = self.thread.take().expect("only `finish` takes the thread");
        let ended = thread.join();
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

struct Run {
    access: Access,
    clients: Vec<Client>,
    current: usize,
    prefix: String,
    count: Arc<AtomicU64>,
    seen: Seen,
    api: Dialect,
    /// The first number that was not written by API 2.
    first: u64,
}

impl Run {
    fn new(endpoints: &[String], access: Access, count: Arc<AtomicU64>) -> Self {
        let clients = endpoints
            .iter()
            .map(|endpoint| Client::new(endpoint, &access, WRITE_PATIENCE));
        let began = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap_or_default();
        Self {
            clients: clients.collect(),
            access,
            current: 0,
            prefix: format!("{FOLDER}/{}/", began.as_nanos()),
            count,
            seen: Seen::default(),
            api: Dialect::V3,
            first: 0,
        }
    }

    /// Writes key after key; one that is not acknowledged is written again, at the next member.
    fn write_until(&mut self, stop: &AtomicBool) {
        let begun = Instant::now();
        let mut last = begun;
        let mut number = 0;
        if self
            .clients
            .iter()
            .any(|client| client.speaks() == Ok(Dialect::V2))
        {
            self.api = Dialect::V2;
        }
        let mut asked = begun;
        while !stop.load(Ordering::Acquire) {
            if self.api == Dialect::V2 && asked.elapsed() >= API_PACE {
                asked = Instant::now();
                if self.all_serve_api_3() {
                    self.seen.longest_gap_ms = self.seen.longest_gap_ms.max(milliseconds(last));
                    self.move_on(number);
                    last = Instant::now();
                }
            }
            let due = Instant::now() + PACE;
            if self.write(number) {
                number += 1;
                self.seen.longest_gap_ms = self.seen.longest_gap_ms.max(milliseconds(last));
                last = Instant::now();
                self.count.store(number, Ordering::Release);
            }
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        self.seen.longest_gap_ms = self.seen.longest_gap_ms.max(milliseconds(last));
        self.seen.acknowledged = number;
        self.seen.wrote_for_ms = milliseconds(begun);
    }

    fn write(&mut self, number: u64) -> bool {
        let client = &self.clients[self.current];
        let (key, value) = (self.key(number), number.to_string());
        let written = match self.api {
            Dialect::V2 => client.put_v2(&key, &value),
            Dialect::V3 => client.put(&key, &value),
        };
        let Err(error) = written else {
            return true;
        };
        self.seen.errors += 1;
        note(
            &mut self.seen.error_examples,
            format!("{}: {error}", client.endpoint()),
        );
        self.current = (self.current + 1) % self.clients.len();
        false
    }

    fn all_serve_api_3(&self) -> bool {
        let mut clients = self.clients.iter();
        clients.all(|client| client.speaks() == Ok(Dialect::V3))
    }

    /// Leaves API 2: reads back what was written by it, and removes it.
    fn move_on(&mut self, written: u64) {
        self.look_for(0, written);
        self.seen.by_api_2 = written;
        self.first = written;
        self.api = Dialect::V3;
        let removed = Cancel::default().wait("API 2 removed nothing", MEMBER_PATIENCE, || {
            let all = self.clients.iter().map(|client| client.remove_v2(FOLDER));
            all.reduce(Result::or).unwrap_or(Ok(()))
        });
        if let Err(error) = removed {
            self.seen.unread.push(error.to_string());
        }
    }

    fn read_back(mut self) -> Seen {
        if self.api == Dialect::V2 {
            self.seen.by_api_2 = self.seen.acknowledged;
        }
        self.look_for(self.first, self.seen.acknowledged);
        self.seen
    }

    /// Looks for these acknowledged writes at every member.
    fn look_for(&mut self, from: u64, until: u64) {
        let mut lost = BTreeMap::new();
        for client in &self.clients {
            let reader = Client::new(client.endpoint(), &self.access, READ_PATIENCE);
            let what = format!("the member at {} was not read", client.endpoint());
            let read = || match self.api {
                Dialect::V2 => reader.read_v2(&self.prefix),
                Dialect::V3 => reader.read(&self.prefix),
            };
            match Cancel::default().wait(&what, MEMBER_PATIENCE, read) {
                Ok(found) => {
                    let gone = (from..until).filter(|number| {
                        found.get(&self.key(*number)) != Some(&number.to_string())
                    });
                    lost.extend(gone.map(|number| (number, client.endpoint())));
                }
                Err(error) => self.seen.unread.push(error.to_string()),
            }
        }
        self.seen.lost += lost.len() as u64;
        let room = EXAMPLES.saturating_sub(self.seen.lost_examples.len());
        let examples = lost.iter().take(room);
        let examples: Vec<String> = examples
            .map(|(number, member)| format!("{} at {member}", self.key(*number)))
            .collect();
        self.seen.lost_examples.extend(examples);
    }

    fn key(&self, number: u64) -> String {
        format!("{}{number:09}", self.prefix)
    }
}

fn note(examples: &mut Vec<String>, example: String) {
    if examples.len() < EXAMPLES {
        examples.push(example);
    }
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
