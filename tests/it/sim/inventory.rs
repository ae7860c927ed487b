//! The inventory of a simulated cluster, and the real planner's answer for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use runner::etcd::Version;
use runner::etcd::catalogue::Catalogue;
use runner::facts::Arch;
use runner::inventory::{
    BackupPolicy, Cluster, Escalation, FanOut, Host, ReleaseSource, Ssh, TemplateSource, Templates,
};
use runner::plan::path::Available;
use runner::plan::rollback::{self, Past};
use runner::plan::upgrade::{self, Binary, Releases, Request};
use runner::plan::{OnFailure, Planned};

use super::facts::facts;
use super::model::{State, binaries, sha256};

pub const UNIT: &str = "etcd.service";
pub const UNIT_FILE: &str = "/etc/systemd/system/etcd.service";
/// What a first start of a restored member has.
pub const ONCE: &str = "/etc/systemd/system/etcd.service.d/zz-runner-restore.conf";
pub const DROP_IN: &str = "/etc/systemd/system/etcd.service.d/90-runner-snapshot.conf";

const UNIT_TEXT: &str = "[Service]\nExecStart={{ bin_dir }}/etcd --heartbeat-interval 100\n";

/// The unit file as the inventory makes it.
pub fn unit_text() -> String {
    UNIT_TEXT.replace("{{ bin_dir }}", "/usr/local/bin")
}

pub fn cluster(members: usize) -> Cluster {
    Cluster {
        name: "prod".to_owned(),
        version: None,
        hosts: (1..=members)
            .map(|at| host(&format!("etcd-{at}")))
            .collect(),
        backup: BackupPolicy {
            keep: 2,
            fetch: true,
        },
        releases: ReleaseSource {
            source: String::new(),
            sha256sums: None,
            base: PathBuf::new(),
            fan_out: FanOut::Control,
        },
    }
}

fn host(name: &str) -> Host {
    let unit = TemplateSource {
        path: "etcd.service.j2".into(),
        text: UNIT_TEXT.to_owned(),
    };
    Host {
        name: name.to_owned(),
        member: name.to_owned(),
        address: name.to_owned(),
        ssh: Ssh::default(),
        escalation: Escalation::None,
        unit: UNIT.to_owned(),
        data_dir: "/var/lib/etcd".to_owned(),
        bin_dir: "/usr/local/bin".to_owned(),
        install_dir: "/opt/etcd".to_owned(),
        backup_dir: "/var/backups/etcd".to_owned(),
        client_url: "http://127.0.0.1:2379".to_owned(),
        tls: None,
        auth: None,
        templates: Templates {
            unit: Some(unit),
            files: Vec::new(),
        },
        vars: serde_json::Map::new(),
    }
}

/// Plans the upgrade from what the simulation is now.
pub fn plan(state: &State, to: &Version, run_id: &str) -> Planned {
    let mut cluster = cluster(state.hosts.len());
    if state.slow {
        cluster.releases.fan_out = FanOut::Peer;
    }
    let chosen: BTreeSet<String> = state.hosts.keys().cloned().collect();
    let (facts, available, rules) = (facts(state), Available::Any, Catalogue::embedded());
    let needed = upgrade::needed(&cluster, &chosen, &facts, to, &available, rules);
    let releases: Releases = needed
        .into_iter()
        .chain([(to.clone(), Arch::Amd64)])
        .map(|key| (key.clone(), release(&key.0)))
        .collect();
    asked(state, to, &releases, run_id, upgrade::plan)
}

/// Plans the way back of a mixed cluster, by the releases that its hosts have kept.
pub fn plan_back(state: &State) -> Planned {
    let (cluster, facts) = (cluster(state.hosts.len()), facts(state));
    let to = rollback::release(&cluster, &facts).expect("a member is there");
    let run_id = "20261120T130101Z-4f2a";
    asked(state, to, &Releases::new(), run_id, |request| {
        rollback::plan(request, &Past::default())
    })
}

fn asked(
    state: &State,
    to: &Version,
    releases: &Releases,
    run_id: &str,
    planner: impl FnOnce(&Request) -> Planned,
) -> Planned {
    planner(&Request {
        cluster: &cluster(state.hosts.len()),
        chosen: &state.hosts.keys().cloned().collect(),
        facts: &facts(state),
        target: to,
        available: &Available::Any,
        releases,
        rules: Catalogue::embedded(),
        on_failure: OnFailure::Undo,
        settle_least_s: 0,
        step_timeout_s: None,
        resume: false,
        run_id,
    })
}

/// A release's binaries as they would be fetched.
pub fn release(version: &Version) -> BTreeMap<String, Binary> {
    let binary = |name: &&str| {
        let sha256 = sha256(name, version);
        (
            (*name).to_owned(),
            Binary {
                sha256,
                bytes: 20 << 20,
            },
        )
    };
    binaries(version).iter().map(binary).collect()
}

/// The hosts that are wholly at a release.
pub fn at(state: &State, version: &Version) -> BTreeSet<String> {
    let is = |name: &&String| {
        let host = &state.hosts[*name];
        state.healthy(name) && host.answers() == Some(version) && host.installed() == Some(version)
    };
    state.hosts.keys().filter(is).cloned().collect()
}
