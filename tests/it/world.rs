//! A cluster with its facts, healthy until a test breaks something.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use runner::etcd::catalogue::Catalogue;
use runner::etcd::{Member, MemberId, Version};
use runner::facts::{
    Answer, Arch, BinaryFacts, ClusterFacts, DataFacts, DiskFacts, HostFacts, MemberView,
    OldRequests, UnitFacts,
};
use runner::inventory::{BackupPolicy, Cluster, Escalation, Host, ReleaseSource, Ssh, Templates};
use runner::plan::path::Available;
use runner::plan::upgrade::{self, Binary, Releases, Request};
use runner::plan::{OnFailure, Planned};

const MIB: u64 = 1024 * 1024;

/// Everything that a plan is made from, owned.
pub struct World {
    pub cluster: Cluster,
    pub chosen: BTreeSet<String>,
    pub facts: ClusterFacts,
    pub target: Version,
    pub available: Available,
    pub releases: Releases,
    pub resume: bool,
}

pub fn version(text: &str) -> Version {
    text.parse().unwrap()
}

pub fn id(number: usize) -> MemberId {
    MemberId(0x8e9e_05c5_2164_0000 + number as u64)
}

impl World {
    /// A healthy cluster `prod` of hosts `etcd-1`…; `etcd-1` leads.
    pub fn healthy(members: usize, running: &str, target: &str) -> Self {
        let hosts: Vec<Host> = (1..=members).map(host).collect();
        let facts = (1..=members)
            .map(|number| (name(number), host_facts(number, members, running)))
            .collect();
        Self {
            chosen: hosts.iter().map(|host| host.name.clone()).collect(),
            cluster: Cluster {
                name: "prod".into(),
                version: Some(version(target)),
                hosts,
                backup: BackupPolicy {
                    keep: 7,
                    fetch: true,
                },
                releases: ReleaseSource {
                    source: "releases".into(),
                    sha256sums: None,
                    base: PathBuf::new(),
                    fan_out: runner::inventory::FanOut::Control,
                },
            },
            facts: ClusterFacts {
                cluster: "prod".into(),
                hosts: facts,
            },
            target: version(target),
            available: Available::Any,
            releases: releases(&["3.4.23", "3.4.45", "3.5.16", "3.5.30", "3.6.14", target]),
            resume: false,
        }
    }

    pub fn request(&self) -> Request<'_> {
        Request {
            cluster: &self.cluster,
            chosen: &self.chosen,
            facts: &self.facts,
            target: &self.target,
            available: &self.available,
            releases: &self.releases,
            rules: Catalogue::embedded(),
            on_failure: OnFailure::Undo,
            settle_least_s: 0,
            step_timeout_s: None,
            resume: self.resume,
            run_id: "20261120T120102Z-4f2a",
        }
    }

    pub fn plan(&self) -> Planned {
        upgrade::plan(&self.request())
    }

    pub fn host(&mut self, name: &str) -> &mut HostFacts {
        self.facts.hosts.get_mut(name).unwrap()
    }

    pub fn inventory(&mut self, name: &str) -> &mut Host {
        let mut hosts = self.cluster.hosts.iter_mut();
        hosts.find(|host| host.name == name).unwrap()
    }

    pub fn view(&mut self, name: &str) -> &mut MemberView {
        match &mut self.host(name).answer {
            Answer::Member(view) => view,
            Answer::Silent { because } => panic!("{name} is silent: {because}"),
        }
    }

    pub fn views(&mut self) -> impl Iterator<Item = &mut MemberView> {
        self.facts
            .hosts
            .values_mut()
            .filter_map(|host| match &mut host.answer {
                Answer::Member(view) => Some(&mut **view),
                Answer::Silent { .. } => None,
            })
    }

    /// Lets a member and its binaries be of another release.
    pub fn runs(&mut self, name: &str, release: &str) {
        self.view(name).version = version(release);
        self.host(name).binaries = binaries(release);
    }
}

fn name(number: usize) -> String {
    format!("etcd-{number}")
}

fn host(number: usize) -> Host {
    Host {
        name: name(number),
        member: name(number),
        address: format!("10.0.0.1{number}"),
        ssh: Ssh::default(),
        escalation: Escalation::None,
        unit: "etcd.service".into(),
        data_dir: "/var/lib/etcd".into(),
        bin_dir: "/usr/local/bin".into(),
        install_dir: "/opt/etcd".into(),
        backup_dir: "/var/backups/etcd".into(),
        client_url: "http://127.0.0.1:2379".into(),
        tls: None,
        auth: None,
        templates: Templates::default(),
        vars: serde_json::Map::new(),
    }
}

