//! What can be done to a host: power, link, bandwidth, disk space.

use std::time::Duration;

use super::host::Host;
use super::net::BRIDGE;
use super::{Lab, LabError};

/// How long a host may take to shut down: systemd gives a service 90 s before it kills it.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(120);

impl Lab {
    /// Cuts a host's power: every process is killed at once, nothing is written any more.
    ///
    /// # Errors
    /// When a process or a mount resists.
    pub fn power_cut(&self, host: &str) -> Result<(), LabError> {
        self.host(host)?.power_cut()
    }

    /// Boots a host that has no power, with the disk it had, and waits until it answers ssh.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn power_on(&self, host: &str) -> Result<(), LabError> {
        let host = self.host(host)?;
        if !host.has_power() {
            host.boot(&self.base, &self.network)?;
        }
        self.await_ssh(host)
    }

    /// Shuts a host down in good order and boots it again.
    ///
    /// # Errors
    /// When it does not shut down or does not come up.
    pub fn reboot(&self, host: &str) -> Result<(), LabError> {
        // The job is queued, so that ssh returns before the connection goes away.
        self.sh(host, "systemctl --no-block poweroff")?;
        self.host(host)?.await_end(SHUTDOWN_PATIENCE)?;
        self.power_on(host)
    }

    /// Cuts a host off: its link goes down, its processes go on.
    ///
    /// # Errors
    /// When the host is unknown or has no power.
    pub fn cut_off(&self, host: &str) -> Result<(), LabError> {
        let link = self.powered(host)?.link();
        self.network.ip(&["link", "set", &link, "down"])
    }

    /// Gives a host its link back.
    ///
    /// # Errors
    /// As [`Lab::cut_off`].
    pub fn reconnect(&self, host: &str) -> Result<(), LabError> {
        let link = self.powered(host)?.link();
        self.network.ip(&["link", "set", &link, "up"])
    }

    /// Limits what flows to a host, such as to `20mbit`.
    ///
    /// # Errors
    /// As [`Lab::cut_off`], or when the rate is none that `tc` knows.
    pub fn slow_link(&self, host: &str, rate: &str) -> Result<(), LabError> {
        self.limit(&self.powered(host)?.link(), rate)
    }

    /// Limits what flows from this machine to all hosts together, for as long as the lab is there. What they send each
    /// other is not limited.
    ///
    /// # Errors
    /// When the rate is none that `tc` knows.
    pub fn slow_control(&self, rate: &str) -> Result<(), LabError> {
        self.limit(BRIDGE, rate)
    }

    fn limit(&self, link: &str, rate: &str) -> Result<(), LabError> {
        let shape = ["rate", rate, "burst", "32kbit", "latency", "400ms"];
        let place = ["qdisc", "replace", "dev", link, "root", "tbf"];
        self.network.tc(&[&place[..], &shape[..]].concat())
    }

    /// Takes the limit of [`Lab::slow_link`] away.
    ///
    /// # Errors
    /// As [`Lab::cut_off`], or when there was no limit.
    pub fn full_speed(&self, host: &str) -> Result<(), LabError> {
        let link = self.powered(host)?.link();
        self.network.tc(&["qdisc", "delete", "dev", &link, "root"])
    }

    /// Puts a small disk of `size` (such as `8m`) over a folder of a host, with the folder's owner, mode
    /// and content; it is full as soon as somebody writes that much.
    ///
    /// A process that has files of the folder open keeps writing to the large disk below: stop it first.
    ///
    /// # Errors
    /// When the content does not fit.
    pub fn full_disk(&self, host: &str, folder: &str, size: &str) -> Result<(), LabError> {
        const SCRIPT: &str = r#"set -e
            mkdir -p "$folder"; disk=$(mktemp -d)
            mount -t tmpfs -o "size=$size" lab-disk "$disk"
            cp -a "$folder/." "$disk/" || { umount "$disk"; rmdir "$disk"; exit 1; }
            chown --reference="$folder" "$disk"; chmod --reference="$folder" "$disk"
            mount --move "$disk" "$folder" 2>/dev/null || {
                mount --bind "$disk" "$folder"; umount "$disk"; }
            rmdir "$disk""#;
        let (folder, size) = (quoted(folder), quoted(size));
        let script = format!("folder={folder}; size={size}; {SCRIPT}");
        self.sh(host, &script).map(drop)
    }

    /// Takes the small disk of [`Lab::full_disk`] away, and what was written to it.
    ///
    /// # Errors
    /// When it is in use or there is none.
    pub fn roomy_disk(&self, host: &str, folder: &str) -> Result<(), LabError> {
        let script = format!("umount {}", quoted(folder));
        self.sh(host, &script).map(drop)
    }

    fn powered(&self, host: &str) -> Result<&Host, LabError> {
        let host = self.host(host)?;
        if host.has_power() {
            return Ok(host);
        }
        Err(LabError::PowerOff(host.name.clone()))
    }
}

/// Quotes a word for `sh`.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
