//! Samples for unit tests.

use crate::inventory::{
    BackupPolicy, Cluster, Escalation, FanOut, Host, ReleaseSource, Ssh, Templates,
};

/// A host with the contract's defaults.
pub(super) fn host(client_url: &str) -> Host {
    Host {
        name: "etcd-1".to_owned(),
        member: "m1".to_owned(),
        address: "etcd-1".to_owned(),
        ssh: Ssh::default(),
        escalation: Escalation::None,
        unit: "etcd.service".to_owned(),
        data_dir: "/var/lib/etcd".to_owned(),
        bin_dir: "/usr/local/bin".to_owned(),
        install_dir: "/opt/etcd".to_owned(),
        backup_dir: "/var/backups/etcd".to_owned(),
        client_url: client_url.to_owned(),
        tls: None,
        auth: None,
        templates: Templates::default(),
        vars: serde_json::Map::new(),
    }
}

/// A cluster of these hosts.
pub(crate) fn cluster(hosts: Vec<Host>) -> Cluster {
    Cluster {
        name: "prod".to_owned(),
        version: None,
        hosts,
        backup: BackupPolicy {
            keep: 7,
            fetch: true,
        },
        releases: ReleaseSource {
            source: String::new(),
            sha256sums: None,
            base: "/".into(),
            fan_out: FanOut::Control,
        },
    }
}

/// A recorded output of that version.
pub(super) fn recorded(version: &str, name: &str) -> String {
    let path = format!(
        "{}/tests/fixtures/etcd-{version}/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
