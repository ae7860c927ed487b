//! How many members were down at once.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use runner::lab::Lab;

/// How long a member may take to greet; the kernel does it for a process that listens.
const PATIENCE: Duration = Duration::from_millis(300);

/// A thread that knocks at all members.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<String>>>,
}

impl Watch {
    /// Starts to knock.
    pub fn start(lab: &Lab) -> Self {
        let hosts = lab.hosts().iter();
        let doors: Vec<(String, SocketAddr)> = hosts
            .map(|host| (host.name.clone(), (host.address, 2379).into()))
            .collect();
        let stop = Arc::new(AtomicBool::new(false));
        let (network, stop_there) = (lab.network().clone(), stop.clone());
        let thread = thread::spawn(move || {
            network.enter().unwrap();
            let mut most = Vec::new();
            while !stop_there.load(Ordering::Acquire) {
                // Two looks: members are asked one after the other, so one that comes up and one that goes down
                // meanwhile would be taken for two.
                let first = down(&doors);
                if first.len() > most.len() {
                    let second = down(&doors);
                    let both: Vec<_> = first
                        .into_iter()
                        .filter(|one| second.contains(one))
                        .collect();
                    if both.len() > most.len() {
                        most = both;
                    }
                }
                thread::sleep(Duration::from_millis(20));
            }
            most
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }

    /// The members that were down together when most were.
    pub fn finish(mut self) -> Vec<String> {
        self.stop.store(true, Ordering::Release);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

fn down(doors: &[(String, SocketAddr)]) -> Vec<String> {
    let is_shut =
        |door: &&(String, SocketAddr)| TcpStream::connect_timeout(&door.1, PATIENCE).is_err();
    doors
        .iter()
        .filter(is_shut)
        .map(|(name, _)| name.clone())
        .collect()
}
