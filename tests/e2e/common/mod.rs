//! What every end-to-end test starts with: a lab, a cluster, and their end whatever happens.

pub mod chance;
pub mod follow;
pub mod look;
pub mod run;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once};
use std::thread;

use runner::etcd::Version;
use runner::lab::cluster::{self, Install, Layout};
use runner::lab::releases::{self, Places};
use runner::lab::writer::Writer;
use runner::lab::writer::client::Access;
use runner::lab::{Cancel, Dirs, Lab, Shape, Wanted, destroy_own, ensure_tools};

/// Boots hosts of these names in the user's own folders.
pub fn boot(names: &[&str]) -> Lab {
    boot_in(&Dirs::of_user(), names)
}

/// Boots hosts of these names with the given folders.
pub fn boot_in(dirs: &Dirs, names: &[&str]) -> Lab {
    prepare();
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    Lab::boot(dirs, &names, &Cancel::default(), &tell).unwrap()
}

/// Folders of a test's own, below the user's, so that other labs are neither swept nor seen. The state
/// folder goes away with the returned guard; labs left in it by a signal are destroyed first.
pub fn own_dirs() -> (tempfile::TempDir, Dirs) {
    let user = Dirs::of_user();
    fs::create_dir_all(&user.state).unwrap();
    let folder = tempfile::tempdir_in(user.state.parent().unwrap()).unwrap();
    let dirs = remember(folder.path());
    (folder, dirs)
}

/// The folders with their state at `folder`, remembered for the end after a signal.
pub fn remember(folder: &Path) -> Dirs {
    let state = folder.to_owned();
    let dirs = Dirs {
        state,
        cache: Dirs::of_user().cache,
    };
    OWN.lock().unwrap().push(dirs.clone());
    dirs
}

static OWN: Mutex<Vec<Dirs>> = Mutex::new(Vec::new());

/// Parses a version.
pub fn version(text: &str) -> Version {
    text.parse().unwrap()
}

/// Finds releases, fetching what is not here yet.
pub fn releases(versions: &[&Version]) -> BTreeMap<Version, PathBuf> {
    prepare();
    let places = Places::new(None, None, &Dirs::of_user());
    places.find(versions, &Cancel::default(), &tell).unwrap()
}

/// A lab with one running cluster, and the inventory that names it.
pub struct Cluster {
    pub lab: Lab,
    pub shape: Shape,
    pub endpoints: Vec<String>,
    pub access: Access,
    pub inventory: PathBuf,
}

impl Cluster {
    /// Brings up that many members with the release `from`; the inventory asks for `to`.
    pub fn start(members: usize, from: &str, to: &str) -> Self {
        Self::start_as(Shape::of_members(members), from, to, Layout::default(), &[])
    }

    /// Brings up a cluster of that shape, with further flags for every member.
    pub fn start_as(shape: Shape, from: &str, to: &str, layout: Layout, flags: &[&str]) -> Self {
        let (from, to) = (version(from), version(to));
        let found = releases(&[&from, &to]);
        let names = shape.hosts();
        let lab = boot(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let folder = lab.folder().join("releases");
        releases::gather(&found, &folder).unwrap();
        let inventory = lab.write_inventory(&Wanted {
            shape: &shape,
            releases: &folder,
            version: Some(&to),
        });
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let how = Install {
            version: &from,
            binaries: &found[&from],
            layout,
            flags: &flags,
        };
        let endpoints = cluster::start(&lab, &shape.clusters[0], &how).unwrap();
        Self {
            access: cluster::access(&lab, &shape.clusters[0]).unwrap(),
            endpoints,
            inventory: inventory.unwrap(),
            lab,
            shape,
        }
    }

    /// Starts a client that writes to all members.
    pub fn writer(&self) -> Writer {
        Writer::start_as(self.lab.network(), &self.endpoints, &self.access).unwrap()
    }

    /// Lets the inventory's source have one more release.
    pub fn offer(&self, release: &str) {
        let release = version(release);
        let found = releases(&[&release]);
        releases::gather(&found, &self.lab.folder().join("releases")).unwrap();
    }

    /// The host whose member leads, once one of them says so of itself.
    pub fn leader(&self) -> String {
        let names = self.shape.hosts();
        let leads = |host: &&String| {
            let ask = "ETCDCTL_API=3 etcdctl endpoint status -w json";
            let said = self.lab.sh(host, ask).unwrap();
            let answer: serde_json::Value = serde_json::from_str(&said).unwrap();
            let status = &answer[0]["Status"];
            status["leader"] == status["header"]["member_id"]
        };
        let mut leader = None;
        look::await_true("a member leads", || {
            leader = names.iter().find(leads).cloned();
            leader.is_some()
        });
        leader.unwrap()
    }
}

/// Installs what is missing, and destroys this process's labs when it is interrupted.
fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        ensure_tools(&Cancel::default(), &tell).unwrap();
        thread::spawn(|| {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(interrupted());
            let own = OWN.lock().unwrap().clone();
            for dirs in own.iter().chain([&Dirs::of_user()]) {
                let _ = destroy_own(dirs);
            }
            std::process::exit(130);
        });
    });
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

fn tell(text: &str) {
    eprintln!("{text}");
}
