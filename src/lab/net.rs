//! The lab's own network: one namespace with a bridge, which no packet leaves.

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fd::AsFd;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::LabError;
use super::tool::Tool;

/// The bridge's name inside the namespace.
pub(super) const BRIDGE: &str = "lab0";

/// The network namespace of a lab.
#[derive(Clone, Debug)]
pub struct Network {
    name: String,
}

impl Network {
    /// The namespace of that name, which may not exist yet.
    pub(super) fn named(name: String) -> Self {
        Self { name }
    }

    /// Makes the namespace and its bridge.
    pub(super) fn create(&self) -> Result<(), LabError> {
        Tool::new("ip").args(["netns", "add", &self.name]).run()?;
        self.ip(&["link", "set", "lo", "up"])?;
        self.ip(&["link", "add", BRIDGE, "type", "bridge"])?;
        let own = format!("{}/16", address(0));
        self.ip(&["address", "add", &own, "dev", BRIDGE])?;
        self.ip(&["link", "set", BRIDGE, "up"])
    }

    /// Removes the namespace, and with it the bridge and all links.
    pub(super) fn destroy(&self) -> Result<(), LabError> {
        if !self.path().exists() {
            return Ok(());
        }
        Tool::new("ip")
            .args(["netns", "delete", &self.name])
            .run()?;
        Ok(())
    }

    /// The file by which `nsenter --net=` finds the namespace.
    pub fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// Calls `ip` inside.
    pub(super) fn ip(&self, args: &[&str]) -> Result<(), LabError> {
        Tool::new("ip").args(["-n", &self.name]).args(args).run()?;
        Ok(())
    }

    /// Calls `tc` inside.
    pub(super) fn tc(&self, args: &[&str]) -> Result<(), LabError> {
        Tool::new("tc").args(["-n", &self.name]).args(args).run()?;
        Ok(())
    }

    /// Moves the calling thread into the namespace, for good.
    ///
    /// # Errors
    /// When the namespace is gone or the process may not enter it.
    pub fn enter(&self) -> Result<(), LabError> {
        let path = self.path();
        let file = File::open(&path).map_err(LabError::io("open", &path))?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|error| LabError::io("enter", &path)(error.into()))
    }

    /// Does `work` on a thread of its own inside the namespace and waits for it.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        let enter_and_work = || self.enter().map(|()| work());
        thread::scope(|scope| {
            let ended = scope.spawn(enter_and_work).join();
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

/// The address of the host with that index; index 0 is the bridge itself.
pub(super) fn address(index: usize) -> Ipv4Addr {
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 77, 0, 1).to_bits() + index)
}

/// What greets at a port: proof that a server answers there. Call it inside the namespace.
pub(super) fn greeting(address: SocketAddr) -> Result<String, String> {
    let patience = Duration::from_secs(1);
    let words = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect_timeout(&address, patience).map_err(words)?;
    stream.set_read_timeout(Some(patience)).map_err(words)?;
    let mut start = [0; 4];
    stream.read_exact(&mut start).map_err(words)?;
    Ok(String::from_utf8_lossy(&start).into_owned())
}
