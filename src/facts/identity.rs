//! Whether the members that answer are the ones that the inventory and the cluster itself name. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::etcd::{Member, MemberId};
use crate::inventory::Cluster;

use super::{MemberView, Observation};

/// Something about who is who that does not fit; both sides are named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Mismatch {
    /// The member that answers on a host is another one than the inventory names.
    #[error("on host `{host}` member `{found}` ({id}) answers, the inventory says `{expected}`")]
    WrongMember {
        /// The host.
        host: String,
        /// The inventory's member name.
        expected: String,
        /// The name that the cluster's list has for the id that answered.
        found: String,
        /// The id that answered.
        id: MemberId,
    },
    /// The member that answers is not in the member list that it gives itself, as after its removal.
    #[error("member {id}, which answers on host `{host}`, is not in its own member list")]
    NotInOwnList {
        /// The host.
        host: String,
        /// The id that answered.
        id: MemberId,
    },
    /// Two hosts' members belong to different clusters.
    #[error(
        "host `{host}` answers for cluster {cluster}, host `{other}` for cluster {other_cluster}"
    )]
    OtherCluster {
        /// A host.
        host: String,
        /// Its cluster's id.
        cluster: MemberId,
        /// Another host.
        other: String,
        /// The other cluster's id.
        other_cluster: MemberId,
    },
    /// One member answers on two hosts, as with a `client_url` that leads to another machine.
    #[error("member {id} answers on host `{host}` and on host `{other}`")]
    SameMember {
        /// A host.
        host: String,
        /// Another host.
        other: String,
        /// The member.
        id: MemberId,
    },
    /// Members differ on who the members are.
    #[error("host `{host}` lists members {list}, host `{other}` lists {other_list}")]
    ListsDiffer {
        /// A host.
        host: String,
        /// Its list.
        list: String,
        /// Another host.
        other: String,
        /// The other list.
        other_list: String,
    },
    /// The cluster has no member of the name that the inventory gives to a host.
    #[error("host `{host}` should run member `{expected}`, the cluster has only {list}")]
    NotAMember {
        /// The host.
        host: String,
        /// The inventory's member name.
        expected: String,
        /// The cluster's members.
        list: String,
    },
    /// The cluster has a member that no host of the inventory runs.
    #[error("the cluster has member `{name}` ({id}) at {urls}, the inventory has no host for it")]
    NotInInventory {
        /// The member's name.
        name: String,
        /// Its id.
        id: MemberId,
        /// Its peer URLs.
        urls: String,
    },
    /// The cluster has a member that was added and never started.
    #[error("the cluster has member {id} at {urls}, which was added and never started")]
    Unstarted {
        /// Its id.
        id: MemberId,
        /// Its peer URLs.
        urls: String,
    },
    /// Two members carry the inventory's name, which etcd allows.
    #[error("members {id} and {other} are both named `{name}`")]
    SameName {
        /// The name.
        name: String,
        /// A member.
        id: MemberId,
        /// Another member.
        other: MemberId,
    },
}

impl Mismatch {
    /// The host or member that it is about.
    pub fn subject(&self) -> String {
        match self {
            Self::WrongMember { host, .. }
            | Self::NotInOwnList { host, .. }
            | Self::OtherCluster { host, .. }
            | Self::SameMember { host, .. }
            | Self::ListsDiffer { host, .. }
            | Self::NotAMember { host, .. } => host.clone(),
            Self::NotInInventory { name, .. } | Self::SameName { name, .. } => name.clone(),
            Self::Unstarted { id, .. } => id.to_string(),
        }
    }
}

/// Compares answers, member lists and inventory. Silent hosts and missing lists are passed over: others report them.
pub fn check(cluster: &Cluster, observation: &Observation) -> Vec<Mismatch> {
    let views: Vec<(&str, &MemberView)> = cluster
        .hosts
        .iter()
        .filter_map(|host| {
            Some((
                host.name.as_str(),
                observation.hosts.get(&host.name)?.view()?,
            ))
        })
        .collect();
    let mut found = Vec::new();
    one_cluster(&views, &mut found);
    one_host_each(&views, &mut found);
    right_members(cluster, &views, &mut found);
    let listed = views.iter().find(|(_, view)| !view.members.is_empty());
    if let Some((_, view)) = listed {
        same_lists(&views, &mut found);
        list_and_inventory(cluster, &view.members, &mut found);
    }
    found
}

