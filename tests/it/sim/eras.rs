//! What members say and scripts do where releases differ: API 2, copies of its store, and remedies.

use std::sync::OnceLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use runner::engine::act::backup::hex;
use runner::engine::act::remedy;
use runner::etcd::dialect::{self, Dialect};
use runner::etcd::{MemberId, Version};
use runner::facts::V2Keys;
use runner::facts::parse::frame;
use runner::transport::Command;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::model::State;

/// The cluster's version as that release tells it.
pub fn cluster_version(state: &State, name: &str, version: &Version) -> Option<Version> {
    let line = state.line(state.hosts[name].data.now);
    let older = state.hosts.values().any(|host| {
        host.answers()
            .is_some_and(|one| !dialect::has_cluster_version(one))
    });
    (dialect::has_cluster_version(version) && !older && line.major > 0)
        .then(|| Version::new(line.major, line.minor, 0))
}

/// Which API a look at this member uses, as the script decides.
pub fn spoken(state: &State, name: &str, version: &Version) -> Dialect {
    dialect::spoken(version, cluster_version(state, name, version).as_ref())
}

/// The page `/version`.
pub fn page(state: &State, name: &str, version: &Version) -> String {
    if !dialect::has_cluster_version(version) {
        return format!("etcd {version}");
    }
    let line =
        cluster_version(state, name, version).map_or("not_decided".to_owned(), |v| v.to_string());
    json!({"etcdserver": version.to_string(), "etcdcluster": line}).to_string()
}

/// The frames of a member that is asked by API 2.
pub fn see_v2(state: &State, name: &str, version: &Version) -> String {
    let host = &state.hosts[name];
    let id = |id: MemberId| id.to_string();
    let leader = state.leader.map(id).unwrap_or_default();
    let own = json!({"name": name, "id": host.id().to_string(), "state": "StateFollower",
        "leaderInfo": {"leader": leader.clone()}});
    let members = state.hosts.iter().map(|(name, host)| {
        json!({"id": host.id().to_string(), "name": name, "peerURLs": [format!("http://{name}:2380")],
            "clientURLs": [format!("http://{name}:2379")]})
    });
    let members: Vec<_> = members.collect();
    let head = format!(
        "HTTP/1.1 200 OK\r\nX-Etcd-Cluster-Id: 4d\r\nX-Raft-Index: {}\r\nX-Raft-Term: {}\r\n",
        host.applied, state.term
    );
    let read = if state.healthy(name) {
        json!({"errorCode": 100, "message": "Key not found", "cause": "/_runner", "index": 7})
    } else {
        json!({"errorCode": 300, "message": "Raft Internal Error", "cause": "etcdserver: request timed out", "index": 0})
    };
    let led = if leader.is_empty() {
        json!({"message": "During election"})
    } else {
        json!({"id": leader, "name": "x", "peerURLs": [], "clientURLs": []})
    };
    [
        frame("version", 0, &page(state, name, version)),
        frame("v2.self", 0, &own.to_string()),
        frame("v2.leader", 0, &led.to_string()),
        frame("v2.members", 0, &json!({"members": members}).to_string()),
        frame("v2.head", 0, &head),
        frame("v2.read", 0, &read.to_string()),
    ]
    .concat()
}

/// A copy of a v2 store that can be proven: one that was recorded.
fn copy() -> &'static [u8] {
    static COPY: OnceLock<Vec<u8>> = OnceLock::new();
    COPY.get_or_init(|| {
        let zip = GzEncoder::new(Vec::new(), Compression::fast());
        let mut tar = tar::Builder::new(zip);
        for (name, bytes) in [
            (
                "member/wal/0000000000000000-0000000000000000.wal",
                &include_bytes!("../../fixtures/etcd-3.3.25/backup.wal")[..],
            ),
            (
                "member/snap/0000000000000002-0000000000000033.snap",
                &include_bytes!("../../fixtures/etcd-3.3.25/backup.snap")[..],
            ),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o600);
            tar.append_data(&mut header, name, bytes)
                .expect("a vector takes it");
        }
        let zip = tar.into_inner().expect("a vector takes it");
        zip.finish().expect("a vector takes it")
    })
}

