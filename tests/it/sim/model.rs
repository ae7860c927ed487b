//! Hosts, units, processes, files and raft roles, on tokio's clock. No chance anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use runner::etcd::{MemberId, Minor, Version};
use runner::facts::V2Keys;
use tokio::time::Instant;

use super::cluster::Formal;
use super::inventory::UNIT_FILE;
use super::journal::Journals;
pub use super::release::{binaries, content, sha256};
use super::rescue::Rescue;
use super::restore::Data;
use super::traps::Log;
pub use super::unit::{Behaviour, Unit};

/// How long a process takes until it answers.
const BOOT: Duration = Duration::from_millis(300);
/// How long it takes from its start until it has applied everything.
const CATCH_UP: Duration = Duration::from_millis(700);
/// How long the leader takes to raise the cluster version.
const RAISE: Duration = Duration::from_secs(4);

/// What a name in `bin_dir` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Installed {
    /// A plain file of that release.
    Plain(Version),
    /// A link to that staged release.
    Link(Version),
}

/// A running etcd.
#[derive(Clone, Debug)]
pub struct Process {
    pub version: Version,
    pub started: Instant,
    pub behaviour: Behaviour,
    /// Whether it takes raft snapshots after few entries.
    pub lowered: bool,
    /// Whether it serves API 2, which its release does not by itself.
    pub opened: bool,
    /// Whether it was started with the flags of a first start.
    pub first: bool,
}

/// A host with its member.
#[derive(Clone, Debug)]
pub struct Host {
    pub bin: BTreeMap<String, Installed>,
    pub staged: BTreeMap<Version, BTreeSet<String>>,
    pub files: BTreeMap<String, String>,
    /// The unit's files as systemd has read them.
    pub loaded: BTreeMap<String, String>,
    pub backups: BTreeSet<String>,
    /// Copies of its v2 store that hold keys, those that are gone too.
    pub with_keys: BTreeSet<String>,
    pub data: Data,
    pub process: Option<Process>,
    pub unit: Unit,
    pub applied: u64,
    pub gone_until: Option<Instant>,
    pub log: Vec<String>,
    /// What its raft log and its database hold.
    pub raft: Log,
    pub v2_keys: V2Keys,
    /// The line that its data are stored as.
    pub stored: Minor,
    /// What the holder of the lock wrote.
    pub lock: Option<String>,
    /// What brings the member up if its run is gone.
    pub rescue: Option<Rescue>,
}

/// The cluster.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own that a test turns"
)]
pub struct State {
    pub hosts: BTreeMap<String, Host>,
    pub leader: Option<MemberId>,
    pub term: u64,
    pub index: u64,
    pub cluster_version: Minor,
    pub raise_from: Option<Instant>,
    pub behaviours: BTreeMap<Version, Behaviour>,
    pub alarm: bool,
    /// Whether the first backup is a copy of a stopped member's files.
    pub copies_stopped: bool,
    /// Backups that were taken and verified.
    pub verified: usize,
    /// Hosts whose running process was stopped, in order.
    pub stops: Vec<String>,
    /// Rules that were broken.
    pub violations: Vec<String>,
    /// How often a host has put its member back by itself.
    pub rescued: usize,
    /// Cluster versions of restored data, by their cluster's id.
    pub lines: BTreeMap<u64, Minor>,
    /// Members with their peer URLs, of clusters that began with one, by their id. Any other cluster has all hosts.
    pub lists: BTreeMap<u64, BTreeMap<String, String>>,
    /// Whether all members may be stopped.
    pub restoring: bool,
    pub journal: Journals,
    /// etcd's own downgrade.
    pub formal: Formal,
    /// Whether links from the control machine are slow, and hosts give to each other.
    pub slow: bool,
    /// How many probes of a link come at a moment when the processor is busy.
    pub busy: usize,
    /// How many binaries came packed.
    pub packed: usize,
}

impl Host {
    fn new(at: usize, version: &Version) -> Self {
        let plain = |name: &&str| ((*name).to_owned(), Installed::Plain(version.clone()));
        Self {
            bin: binaries(version).iter().map(plain).collect(),
            staged: BTreeMap::new(),
            files: BTreeMap::new(),
            loaded: BTreeMap::new(),
            backups: BTreeSet::new(),
            with_keys: BTreeSet::new(),
            data: Data::original(at),
            process: Some(Process {
                version: version.clone(),
                started: Instant::now()
                    .checked_sub(Duration::from_secs(3600))
                    .unwrap(),
                behaviour: Behaviour::Sound,
                lowered: false,
                opened: false,
                first: false,
            }),
            unit: Unit::RUNNING,
            applied: 0,
            gone_until: None,
            log: Vec::new(),
            raft: Log::of(version),
            v2_keys: V2Keys::Absent,
            stored: version.minor(),
            lock: None,
            rescue: None,
        }
    }

    /// Its member's id, which its data give it.
    pub fn id(&self) -> MemberId {
        self.data.id()
    }

    /// The release that `bin_dir/etcd` leads to.
    pub fn installed(&self) -> Option<&Version> {
        match self.bin.get("etcd") {
            Some(Installed::Plain(version) | Installed::Link(version)) => Some(version),
            None => None,
        }
    }

    /// The release of the process, if it answers.
    pub fn answers(&self) -> Option<&Version> {
        let process = self.process.as_ref()?;
        (process.started.elapsed() >= BOOT).then_some(&process.version)
    }

