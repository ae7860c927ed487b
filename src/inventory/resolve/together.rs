//! What hosts of one inventory, and folders of one host, must not have in common.

use std::collections::HashMap;

use super::{HostModel, Layer, Pos, Problem, Resolver, Set, address, member};
use crate::inventory::Place;

impl Resolver<'_> {
    pub(super) fn hosts_in_two_clusters(&mut self) {
        let stack = self.stack;
        let mut seen: HashMap<&str, (&str, Pos)> = HashMap::new();
        for cluster in &stack.files.clusters {
            for host in &cluster.hosts {
                if let Some(&(earlier, pos)) = seen.get(host.name.as_str()) {
                    let problem = Problem::HostTaken {
                        host: host.name.clone(),
                        cluster: earlier.to_owned(),
                        other: Box::new(self.sources.place(pos)),
                    };
                    self.wrong(host.pos, problem);
                } else {
                    seen.insert(&host.name, (&cluster.name, host.pos));
                }
            }
        }
    }

    pub(super) fn same_addresses(&mut self, layers: &[(&HostModel, Layer)]) {
        let mut seen: HashMap<(String, u16), (&str, Pos)> = HashMap::new();
        for (host, layer) in layers {
            let address = address(host, layer);
            let port = layer.port.as_ref().map_or(22, |port| port.value);
            let pos = layer.address.as_ref().map_or(host.pos, |set| set.pos);
            let key = (address.to_ascii_lowercase(), port);
            if let Some(&(by, other)) = seen.get(&key) {
                let problem = Problem::AddressTaken {
                    address,
                    port,
                    host: host.name.clone(),
                    by: by.to_owned(),
                    other: Box::new(self.sources.place(other)),
                };
                self.wrong(pos, problem);
            } else {
                seen.insert(key, (&host.name, pos));
            }
        }
    }

    pub(super) fn same_members(&mut self, layers: &[(&HostModel, Layer)]) {
        let mut seen: HashMap<String, (&str, Pos)> = HashMap::new();
        for (host, layer) in layers {
            let member = member(host, layer);
            let pos = layer.member.as_ref().map_or(host.pos, |set| set.pos);
            if let Some(&(by, other)) = seen.get(&member) {
                let problem = Problem::MemberTaken {
                    member,
                    host: host.name.clone(),
                    by: by.to_owned(),
                    other: Box::new(self.sources.place(other)),
                };
                self.wrong(pos, problem);
            } else {
                seen.insert(member, (&host.name, pos));
            }
        }
    }

    /// Folders that must be apart. A restore replaces the data folder, so nothing of ours may lie in it.
    pub(super) fn folders(&mut self, host: &str, layer: &Layer) {
        let folders = [
            ("data_dir", &layer.data_dir),
            ("bin_dir", &layer.bin_dir),
            ("install_dir", &layer.install_dir),
            ("backup_dir", &layer.backup_dir),
        ];
        let folders: Vec<_> = folders
            .iter()
            .filter_map(|(key, set)| Some((*key, set.as_ref()?)))
            .collect();
        for (at, &(other_key, other)) in folders.iter().enumerate() {
            for &(key, set) in &folders[at + 1..] {
                let other_place = Box::new(self.sources.place(other.pos));
                if let Some(problem) = apart((key, set), (other_key, other), other_place, host) {
                    // Complain where somebody can change it.
                    let pos = if self.sources.is_built_in(set.pos) {
                        other.pos
                    } else {
                        set.pos
                    };
                    self.wrong(pos, problem);
                }
            }
        }
    }
}

fn apart(
    (key, set): (&'static str, &Set<String>),
    (other_key, other): (&'static str, &Set<String>),
    place: Box<Place>,
    host: &str,
) -> Option<Problem> {
    let (path, host) = (set.value.clone(), host.to_owned());
    if set.value == other.value {
        return Some(Problem::SameFolder {
            key,
            other_key,
            other: place,
            path,
            host,
        });
    }
    let inside = other_key == "data_dir" && set.value.starts_with(&format!("{}/", other.value));
    let data_dir = other.value.clone();
    inside.then_some(Problem::InsideData {
        key,
        path,
        data_dir,
        other: place,
        host,
    })
}