/// What is in a backup at that path.
pub fn held(path: &str) -> &[u8] {
    if path.ends_with(".v2.tar.gz") {
        copy()
    } else {
        path.as_bytes()
    }
}

/// Copies the v2 store, running or stopped as the plan says and the installed etcdctl can.
pub fn take_v2(state: &mut State, name: &str, args: &[String]) -> Result<String, String> {
    let (stopped, runs) = (args[11] == "stopped", state.hosts[name].process.is_some());
    if stopped == runs {
        return Err(format!(
            "{name} runs: {runs}, a copy of a stopped one is wanted: {stopped}"
        ));
    }
    let old = state.hosts[name]
        .installed()
        .is_some_and(|version| version.minor().minor == 0 && version.minor().major == 2);
    if old && !stopped && args[12].is_empty() {
        return Err("etcdctl 2.0 made a copy of a running member".to_owned());
    }
    let path = format!("{}/{}", args[6], args[7]);
    let host = state.host(name);
    if host.v2_keys == V2Keys::Present {
        host.with_keys.insert(path.clone());
    }
    host.backups.insert(path);
    state.verified += 1;
    let bytes = copy();
    let sum = hex(&Sha256::digest(bytes));
    Ok(format!("bytes={}\nsha256={sum}\nindex=9\n", bytes.len()))
}

/// One v3 write through that member.
fn write_key(state: &mut State, name: &str) -> Result<String, String> {
    if !state.healthy(name) {
        return Err("Error: context deadline exceeded".to_owned());
    }
    state.index += 2;
    state
        .hosts
        .values_mut()
        .for_each(|host| host.raft.unwritten = false);
    Ok(String::new())
}

/// What makes members ready for a release that does not get over their logs or stores.
pub fn remedy(state: &mut State, name: &str, command: &Command) -> Result<String, String> {
    match command.title.as_str() {
        remedy::WRITE_TITLE => write_key(state, name),
        remedy::DROP_TITLE => drop_v2(state, name),
        _ => force_snapshot(state, name, &command.args),
    }
}

/// Deletions are requests of API 2, in the logs of all members, and need a member that serves it.
fn drop_v2(state: &mut State, name: &str) -> Result<String, String> {
    let process = state.hosts[name].process.as_ref();
    if !process.is_some_and(|process| process.opened) {
        return Err("404 page not found".to_owned());
    }
    state.tick();
    if state.hosts[name].v2_keys == V2Keys::Absent {
        return Ok("keys=0\n".to_owned());
    }
    state.judge_drop();
    let index = state.index;
    for host in state.hosts.values_mut() {
        host.v2_keys = V2Keys::Absent;
        (host.raft.client, host.raft.any) = (Some(index), Some(index));
    }
    Ok("keys=3\n".to_owned())
}

/// Raft snapshots come from members that were started with a lower count.
fn force_snapshot(state: &mut State, name: &str, args: &[String]) -> Result<String, String> {
    let above: u64 = args[8].parse().expect("an index");
    state.tick();
    let index = state.index;
    let host = state.host(name);
    if !host.process.as_ref().is_some_and(|process| process.lowered) {
        return Err(format!(
            "the newest raft snapshot is at {}",
            host.raft.snapshot
        ));
    }
    host.raft.snapshot = index;
    host.raft.keys = host.v2_keys == V2Keys::Present;
    if host.raft.keys && args[10] == "without" {
        return Err("the raft snapshot has keys of API 2".to_owned());
    }
    if index <= above {
        return Err(format!(
            "the newest raft snapshot is at {index}, it must be above {above}"
        ));
    }
    Ok(format!("index={index}\nwrites=3\n"))
}
