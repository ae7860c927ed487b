//! How many members were down at once.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use runner::lab::Lab;

/// How long a member may take to greet; the kernel does it for a process that listens.
const PATIENCE: Duration = Duration::from_millis(300);

/// What was seen of the members.
#[derive(Debug, Default)]
pub struct Downs {
    /// Those that were down together when most were.
    pub most: Vec<String>,
    /// Who was down from when on, in milliseconds: a line for each change.
    pub changes: Vec<String>,
}

/// A thread that knocks at all members.
pub struct Watch {
    stop: Arc<AtomicBool>,
    began: Instant,
    thread: Option<JoinHandle<Downs>>,
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
        let began = Instant::now();
        let thread = thread::spawn(move || {
            network.enter().unwrap();
            let mut seen = Downs::default();
            let mut last = Vec::new();
            while !stop_there.load(Ordering::Acquire) {
                let now = down_together(&doors);
                if now != last {
                    let at = began.elapsed().as_millis();
                    seen.changes.push(format!("{at} ms: {now:?} down"));
                    if now.len() > seen.most.len() {
                        seen.most.clone_from(&now);
                    }
                    last = now;
                }
                thread::sleep(Duration::from_millis(20));
            }
            seen
        });
        Self {
            stop,
            began,
            thread: Some(thread),
        }
    }

    /// Milliseconds since it started.
    pub fn clock(&self) -> u128 {
        self.began.elapsed().as_millis()
    }

    /// What was seen.
    pub fn finish(mut self) -> Downs {
        self.stop.store(true, Ordering::Release);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// Two looks: members are asked one after the other, so one that comes up and one that goes down meanwhile would be
/// taken for two.
fn down_together(doors: &[(String, SocketAddr)]) -> Vec<String> {
    let first = down(doors);
    if first.len() < 2 {
        return first;
    }
    let second = down(doors);
    let is_down_still = |one: &String| second.contains(one);
    first.into_iter().filter(is_down_still).collect()
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
