//! From layers to hosts: what a host's settings are, and what several settings together can have wrong.

use std::collections::{BTreeMap, HashMap};

use super::error::Problem;
use super::files::Files;
use super::layer::{Layer, Set};
use super::merge::Clashes;
use super::reader::{ClusterModel, HostModel, Model};
use super::source::{Pos, Sources};
use super::{
    Auth, BackupPolicy, Cluster, FileTemplate, Host, Inventory, ReleaseSource, Ssh, Templates, Tls,
    check,
};

/// All layers, from the highest to the lowest.
#[derive(Clone, Debug)]
pub struct Stack {
    /// `-e`.
    pub sets: Layer,
    /// The files.
    pub files: Model,
    /// What holds where nobody says anything.
    pub built_in: Layer,
}

impl Stack {
    /// The settings that a cluster's hosts inherit, `-e` left out.
    pub fn below_hosts(&self, cluster: &ClusterModel) -> Layer {
        let lowest = self.files.defaults.over(&self.built_in);
        cluster.layer.over(&lowest)
    }

    /// All settings of a host, given those that it inherits.
    pub fn host(&self, host: &HostModel, below: &Layer) -> Layer {
        self.sets.over(&host.layer.over(below))
    }
}

/// Turns layers into an inventory and collects what is wrong.
pub struct Resolver<'a> {
    stack: &'a Stack,
    sources: &'a Sources,
    files: Files,
    whole: bool,
    /// What was wrong.
    pub clashes: Clashes,
}

impl<'a> Resolver<'a> {
    /// A resolver that has read nothing yet. Without `whole`, some file is missing from the layers.
    pub fn new(stack: &'a Stack, sources: &'a Sources, whole: bool) -> Self {
        Self {
            stack,
            sources,
            files: Files::default(),
            whole,
            clashes: Vec::new(),
        }
    }

    /// The inventory; worth nothing when there are clashes.
    pub fn inventory(&mut self) -> Inventory {
        let stack = self.stack;
        self.hosts_in_two_clusters();
        let clusters = &stack.files.clusters;
        let clusters = clusters.iter().map(|model| {
            let cluster = self.cluster(model);
            (cluster.name.clone(), cluster)
        });
        let clusters: BTreeMap<_, _> = clusters.collect();
        Inventory { clusters }
    }

    fn wrong(&mut self, pos: Pos, problem: Problem) {
        self.clashes.push((pos, problem));
    }

    fn cluster(&mut self, model: &ClusterModel) -> Cluster {
        if self.whole && model.empty {
            self.wrong(model.pos, Problem::ClusterEmpty(model.name.clone()));
        }
        let below = self.stack.below_hosts(model);
        let own = self.stack.sets.over(&below);
        let layers: Vec<(&HostModel, Layer)> = model
            .hosts
            .iter()
            .map(|host| (host, self.stack.host(host, &below)))
            .collect();
        self.same_addresses(&layers);
        self.same_members(&layers);
        let hosts = layers.iter().map(|(model, layer)| self.host(model, layer));
        Cluster {
            name: model.name.clone(),
            hosts: hosts.collect(),
            version: value(own.version.as_ref()),
            backup: backup(&own),
            releases: releases(&own, self.sources),
        }
    }

    fn host(&mut self, model: &HostModel, layer: &Layer) -> Host {
        let address = address(model, layer);
        self.folders(&model.name, layer);
        Host {
            name: model.name.clone(),
            member: member(model, layer),
            ssh: ssh(layer),
            escalation: value(layer.escalation.as_ref()).unwrap_or_default(),
            unit: value(layer.unit.as_ref()).unwrap_or_default(),
            data_dir: value(layer.data_dir.as_ref()).unwrap_or_default(),
            bin_dir: value(layer.bin_dir.as_ref()).unwrap_or_default(),
            install_dir: value(layer.install_dir.as_ref()).unwrap_or_default(),
            backup_dir: value(layer.backup_dir.as_ref()).unwrap_or_default(),
            client_url: client_url(layer, &address),
            tls: self.tls(&model.name, layer),
            auth: self.auth(&model.name, layer),
            templates: self.templates(layer),
            vars: vars(layer),
            address,
        }
    }

    fn tls(&mut self, host: &str, layer: &Layer) -> Option<Tls> {
        self.both(
            host,
            ("tls.cert", &layer.tls_cert),
            ("tls.key", &layer.tls_key),
        );
        let tls = Tls {
            cacert: value(layer.tls_cacert.as_ref()),
            cert: value(layer.tls_cert.as_ref()),
            key: value(layer.tls_key.as_ref()),
        };
        (tls != Tls::default()).then_some(tls)
    }

    fn auth(&mut self, host: &str, layer: &Layer) -> Option<Auth> {
        let file = ("auth.password_file", &layer.auth_password_file);
        self.both(host, ("auth.user", &layer.auth_user), file);
        let user = layer.auth_user.as_ref()?;
        let file = layer.auth_password_file.as_ref()?;
        match self.files.password(&file.value) {
            Ok(password) => Some(Auth {
                user: user.value.clone(),
                password_file: file.value.clone(),
                password,
            }),
            Err(problem) => {
                self.wrong(file.pos, problem);
                None
            }
        }
    }

