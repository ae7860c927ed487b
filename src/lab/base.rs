//! The Debian file system that all hosts of all labs share, read-only, as the lower layer of their own.

use std::fs;
use std::path::{Path, PathBuf};

use super::dirs::{Dirs, Locked, make, read, write};
use super::tool::{Cancel, Tool};
use super::{LabError, apt};

/// The suite of the hosts.
const SUITE: &str = "bookworm";

/// Raised whenever what is built here changes, so that an older base is not taken for this one.
const RECIPE: u32 = 1;

/// What hosts have beside a minimal system; `curl` and `python3` are two of the ways to ask a member.
const PACKAGES: &str =
    "systemd,systemd-sysv,dbus,openssh-server,iproute2,sudo,ca-certificates,curl,procps,python3";

/// Units that only cost time at boot in a container that lives for minutes.
const MASKED: &[&str] = &[
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty.target",
    "systemd-firstboot.service",
    "systemd-networkd-wait-online.service",
];

/// The user beside root, who gains root by sudo without a password.
pub const SUDO_USER: &str = "ops";

/// Returns the base's folder, building it first if this machine has none yet.
///
/// Two runs never build it twice: the second waits for the first. A build that was cut short is
/// never taken for a base, because only a complete one gets the name.
///
/// # Errors
/// When the archive cannot be found or `debootstrap` fails.
pub fn ensure(dirs: &Dirs, cancel: &Cancel, say: &dyn Fn(&str)) -> Result<PathBuf, LabError> {
    let name = format!("base-{SUITE}-{RECIPE}");
    let base = dirs.cache.join(&name);
    if base.is_dir() {
        return Ok(base);
    }
    make(&dirs.cache)?;
    let lock = dirs.cache.join("base.lock");
    let waiting = || say("waiting for another run that builds the base file system");
    let _lock = Locked::take(&lock, cancel, &waiting)?;
    if base.is_dir() {
        return Ok(base);
    }
    say("building the base file system of the hosts (once, about a minute)");
    let unfinished = dirs.cache.join(format!("{name}.unfinished"));
    remove(&unfinished)?;
    let built = build(&unfinished, cancel);
    if let Err(error) = built {
        remove(&unfinished)?;
        return Err(error);
    }
    fs::rename(&unfinished, &base).map_err(LabError::io("name", &base))?;
    Ok(base)
}

fn remove(folder: &Path) -> Result<(), LabError> {
    if !folder.exists() {
        return Ok(());
    }
    fs::remove_dir_all(folder).map_err(LabError::io("remove", folder))
}

fn build(root: &Path, cancel: &Cancel) -> Result<(), LabError> {
    let mut tool = Tool::new("debootstrap")
        .args(["--variant=minbase", &format!("--include={PACKAGES}"), SUITE])
        .arg(root)
        .arg(apt::mirror()?);
    if let Some(proxy) = apt::proxy() {
        tool = tool.env("http_proxy", proxy);
    }
    tool.run_until(cancel)?;
    settle_in(root)
}

/// Makes what debootstrap leaves behind a host of the lab.
fn settle_in(root: &Path) -> Result<(), LabError> {
    let chroot = |args: &[&str]| Tool::new("chroot").arg(root).args(args).run();
    chroot(&["useradd", "-m", "-s", "/bin/bash", SUDO_USER])?;
    let rule = format!("{SUDO_USER} ALL=(ALL) NOPASSWD: ALL\n");
    write(&root.join("etc/sudoers.d").join(SUDO_USER), &rule, 0o440)?;
    chroot(&["systemctl", "enable", "systemd-networkd", "ssh"])?;
    let mut mask = vec!["systemctl", "mask"];
    mask.extend(MASKED);
    chroot(&mask)?;
    no_identity(root)
}

/// Removes what each host must have of its own, and the package cache.
fn no_identity(root: &Path) -> Result<(), LabError> {
    let ssh = root.join("etc/ssh");
    let entries = fs::read_dir(&ssh).map_err(LabError::io("read", &ssh))?;
    let keys = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("ssh_host_"));
    for key in keys {
        fs::remove_file(key.path()).map_err(LabError::io("remove", &key.path()))?;
    }
    write(&root.join("etc/machine-id"), "", 0o444)?;
    remove(&root.join("var/cache/apt/archives"))?;
    let hosts = root.join("etc/hosts");
    let text = if hosts.exists() {
        read(&hosts)?
    } else {
        "127.0.0.1 localhost\n".to_owned()
    };
    write(&hosts, &text, 0o644)
}