fn host_facts(number: usize, members: usize, running: &str) -> HostFacts {
    let disk = |mount: &str, mib: u64| DiskFacts {
        mount: mount.into(),
        free_bytes: mib * MIB,
    };
    HostFacts {
        hostname: name(number),
        arch: Arch::Amd64,
        tools: ["gzip", "systemd-analyze", "tar", "timeout"]
            .map(str::to_owned)
            .into(),
        unit: unit(number),
        data: DataFacts {
            exists: true,
            in_use: "/var/lib/etcd".into(),
            mode: 0o700,
            owner: "etcd:etcd".into(),
            db_bytes: 20 * MIB,
            old_requests: OldRequests::Found {
                from_2: None,
                client: None,
                any: None,
            },
            ..DataFacts::default()
        },
        disks: BTreeMap::from([
            ("/var/lib/etcd".to_owned(), disk("/var/lib", 8192)),
            ("/var/backups/etcd".to_owned(), disk("/", 4096)),
            ("/opt/etcd".to_owned(), disk("/", 4096)),
            ("/usr/local/bin".to_owned(), disk("/", 4096)),
        ]),
        binaries: binaries(running),
        answer: Answer::Member(Box::new(view(number, members, running))),
        ..HostFacts::default()
    }
}

fn unit(number: usize) -> UnitFacts {
    let words = [
        "/usr/local/bin/etcd".to_owned(),
        format!("--name=etcd-{number}"),
        "--data-dir=/var/lib/etcd".to_owned(),
    ];
    UnitFacts {
        load_state: "loaded".into(),
        active_state: "active".into(),
        sub_state: "running".into(),
        kind: "notify".into(),
        fragment: "/etc/systemd/system/etcd.service".into(),
        argv: words.into(),
        exec: "/usr/local/bin/etcd".into(),
        user: "etcd".into(),
        main_pid: 100 + u32::try_from(number).unwrap(),
        timeout_start_s: Some(90),
        timeout_stop_s: Some(90),
        enabled: "enabled".into(),
        ..UnitFacts::default()
    }
}

fn view(number: usize, members: usize, running: &str) -> MemberView {
    let running = version(running);
    let url = |port: u16, number: usize| format!("http://10.0.0.1{number}:{port}");
    MemberView {
        id: id(number),
        cluster_id: MemberId(0xcdf8_181e_2ba1_4e5a),
        cluster_version: Some(Version::new(
            running.minor().major,
            running.minor().minor,
            0,
        )),
        version: running,
        leader: Some(id(1)),
        learner: false,
        raft_term: 4,
        raft_index: 1200,
        raft_applied: 1200,
        db_bytes: 20 * MIB,
        db_in_use_bytes: None,
        health: Ok(()),
        alarms: Vec::new(),
        members: (1..=members)
            .map(|number| Member {
                id: id(number),
                name: name(number),
                peer_urls: vec![url(2380, number)],
                client_urls: vec![url(2379, number)],
                learner: false,
            })
            .collect(),
        downgrade: None,
        storage: None,
    }
}

/// Binaries of a release as they would be installed; 3.5 and later have etcdutl.
pub fn binaries(release: &str) -> BTreeMap<String, BinaryFacts> {
    names(release)
        .map(|name| {
            let facts = BinaryFacts {
                target: format!("/usr/local/bin/{name}"),
                sha256: sha(name, release),
                version: Some(version(release)),
            };
            (name.to_owned(), facts)
        })
        .collect()
}

fn names(release: &str) -> impl Iterator<Item = &'static str> {
    let has_utl = version(release) >= Version::new(3, 5, 0);
    ["etcd", "etcdctl"]
        .into_iter()
        .chain(has_utl.then_some("etcdutl"))
}

/// A stand-in for a digest that tells in a snapshot what it belongs to.
fn sha(name: &str, release: &str) -> String {
    format!("sha256-of-{name}-{release}")
}

fn releases(list: &[&str]) -> Releases {
    list.iter()
        .map(|release| {
            let files = names(release).map(|name| {
                let binary = Binary {
                    sha256: sha(name, release),
                    bytes: 20 * MIB,
                };
                (name.to_owned(), binary)
            });
            ((version(release), Arch::Amd64), files.collect())
        })
        .collect()
}
