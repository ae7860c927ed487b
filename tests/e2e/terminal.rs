//! The terminal that a run was started from: lost, suspended, or one that stops whoever writes from the background.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::common::Cluster;
use crate::common::look::{await_host, await_true, litter};
use crate::common::run::{command, installed, runner, running};

/// A terminal of our own. Nobody reads what is written to it, as after Ctrl-S, until somebody does.
struct Terminal {
    master: OwnedFd,
    slave: File,
}

impl Terminal {
    fn new() -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = File::options().read(true).write(true).open(name).unwrap();
        Self { master, slave }
    }

    /// Runs the binary with this as its terminal, behind the words of a shell, if any.
    fn run(&self, shell: &[&str], cluster: &Cluster, args: &[&str]) -> Child {
        let run = command(cluster, &cluster.inventory, args);
        let mut inside = Command::new("setsid");
        inside.args(["--ctty", "--wait"]).args(shell);
        inside.arg(run.get_program()).args(run.get_args());
        let slave = || Stdio::from(self.slave.try_clone().unwrap());
        inside.stdin(slave()).stdout(slave()).stderr(slave());
        inside.env_remove("SSH_AUTH_SOCK").env("TERM", "xterm");
        inside.spawn().unwrap()
    }

    /// Reads on until nobody has it open any more.
    fn drain(self) -> String {
        drop(self.slave);
        let mut text = Vec::new();
        // The end of a terminal is an error.
        let _ = File::from(self.master).read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    fn hang_up(self) {
        drop(self.slave);
        drop(self.master);
    }
}

fn await_all(cluster: &Cluster, release: &str) {
    await_true(&format!("every member runs {release}"), || {
        let hosts = cluster.shape.hosts();
        hosts.iter().all(|host| {
            let page = cluster
                .lab
                .sh(host, "curl -fsS http://127.0.0.1:2379/version");
            page.is_ok_and(|page| page.contains(&format!("\"etcdserver\":\"{release}\"")))
        })
    });
}

#[test]
fn a_terminal_that_is_lost_suspended_or_stops_writers_leaves_no_member_down() {
    let cluster = Cluster::start(3, "3.4.23", "3.5.16");
    cluster.offer("3.5.30");
    lost(&cluster);
    suspended(&cluster);
    stopping(&cluster);
    for host in cluster.shape.hosts() {
        assert_eq!(litter(&cluster, &host), "", "{host}");
    }
}

/// The window is closed while a member settles: that one is finished, as after Ctrl-C.
fn lost(cluster: &Cluster) {
    let terminal = Terminal::new();
    let args = ["upgrade", "--yes", "--settle", "8s"];
    let mut run = terminal.run(&[], cluster, &args);
    let in_hand = await_host(cluster, "no member was switched", |host| {
        installed(cluster, host) == "3.5.16"
    });
    terminal.hang_up();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    assert_eq!(running(cluster, &in_hand).0, "3.5.16");
    let hosts = cluster.shape.hosts();
    let done = hosts
        .iter()
        .filter(|host| installed(cluster, host) == "3.5.16");
    assert_eq!(done.count(), 1);
}

/// What is written goes nowhere until all is done.
fn suspended(cluster: &Cluster) {
    let terminal = Terminal::new();
    let args = ["upgrade", "--yes", "--progress", "bars", "-D"];
    let mut run = terminal.run(&[], cluster, &args);
    await_all(cluster, "3.5.16");
    let text = terminal.drain();
    assert_eq!(run.wait().unwrap().code(), Some(0), "{text}");
    assert!(text.contains("all 3 members run 3.5.16"), "{text}");
}

/// A job in the background of such a terminal is stopped when it writes there: this one does not, while it works.
fn stopping(cluster: &Cluster) {
    let terminal = Terminal::new();
    let shell = ["sh", "-c", "stty tostop; set -m; \"$@\" & wait", "sh"];
    let args = ["upgrade", "--yes", "--to", "3.5.30", "--progress", "lines"];
    let mut run = terminal.run(&shell, cluster, &args);
    await_all(cluster, "3.5.30");
    terminal.hang_up();
    run.wait().unwrap();
    await_true("the run has let go of the hosts", || {
        cluster
            .shape
            .hosts()
            .iter()
            .all(|host| litter(cluster, host).is_empty())
    });
    runner(cluster, &["status"]).ends_with(0);
}
