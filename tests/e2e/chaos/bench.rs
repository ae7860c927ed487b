//! A lab that serves one case after the other.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use runner::lab::Cancel;
use runner::lab::cluster;
use serde_json::Value;

use super::strike::hex;
use super::{NEW, OLD};
use crate::common::Cluster;
use crate::common::look::await_true;
use crate::common::run::{Ran, command, inventory, outcome, running, state_dir};

/// The lab and what belongs to a run on this machine.
pub struct Bench {
    pub cluster: Cluster,
    inventory: PathBuf,
    /// Where the run keeps its sockets: short enough for them, and nobody else's.
    runtime: tempfile::TempDir,
}

impl Bench {
    /// Boots three members with the old release and an inventory by which one file belongs to the upgrade.
    pub fn new() -> Self {
        let cluster = Cluster::start(3, OLD, NEW);
        let template = cluster.lab.folder().join("chaos.conf.j2");
        fs::write(&template, "new\n").unwrap();
        let inventory = inventory(&cluster, "chaos", |text| {
            format!(
                "{text}\n[[defaults.templates.files]]\nsrc = \"{}\"\ndest = \"/etc/etcd/chaos.conf\"\nmode = \"0644\"\n\
                 owner = \"root:root\"\n",
                template.display()
            )
        });
        let runtime = tempfile::Builder::new()
            .prefix("chaos-")
            .tempdir_in("/tmp")
            .unwrap();
        let bench = Self {
            cluster,
            inventory,
            runtime,
        };
        bench.fresh();
        bench
    }