    /// Whether it counts towards the quorum.
    pub fn serves(&self) -> bool {
        let sick = |process: &Process| process.behaviour == Behaviour::NeverHealthy;
        self.answers().is_some() && !self.process.as_ref().is_some_and(sick)
    }

    pub fn is_gone(&self) -> bool {
        self.gone_until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether a file of the unit has changed since systemd read it.
    pub fn needs_reload(&self) -> bool {
        !self.units().eq(&self.loaded)
    }

    /// Lets systemd read the unit.
    pub fn reload(&mut self) {
        let units = self.units();
        self.loaded = units
            .map(|(path, text)| (path.clone(), text.clone()))
            .collect();
    }

    /// The unit file and its drop-ins.
    fn units(&self) -> impl Iterator<Item = (&String, &String)> {
        let files = self.files.iter();
        files.filter(|(path, _)| path.starts_with(UNIT_FILE))
    }

    /// Whether a copy of its v2 store that holds keys is there.
    pub fn saves_keys(&self) -> bool {
        !self.backups.is_disjoint(&self.with_keys)
    }

    /// Everything that outlives the process, for comparing.
    pub fn on_disk(&self) -> String {
        format!(
            "{:?} {:?} {:?} {:?}",
            self.bin, self.staged, self.files, self.backups
        )
    }
}

impl State {
    pub fn new(members: usize, version: &Version) -> Self {
        let host = |at: usize| (format!("etcd-{at}"), Host::new(at, version));
        let hosts: BTreeMap<String, Host> = (1..=members).map(host).collect();
        // The leader is not the last by name, so that an order by name alone would be caught.
        let leader = hosts.values().nth(members / 2).map(Host::id);
        let mut state = Self {
            hosts,
            leader,
            term: 2,
            index: 1000,
            cluster_version: version.minor(),
            raise_from: None,
            behaviours: BTreeMap::new(),
            alarm: false,
            copies_stopped: false,
            verified: 0,
            stops: Vec::new(),
            violations: Vec::new(),
            rescued: 0,
            lines: BTreeMap::new(),
            lists: BTreeMap::new(),
            restoring: false,
            journal: Journals::default(),
            formal: Formal::default(),
            slow: false,
            busy: 0,
            packed: 0,
        };
        state.tick();
        state
    }

    pub fn host(&mut self, name: &str) -> &mut Host {
        self.hosts.get_mut(name).expect("a host of the simulation")
    }

    pub fn name_of(&self, id: MemberId) -> &str {
        let found = self.hosts.iter().find(|(_, host)| host.id() == id);
        found
            .map(|(name, _)| name.as_str())
            .expect("a member of the simulation")
    }

    pub fn has_quorum(&self) -> bool {
        let serving = self.hosts.values().filter(|host| self.counts(host)).count();
        serving > self.voters(self.main()) / 2
    }

    /// Whether a linearizable read through that host succeeds.
    pub fn healthy(&self, name: &str) -> bool {
        self.counts(&self.hosts[name]) && self.has_quorum() && self.leader.is_some()
    }

    /// Lets everything happen that is due.
    pub fn tick(&mut self) {
        self.processes_end();
        self.elect();
        self.replicate();
        self.raise_cluster_version();
        self.downgrade();
        self.rescue();
    }

    fn processes_end(&mut self) {
        for host in self.hosts.values_mut() {
            let Some(process) = &host.process else {
                continue;
            };
            if let Behaviour::DiesAfter(time) = process.behaviour
                && process.started.elapsed() >= time
            {
                host.process = None;
                host.unit = Unit::FAILED;
                host.log
                    .push("panic: runtime error: index out of range".to_owned());
            }
        }
    }

    fn elect(&mut self) {
        let serves = |host: &Host, id| host.id() == id && self.counts(host);
        let alive = self
            .leader
            .is_some_and(|id| self.hosts.values().any(|host| serves(host, id)));
        if !self.has_quorum() {
            self.leader = None;
        } else if !alive {
            self.leader = self
                .hosts
                .values()
                .find(|host| self.counts(host))
                .map(Host::id);
            self.term += 1;
        }
    }

    fn replicate(&mut self) {
        if self.leader.is_none() {
            return;
        }
        self.index += 10;
        let main = self.main();
        let counts = |host: &&mut Host| host.serves() && host.data.now == main;
        for host in self.hosts.values_mut().filter(counts) {
            if host
                .process
                .as_ref()
                .is_some_and(|p| p.started.elapsed() >= CATCH_UP)
            {
                host.applied = self.index;
            }
        }
    }

    fn raise_cluster_version(&mut self) {
        let lowest = self
            .hosts
            .values()
            .filter(|host| self.lists(self.main(), host))
            .map(|host| host.answers().map(Version::minor))
            .min()
            .flatten();
        let raises = self.leader.is_some() && self.formal.to.is_none();
        let due = lowest.filter(|minor| *minor > self.line(self.main()) && raises);
        let Some(minor) = due else {
            self.raise_from = None;
            return;
        };
        if self.raise_from.get_or_insert_with(Instant::now).elapsed() >= RAISE {
            self.log_raised(minor);
            self.raise_line(minor);
            self.raise_from = None;
            let index = self.index;
            self.hosts
                .values_mut()
                .for_each(|host| host.raft.raised(minor, index));
        }
    }
}
