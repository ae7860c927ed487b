//! A made-up host for the reading scripts.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use runner::facts::parse::Frames;
use runner::inventory::{BackupPolicy, Cluster, Escalation, Host, ReleaseSource, Ssh, Templates};

use crate::local_shell::LocalShell;

/// A made-up host: a folder tree, and stand-ins for etcd's tools, curl and systemctl.
pub struct Stage {
    root: tempfile::TempDir,
}

impl Stage {
    /// A host of that version whose member is healthy.
    pub fn new(version: &str) -> Self {
        let stage = Self {
            root: tempfile::tempdir().unwrap(),
        };
        stage.install("bin", version);
        stage.furnish(version);
        stage
    }

    /// A host of a version of 2.x, whose tools know flags alone.
    pub fn of_2_x(version: &str) -> Self {
        let stage = Self {
            root: tempfile::tempdir().unwrap(),
        };
        stage.furnish(version);
        stage.script("bin/etcd", &format!("echo 'etcd Version: {version}'"));
        let etcdctl = format!(
            "case $1 in\n--version) echo 'etcdctl version {version}' ;;\n\
             *) printf 'NAME:\\n   etcdctl - A simple command line client for etcd.\\n\\nVERSION:\\n   {version}\\n' ;;\nesac"
        );
        stage.script("bin/etcdctl", &etcdctl);
        stage
    }

    fn furnish(&self, version: &str) {
        let stage = self;
        for folder in [
            "bin",
            "tools",
            "opt",
            "data/member/wal",
            "data/member/snap",
            "etc",
        ] {
            fs::create_dir_all(stage.path(folder)).unwrap();
        }
        stage.tool("id", "echo 0");
        stage.tool(
            "curl",
            &format!("cat '{}'", fixture(version, "version.json").display()),
        );
        stage.tool(
            "systemctl",
            &format!("cat '{}'", fixture("systemd", "show-stopped.txt").display()),
        );
        fs::write(stage.path("data/member/snap/db"), vec![0; 4096]).unwrap();
        fs::write(stage.path("data/member/wal/0.wal"), vec![0; 1000]).unwrap();
        fs::write(stage.path("data/member/wal/1.wal"), vec![0; 500]).unwrap();
        for index in ["0000000000000009", "00000000000186a1"] {
            let name = format!("data/member/snap/0000000000000002-{index}.snap");
            fs::write(stage.path(&name), b"snap").unwrap();
        }
        fs::set_permissions(stage.path("data"), fs::Permissions::from_mode(0o700)).unwrap();
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    pub fn script(&self, at: &str, body: &str) {
        let path = self.path(at);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn tool(&self, name: &str, body: &str) {
        self.script(&format!("tools/{name}"), body);
    }

    /// Puts stand-ins of a release into a folder: each prints what the real one printed.
    pub fn install(&self, folder: &str, version: &str) {
        let says = |name: &str| format!("cat '{}'", fixture(version, name).display());
        self.script(&format!("{folder}/etcd"), &says("etcd-version.stdout"));
        let state = fixture(version, "single.observe");
        let answers = answers(&fs::read_to_string(state).unwrap());
        let etcdctl = format!(
            "case \"$*\" in\nversion) {} ;;\n*'endpoint status'*) echo '{}' ;;\n*'endpoint health'*) echo '{}' ;;\n\
             *'member list'*) echo '{}' ;;\n*'alarm list'*) echo '{}' ;;\n*) echo \"what? $*\" >&2; exit 9 ;;\nesac",
            says("etcdctl-version.stdout"),
            answers["status"],
            answers["health"],
            answers["members"],
            answers["alarms"]
        );
        self.script(&format!("{folder}/etcdctl"), &etcdctl);
    }

    pub fn host(&self) -> Host {
        let path = |below: &str| self.path(below).display().to_string();
        Host {
            name: "etcd-1".to_owned(),
            member: "m1".to_owned(),
            address: "etcd-1".to_owned(),
            ssh: Ssh::default(),
            escalation: Escalation::None,
            unit: "etcd.service".to_owned(),
            data_dir: path("data"),
            bin_dir: path("bin"),
            install_dir: path("opt"),
            backup_dir: path("not/yet/there"),
            client_url: "http://127.0.0.1:2379".to_owned(),
            tls: None,
            auth: None,
            templates: Templates::default(),
            vars: serde_json::Map::new(),
        }
    }

    pub fn shell(&self, words: &[&'static str]) -> LocalShell {
        LocalShell {
            shell: words.to_vec(),
            path: self.path("tools"),
        }
    }

    /// Everything below the host's root: mode, owner, times and content by path.
    pub fn listing(&self) -> BTreeMap<PathBuf, (u32, u32, i64, i64, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let mut open = vec![self.root.path().to_path_buf()];
        while let Some(path) = open.pop() {
            let meta = fs::symlink_metadata(&path).unwrap();
            let mut content = Vec::new();
            if meta.is_dir() {
                open.extend(
                    fs::read_dir(&path)
                        .unwrap()
                        .map(|entry| entry.unwrap().path()),
                );
            } else if meta.is_file() {
                content = fs::read(&path).unwrap();
            }
            found.insert(
                path,
                (
                    meta.mode(),
                    meta.uid(),
                    meta.mtime_nsec(),
                    meta.ctime_nsec(),
                    content,
                ),
            );
        }
        found
    }
}

pub fn fixture(version: &str, name: &str) -> PathBuf {
    let folder = if version == "systemd" {
        "systemd-252".to_owned()
    } else {
        format!("etcd-{version}")
    };
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(folder)
        .join(name)
}

/// The bodies of a recorded observation, by frame.
pub fn answers(recorded: &str) -> BTreeMap<String, String> {
    let frames = Frames::parse(recorded.as_bytes()).unwrap();
    frames
        .iter()
        .map(|frame| (frame.name.clone(), frame.text()))
        .collect()
}

pub fn cluster(hosts: Vec<Host>) -> Cluster {
    Cluster {
        name: "prod".to_owned(),
        version: None,
        hosts,
        backup: BackupPolicy {
            keep: 7,
            fetch: true,
        },
        releases: ReleaseSource {
            source: String::new(),
            sha256sums: None,
            base: PathBuf::new(),
            fan_out: runner::inventory::FanOut::Control,
        },
    }
}
