//! Runs the real binary and looks at what it left on the hosts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::Cluster;

/// What a run of the binary came to.
#[derive(Debug)]
pub struct Ran {
    /// Its exit status.
    pub status: i32,
    /// Its stdout.
    pub out: String,
    /// Its stderr.
    pub err: String,
}

/// The state folder of a test: runs of one cluster share it.
pub fn state_dir(cluster: &Cluster) -> PathBuf {
    cluster.lab.folder().join("state")
}

/// A command line of the binary for a cluster's inventory, without a terminal.
pub fn command(cluster: &Cluster, inventory: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
    command
        .arg("-i")
        .arg(inventory)
        .arg("--state-dir")
        .arg(state_dir(cluster))
        .args(args)
        .env_remove("SSH_AUTH_SOCK")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs the binary with the cluster's own inventory and waits for it.
pub fn runner(cluster: &Cluster, args: &[&str]) -> Ran {
    runner_with(cluster, &cluster.inventory, args)
}

/// Runs the binary with another inventory.
pub fn runner_with(cluster: &Cluster, inventory: &Path, args: &[&str]) -> Ran {
    ran(command(cluster, inventory, args).output().unwrap())
}

/// Writes a changed copy of the cluster's inventory beside it.
#[track_caller]
pub fn inventory(cluster: &Cluster, name: &str, change: impl FnOnce(String) -> String) -> PathBuf {
    let text = fs::read_to_string(&cluster.inventory).unwrap();
    let changed = change(text.clone());
    assert_ne!(text, changed, "{name}: nothing was changed");
    let path = cluster.lab.folder().join(format!("{name}.toml"));
    fs::write(&path, changed).unwrap();
    path
}

/// Starts the binary with the cluster's own inventory and does not wait.
pub fn begin(cluster: &Cluster, args: &[&str]) -> Child {
    command(cluster, &cluster.inventory, args).spawn().unwrap()
}

/// Starts the binary with another inventory and does not wait.
pub fn begin_with(cluster: &Cluster, inventory: &Path, args: &[&str]) -> Child {
    command(cluster, inventory, args).spawn().unwrap()
}

/// Waits for a begun run.
pub fn finish(child: Child) -> Ran {
    ran(child.wait_with_output().unwrap())
}

/// Runs a command line of the binary and waits for it.
pub fn outcome(mut command: Command) -> Ran {
    ran(command.output().unwrap())
}

fn ran(output: Output) -> Ran {
    Ran {
        status: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ran {
    /// Asserts the exit status, showing everything otherwise.
    #[track_caller]
    pub fn ends_with(self, status: i32) -> Self {
        assert_eq!(
            self.status, status,
            "stdout:\n{}\nstderr:\n{}",
            self.out, self.err
        );
        self
    }

    /// Asserts that stderr has this text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.err.contains(text),
            "`{text}` is not in stderr:\n{}\nstdout:\n{}",
            self.err,
            self.out
        );
        self
    }

    /// Asserts that neither stream has a control character other than the newline.
    #[track_caller]
    pub fn plainly(self) -> Self {
        let strange = |text: &str| text.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(strange(&self.out), None, "in stdout:\n{:?}", self.out);
        assert_eq!(strange(&self.err), None, "in stderr:\n{:?}", self.err);
        self
    }

    /// stdout as one JSON object a line.
    #[track_caller]
    pub fn objects(&self) -> Vec<serde_json::Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        self.out.lines().map(parse).collect()
    }
}

/// Every file of a host with its size, mode and both times. Left out is what the host itself writes all the time:
/// its journal and logs, sessions and greetings of logins, and the data of the running etcd.
pub fn files(cluster: &Cluster) -> BTreeMap<String, String> {
    const SCRIPT: &str = r"find / /tmp /run /var/tmp -xdev \
        \( -path /proc -o -path /sys -o -path /dev -o -path /var/log -o -path /var/lib/etcd -o -path /srv/etcd \
           -o -path /run/systemd -o -path /run/user -o -path /run/sudo -o -path /run/log -o -path /run/udev \
           -o -path /var/lib/systemd -o -path /run/dbus -o -path /run/utmp -o -path /run/lock -o -path /run/motd.dynamic \) -prune \
        -o ! -type d -printf '%p %s %m %T@ %C@\n' | sort -u";
    let listing = |host: String| {
        let text = cluster.lab.sh(&host, SCRIPT).unwrap();
        assert!(text.lines().count() > 1000, "{host}: {text}");
        (host, text)
    };
    cluster.shape.hosts().into_iter().map(listing).collect()
}

/// Asserts that two listings are the same and names the files that differ.
#[track_caller]
pub fn assert_untouched(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) {
    for (host, text) in before {
        let old: std::collections::BTreeSet<_> = text.lines().collect();
        let new: std::collections::BTreeSet<_> = after[host].lines().collect();
        let differs: Vec<_> = old.symmetric_difference(&new).collect();
        assert!(differs.is_empty(), "{host}: {differs:#?}");
    }
}

/// The release of the running process and the cluster version, as `/version` on the host says.
pub fn running(cluster: &Cluster, host: &str) -> (String, String) {
    let clusters = cluster.shape.clusters.iter();
    let mut members = clusters.flat_map(|one| &one.members);
    let member = members.find(|member| member.host == host).unwrap();
    let tls = member.tls.clone().unwrap_or_default();
    let shown = [("cacert", tls.cacert), ("cert", tls.cert), ("key", tls.key)];
    let shown = shown.map(|(name, path)| path.map(|path| format!("--{name} {path}")));
    let shown = shown.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let page = format!(
        "{}://{}:{}/version",
        member.scheme(),
        cluster.lab.host(host).unwrap().address,
        member.client_port
    );
    let said = cluster.lab.sh(host, &format!("curl -fsS {shown} {page}"));
    let version: serde_json::Value = serde_json::from_str(&said.unwrap()).unwrap();
    let text = |key: &str| version[key].as_str().unwrap().to_owned();
    (text("etcdserver"), text("etcdcluster"))
}

/// What the binary on the unit's path says to be.
pub fn installed(cluster: &Cluster, host: &str) -> String {
    let said = cluster
        .lab
        .sh(host, "/usr/local/bin/etcd --version | head -n 1")
        .unwrap();
    said.trim().trim_start_matches("etcd Version: ").to_owned()
}
