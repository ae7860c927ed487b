//! A real sshd on loopback, with its own keys and configuration, that is gone after the test.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use runner::inventory::{Escalation, Host, Ssh, Templates};

const SSHD: &str = "/usr/sbin/sshd";

/// A running sshd.
pub struct Sshd {
    dir: tempfile::TempDir,
    child: Child,
    pub port: u16,
    log: Log,
}

/// What it said so far.
type Log = Arc<Mutex<Vec<String>>>;

impl Sshd {
    /// Starts one with further lines of configuration; `{dir}` stands for its folder.
    pub fn start(extra: &str) -> Self {
        Self::with_files(extra, &[])
    }

    /// Starts one whose folder has these executable scripts in it.
    pub fn with_files(extra: &str, files: &[(&str, &str)]) -> Self {
        assert!(
            Path::new(SSHD).exists(),
            "{SSHD} is missing: apt-get install openssh-server"
        );
        std::fs::create_dir_all("/run/sshd").unwrap();
        let dir = tempfile::tempdir().unwrap();
        for name in ["host", "client", "other"] {
            keygen(&dir.path().join(name));
        }
        std::fs::copy(dir.path().join("client.pub"), dir.path().join("authorized")).unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::write(&path, text.replace("{dir}", dir.path().to_str().unwrap())).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let extra = extra.replace("{dir}", dir.path().to_str().unwrap());
        let (child, port, log) = (0..5)
            .find_map(|_| launch(dir.path(), &extra))
            .expect("sshd listens on a free port");
        let sshd = Self {
            dir,
            child,
            port,
            log,
        };
        let key = std::fs::read_to_string(sshd.path("host.pub")).unwrap();
        std::fs::write(sshd.path("known"), format!("[127.0.0.1]:{port} {key}")).unwrap();
        sshd
    }

    /// How many of the lines that it logged so far have this text in them.
    pub fn logged(&self, text: &str) -> usize {
        let log = self.log.lock().unwrap();
        log.iter().filter(|line| line.contains(text)).count()
    }

    /// The processes of its connections, and what runs in them.
    pub fn sessions(&self) -> Vec<u32> {
        descendants(self.child.id())
    }

    /// A file in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A host that is reached there with the right key and the right known_hosts.
    pub fn host(&self, name: &str) -> Host {
        let ssh = Ssh {
            port: Some(self.port),
            identity_file: Some(self.path("client")),
            known_hosts: Some(self.path("known")),
            config: Some("/dev/null".into()),
            ..Ssh::default()
        };
        host(name, "127.0.0.1", ssh)
    }

    /// A known_hosts file that holds the keys of several servers.
    pub fn knowing(&self, others: &[&Sshd]) -> PathBuf {
        let all = self.path("known-all");
        let keys = others
            .iter()
            .chain([&self])
            .map(|sshd| std::fs::read_to_string(sshd.path("known")).unwrap());
        std::fs::write(&all, keys.collect::<String>()).unwrap();
        all
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let all = self.sessions();
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in all {
            kill(pid);
        }
    }
}

/// A host with these settings and nothing else that matters here.
pub fn host(name: &str, address: &str, ssh: Ssh) -> Host {
    Host {
        name: name.into(),
        member: name.into(),
        address: address.into(),
        ssh,
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

/// Starts sshd and waits until it listens; `None` if another process took the port meanwhile.
fn launch(dir: &Path, extra: &str) -> Option<(Child, u16, Log)> {
    let port = free_port();
    let here = dir.display();
    let config = format!(
        "{extra}\nListenAddress 127.0.0.1\nPort {port}\nHostKey {here}/host\nAuthorizedKeysFile {here}/authorized\nPidFile none\n\
         StrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
    );
    std::fs::write(dir.join("sshd_config"), config).unwrap();
    let mut child = Command::new(SSHD)
        .args(["-D", "-e", "-f"])
        .arg(dir.join("sshd_config"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = String::new();
    while let Some(Ok(line)) = lines.next() {
        if line.contains("Server listening") {
            let log = Log::default();
            let to = Arc::clone(&log);
            std::thread::spawn(move || {
                let lines = lines.map_while(Result::ok);
                lines.for_each(|line| to.lock().unwrap().push(line));
            });
            return Some((child, port, log));
        }
        said.push_str(&line);
    }
    child.wait().unwrap();
    assert!(
        said.contains("already in use"),
        "sshd does not start: {said}"
    );
    None
}

/// A port that nothing listened on a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn keygen(path: &Path) {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path)
        .status()
        .unwrap();
    assert!(status.success());
}

/// All processes below this one.
fn descendants(root: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (pid, stat) in processes("stat") {
        let parent = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        children.entry(parent.unwrap_or(0)).or_default().push(pid);
    }
    let (mut all, mut next) = (Vec::new(), vec![root]);
    while let Some(pid) = next.pop() {
        let below = children.remove(&pid).unwrap_or_default();
        all.extend(&below);
        next.extend(below);
    }
    all
}

/// Processes whose command line has this text in it.
pub fn running(text: &str) -> Vec<u32> {
    processes("cmdline")
        .into_iter()
        .filter(|(_, line)| line.contains(text))
        .map(|(pid, _)| pid)
        .collect()
}

fn processes(file: &str) -> Vec<(u32, String)> {
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| {
        let bytes = std::fs::read(format!("/proc/{pid}/{file}")).ok()?;
        Some((pid, String::from_utf8_lossy(&bytes).replace('\0', " ")))
    })
    .collect()
}

/// Kills one process.
pub fn kill(pid: u32) {
    signal(pid, rustix::process::Signal::KILL);
}

/// Stops one process, as a host that hangs does.
pub fn freeze(pid: u32) {
    signal(pid, rustix::process::Signal::STOP);
}

fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    let _ = rustix::process::kill_process(pid, signal);
}

/// Waits until this holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("never came: {what}");
}