fn one_cluster(views: &[(&str, &MemberView)], found: &mut Vec<Mismatch>) {
    let Some(((first, view), rest)) = views.split_first() else {
        return;
    };
    let others = rest
        .iter()
        .filter(|(_, other)| other.cluster_id != view.cluster_id);
    found.extend(others.map(|(host, other)| Mismatch::OtherCluster {
        host: (*host).to_owned(),
        cluster: other.cluster_id,
        other: (*first).to_owned(),
        other_cluster: view.cluster_id,
    }));
}

fn one_host_each(views: &[(&str, &MemberView)], found: &mut Vec<Mismatch>) {
    let mut seen: BTreeMap<MemberId, &str> = BTreeMap::new();
    for (host, view) in views {
        if let Some(first) = seen.get(&view.id) {
            found.push(Mismatch::SameMember {
                host: (*host).to_owned(),
                other: (*first).to_owned(),
                id: view.id,
            });
        } else {
            seen.insert(view.id, host);
        }
    }
}

fn right_members(cluster: &Cluster, views: &[(&str, &MemberView)], found: &mut Vec<Mismatch>) {
    for (name, view) in views.iter().filter(|(_, view)| !view.members.is_empty()) {
        let Some(host) = cluster.host(name) else {
            continue;
        };
        match view.members.iter().find(|member| member.id == view.id) {
            None => found.push(Mismatch::NotInOwnList {
                host: host.name.clone(),
                id: view.id,
            }),
            Some(member) if member.name != host.member => found.push(Mismatch::WrongMember {
                host: host.name.clone(),
                expected: host.member.clone(),
                found: member.name.clone(),
                id: view.id,
            }),
            Some(_) => {}
        }
    }
}

fn same_lists(views: &[(&str, &MemberView)], found: &mut Vec<Mismatch>) {
    let ids = |view: &MemberView| -> BTreeSet<MemberId> {
        view.members.iter().map(|one| one.id).collect()
    };
    let mut lists = views.iter().filter(|(_, view)| !view.members.is_empty());
    let Some((first, view)) = lists.next() else {
        return;
    };
    let others = lists.filter(|(_, other)| ids(other) != ids(view));
    found.extend(others.map(|(host, other)| Mismatch::ListsDiffer {
        host: (*host).to_owned(),
        list: names(&other.members),
        other: (*first).to_owned(),
        other_list: names(&view.members),
    }));
}

fn list_and_inventory(cluster: &Cluster, members: &[Member], found: &mut Vec<Mismatch>) {
    let missing = cluster
        .hosts
        .iter()
        .filter(|host| !members.iter().any(|member| member.name == host.member));
    found.extend(missing.map(|host| Mismatch::NotAMember {
        host: host.name.clone(),
        expected: host.member.clone(),
        list: names(members),
    }));
    let mut named: BTreeMap<&str, MemberId> = BTreeMap::new();
    for member in members {
        found.extend(odd_member(cluster, member));
        if member.name.is_empty() {
            continue;
        }
        if let Some(other) = named.insert(&member.name, member.id) {
            found.push(Mismatch::SameName {
                name: member.name.clone(),
                id: member.id,
                other,
            });
        }
    }
}

fn odd_member(cluster: &Cluster, member: &Member) -> Option<Mismatch> {
    let urls = member.peer_urls.join(", ");
    if member.name.is_empty() {
        let id = member.id;
        return Some(Mismatch::Unstarted { id, urls });
    }
    let known = cluster.hosts.iter().any(|host| host.member == member.name);
    (!known).then(|| Mismatch::NotInInventory {
        name: member.name.clone(),
        id: member.id,
        urls,
    })
}

fn names(members: &[Member]) -> String {
    let mut names: Vec<String> = members
        .iter()
        .map(|member| {
            if member.name.is_empty() {
                format!("{} (unstarted)", member.id)
            } else {
                format!("`{}`", member.name)
            }
        })
        .collect();
    names.sort();
    names.join(", ")
}

#[cfg(test)]
mod tests;
