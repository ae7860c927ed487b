//! Real hosts on this machine: containers with systemd as PID 1, sshd and addresses of their own, in one
//! network namespace that no packet leaves. Used by `rehearse` and by the end-to-end tests.
//!
//! Everything that a lab makes (processes, mounts, namespace, folder) carries its id, so taking it away
//! needs nothing but the id, works after a crash, and cannot touch what the lab did not make.

mod apt;
mod base;
mod cgroup;
pub mod cluster;
mod debian;
mod dirs;
mod error;
mod faults;
mod files;
mod host;
mod mounts;
mod needs;
mod net;
mod owner;
pub mod releases;
mod shape;
mod tls;
mod tool;
pub mod writer;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

pub use base::SUDO_USER;
pub use dirs::Dirs;
pub use error::LabError;
pub use files::Wanted;
pub use host::Host;
pub use needs::ensure as ensure_tools;
pub use net::Network;
pub use owner::{destroy_kept, destroy_own, sweep};
pub use shape::{ClusterShape, MemberShape, Shape};
pub use tool::Cancel;

use host::Common;
use owner::Found;
use tool::Tool;

/// How long a host may take from power to ssh: sixty at once on two cores took 65 s.
const BOOT_PATIENCE: Duration = Duration::from_secs(240);

/// A host needs several inotify instances; the usual limit of 128 is used up by about 18 hosts.
const INOTIFY_INSTANCES: u64 = 8192;

/// A running lab. Dropping it destroys it, unless it is kept.
#[derive(Debug)]
pub struct Lab {
    id: String,
    folder: PathBuf,
    base: PathBuf,
    network: Network,
    hosts: Vec<Host>,
    cancel: Cancel,
    is_kept: bool,
}

impl Lab {
    /// Boots hosts of these names and returns once every one answers ssh.
    ///
    /// Labs of crashed predecessors are destroyed first, and the base file system is built if this
    /// machine has none. Tools are not installed here; see [`ensure_tools`].
    ///
    /// # Errors
    /// When a host does not come up; nothing is left behind then.
    pub fn boot(
        dirs: &Dirs,
        names: &[String],
        cancel: &Cancel,
        say: &(dyn Fn(&str) + Sync),
    ) -> Result<Self, LabError> {
        for id in sweep(dirs)? {
            say(&format!("removed lab {id} of a run that is gone"));
        }
        let base = base::ensure(dirs, cancel, say)?;
        let Found { id, folder } = owner::claim(dirs)?;
        let hosts = names.iter().enumerate();
        let hosts = hosts.map(|(index, name)| Host::new(&folder, &id, index + 1, name));
        let lab = Self {
            hosts: hosts.collect(),
            network: owner::network(&id),
            cancel: cancel.clone(),
            is_kept: false,
            id,
            folder,
            base,
        };
        // From here on an early return drops the lab, which destroys it.
        lab.build(say)?;
        Ok(lab)
    }

    fn build(&self, say: &(dyn Fn(&str) + Sync)) -> Result<(), LabError> {
        raise_inotify_limit()?;
        if mounts::room_for_overlays(&self.folder.join("hosts"), &self.base)? {
            let place = self.folder.display();
            say(&format!(
                "`{place}` cannot hold overlays: changes of hosts are kept in memory"
            ));
        }
        self.network.create()?;
        host::keygen(&self.folder.join("key"))?;
        let public_key = dirs::read(&self.folder.join("key.pub"))?;
        let names = self
            .hosts
            .iter()
            .map(|h| format!("{} {}\n", h.address, h.name));
        let common = Common {
            base: &self.base,
            network: &self.network,
            public_key: &public_key,
            names: &names.collect::<String>(),
        };
        say(&format!(
            "booting {} hosts (lab {})",
            self.hosts.len(),
            self.id
        ));
        self.on_all(|host| {
            self.cancel.check()?;
            host.prepare(&common)?;
            host.boot(common.base, common.network)
        })?;
        self.write_ssh_files()?;
        self.on_all(|host| self.await_ssh(host))
    }

    /// The lab's id, part of the name of everything it made.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The lab's folder: key, `ssh_config`, `known_hosts`, `inventory.toml`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Its hosts, in the order of their names at boot.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The host of that name.
    ///
    /// # Errors
    /// [`LabError::NoHost`].
    pub fn host(&self, name: &str) -> Result<&Host, LabError> {
        let found = self.hosts.iter().find(|host| host.name == name);
        found.ok_or_else(|| LabError::NoHost(name.to_owned()))
    }

