//! The facts that would be gathered from the simulated hosts.

use std::collections::{BTreeMap, BTreeSet};

use runner::etcd::{Alarm, AlarmKind, Member, MemberId, Version};
use runner::facts::{
    Answer, Arch, BinaryFacts, ClusterFacts, DataFacts, DiskFacts, FileFacts, HostFacts,
    MemberView, UnitFacts,
};

use super::cluster;
use super::eras;
use super::inventory::{UNIT, UNIT_FILE};
use super::model::{Host, Installed, State, sha256};

/// Facts of all hosts.
pub fn facts(state: &State) -> ClusterFacts {
    let one = |(name, host): (&String, &Host)| (name.clone(), host_facts(state, name, host));
    ClusterFacts {
        cluster: "prod".to_owned(),
        hosts: state.hosts.iter().map(one).collect(),
    }
}

fn host_facts(state: &State, name: &str, host: &Host) -> HostFacts {
    let tools = [
        "curl",
        "gzip",
        "sha256sum",
        "systemd-analyze",
        "tar",
        "timeout",
    ];
    let paths = [
        "/var/lib/etcd",
        "/opt/etcd",
        "/var/backups/etcd",
        "/usr/local/bin",
    ];
    let disk = DiskFacts {
        mount: "/".to_owned(),
        free_bytes: 100 << 30,
    };
    HostFacts {
        hostname: name.to_owned(),
        arch: Arch::Amd64,
        clock_skew_ms: 0,
        tools: tools.map(str::to_owned).into(),
        has_locks: false,
        unit: unit(name, host),
        data: data(host),
        disks: paths.map(|path| (path.to_owned(), disk.clone())).into(),
        binaries: host
            .bin
            .iter()
            .map(|(name, what)| binary(name, what))
            .collect(),
        staged: host.staged.iter().map(staged).collect(),
        files: host
            .files
            .iter()
            .map(|(path, text)| (path.clone(), file(text)))
            .collect(),
        answer: answer(state, name, host),
    }
}

fn unit(name: &str, host: &Host) -> UnitFacts {
    let argv = [
        "/usr/local/bin/etcd",
        "--name",
        name,
        "--data-dir",
        "/var/lib/etcd",
    ];
    let drop_ins = host.loaded.keys().filter(|path| *path != UNIT_FILE);
    UnitFacts {
        load_state: "loaded".to_owned(),
        active_state: host.unit.active.to_owned(),
        sub_state: host.unit.sub.to_owned(),
        kind: "simple".to_owned(),
        fragment: UNIT_FILE.to_owned(),
        drop_ins: drop_ins.cloned().collect(),
        argv: argv.map(str::to_owned).into(),
        exec: argv[0].to_owned(),
        environment: BTreeMap::new(),
        user: "etcd".to_owned(),
        main_pid: if host.process.is_some() { 4242 } else { 0 },
        restarts: host.unit.restarts,
        timeout_start_s: Some(90),
        timeout_stop_s: Some(90),
        enabled: "enabled".to_owned(),
        needs_reload: host.needs_reload(),
    }
}

fn data(host: &Host) -> DataFacts {
    let running = host.process.is_some();
    DataFacts {
        exists: host.data.now != 0,
        in_use: if running { "/var/lib/etcd" } else { "" }.to_owned(),
        mode: 0o700,
        owner: "etcd:etcd".to_owned(),
        db_bytes: 20480,
        wal_bytes: 64 << 20,
        v2_keys: host.v2_keys.clone(),
        ..host.raft.told(host.installed())
    }
}

fn binary(name: &str, what: &Installed) -> (String, BinaryFacts) {
    let (target, version) = match what {
        Installed::Plain(version) => (format!("/usr/local/bin/{name}"), version),
        Installed::Link(version) => (format!("/opt/etcd/{version}/{name}"), version),
    };
    let facts = BinaryFacts {
        target,
        sha256: sha256(name, version),
        version: Some(version.clone()),
    };
    (name.to_owned(), facts)
}

fn staged((version, names): (&Version, &BTreeSet<String>)) -> (Version, BTreeMap<String, String>) {
    let digests = names
        .iter()
        .map(|name| (name.clone(), sha256(name, version)));
    (version.clone(), digests.collect())
}

fn file(text: &str) -> FileFacts {
    FileFacts {
        text: Some(text.to_owned()),
        mode: 0o644,
        owner: "root:root".to_owned(),
    }
}

fn answer(state: &State, name: &str, host: &Host) -> Answer {
    let Some(version) = host.answers() else {
        return Answer::Silent {
            because: format!("{UNIT} is {}", host.unit.active),
        };
    };
    let (downgrade, storage) = cluster::told(state, host, version);
    let alarm = Alarm {
        member: host.id(),
        kind: AlarmKind::NoSpace,
    };
    Answer::Member(Box::new(MemberView {
        id: host.id(),
        cluster_id: MemberId(host.data.now),
        version: version.clone(),
        cluster_version: eras::cluster_version(state, name, version),
        leader: state.leader_of(host),
        learner: false,
        raft_term: state.term,
        raft_index: host.applied,
        raft_applied: host.applied,
        db_bytes: 20480,
        db_in_use_bytes: Some(16384),
        health: if state.healthy(name) {
            Ok(())
        } else {
            Err("context deadline exceeded".to_owned())
        },
        alarms: state.alarm.then_some(alarm).into_iter().collect(),
        members: members(state, host.data.now),
        downgrade,
        storage,
    }))
}

fn members(state: &State, cluster: u64) -> Vec<Member> {
    let member = |(name, url): (&String, &String)| Member {
        id: state.hosts[name].data.id_in(cluster),
        name: state.listed_name(cluster, name).to_owned(),
        peer_urls: vec![url.clone()],
        client_urls: vec![format!("http://{name}:2379")],
        learner: false,
    };
    state.peers(cluster).iter().map(member).collect()
}