    /// Reports one of two settings that is there without the other.
    fn both<A, B>(
        &mut self,
        host: &str,
        one: (&'static str, &Option<Set<A>>),
        two: (&'static str, &Option<Set<B>>),
    ) {
        let (there, missing, pos) = match (one.1, two.1) {
            (Some(set), None) => (one.0, two.0, set.pos),
            (None, Some(set)) => (two.0, one.0, set.pos),
            _ => return,
        };
        let host = host.to_owned();
        self.wrong(
            pos,
            Problem::HalfOfTwo {
                there,
                missing,
                host,
            },
        );
    }

    fn templates(&mut self, layer: &Layer) -> Templates {
        let mut templates = Templates::default();
        if let Some(unit) = &layer.template_unit {
            match self.files.template(&unit.value) {
                Ok(source) => templates.unit = Some(source),
                Err(problem) => self.wrong(unit.pos, problem),
            }
        }
        let unit_path = layer
            .unit
            .as_ref()
            .map(|unit| format!("/etc/systemd/system/{}", unit.value));
        for file in layer.template_files.iter().flat_map(|files| &files.value) {
            if layer.template_unit.is_some() && unit_path.as_ref() == Some(&file.dest) {
                let other = "`templates.unit`".to_owned();
                let dest = file.dest.clone();
                self.wrong(file.dest_pos, Problem::DestinationTaken { dest, other });
            }
            match self.files.template(&file.src) {
                Err(problem) => self.wrong(file.src_pos, problem),
                Ok(source) => templates.files.push(FileTemplate {
                    source,
                    dest: file.dest.clone(),
                    mode: file.mode,
                    owner: file.owner.clone(),
                }),
            }
        }
        templates
    }
}

fn value<T: Clone>(set: Option<&Set<T>>) -> Option<T> {
    set.map(|set| set.value.clone())
}

/// A host's address: its name, where the inventory gives none.
pub fn address(host: &HostModel, layer: &Layer) -> String {
    value(layer.address.as_ref()).unwrap_or_else(|| host.name.clone())
}

/// A host's member: named as the host, where the inventory says nothing else.
pub fn member(host: &HostModel, layer: &Layer) -> String {
    value(layer.member.as_ref()).unwrap_or_else(|| host.name.clone())
}

/// The client URL with the address filled in, an IPv6 one in brackets and its zone escaped.
pub fn client_url(layer: &Layer, address: &str) -> String {
    let address = if check::is_ipv6(address) {
        format!("[{}]", address.replace('%', "%25"))
    } else {
        address.to_owned()
    };
    let url = value(layer.client_url.as_ref()).unwrap_or_default();
    url.replace("{address}", &address)
}

fn ssh(layer: &Layer) -> Ssh {
    Ssh {
        user: value(layer.user.as_ref()),
        port: value(layer.port.as_ref()),
        identity_file: value(layer.identity_file.as_ref()),
        known_hosts: value(layer.known_hosts.as_ref()),
        host_key_policy: value(layer.host_key_policy.as_ref()).unwrap_or_default(),
        jump: value(layer.jump.as_ref()).unwrap_or_default(),
        config: value(layer.ssh_config.as_ref()),
    }
}

fn vars(layer: &Layer) -> serde_json::Map<String, serde_json::Value> {
    layer
        .vars
        .iter()
        .map(|(name, set)| (name.clone(), set.value.clone()))
        .collect()
}

fn backup(layer: &Layer) -> BackupPolicy {
    BackupPolicy {
        keep: value(layer.backup_keep.as_ref()).unwrap_or_default(),
        fetch: value(layer.backup_fetch.as_ref()).unwrap_or_default(),
    }
}

fn releases(layer: &Layer, sources: &Sources) -> ReleaseSource {
    let source = layer.releases_source.as_ref();
    ReleaseSource {
        source: source.map(|set| set.value.text.clone()).unwrap_or_default(),
        sha256sums: sha256sums(layer, sources).map(|set| set.value.clone()),
        base: source.map(|set| set.value.base.clone()).unwrap_or_default(),
        fan_out: value(layer.releases_fan_out.as_ref()).unwrap_or_default(),
    }
}

/// The checksums that hold: the official ones only for the official source, and an empty text is none.
pub fn sha256sums<'a>(layer: &'a Layer, sources: &Sources) -> Option<&'a Set<String>> {
    let built_in = |pos| sources.is_built_in(pos);
    let source_is_official = layer
        .releases_source
        .as_ref()
        .is_some_and(|set| built_in(set.pos));
    layer
        .releases_sha256sums
        .as_ref()
        .filter(|set| !set.value.is_empty() && (source_is_official || !built_in(set.pos)))
}

/// The names of all hosts, to find one fast.
pub fn host_index(model: &Model) -> HashMap<String, (usize, usize)> {
    let mut index = HashMap::new();
    for (c, cluster) in model.clusters.iter().enumerate() {
        for (h, host) in cluster.hosts.iter().enumerate() {
            index.insert(host.name.clone(), (c, h));
        }
    }
    index
}

mod together;
