//! From the tree to typed layers. Everything that one value alone can have wrong is found here.

use std::path::{Path, PathBuf};

use super::check;
use super::error::Problem;
use super::keys;
use super::layer::{FileSetting, Layer, Scope, Set, Source};
use super::merge::{Clashes, dotted};
use super::source::{Pos, Sources};
use super::tree::{Data, Entry, Node, Table};

/// A whole inventory as layers, before they are laid over each other.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// `[defaults]`, `[backup]` and `[releases]`.
    pub defaults: Layer,
    /// The clusters, in the order of the text.
    pub clusters: Vec<ClusterModel>,
}

/// A cluster's own settings and its hosts.
#[derive(Clone, Debug)]
pub struct ClusterModel {
    /// Its name.
    pub name: String,
    /// Where it is named.
    pub pos: Pos,
    /// Its settings.
    pub layer: Layer,
    /// Its hosts, in the order of the text.
    pub hosts: Vec<HostModel>,
    /// Whether the text names no host at all, not even a wrong one.
    pub empty: bool,
}

/// A host's own settings.
#[derive(Clone, Debug)]
pub struct HostModel {
    /// Its name.
    pub name: String,
    /// Where it is named.
    pub pos: Pos,
    /// Its settings.
    pub layer: Layer,
}

/// Reads tables and collects what is wrong.
pub struct Reader<'a> {
    sources: &'a Sources,
    home: Option<&'a Path>,
    /// What was wrong.
    pub clashes: Clashes,
}

/// A table that is being read: its kind and its name for messages.
#[derive(Clone, Copy)]
struct Here<'a> {
    scope: Scope,
    label: &'a str,
}

type Check<T> = fn(&str, &str) -> Result<T, Problem>;

impl<'a> Reader<'a> {
    /// A reader that fills `~/` with `home`.
    pub fn new(sources: &'a Sources, home: Option<&'a Path>) -> Self {
        Self {
            sources,
            home,
            clashes: Vec::new(),
        }
    }

    /// Reads a whole file, ranges expanded.
    pub fn file(&mut self, table: &Table) -> Model {
        let mut model = Model::default();
        let top = Here {
            scope: Scope::Top,
            label: "the top of the file",
        };
        for entry in &table.0 {
            match entry.key.as_str() {
                "defaults" => self.defaults(entry, &mut model.defaults),
                "backup" => self.backup(entry, top, &mut model.defaults),
                "releases" => self.releases(entry, top, &mut model.defaults),
                "clusters" => model.clusters = self.clusters(entry),
                key => self.wrong(entry.pos, keys::unknown(key, top.scope, top.label)),
            }
        }
        model
    }

    /// Reads the merged table of all `-e`.
    pub fn sets(&mut self, table: &Table) -> Layer {
        let here = Here {
            scope: Scope::CommandLine,
            label: "`-e`",
        };
        self.layer(table, here)
    }

    fn wrong(&mut self, pos: Pos, problem: Problem) {
        self.clashes.push((pos, problem));
    }

    fn wrong_type(&mut self, key: &str, node: &Node, wanted: &'static str) {
        let problem = Problem::WrongType {
            key: key.to_owned(),
            wanted,
            found: node.data.kind(),
        };
        self.wrong(node.pos, problem);
    }

