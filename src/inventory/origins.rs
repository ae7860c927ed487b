//! Where each setting of a host came from, for people.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;
use serde_json::Value as Json;

use super::layer::{FileSetting, Layer, Scope, Set};
use super::reader::{ClusterModel, HostModel};
use super::resolve::{self, Stack};
use super::source::{Place, Pos, Sources};
use super::{Escalation, FanOut, HostKeyPolicy};

/// Remembers the layers, and answers for one host at a time.
#[derive(Clone, Debug)]
pub struct Origins {
    sources: Sources,
    stack: Stack,
    hosts: HashMap<String, (usize, usize)>,
}

/// One setting of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its key, dotted.
    pub key: String,
    /// Its value as shown to people; in parentheses what holds where nothing is set. Never a password.
    pub value: String,
    /// Where it came from: `built in`, `FILE:LINE:COLUMN [TABLE]`, `-e`, or the host's name.
    pub from: String,
}

/// Collects the settings of one host.
struct Listing<'a> {
    origins: &'a Origins,
    cluster: &'a ClusterModel,
    host: &'a HostModel,
    settings: Vec<Setting>,
}

/// What holds for a setting that nobody made.
const SSH: &str = "(ssh decides)";
const NONE: &str = "(none)";
const UNTOUCHED: &str = "(left as it is)";

impl Origins {
    /// Origins from the layers of a load.
    pub(super) fn new(sources: Sources, stack: Stack) -> Self {
        let hosts = resolve::host_index(&stack.files);
        Self {
            sources,
            stack,
            hosts,
        }
    }

    /// All settings of a host, those of its cluster included; `None` if there is no such host.
    pub fn of_host(&self, name: &str) -> Option<Vec<Setting>> {
        let &(cluster, host) = self.hosts.get(name)?;
        let cluster = &self.stack.files.clusters[cluster];
        let host = &cluster.hosts[host];
        let layer = self.stack.host(host, &self.stack.below_hosts(cluster));
        let mut listing = Listing {
            origins: self,
            cluster,
            host,
            settings: Vec::new(),
        };
        listing.cluster_settings(&layer);
        listing.connection(&layer);
        listing.service(&layer);
        listing.access(&layer);
        listing.templates(&layer);
        Some(listing.settings)
    }
}

