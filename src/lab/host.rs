//! One host: an overlay on the base, booted by systemd-nspawn with systemd as PID 1.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use super::dirs::{make, read, write};
use super::net::{BRIDGE, Network};
use super::tool::{Cancel, Tool, search_path};
use super::{LabError, base, cgroup, mounts};

/// A host of the lab, on or off.
#[derive(Debug)]
pub struct Host {
    /// Its name in the inventory and in its own `/etc/hostname`.
    pub name: String,
    /// Its address inside the lab's network.
    pub address: Ipv4Addr,
    pub(super) machine: String,
    group: PathBuf,
    folder: PathBuf,
    running: Mutex<Option<Child>>,
}

/// What all hosts of a lab share.
pub(super) struct Common<'a> {
    pub(super) base: &'a Path,
    pub(super) network: &'a Network,
    pub(super) public_key: &'a str,
    pub(super) names: &'a str,
}

impl Host {
    pub(super) fn new(lab: &Path, id: &str, index: usize, name: &str) -> Self {
        let machine = format!("r{id}-{index}");
        Self {
            name: name.to_owned(),
            address: super::net::address(index),
            group: group(id).join(&machine),
            folder: lab.join("hosts").join(&machine),
            machine,
            running: Mutex::new(None),
        }
    }

    /// Its file system as seen from here, while it has power.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// What its console printed since the last boot.
    pub fn console(&self) -> String {
        fs::read_to_string(self.folder.join("console")).unwrap_or_default()
    }

    /// The link of the bridge that leads to it.
    pub(super) fn link(&self) -> String {
        format!("vb-{}", self.machine)
    }

    /// Gives it what is its own: name, address, keys.
    pub(super) fn prepare(&self, common: &Common<'_>) -> Result<(), LabError> {
        for part in ["upper", "work", "root"] {
            make(&self.folder.join(part))?;
        }
        self.mount(common.base)?;
        let root = self.root();
        let network = format!(
            "[Match]\nName=host0\n[Network]\nAddress={}/16\n",
            self.address
        );
        let place = |path: &str, text: &str, mode| write(&root.join(path), text, mode);
        place("etc/systemd/network/10-lab.network", &network, 0o644)?;
        place("etc/hostname", &format!("{}\n", self.name), 0o644)?;
        place("etc/machine-id", &machine_id()?, 0o444)?;
        let hosts = read(&root.join("etc/hosts"))? + common.names;
        place("etc/hosts", &hosts, 0o644)?;
        place("root/.ssh/authorized_keys", common.public_key, 0o600)?;
        let home = format!("home/{}/.ssh", base::SUDO_USER);
        place(&format!("{home}/authorized_keys"), common.public_key, 0o600)?;
        own(&root, &home)?;
        keygen(&root.join("etc/ssh/ssh_host_ed25519_key"))
    }

    /// Its line for a known_hosts file.
    pub(super) fn known_host(&self) -> Result<String, LabError> {
        let key = read(&self.root().join("etc/ssh/ssh_host_ed25519_key.pub"))?;
        let mut words = key.split_whitespace();
        let (kind, key) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        Ok(format!("{},{} {kind} {key}\n", self.address, self.name))
    }

    /// Mounts what is not mounted and boots.
    pub(super) fn boot(&self, base: &Path, network: &Network) -> Result<(), LabError> {
        self.mount(base)?;
        let groups = cgroup::create(&self.group)?;
        let console = self.folder.join("console");
        let out = File::create(&console).map_err(LabError::io("write", &console))?;
        let err = out.try_clone().map_err(LabError::io("write", &console))?;
        let child = self
            .container(network, &groups)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(LabError::io("boot", &self.folder))?;
        *self.slot() = Some(child);
        Ok(())
    }

    /// A shell that puts itself into the host's control group, then becomes the container's manager.
    fn container(&self, network: &Network, groups: &[PathBuf]) -> Command {
        const SCRIPT: &str = r#"
            while [ "$1" != -- ]; do echo $$ > "$1" || exit; shift; done; shift
            exec setsid "$@""#;
        let mut command = Command::new("sh");
        command.env("PATH", search_path());
        command.args(["-c", SCRIPT, "sh"]).args(groups).arg("--");
        command
            .arg("nsenter")
            .arg(format!("--net={}", network.path().display()));
        command.args(["systemd-nspawn", "--quiet", "--boot", "--settings=no"]);
        command.args(["--register=no", "--keep-unit", "--link-journal=no"]);
        command.args(["--resolv-conf=off", "--timezone=off"]);
        command.arg(format!("--network-bridge={BRIDGE}"));
        command.arg(format!("--machine={}", self.machine));
        command.arg(format!("--hostname={}", self.name));
        command.arg(format!("--directory={}", self.root().display()));
        command
    }

    /// Whether its container runs.
    pub fn has_power(&self) -> bool {
        let mut slot = self.slot();
        match slot.as_mut().map(Child::try_wait) {
            Some(Ok(None)) => true,
            Some(_) => {
                *slot = None;
                false
            }
            None => false,
        }
    }

    /// Kills everything that runs on it at once and unmounts its file system.
    pub(super) fn power_cut(&self) -> Result<(), LabError> {
        // By its own number first: a process that was started a moment ago is not in the group yet.
        if let Some(child) = self.slot().as_mut() {
            child
                .kill()
                .map_err(LabError::io("cut the power of", &self.folder))?;
        }
        cgroup::kill(&self.group)?;
        self.after_the_end()
    }

    /// Waits until it has shut itself down.
    pub(super) fn await_end(&self, patience: Duration) -> Result<(), LabError> {
        let what = format!("host `{}` did not shut down", self.name);
        Cancel::default().wait(&what, patience, || {
            if self.has_power() {
                return Err("it still runs".to_owned());
            }
            Ok(())
        })?;
        self.after_the_end()
    }

    fn after_the_end(&self) -> Result<(), LabError> {
        if let Some(mut child) = self.slot().take() {
            child
                .wait()
                .map_err(LabError::io("await the end of", &self.folder))?;
        }
        cgroup::destroy(&self.group)?;
        mounts::unmount_below(&self.folder)
    }

    fn mount(&self, base: &Path) -> Result<(), LabError> {
        let root = self.root();
        if mounts::is_mounted(&root)? {
            return Ok(());
        }
        let part = |name: &str| self.folder.join(name).display().to_string();
        let layers = format!(
            "lowerdir={},upperdir={},workdir={}",
            base.display(),
            part("upper"),
            part("work")
        );
        let overlay = ["-t", "overlay", "overlay", "-o", &layers];
        Tool::new("mount").args(overlay).arg(root).run()?;
        Ok(())
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.running
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The control group of a whole lab.
pub(super) fn group(id: &str) -> PathBuf {
    PathBuf::from(format!("runner-lab-{id}"))
}

/// Makes a key pair without a passphrase.
pub(super) fn keygen(file: &Path) -> Result<(), LabError> {
    let quiet = ["-q", "-t", "ed25519", "-N", "", "-C", "runner lab", "-f"];
    Tool::new("ssh-keygen").args(quiet).arg(file).run()?;
    Ok(())
}

fn machine_id() -> Result<String, LabError> {
    let source = Path::new("/proc/sys/kernel/random/uuid");
    Ok(read(source)?.replace('-', ""))
}

fn own(root: &Path, folder: &str) -> Result<(), LabError> {
    let owner = format!("{0}:{0}", base::SUDO_USER);
    let chown = ["chown", "-R", &owner, &format!("/{folder}")];
    Tool::new("chroot").arg(root).args(chown).run()?;
    Ok(())
}