    /// Makes everything as it was at first, with empty data.
    pub fn fresh(&self) {
        const SCRIPT: &str = "
            systemctl stop etcd 2>/dev/null; systemctl reset-failed etcd 2>/dev/null
            for folder in /opt/etcd /var/backups/etcd /var/lib/etcd; do umount $folder 2>/dev/null; done
            rm -rf /etc/systemd/system/etcd.service.d /etc/chaos-* /usr/local/sbin/date /var/backups/etcd /var/lib/etcd/* \\
                /etc/ssh/sshd_config.d/chaos.conf
            [ ! -d /etc/sudoers.off ] || mv /etc/sudoers.off /etc/sudoers.d
            sed -i 's/--debug=false //; s/cluster-state=existing/cluster-state=new/' /etc/systemd/system/etcd.service
            find /opt/etcd -mindepth 1 -maxdepth 1 ! -name OLD -exec rm -rf {} +
            for name in etcd etcdctl; do ln -sfn /opt/etcd/OLD/$name /usr/local/bin/$name; done
            rm -f /usr/local/bin/etcdutl
            mkdir -p /etc/etcd && echo old > /etc/etcd/chaos.conf && chmod 644 /etc/etcd/chaos.conf
            ip route | grep '^blackhole' | while read -r _ peer _; do ip route del blackhole $peer; done
            systemctl daemon-reload; systemctl reload ssh";
        let lab = &self.cluster.lab;
        for host in self.hosts() {
            // Without a limit there is none to take away.
            let _ = lab.full_speed(&host);
            self.sh(&host, &SCRIPT.replace("OLD", OLD));
        }
        for host in self.hosts() {
            self.sh(&host, "systemctl start --no-block etcd");
        }
        let _ = fs::remove_dir_all(state_dir(&self.cluster));
        let _ = fs::remove_dir_all(self.other_state());
        self.await_health();
        // A cluster begins at 3.0 until its members have told each other their releases.
        await_true("the cluster's version is that of its members", || {
            let mut hosts = self.hosts().into_iter();
            hosts.all(|host| running(&self.cluster, &host).1 == "3.4.0")
        });
    }

    /// All hosts.
    pub fn hosts(&self) -> Vec<String> {
        self.cluster.shape.hosts()
    }

    /// A host that is not the given one.
    pub fn other_than(&self, host: &str) -> String {
        self.hosts().into_iter().find(|one| one != host).unwrap()
    }

    /// Runs a script on a host as root.
    #[track_caller]
    pub fn sh(&self, host: &str, script: &str) {
        self.cluster.lab.sh(host, script).unwrap();
    }

    /// Waits until every member answers a linearizable read.
    #[track_caller]
    pub fn await_health(&self) {
        cluster::await_health(&self.cluster.lab, &self.cluster.endpoints).unwrap();
    }

    /// Asks a member.
    pub fn etcdctl(&self, host: &str, args: &str) -> Result<String, String> {
        let said = self
            .cluster
            .lab
            .sh(host, &format!("ETCDCTL_API=3 etcdctl {args}"));
        said.map_err(|error| error.to_string())
    }

    /// Asks a member until it does what it is told: it refuses as long as it sees too few others.
    #[track_caller]
    pub fn etcdctl_until_done(&self, host: &str, args: &str) {
        let ask = || self.etcdctl(host, args).map(drop);
        Cancel::default()
            .wait(args, Duration::from_secs(40), ask)
            .unwrap();
    }

    /// The id of the member for which the condition holds.
    #[track_caller]
    pub fn member_id(&self, host: &str, condition: impl Fn(&Value) -> bool) -> String {
        let said = self.etcdctl(host, "member list -w json").unwrap();
        let list: Value = serde_json::from_str(&said).unwrap();
        let members = list["members"].as_array().unwrap();
        hex(&members.iter().find(|member| condition(member)).unwrap()["ID"])
    }

    /// A command line for this lab.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = command(&self.cluster, &self.inventory, args);
        self.keep_apart(&mut command);
        command
    }

    /// Gives a run folders of its own for whatever it makes on this machine, so that what it leaves is seen.
    fn keep_apart(&self, command: &mut Command) {
        command
            .env("XDG_RUNTIME_DIR", self.runtime.path())
            .env("TMPDIR", self.runtime.path())
            .env("XDG_CACHE_HOME", self.cache());
    }

    /// Runs it.
    pub fn run(&self, args: &[&str]) -> Ran {
        outcome(self.command(args))
    }

    /// A second operator, whose run is refused.
    #[track_caller]
    pub fn second_run(&self) {
        let first = self.command(&[]);
        let mut second = Command::new(first.get_program());
        second
            .args(["upgrade", "--yes", "-i"])
            .arg(&self.inventory)
            .arg("--state-dir")
            .arg(self.other_state());
        second.env_remove("SSH_AUTH_SOCK");
        self.keep_apart(&mut second);
        outcome(second)
            .ends_with(7)
            .says("holds the lock on `etcd-");
    }

    fn other_state(&self) -> PathBuf {
        self.cluster.lab.folder().join("state-theirs")
    }

    fn cache(&self) -> PathBuf {
        self.cluster.lab.folder().join("cache")
    }

    /// What runs have left on this machine: sockets and temporary files, drafts in the cache of releases, and processes,
    /// which all have this folder in their environment.
    pub fn litter_here(&self) -> String {
        let runtime = fs::read_dir(self.runtime.path()).unwrap().flatten();
        let cached = fs::read_dir(self.cache().join("runner/releases"))
            .into_iter()
            .flatten()
            .flatten();
        let is_draft = |name: &[u8]| name.starts_with(b".") && !name.ends_with(b".lock");
        let drafts = cached.filter(|entry| is_draft(entry.file_name().as_encoded_bytes()));
        let mut left: Vec<String> = runtime
            .chain(drafts)
            .map(|entry| entry.path().display().to_string())
            .collect();
        let mark = format!("XDG_RUNTIME_DIR={}", self.runtime.path().display());
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let environment = fs::read(process.path().join("environ")).unwrap_or_default();
            if environment
                .split(|byte| *byte == 0)
                .any(|one| one == mark.as_bytes())
            {
                let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
                left.push(String::from_utf8_lossy(&words).replace('\0', " "));
            }
        }
        left.join("\n")
    }

    /// The files of the state folder that are neither journals nor backups.
    pub fn strange_files(&self) -> Vec<String> {
        let state = state_dir(&self.cluster);
        let listing = Command::new("find")
            .arg(&state)
            .args(["-type", "f", "-printf", "%P\\n"])
            .output();
        let listing = String::from_utf8(listing.unwrap().stdout).unwrap();
        let is_meant = |line: &&str| {
            line.starts_with("runs/") && line.ends_with("/journal.ndjson")
                || line.starts_with("backups/") && !line.contains(".part")
        };
        listing
            .lines()
            .filter(|line| !is_meant(line))
            .map(str::to_owned)
            .collect()
    }
}