impl Listing<'_> {
    fn cluster_settings(&mut self, layer: &Layer) {
        self.push("version", layer.version.as_ref(), NONE, ToString::to_string);
        self.push(
            "backup.keep",
            layer.backup_keep.as_ref(),
            NONE,
            ToString::to_string,
        );
        self.push(
            "backup.fetch",
            layer.backup_fetch.as_ref(),
            NONE,
            ToString::to_string,
        );
        self.push(
            "releases.source",
            layer.releases_source.as_ref(),
            NONE,
            |s| s.text.clone(),
        );
        let sums = resolve::sha256sums(layer, &self.origins.sources);
        self.push("releases.sha256sums", sums, NONE, Clone::clone);
        let fan_out = layer.releases_fan_out.as_ref();
        self.push("releases.fan_out", fan_out, NONE, |by| fan_out_name(*by));
    }

    fn connection(&mut self, layer: &Layer) {
        self.named("address", layer.address.as_ref());
        self.push("user", layer.user.as_ref(), SSH, Clone::clone);
        self.push("port", layer.port.as_ref(), SSH, ToString::to_string);
        self.push("identity_file", layer.identity_file.as_ref(), SSH, |p| {
            shown(p)
        });
        self.push("known_hosts", layer.known_hosts.as_ref(), SSH, |p| shown(p));
        self.push(
            "host_key_policy",
            layer.host_key_policy.as_ref(),
            NONE,
            |policy| policy_name(*policy),
        );
        let jump = layer.jump.as_ref().filter(|set| !set.value.is_empty());
        self.push("jump", jump, SSH, |hosts| hosts.join(", "));
        self.push("ssh_config", layer.ssh_config.as_ref(), SSH, |p| shown(p));
        self.push("become", layer.escalation.as_ref(), NONE, |by| {
            become_name(*by)
        });
    }

    fn service(&mut self, layer: &Layer) {
        self.named("member", layer.member.as_ref());
        self.push("unit", layer.unit.as_ref(), NONE, Clone::clone);
        self.push("data_dir", layer.data_dir.as_ref(), NONE, Clone::clone);
        self.push("bin_dir", layer.bin_dir.as_ref(), NONE, Clone::clone);
        self.push(
            "install_dir",
            layer.install_dir.as_ref(),
            NONE,
            Clone::clone,
        );
        self.push("backup_dir", layer.backup_dir.as_ref(), NONE, Clone::clone);
        let address = resolve::address(self.host, layer);
        self.push("client_url", layer.client_url.as_ref(), NONE, |_| {
            resolve::client_url(layer, &address)
        });
    }

    fn access(&mut self, layer: &Layer) {
        self.push("tls.cacert", layer.tls_cacert.as_ref(), NONE, Clone::clone);
        self.push("tls.cert", layer.tls_cert.as_ref(), NONE, Clone::clone);
        self.push("tls.key", layer.tls_key.as_ref(), NONE, Clone::clone);
        self.push("auth.user", layer.auth_user.as_ref(), NONE, Clone::clone);
        self.push(
            "auth.password_file",
            layer.auth_password_file.as_ref(),
            NONE,
            |p| shown(p),
        );
    }

    fn templates(&mut self, layer: &Layer) {
        self.push(
            "templates.unit",
            layer.template_unit.as_ref(),
            UNTOUCHED,
            |p| shown(p),
        );
        self.push(
            "templates.files",
            layer.template_files.as_ref(),
            UNTOUCHED,
            |files| files.iter().map(file).collect::<Vec<_>>().join(", "),
        );
        for (name, set) in &layer.vars {
            self.push(&format!("vars.{name}"), Some(set), NONE, |value| {
                variable(name, value)
            });
        }
    }

    fn push<T>(
        &mut self,
        key: &str,
        set: Option<&Set<T>>,
        unset: &str,
        show: impl Fn(&T) -> String,
    ) {
        self.settings.push(Setting {
            key: key.to_owned(),
            value: set.map_or_else(|| unset.to_owned(), |set| show(&set.value)),
            from: set.map_or_else(
                || "built in".to_owned(),
                |set| self.from(key, set.pos, set.scope),
            ),
        });
    }

    /// A setting that is the host's name where nobody set it.
    fn named(&mut self, key: &str, set: Option<&Set<String>>) {
        if set.is_some() {
            return self.push(key, set, NONE, Clone::clone);
        }
        self.settings.push(Setting {
            key: key.to_owned(),
            value: self.host.name.clone(),
            from: "the host's name".to_owned(),
        });
    }

    fn from(&self, key: &str, pos: Pos, scope: Scope) -> String {
        let place = self.origins.sources.place(pos);
        let table = match (&place, scope) {
            (Place::Set(_), _) => return "-e".to_owned(),
            (Place::BuiltIn, _) => return place.to_string(),
            (_, Scope::Defaults) => "[defaults]".to_owned(),
            (_, Scope::Cluster) => format!("[clusters.{}]", self.cluster.name),
            (_, Scope::Host) => {
                format!("[clusters.{}.hosts.{}]", self.cluster.name, self.host.name)
            }
            (_, Scope::Top | Scope::CommandLine) => {
                format!("[{}]", key.split('.').next().unwrap_or(key))
            }
        };
        format!("{place} {table}")
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn policy_name(policy: HostKeyPolicy) -> String {
    match policy {
        HostKeyPolicy::Strict => "strict",
        HostKeyPolicy::AcceptNew => "accept-new",
    }
    .to_owned()
}

fn fan_out_name(by: FanOut) -> String {
    match by {
        FanOut::Control => "control",
        FanOut::Peer => "peer",
    }
    .to_owned()
}

fn become_name(by: Escalation) -> String {
    match by {
        Escalation::None => "false",
        Escalation::Sudo => "sudo",
        Escalation::Doas => "doas",
    }
    .to_owned()
}

fn file(file: &FileSetting) -> String {
    let FileSetting {
        src,
        dest,
        mode,
        owner,
        ..
    } = file;
    format!("{} to {dest} ({mode:04o} {owner})", src.display())
}

/// A variable as JSON, on one line. One whose name says that it is a secret is not shown.
fn variable(name: &str, value: &Json) -> String {
    const SECRET: [&str; 4] = ["password", "passphrase", "secret", "token"];
    let name = name.to_ascii_lowercase();
    if SECRET.iter().any(|word| name.contains(word)) {
        "(not shown)".to_owned()
    } else {
        value.to_string()
    }
}
