//! The inventory of a simulated cluster, and plans for it in the shape that the planner makes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use runner::etcd::Version;
use runner::facts::Arch;
use runner::inventory::{BackupPolicy, Cluster, Escalation, Host, ReleaseSource, Ssh, Templates};
use runner::plan::{
    Action, FORMAT, Hop, Kind, Lane, MemberRef, OnFailure, Plan, Purpose, Step, StepId, Undo, Wave,
};

use super::model::{Installed, State, binaries, sha256};

pub const UNIT: &str = "etcd.service";
pub const UNIT_FILE: &str = "/etc/systemd/system/etcd.service";
const BIN: &str = "/usr/local/bin";
const INSTALL: &str = "/opt/etcd";

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
        },
    }
}

fn host(name: &str) -> Host {
    Host {
        name: name.to_owned(),
        member: name.to_owned(),
        address: name.to_owned(),
        ssh: Ssh::default(),
        escalation: Escalation::None,
        unit: UNIT.to_owned(),
        data_dir: "/var/lib/etcd".to_owned(),
        bin_dir: BIN.to_owned(),
        install_dir: INSTALL.to_owned(),
        backup_dir: "/var/backups/etcd".to_owned(),
        client_url: "http://127.0.0.1:2379".to_owned(),
        tls: None,
        auth: None,
        templates: Templates::default(),
        vars: serde_json::Map::new(),
    }
}

/// The text of the unit file that goes with a release.
pub fn unit_text(version: &Version) -> String {
    format!("[Service]\nExecStart={BIN}/etcd # {version}\n")
}

/// Plans the upgrade from what the simulation is now: members that are down first, followers, the leader last.
pub fn upgrade(state: &State, to: &Version, run: &str) -> Plan {
    let mut builder = Builder { state, to, next: 0 };
    let order = order(state, to);
    let mut waves = vec![builder.stage()];
    waves.extend(builder.backup(run));
    waves.extend(order.iter().map(|host| builder.member(host)));
    waves.push(builder.finish());
    let from = state
        .hosts
        .values()
        .filter_map(|host| host.answers().or(host.installed()));
    let from = from.min().expect("a release somewhere").clone();
    Plan {
        format: FORMAT,
        kind: Kind::Upgrade,
        cluster: "prod".to_owned(),
        from: from.clone(),
        to: to.clone(),
        hops: vec![Hop {
            from,
            to: to.clone(),
            waves,
            point_of_no_return: None,
            rules: Vec::new(),
        }],
        on_failure: OnFailure::Undo,
        basis: String::new(),
    }
}

/// Hosts that are not at `to` in every respect, in the order of the roll.
fn order(state: &State, to: &Version) -> Vec<String> {
    let done = |name: &str| {
        let host = &state.hosts[name];
        let link = Some(&Installed::Link(to.clone()));
        host.answers() == Some(to)
            && host.bin.get("etcd") == link
            && host.files.get(UNIT_FILE) == Some(&unit_text(to))
    };
    let mut names: Vec<String> = state
        .hosts
        .keys()
        .filter(|name| !done(name))
        .cloned()
        .collect();
    names.sort_by_key(|name| {
        let host = &state.hosts[name];
        (host.serves(), state.leader == Some(host.id))
    });
    names
}

struct Builder<'a> {
    state: &'a State,
    to: &'a Version,
    next: u32,
}

