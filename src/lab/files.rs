//! The files by which ssh and `runner` find the lab from any terminal.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::dirs::write;
use super::shape::{ClusterShape, MemberShape};
use super::{Lab, LabError, Shape, base};
use crate::etcd::Version;

/// What an inventory of the lab says beside its hosts.
pub struct Wanted<'a> {
    /// The shape of the clusters.
    pub shape: &'a Shape,
    /// The folder of releases, one folder of binaries a version.
    pub releases: &'a Path,
    /// The release that the clusters should run.
    pub version: Option<&'a Version>,
}

impl Lab {
    /// The lab's ssh configuration.
    pub fn ssh_config(&self) -> PathBuf {
        self.folder.join("ssh_config")
    }

    /// The lab's inventory, once [`Lab::write_inventory`] wrote it.
    pub fn inventory(&self) -> PathBuf {
        self.folder.join("inventory.toml")
    }

    /// Writes `known_hosts` and `ssh_config`.
    pub(super) fn write_ssh_files(&self) -> Result<(), LabError> {
        let lines: Result<String, _> = self.hosts.iter().map(super::Host::known_host).collect();
        let known_hosts = self.folder.join("known_hosts");
        write(&known_hosts, &lines?, 0o600)?;
        let text = format!(
            "Host *\n  IdentityFile \"{key}\"\n  IdentitiesOnly yes\n  StrictHostKeyChecking yes\n  \
             UserKnownHostsFile \"{known}\"\n  GlobalKnownHostsFile /dev/null\n  \
             ProxyCommand nsenter --net={network} nc %h %p\n",
            key = self.folder.join("key").display(),
            known = known_hosts.display(),
            network = self.network.path().display(),
        );
        write(&self.ssh_config(), &text, 0o600)
    }

    /// Writes the inventory of the lab and returns its file.
    ///
    /// # Errors
    /// When it cannot be written, or a member has no host in the lab.
    pub fn write_inventory(&self, wanted: &Wanted<'_>) -> Result<PathBuf, LabError> {
        let mut top = Table::new();
        top.insert("defaults".into(), self.defaults().into());
        if let Some(backup) = &wanted.shape.backup {
            let keep = i64::try_from(backup.keep).unwrap_or(i64::MAX);
            top.insert(
                "backup".into(),
                table([("keep", keep.into()), ("fetch", backup.fetch.into())]),
            );
        }
        let source = text(&wanted.releases.display().to_string());
        top.insert("releases".into(), table([("source", source)]));
        let mut clusters = Table::new();
        for cluster in &wanted.shape.clusters {
            clusters.insert(
                cluster.name.clone(),
                self.cluster(cluster, wanted.version)?.into(),
            );
        }
        top.insert("clusters".into(), clusters.into());
        let written = toml::to_string(&top).expect("tables of strings and numbers become TOML");
        write(&self.inventory(), &written, 0o600)?;
        Ok(self.inventory())
    }

    fn defaults(&self) -> Table {
        let config = self.ssh_config().display().to_string();
        let pairs = [
            ("user", base::SUDO_USER),
            ("become", "sudo"),
            ("ssh_config", &config),
        ];
        pairs
            .map(|(key, value)| (key.to_owned(), text(value)))
            .into_iter()
            .collect()
    }

    fn cluster(&self, shape: &ClusterShape, version: Option<&Version>) -> Result<Table, LabError> {
        let mut cluster = Table::new();
        if let Some(version) = version {
            cluster.insert("version".into(), text(&version.to_string()));
        }
        let mut hosts = Table::new();
        for member in &shape.members {
            let address = self.host(&member.host)?.address.to_string();
            hosts.insert(member.host.clone(), host(member, &address).into());
        }
        cluster.insert("hosts".into(), hosts.into());
        Ok(cluster)
    }
}

fn host(member: &MemberShape, address: &str) -> Table {
    let url = member.client_url(address);
    let pairs = [
        ("address", address),
        ("member", &member.member),
        ("unit", &member.unit),
        ("data_dir", &member.data_dir),
        ("bin_dir", &member.bin_dir),
        ("install_dir", &member.install_dir),
        ("backup_dir", &member.backup_dir),
        ("client_url", &url),
    ];
    let mut host: Table = pairs
        .map(|(key, value)| (key.to_owned(), text(value)))
        .into_iter()
        .collect();
    if let Some(tls) = &member.tls {
        host.insert(
            "tls".into(),
            Value::try_from(tls).expect("paths become TOML"),
        );
    }
    if let Some(auth) = &member.auth {
        let file = absolute(&auth.password_file).display().to_string();
        let auth = [("user", text(&auth.user)), ("password_file", text(&file))];
        host.insert("auth".into(), table(auth));
    }
    if let Some(templates) = templates(member) {
        host.insert("templates".into(), templates.into());
    }
    if !member.vars.is_empty() {
        let vars = Value::try_from(&member.vars).expect("variables came from TOML");
        host.insert("vars".into(), vars);
    }
    host
}

fn templates(member: &MemberShape) -> Option<Table> {
    let mut templates = Table::new();
    let path = |path: &Path| text(&absolute(path).display().to_string());
    if let Some(unit) = &member.templates.unit {
        templates.insert("unit".into(), path(&unit.path));
    }
    let files = member.templates.files.iter().map(|file| {
        table([
            ("src", path(&file.source.path)),
            ("dest", text(&file.dest)),
            ("mode", text(&format!("{:04o}", file.mode))),
            ("owner", text(&file.owner)),
        ])
    });
    let files: Vec<Value> = files.collect();
    if !files.is_empty() {
        templates.insert("files".into(), files.into());
    }
    (!templates.is_empty()).then_some(templates)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn table<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    let pairs = pairs.map(|(key, value)| (key.to_owned(), value));
    Value::Table(pairs.into_iter().collect())
}

fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}