    fn table<'t>(&mut self, entry: &'t Entry) -> Option<&'t Table> {
        if let Data::Table(table) = &entry.node.data {
            return Some(table);
        }
        self.wrong_type(&entry.key, &entry.node, "a table");
        None
    }

    fn defaults(&mut self, entry: &Entry, into: &mut Layer) {
        let Some(table) = self.table(entry) else {
            return;
        };
        let here = Here {
            scope: Scope::Defaults,
            label: "`[defaults]`",
        };
        // `[backup]` and `[releases]` may stand before it in the file.
        *into = self.layer(table, here).over(into);
    }

    fn clusters(&mut self, entry: &Entry) -> Vec<ClusterModel> {
        let Some(table) = self.table(entry) else {
            return Vec::new();
        };
        table
            .0
            .iter()
            .filter_map(|entry| self.cluster(entry))
            .collect()
    }

    fn cluster(&mut self, entry: &Entry) -> Option<ClusterModel> {
        let table = self.table(entry)?;
        let name = self.name(entry, "cluster")?;
        let label = format!("`[clusters.{name}]`");
        let layer = self.layer(
            table,
            Here {
                scope: Scope::Cluster,
                label: &label,
            },
        );
        let hosts = table.0.iter().find(|entry| entry.key == "hosts");
        let empty = hosts.is_none_or(|entry| entry.node.data == Data::Table(Table::default()));
        let hosts = hosts.and_then(|entry| self.table(entry));
        let hosts = hosts.into_iter().flat_map(|hosts| &hosts.0);
        let hosts = hosts.filter_map(|entry| self.host(entry, &name)).collect();
        Some(ClusterModel {
            name,
            pos: entry.pos,
            layer,
            hosts,
            empty,
        })
    }

    fn host(&mut self, entry: &Entry, cluster: &str) -> Option<HostModel> {
        let table = self.table(entry)?;
        let name = self.name(entry, "host")?;
        let label = format!("`[clusters.{cluster}.hosts.{name}]`");
        let layer = self.layer(
            table,
            Here {
                scope: Scope::Host,
                label: &label,
            },
        );
        Some(HostModel {
            name,
            pos: entry.pos,
            layer,
        })
    }

    fn name(&mut self, entry: &Entry, what: &str) -> Option<String> {
        check::name(what, &entry.key)
            .map_err(|problem| self.wrong(entry.pos, problem))
            .ok()
    }

    fn layer(&mut self, table: &Table, here: Here<'_>) -> Layer {
        let mut layer = Layer::default();
        for entry in &table.0 {
            self.setting(entry, here, &mut layer);
        }
        layer
    }

    fn setting(&mut self, entry: &Entry, here: Here<'_>, layer: &mut Layer) {
        let scope = here.scope;
        if !keys::known(scope).contains(&entry.key.as_str()) {
            return self.wrong(entry.pos, keys::unknown(&entry.key, scope, here.label));
        }
        match entry.key.as_str() {
            "user" => layer.user = self.text(entry, "", scope, check::login),
            "port" => layer.port = self.port(entry, scope),
            "identity_file" => layer.identity_file = self.local(entry, "", scope),
            "known_hosts" => layer.known_hosts = self.local(entry, "", scope),
            "ssh_config" => layer.ssh_config = self.local(entry, "", scope),
            "host_key_policy" => {
                layer.host_key_policy = self.text(entry, "", scope, check::host_key_policy);
            }
            "jump" => layer.jump = self.jump(entry, scope),
            "become" => layer.escalation = self.escalation(entry, scope),
            "unit" => layer.unit = self.text(entry, "", scope, check::unit),
            "data_dir" => layer.data_dir = self.text(entry, "", scope, check::host_path),
            "bin_dir" => layer.bin_dir = self.text(entry, "", scope, check::host_path),
            "install_dir" => layer.install_dir = self.text(entry, "", scope, check::host_path),
            "backup_dir" => layer.backup_dir = self.text(entry, "", scope, check::host_path),
            "client_url" => layer.client_url = self.text(entry, "", scope, check::client_url),
            "version" => layer.version = self.text(entry, "", scope, check::version),
            "address" => layer.address = self.text(entry, "", scope, check::address),
            "member" => layer.member = self.text(entry, "", scope, check::member),
            "tls" => self.tls(entry, here, layer),
            "auth" => self.auth(entry, here, layer),
            "templates" => self.templates(entry, here, layer),
            "vars" => self.vars(entry, scope, layer),
            "backup" => self.backup(entry, here, layer),
            "releases" => self.releases(entry, here, layer),
            // `hosts`: the cluster reads them.
            _ => {}
        }
    }

    fn tls(&mut self, entry: &Entry, here: Here<'_>, layer: &mut Layer) {
        for (key, entry) in self.nested(entry, here) {
            match key {
                "cacert" => {
                    layer.tls_cacert = self.text(entry, "tls", here.scope, check::host_path);
                }
                "cert" => layer.tls_cert = self.text(entry, "tls", here.scope, check::host_path),
                _ => layer.tls_key = self.text(entry, "tls", here.scope, check::host_path),
            }
        }
    }

    fn auth(&mut self, entry: &Entry, here: Here<'_>, layer: &mut Layer) {
        for (key, entry) in self.nested(entry, here) {
            match key {
                "user" => layer.auth_user = self.text(entry, "auth", here.scope, check::etcd_user),
                _ => layer.auth_password_file = self.local(entry, "auth", here.scope),
            }
        }
    }

    fn backup(&mut self, entry: &Entry, here: Here<'_>, layer: &mut Layer) {
        for (key, entry) in self.nested(entry, here) {
            match key {
                "keep" => layer.backup_keep = self.keep(entry, here.scope),
                _ => layer.backup_fetch = self.flag(entry, "backup", here.scope),
            }
        }
    }

    fn releases(&mut self, entry: &Entry, here: Here<'_>, layer: &mut Layer) {
        for (key, entry) in self.nested(entry, here) {
            match key {
                "source" => layer.releases_source = self.release_source(entry, here.scope),
                "sha256sums" => layer.releases_sha256sums = self.sha256sums(entry, here.scope),
                _ => {
                    layer.releases_fan_out =
                        self.text(entry, "releases", here.scope, check::fan_out);
                }
            }
        }
    }

    fn templates(&mut self, entry: &Entry, here: Here<'_>, layer: &mut Layer) {
        for (key, entry) in self.nested(entry, here) {
            match key {
                "unit" => layer.template_unit = self.template(entry, "templates", here.scope),
                _ => layer.template_files = self.files(entry, here),
            }
        }
    }

    fn vars(&mut self, entry: &Entry, scope: Scope, layer: &mut Layer) {
        let Some(table) = self.table(entry) else {
            return;
        };
        for entry in &table.0 {
            if let Err(problem) = check::variable(&entry.key) {
                self.wrong(entry.pos, problem);
            }
            match entry.node.data.to_json() {
                Some(value) => {
                    layer
                        .vars
                        .insert(entry.key.clone(), set(value, entry.pos, scope));
                }
                None => self.wrong(entry.node.pos, Problem::NotFinite(entry.key.clone())),
            }
        }
    }

    /// The known entries of a table inside a layer.
    fn nested<'t>(&mut self, entry: &'t Entry, here: Here<'_>) -> Vec<(&'static str, &'t Entry)> {
        let Some(table) = self.table(entry) else {
            return Vec::new();
        };
        let name = entry.key.as_str();
        let label = || match here.scope {
            Scope::Top => format!("`[{name}]`"),
            _ => format!("`{name}` of {}", here.label),
        };
        self.only_known(table, name, label)
    }

    fn only_known<'t>(
        &mut self,
        table: &'t Table,
        name: &str,
        label: impl Fn() -> String,
    ) -> Vec<(&'static str, &'t Entry)> {
        let known = keys::nested(name);
        let mut found = Vec::new();
        for entry in &table.0 {
            match known.iter().find(|key| **key == entry.key) {
                Some(key) => found.push((*key, entry)),
                None => self.wrong(entry.pos, keys::unknown_nested(&entry.key, name, &label())),
            }
        }
        found
    }
}

/// A value with where it was set.
fn set<T>(value: T, pos: Pos, scope: Scope) -> Set<T> {
    Set { value, pos, scope }
}

mod files;
mod scalars;

#[cfg(test)]
mod tests;
