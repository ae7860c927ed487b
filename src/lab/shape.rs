//! The shape of the clusters that the lab brings up: names, folders and ports, without addresses.

use serde_json::{Map, Value};

use super::LabError;
use crate::inventory::{Auth, BackupPolicy, Cluster, Host, Inventory, Templates, Tls};

/// Clusters without addresses: what an inventory says that does not depend on where its hosts are.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// The clusters.
    pub clusters: Vec<ClusterShape>,
    /// How backups are kept, if the inventory says.
    pub backup: Option<BackupPolicy>,
}

/// One cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterShape {
    /// Its name.
    pub name: String,
    /// Its members.
    pub members: Vec<MemberShape>,
}

/// One member and its host.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberShape {
    /// The host's name in inventory and lab.
    pub host: String,
    /// The member's name.
    pub member: String,
    /// The unit.
    pub unit: String,
    /// etcd's data folder.
    pub data_dir: String,
    /// Where the unit expects the binaries.
    pub bin_dir: String,
    /// Where releases are kept side by side.
    pub install_dir: String,
    /// Where backups are written.
    pub backup_dir: String,
    /// The host part of its client URL, if that is not the host's own address.
    pub client_host: Option<String>,
    /// The port for clients.
    pub client_port: u16,
    /// Where clients have their certificates; members serve TLS, to each other too, where this is set.
    pub tls: Option<Tls>,
    /// etcd's own user, for whom authentication is switched on.
    pub auth: Option<Auth>,
    /// Templates of the inventory.
    pub templates: Templates,
    /// Variables for templates.
    pub vars: Map<String, Value>,
}

impl Shape {
    /// One cluster `lab` of that many members, with the usual folders.
    pub fn of_members(count: usize) -> Self {
        let members = (1..=count).map(|number| MemberShape::usual(&format!("etcd-{number}")));
        let name = "lab".to_owned();
        let members = members.collect();
        Self {
            clusters: vec![ClusterShape { name, members }],
            backup: None,
        }
    }

    /// The shape of an inventory's clusters.
    ///
    /// # Errors
    /// [`LabError::Unsupported`] for what the lab cannot stand in for, such as certificates of a public authority.
    pub fn of_inventory(inventory: &Inventory) -> Result<Self, LabError> {
        let clusters = inventory.clusters.values();
        let backup = clusters
            .clone()
            .next()
            .map(|cluster| cluster.backup.clone());
        let shapes: Result<_, _> = clusters.map(ClusterShape::of_cluster).collect();
        Ok(Self {
            clusters: shapes?,
            backup,
        })
    }

    /// Makes each cluster have that many members: further ones look like its first, with counted names.
    pub fn resize(&mut self, count: usize) {
        for cluster in &mut self.clusters {
            cluster.members.truncate(count);
            let Some(first) = cluster.members.first().cloned() else {
                continue;
            };
            for number in cluster.members.len() + 1..=count {
                let name = free_name(cluster, number);
                let host = name.clone();
                cluster.members.push(MemberShape {
                    host,
                    member: name,
                    ..first.clone()
                });
            }
        }
    }

    /// The names of all hosts, in order.
    pub fn hosts(&self) -> Vec<String> {
        let members = self.clusters.iter().flat_map(|cluster| &cluster.members);
        members.map(|member| member.host.clone()).collect()
    }
}

/// A name for one more member: the first one's stem with the next number, such as `etcd-4`.
fn free_name(cluster: &ClusterShape, number: usize) -> String {
    let first = cluster
        .members
        .first()
        .map_or("etcd-1", |first| &first.host);
    let stem = first.trim_end_matches(|c: char| c.is_ascii_digit());
    let taken = |name: &String| cluster.members.iter().any(|member| member.host == *name);
    let mut names = (number..).map(|number| format!("{stem}{number}"));
    names.find(|name| !taken(name)).expect("numbers do not end")
}

impl ClusterShape {
    fn of_cluster(cluster: &Cluster) -> Result<Self, LabError> {
        let members: Result<_, _> = cluster.hosts.iter().map(MemberShape::of_host).collect();
        Ok(Self {
            name: cluster.name.clone(),
            members: members?,
        })
    }
}

impl MemberShape {
    /// A member with the usual unit, folders and ports.
    pub fn usual(name: &str) -> Self {
        Self {
            host: name.to_owned(),
            member: name.to_owned(),
            unit: "etcd.service".to_owned(),
            data_dir: "/var/lib/etcd".to_owned(),
            bin_dir: "/usr/local/bin".to_owned(),
            install_dir: "/opt/etcd".to_owned(),
            backup_dir: "/var/backups/etcd".to_owned(),
            client_host: Some("127.0.0.1".to_owned()),
            client_port: 2379,
            tls: None,
            auth: None,
            templates: Templates::default(),
            vars: Map::new(),
        }
    }

    fn of_host(host: &Host) -> Result<Self, LabError> {
        let refuse = |what| LabError::Unsupported(format!("`{}` {what}", host.name));
        let (scheme, rest) = host
            .client_url
            .split_once("://")
            .unwrap_or(("http", &host.client_url));
        let tls = host.tls.clone().filter(|_| scheme == "https");
        if scheme == "https" && tls.as_ref().is_none_or(|tls| tls.cacert.is_none()) {
            let what = "uses TLS without `tls.cacert`: the lab can only rehearse an authority that it can place";
            return Err(refuse(what));
        }
        let (name, port) = rest
            .trim_end_matches('/')
            .rsplit_once(':')
            .unwrap_or((rest, "2379"));
        let client_port = port.parse();
        let client_port = client_port.map_err(|_| refuse("has no port in its `client_url`"))?;
        Ok(Self {
            host: host.name.clone(),
            member: host.member.clone(),
            unit: host.unit.clone(),
            data_dir: host.data_dir.clone(),
            bin_dir: host.bin_dir.clone(),
            install_dir: host.install_dir.clone(),
            backup_dir: host.backup_dir.clone(),
            client_host: (name == "127.0.0.1" || name == "localhost").then(|| name.to_owned()),
            client_port,
            tls,
            auth: host.auth.clone(),
            templates: host.templates.clone(),
            vars: host.vars.clone(),
        })
    }

    /// How the host at that address reaches its own member.
    pub fn client_url(&self, address: &str) -> String {
        let host = self.client_host.as_deref().unwrap_or(address);
        format!("{}://{host}:{}", self.scheme(), self.client_port)
    }

    /// `https` where members serve TLS, else `http`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_members_look_like_the_first_and_have_names_of_their_own() {
        let mut shape = Shape::of_members(3);
        shape.clusters[0].members[0].data_dir = "/data".to_owned();
        shape.resize(5);
        assert_eq!(
            shape.hosts(),
            ["etcd-1", "etcd-2", "etcd-3", "etcd-4", "etcd-5"]
        );
        assert_eq!(shape.clusters[0].members[4].data_dir, "/data");
        shape.resize(1);
        assert_eq!(shape.hosts(), ["etcd-1"]);
    }

    #[test]
    fn a_client_url_by_address_gets_the_labs_address() {
        let mut member = MemberShape::usual("a");
        assert_eq!(member.client_url("10.0.0.1"), "http://127.0.0.1:2379");
        member.client_host = None;
        member.client_port = 4001;
        assert_eq!(member.client_url("10.0.0.1"), "http://10.0.0.1:4001");
        member.tls = Some(Tls::default());
        assert_eq!(member.client_url("10.0.0.1"), "https://10.0.0.1:4001");
    }
}
