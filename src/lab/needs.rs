//! The tools that the lab needs on this machine, and where Debian has them.

use std::env;
use std::path::{Path, PathBuf};

use super::LabError;
use super::tool::{Cancel, Tool, search_path};

/// Programs and the Debian packages that bring them.
const TOOLS: &[(&str, &str)] = &[
    ("apt-cache", "apt"),
    ("apt-get", "apt"),
    ("chroot", "coreutils"),
    ("debootstrap", "debootstrap"),
    ("dpkg-deb", "dpkg"),
    ("ip", "iproute2"),
    ("mount", "mount"),
    ("nc", "netcat-openbsd"),
    ("nsenter", "util-linux"),
    ("openssl", "openssl"),
    ("setsid", "util-linux"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("systemd-nspawn", "systemd-container"),
    ("tc", "iproute2"),
    ("umount", "mount"),
];

/// A file that debootstrap and apt verify signatures with, and its package.
const KEYRING: (&str, &str) = (
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "debian-archive-keyring",
);

/// Checks that the process is root and every tool is here; on Debian missing ones are installed.
///
/// # Errors
/// [`LabError::NotRoot`], or [`LabError::ToolsMissing`] with the line that installs them.
pub fn ensure(cancel: &Cancel, say: &dyn Fn(&str)) -> Result<(), LabError> {
    if !rustix::process::geteuid().is_root() {
        return Err(LabError::NotRoot);
    }
    let Some(missing) = missing(&folders()) else {
        return Ok(());
    };
    if find("apt-get", &folders()).is_none() {
        return Err(missing.error());
    }
    say(&format!("installing {}", missing.packages.join(", ")));
    install(&missing.packages, cancel)?;
    self::missing(&folders()).map_or(Ok(()), |still| Err(still.error()))
}

struct Missing {
    tools: Vec<String>,
    packages: Vec<&'static str>,
}

impl Missing {
    fn error(self) -> LabError {
        let install = format!("apt-get install {}", self.packages.join(" "));
        let tools = self.tools;
        LabError::ToolsMissing { tools, install }
    }
}

fn install(packages: &[&str], cancel: &Cancel) -> Result<(), LabError> {
    let apt = || {
        Tool::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["-qq", "-o", "DPkg::Lock::Timeout=300"])
    };
    apt().arg("update").run_until(cancel)?;
    let install = ["install", "-y", "--no-install-recommends"];
    apt().args(install).args(packages).run_until(cancel)?;
    Ok(())
}

fn missing(path: &[PathBuf]) -> Option<Missing> {
    let absent = |(tool, _): &&(&str, &str)| find(tool, path).is_none();
    let mut pairs: Vec<_> = TOOLS.iter().filter(absent).copied().collect();
    if !Path::new(KEYRING.0).exists() {
        pairs.push(KEYRING);
    }
    let mut packages: Vec<_> = pairs.iter().map(|pair| pair.1).collect();
    packages.sort_unstable();
    packages.dedup();
    let tools: Vec<String> = pairs.iter().map(|pair| pair.0.to_owned()).collect();
    (!tools.is_empty()).then_some(Missing { tools, packages })
}

fn folders() -> Vec<PathBuf> {
    env::split_paths(&search_path()).collect()
}

fn find(tool: &str, path: &[PathBuf]) -> Option<PathBuf> {
    let candidates = path.iter().map(|folder| folder.join(tool));
    candidates.into_iter().find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_tools_are_listed_with_the_line_that_installs_them() {
        let nothing = missing(&[]).unwrap();
        let message = nothing.error().to_string();
        assert!(message.contains("systemd-nspawn"), "{message}");
        assert!(
            message.contains("`apt-get install apt coreutils debootstrap"),
            "{message}"
        );
        assert_eq!(message.matches("iproute2").count(), 1, "{message}");
    }
}
