//! What units write to their journals: recorded lines of each release, at the simulation's times.

use std::collections::BTreeMap;

use runner::etcd::{Minor, Version};
use runner::facts::parse::frame;
use serde_json::json;
use tokio::time::Instant;

use super::model::State;

/// Lines by host, with their times.
#[derive(Debug, Default)]
pub struct Journals(BTreeMap<String, Vec<(Instant, String)>>);

macro_rules! recorded {
    ($($minor:literal $version:literal),+ $(,)?) => {
        [$(($minor, include_str!(concat!("../../fixtures/etcd-", $version, "/m2.log")))),+]
    };
}

const RECORDED: [(&str, &str); 12] = recorded!(
    "2.0" "2.0.13", "2.1" "2.1.3", "2.2" "2.2.5", "2.3" "2.3.8", "3.0" "3.0.17", "3.1" "3.1.20", "3.2" "3.2.32",
    "3.3" "3.3.25", "3.4" "3.4.23", "3.5" "3.5.30", "3.6" "3.6.14", "3.7" "3.7.1",
);

/// The recorded log of a member of that line: its start, what it saw of a peer that stopped, and its stop.
struct Told {
    start: Vec<&'static str>,
    peer: Vec<&'static str>,
    stop: Vec<&'static str>,
}

fn told(version: &Version) -> Told {
    let line = version.minor().to_string();
    let (_, text) = RECORDED
        .iter()
        .find(|(minor, _)| *minor == line)
        .expect("a recorded line");
    let lines: Vec<&str> = text.lines().collect();
    let at = |word: &str| lines.iter().position(|line| line.contains(word));
    let published = at("published ").expect("a member that came up");
    let signal = at("received terminated signal").or_else(|| at("received signal"));
    let signal = signal.expect("a member that was stopped");
    let later = (published + 2).min(signal);
    let lost = |line: &&&str| {
        ["lost", "failed to read", "inactive"]
            .iter()
            .any(|word| line.contains(word))
    };
    Told {
        start: lines[..later].to_vec(),
        peer: lines[later..signal]
            .iter()
            .filter(lost)
            .take(6)
            .copied()
            .collect(),
        stop: lines[signal..].iter().take(8).copied().collect(),
    }
}

impl Journals {
    /// Adds a line to a host's journal.
    pub fn write(&mut self, host: &str, line: impl Into<String>) {
        let lines = self.0.entry(host.to_owned()).or_default();
        lines.push((Instant::now(), line.into()));
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// What `read the log` prints. A host's time is the number of lines that it has.
    pub fn read(&self, host: &str, args: &[String]) -> String {
        let lines = self.0.get(host).map_or(&[][..], Vec::as_slice);
        let ago: u64 = args[2].parse().expect("seconds");
        let since: Option<usize> = args[1].parse().ok();
        let is_new = |(at, line): &(usize, &(Instant, String))| match since {
            Some(since) => *at >= since,
            None => line.0.elapsed().as_secs() <= ago,
        };
        let lines = lines.iter().enumerate().filter(is_new);
        let entries = lines.map(
            |(_, (_, line))| json!({"MESSAGE": line, "PRIORITY": "6", "SYSLOG_IDENTIFIER": "etcd"}),
        );
        let entries: Vec<String> = entries.rev().map(|entry| entry.to_string()).collect();
        let all = self.0.get(host).map_or(0, Vec::len);
        frame("now", 0, &all.to_string())
            + &frame("log", 0, &entries.join("\n"))
            + &frame("hint", 0, "")
    }
}

impl State {
    /// A member is stopped: it says so, and the others miss it.
    pub fn log_stop(&mut self, name: &str) {
        for (host, state) in &self.hosts {
            let Some(process) = &state.process else {
                continue;
            };
            let told = told(&process.version);
            let lines = if host == name { told.stop } else { told.peer };
            for line in lines {
                self.journal.write(host, line);
            }
        }
    }

    /// A member was started: it says what it says when it has come up, or why it has not.
    pub fn log_start(&mut self, name: &str) {
        let host = &self.hosts[name];
        let lines: Vec<String> = match &host.process {
            Some(process) => told(&process.version)
                .start
                .iter()
                .map(|line| (*line).to_owned())
                .collect(),
            None => host.log.last().cloned().into_iter().collect(),
        };
        for line in lines {
            self.journal.write(name, line);
        }
    }

    /// The cluster version is raised: every member says so, in its release's words (etcd-upgrades 8).
    pub fn log_raised(&mut self, to: Minor) {
        let from = self.cluster_version;
        for (host, state) in &self.hosts {
            let Some(version) = state.answers().map(Version::minor) else {
                continue;
            };
            let package = if version < Minor::new(3, 1) {
                "etcdserver"
            } else {
                "etcdserver/membership"
            };
            let zap = version >= Minor::new(3, 5);
            let updated = match (zap, version) {
                (true, _) => format!(
                    r#"{{"level":"info","ts":"2026-11-20T09:51:01.718580Z","caller":"membership/cluster.go:576","msg":"updated cluster version","cluster-id":"bcd45b7718f60dbe","local-member-id":"4ef3bcf4fbee180a","from":"{from}","to":"{to}"}}"#
                ),
                (_, line) if line < Minor::new(2, 2) => format!(
                    "2026/11/20 09:44:57 etcdserver: set the initial cluster version to {to}.0"
                ),
                _ => format!(
                    "2026-11-20 09:45:39.705378 N | {package}: updated the cluster version from {from} to {to}"
                ),
            };
            self.journal.write(host, updated);
            if zap {
                self.journal.write(host, format!(r#"{{"level":"info","ts":"2026-11-20T09:51:01.718936Z","caller":"api/capability.go:75","msg":"enabled capabilities for version","cluster-version":"{to}"}}"#));
            } else if version >= Minor::new(3, 0) {
                self.journal.write(host, format!("2026-11-20 09:45:39.705412 I | etcdserver/api: enabled capabilities for version {to}"));
            }
        }
    }
}