impl Builder<'_> {
    fn step(&mut self, action: Action, undo: Undo) -> Step {
        self.next += 1;
        Step {
            id: StepId(self.next),
            disruptive: matches!(action, Action::StopUnit { .. }),
            action,
            undo,
            deadline_s: 60,
        }
    }

    fn plain(&mut self, action: Action) -> Step {
        self.step(action, Undo::Nothing)
    }

    fn lane(&self, host: &str, steps: Vec<Step>) -> Lane {
        Lane {
            host: host.to_owned(),
            member: self.member_ref(host),
            steps,
        }
    }

    fn member_ref(&self, host: &str) -> MemberRef {
        MemberRef {
            id: self.state.hosts[host].id,
            name: host.to_owned(),
        }
    }

    fn stage(&mut self) -> Wave {
        let hosts: Vec<String> = self.state.hosts.keys().cloned().collect();
        let lanes = hosts.iter().map(|host| self.stage_lane(host)).collect();
        Wave {
            purpose: Purpose::Stage,
            lanes,
        }
    }

    fn stage_lane(&mut self, host: &str) -> Lane {
        let mut steps = Vec::new();
        let installed = self.state.hosts[host].installed().cloned();
        if let Some(version) = installed.filter(|version| version != self.to) {
            steps.push(self.plain(Action::KeepRelease {
                files: digests(&version),
                version,
                bin_dir: BIN.to_owned(),
                install_dir: INSTALL.to_owned(),
            }));
        }
        steps.push(self.plain(Action::StageRelease {
            version: self.to.clone(),
            arch: Arch::Amd64,
            files: digests(self.to),
            install_dir: INSTALL.to_owned(),
        }));
        steps.push(self.plain(Action::CheckFlags {
            version: self.to.clone(),
            install_dir: INSTALL.to_owned(),
            args: vec!["--name".to_owned(), host.to_owned()],
        }));
        steps.push(self.plain(Action::VerifyUnit {
            unit: UNIT.to_owned(),
            text: unit_text(self.to),
        }));
        self.lane(host, steps)
    }

    /// From the leader; none when no member leads, as when the only member of a cluster is down.
    fn backup(&mut self, run: &str) -> Option<Wave> {
        let leader = self.state.leader?;
        let host = self.state.name_of(leader).to_owned();
        let dir = "/var/backups/etcd/prod".to_owned();
        let file = format!("prod-{run}-{}.db", self.state.cluster_version);
        let steps = vec![
            self.plain(Action::TakeBackup {
                dir: dir.clone(),
                file: file.clone(),
            }),
            self.plain(Action::FetchBackup {
                path: format!("{dir}/{file}"),
                file,
            }),
            self.step(
                Action::PruneBackups { dir, keep: 2 },
                Undo::Impossible("older backups are gone".to_owned()),
            ),
        ];
        let lanes = vec![self.lane(&host, steps)];
        Some(Wave {
            purpose: Purpose::Backup,
            lanes,
        })
    }

    fn member(&mut self, host: &str) -> Wave {
        let steps = self.member_steps(host);
        let lanes = vec![self.lane(host, steps)];
        Wave {
            purpose: Purpose::Member,
            lanes,
        }
    }

    fn member_steps(&mut self, host: &str) -> Vec<Step> {
        let old = self.previous(host);
        let others = self.state.hosts.keys().filter(|other| *other != host);
        let candidates: Vec<MemberRef> = others.map(|other| self.member_ref(other)).collect();
        let unit = UNIT.to_owned();
        let mut steps = Vec::new();
        if !candidates.is_empty() {
            steps.push(self.plain(Action::MoveLeader { candidates }));
        }
        let up_again = vec![
            Action::StartUnit { unit: unit.clone() },
            Action::Settle {
                version: old.clone(),
                least_s: 0,
            },
        ];
        steps.push(self.step(
            Action::StopUnit { unit: unit.clone() },
            Undo::Actions(up_again),
        ));
        let back = Undo::Actions(vec![switch(&old, self.to)]);
        steps.push(self.step(switch(self.to, &old), back));
        steps.extend(self.unit_file(host));
        steps.push(self.plain(Action::ReloadUnits));
        let down = Undo::Actions(vec![Action::StopUnit { unit: unit.clone() }]);
        steps.push(self.step(Action::StartUnit { unit }, down));
        steps.push(self.plain(Action::Settle {
            version: self.to.clone(),
            least_s: 0,
        }));
        steps
    }

    /// The release to go back to: what runs or is installed, else the newest that is staged below the target.
    fn previous(&self, host: &str) -> Version {
        let host = &self.state.hosts[host];
        let now = host
            .answers()
            .or(host.installed())
            .filter(|version| *version != self.to);
        let kept = host.staged.keys().rfind(|version| *version < self.to);
        now.or(kept).expect("a way back").clone()
    }

    fn unit_file(&mut self, host: &str) -> Option<Step> {
        let before = self.state.hosts[host].files.get(UNIT_FILE).cloned();
        let text = unit_text(self.to);
        if before.as_ref() == Some(&text) {
            return None;
        }
        let back = match &before {
            None => Action::RemoveFile {
                dest: UNIT_FILE.to_owned(),
            },
            Some(old) => write(Some(text.clone()), old.clone()),
        };
        let undo = Undo::Actions(vec![back, Action::ReloadUnits]);
        Some(self.step(write(before, text), undo))
    }

    fn finish(&mut self) -> Wave {
        let host = self.state.hosts.keys().next().expect("a host").clone();
        let minor = self.to.minor();
        let mut step = self.plain(Action::AwaitClusterVersion { minor });
        step.deadline_s = 30;
        let lanes = vec![self.lane(&host, vec![step])];
        Wave {
            purpose: Purpose::Finish,
            lanes,
        }
    }
}

fn write(before: Option<String>, text: String) -> Action {
    Action::WriteFile {
        dest: UNIT_FILE.to_owned(),
        before,
        text,
        owner: "root:root".to_owned(),
        mode: 0o644,
    }
}

fn switch(to: &Version, from: &Version) -> Action {
    let has = binaries(to);
    Action::SwitchRelease {
        version: to.clone(),
        install_dir: INSTALL.to_owned(),
        bin_dir: BIN.to_owned(),
        files: has.iter().map(|&name| name.to_owned()).collect(),
        remove: binaries(from)
            .into_iter()
            .filter(|name| !has.contains(name))
            .map(str::to_owned)
            .collect(),
    }
}

fn digests(version: &Version) -> BTreeMap<String, String> {
    let pair = |&name: &&str| (name.to_owned(), sha256(name, version));
    binaries(version).iter().map(pair).collect()
}

/// The hosts that are wholly at a release.
pub fn at(state: &State, version: &Version) -> BTreeSet<String> {
    let is = |name: &&String| state.healthy(name) && state.hosts[*name].answers() == Some(version);
    state.hosts.keys().filter(is).cloned().collect()
}