    /// Runs a script on a host as root over ssh and returns what it wrote to stdout.
    ///
    /// # Errors
    /// When ssh fails or the script does, with its stderr.
    pub fn sh(&self, host: &str, script: &str) -> Result<String, LabError> {
        self.sh_as("root", host, script)
    }

    /// Runs a script on a host as the given user.
    ///
    /// # Errors
    /// As [`Lab::sh`].
    pub fn sh_as(&self, user: &str, host: &str, script: &str) -> Result<String, LabError> {
        let host = self.host(host)?;
        if !host.has_power() {
            return Err(LabError::PowerOff(host.name.clone()));
        }
        self.ssh(user, host, 10).arg(script).run_until(&self.cancel)
    }

    fn ssh(&self, user: &str, host: &Host, patience_s: u32) -> Tool {
        let patience = format!("ConnectTimeout={patience_s}");
        Tool::new("ssh")
            .arg("-F")
            .arg(self.ssh_config())
            .args(["-o", "BatchMode=yes", "-o", &patience, "-l", user])
            .arg(host.address.to_string())
    }

    /// Waits until sshd greets, then until a login works.
    fn await_ssh(&self, host: &Host) -> Result<(), LabError> {
        let port = (host.address, 22).into();
        let what = format!("host `{}` did not answer ssh", host.name);
        let greets = || {
            if host.has_power() {
                return net::greeting(port).map(drop);
            }
            let said = host.console();
            Err(format!("its container ended: {}", said.trim()))
        };
        let wait = || self.cancel.wait(&what, BOOT_PATIENCE, greets);
        self.network.inside(wait)??;
        self.cancel.wait(&what, BOOT_PATIENCE, || {
            let login = self
                .ssh("root", host, 5)
                .arg("true")
                .run_until(&self.cancel);
            login.map_err(|error| error.to_string())
        })?;
        Ok(())
    }

    /// Does the same on all hosts side by side and reports every failure.
    fn on_all(&self, work: impl Fn(&Host) -> Result<(), LabError> + Sync) -> Result<(), LabError> {
        let results: Vec<_> = thread::scope(|scope| {
            let work = &work;
            let begin = |host| scope.spawn(move || work(host));
            let threads: Vec<_> = self.hosts.iter().map(begin).collect();
            threads
                .into_iter()
                .map(thread::ScopedJoinHandle::join)
                .collect()
        });
        let mut failures = Vec::new();
        for (host, result) in self.hosts.iter().zip(results) {
            match result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
                Ok(()) => {}
                Err(LabError::Interrupted) => return Err(LabError::Interrupted),
                Err(error) => failures.push(format!("{}: {error}", host.name)),
            }
        }
        if failures.is_empty() {
            return Ok(());
        }
        Err(LabError::Hosts(failures))
    }

    /// Lets the lab outlive this process, even if that crashes, until [`destroy_kept`].
    ///
    /// # Errors
    /// When the mark cannot be written.
    pub fn keep(&mut self) -> Result<(), LabError> {
        owner::keep(&self.folder)?;
        self.is_kept = true;
        Ok(())
    }

    /// Lets go of a lab that is kept: from now on [`destroy_kept`] takes it away.
    ///
    /// # Errors
    /// When the marks cannot be written.
    pub fn leave(mut self) -> Result<(), LabError> {
        self.keep()?;
        owner::disown(&self.folder)
    }

    /// Takes everything away and says what could not be.
    ///
    /// # Errors
    /// When something resisted; the lab's folder stays then, so that a later sweep tries again.
    pub fn destroy(mut self) -> Result<(), LabError> {
        self.take_away()
    }

    fn take_away(&mut self) -> Result<(), LabError> {
        self.is_kept = true;
        let cut = self.on_all(Host::power_cut);
        let (id, folder) = (self.id.clone(), self.folder.clone());
        cut.and(owner::destroy(&Found { id, folder }))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !self.is_kept {
            // Whatever resists keeps its folder and is swept at the next start.
            let _ = self.take_away();
        }
    }
}

fn raise_inotify_limit() -> Result<(), LabError> {
    let file = Path::new("/proc/sys/fs/inotify/max_user_instances");
    let now: u64 = dirs::read(file)?.trim().parse().unwrap_or(0);
    if now >= INOTIFY_INSTANCES {
        return Ok(());
    }
    std::fs::write(file, INOTIFY_INSTANCES.to_string()).map_err(LabError::io("write", file))
}
