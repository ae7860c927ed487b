//! The inventory after one read, layering and validation: what every other module works from.
//!
//! `tree` (TOML with positions) → `merge` (ranges, several files) → `reader` (typed layers; what one value can
//! have wrong) → `resolve` (layers over each other; what several values can have wrong). Nothing here speaks
//! to a host, and only `load` and `files` read anything.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::etcd::Version;
use crate::secret::Secret;

mod check;
mod echo;
mod error;
mod files;
mod hint;
mod keys;
mod layer;
mod load;
mod merge;
mod origins;
mod range;
mod reader;
mod resolve;
pub mod select;
mod sets;
mod source;
mod tree;

pub use error::{Clash, Errors, Problem};
pub use load::{Loaded, load, load_in, load_text};
pub use origins::{Origins, Setting};
pub use select::{SelectError, Selected, select};
pub use sets::set;
pub use source::Place;

/// The embedded inventory of `rehearse`: three members, whose addresses are those of the lab.
pub const LAB: &str = include_str!("../../inventories/lab.toml");

/// All clusters of the given files, every setting resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Inventory {
    /// Clusters by name.
    pub clusters: BTreeMap<String, Cluster>,
}

/// One etcd cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Its name in the inventory.
    pub name: String,
    /// The release it should run, if the inventory says.
    pub version: Option<Version>,
    /// Its hosts, in the inventory's order. Never empty.
    pub hosts: Vec<Host>,
    /// How backups are kept.
    pub backup: BackupPolicy,
    /// Where releases come from.
    pub releases: ReleaseSource,
}

/// One host, which runs one member.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// Its name in the inventory, after range expansion. Unique in the inventory.
    pub name: String,
    /// The etcd member's name.
    pub member: String,
    /// Where ssh connects: a name, an address or an alias of the user's ssh configuration.
    pub address: String,
    /// How ssh connects.
    pub ssh: Ssh,
    /// How root is gained when the login user is not root.
    pub escalation: Escalation,
    /// The systemd unit, such as `etcd.service`.
    pub unit: String,
    /// etcd's data folder on the host.
    pub data_dir: String,
    /// Where the unit expects `etcd`, `etcdctl` and `etcdutl`.
    pub bin_dir: String,
    /// Where releases are kept side by side: `<install_dir>/<version>/`.
    pub install_dir: String,
    /// Where backups are written on the host.
    pub backup_dir: String,
    /// How this host reaches its own member, `{address}` filled in.
    pub client_url: String,
    /// Client certificates, as paths on the host.
    pub tls: Option<Tls>,
    /// etcd's own user, if authentication is on.
    pub auth: Option<Auth>,
    /// Templates for the unit and further files; without them the host's files stay as they are.
    pub templates: Templates,
    /// Free variables for templates.
    pub vars: serde_json::Map<String, serde_json::Value>,
}

/// How ssh connects; what is `None` is left to ssh's own configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ssh {
    /// The login user.
    pub user: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// The private key's file here.
    pub identity_file: Option<PathBuf>,
    /// The known_hosts file here.
    pub known_hosts: Option<PathBuf>,
    /// What happens with unknown host keys.
    pub host_key_policy: HostKeyPolicy,
    /// Jump hosts, in the order in which they are passed.
    pub jump: Vec<String>,
    /// An ssh configuration file to use instead of the user's own.
    pub config: Option<PathBuf>,
}

/// What happens with unknown host keys. There is no way to switch checking off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostKeyPolicy {
    /// Refuse them.
    #[default]
    Strict,
    /// Learn a new host's key at the first contact, refuse a changed one.
    AcceptNew,
}

/// How root is gained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Escalation {
    /// Not at all: the login user is root.
    #[default]
    None,
    /// By sudo.
    Sudo,
    /// By doas.
    Doas,
}

/// Paths on the host to what etcdctl needs under TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// The authority that signed the servers' certificates.
    pub cacert: Option<String>,
    /// The client certificate.
    pub cert: Option<String>,
    /// The client certificate's key.
    pub key: Option<String>,
}

/// An etcd user, with the password that was read from its file; sent to hosts on stdin only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// The user's name.
    pub user: String,
    /// The file on the control machine that holds the password.
    pub password_file: PathBuf,
    /// Its content without trailing newlines.
    pub password: Secret,
}

/// Templates with their text, read with the inventory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Templates {
    /// The unit's template.
    pub unit: Option<TemplateSource>,
    /// Further files.
    pub files: Vec<FileTemplate>,
}

/// A template's text and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateSource {
    /// Its file here, for messages.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// A template for a file on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileTemplate {
    /// The template.
    pub source: TemplateSource,
    /// The file on the host.
    pub dest: String,
    /// Its mode, such as 0o640.
    pub mode: u32,
    /// `USER:GROUP`; root's if left out.
    pub owner: String,
}

/// How backups are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupPolicy {
    /// How many are kept for each cluster; older ones are pruned after a new one is verified.
    pub keep: usize,
    /// Whether a backup is also brought to the control machine.
    pub fetch: bool,
}

/// Where releases come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseSource {
    /// A URL or a path, with `{version}` and `{arch}` filled in; see `releases`.
    pub source: String,
    /// A URL or a path of a SHA256SUMS file, with the same placeholders.
    pub sha256sums: Option<String>,
    /// The folder that relative paths start from: that of the inventory file.
    pub base: PathBuf,
    /// Who gives a release to a host that is behind a slow link.
    pub fan_out: FanOut,
}

/// Who gives a release to a host that is behind a slow link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FanOut {
    /// This machine, to each host.
    #[default]
    Control,
    /// A neighbour that has it from this machine, where it can be reached; else this machine.
    Peer,
}

impl Inventory {
    /// The hosts whose names are nearest to a text, at most three.
    pub fn near_hosts(&self, text: &str) -> Vec<String> {
        let hosts = self.clusters.values().flat_map(|cluster| &cluster.hosts);
        keys::nearest(text, hosts.map(|host| host.name.as_str()))
    }
}

impl Cluster {
    /// The host of that name.
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name == name)
    }
}

impl Host {
    /// Where the rendered unit is placed.
    pub fn unit_path(&self) -> String {
        format!("/etc/systemd/system/{}", self.unit)
    }

    /// The drop-in that lowers etcd's `snapshot-count` for a moment.
    pub fn snapshot_drop_in(&self) -> String {
        format!("{}.d/90-runner-snapshot.conf", self.unit_path())
    }
}
