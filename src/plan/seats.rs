//! Who sits where: each host of the inventory with its facts and the member that answers there.

use crate::etcd::{Member, MemberId, Minor, Version};
use crate::facts::{ClusterFacts, HostFacts, MemberView};
use crate::inventory::{Cluster, Host};

use super::MemberRef;

/// A host with the member on it.
#[derive(Clone, Copy, Debug)]
pub struct Seat<'a> {
    /// The host in the inventory.
    pub host: &'a Host,
    /// What is known of it.
    pub facts: &'a HostFacts,
    /// What its member said; `None` if it is silent.
    pub view: Option<&'a MemberView>,
}

/// All hosts that facts are known of, in the inventory's order.
pub fn seats<'a>(cluster: &'a Cluster, facts: &'a ClusterFacts) -> Vec<Seat<'a>> {
    cluster
        .hosts
        .iter()
        .filter_map(|host| {
            let facts = facts.hosts.get(&host.name)?;
            let view = facts.answer.view();
            Some(Seat { host, facts, view })
        })
        .collect()
}

impl<'a> Seat<'a> {
    /// The member, by the id that it gave itself; one that is silent, as the other members list it.
    pub fn member(&self, facts: &ClusterFacts) -> Option<MemberRef> {
        let own = self.view.map(|view| view.id);
        let id = own.or_else(|| {
            let mut listed = views(facts).flat_map(|view| &view.members);
            listed
                .find(|member| member.name == self.host.member)
                .map(|member| member.id)
        })?;
        Some(MemberRef {
            id,
            name: self.name().to_owned(),
        })
    }

    /// The member's name: the cluster's if it has one, else the inventory's.
    pub fn name(&self) -> &str {
        self.listed()
            .map(|member| member.name.as_str())
            .filter(|name| !name.is_empty())
            .unwrap_or(&self.host.member)
    }

    /// The member as its own member list has it.
    pub fn listed(&self) -> Option<&Member> {
        let view = self.view?;
        view.members.iter().find(|member| member.id == view.id)
    }

    /// The release of the running process.
    pub fn version(&self) -> Option<&Version> {
        self.view.map(|view| &view.version)
    }

    /// The release of the installed `etcd`.
    pub fn installed(&self) -> Option<&'a Version> {
        self.facts.binaries.get("etcd")?.version.as_ref()
    }

    /// Whether it is a learner.
    pub fn learner(&self) -> bool {
        self.view.is_some_and(|view| view.learner)
    }

    /// Whether it runs a release below this one.
    pub fn is_below(&self, target: &Version) -> bool {
        self.version().is_some_and(|version| version < target)
    }
}

/// The release that the way starts from: the lowest that a member runs, or would run if it were started.
pub fn origin<'a>(cluster: &'a Cluster, facts: &'a ClusterFacts) -> Option<&'a Version> {
    let all = seats(cluster, facts);
    all.iter()
        .filter_map(|seat| match seat.view {
            Some(view) => Some(&view.version),
            None => seat.installed(),
        })
        .min()
}

/// The highest release that a member runs; `None` if no member answers.
pub fn highest(facts: &ClusterFacts) -> Option<&Version> {
    versions(facts).max()
}

fn versions(facts: &ClusterFacts) -> impl Iterator<Item = &Version> {
    views(facts).map(|view| &view.version)
}

/// The line that an enabled downgrade of etcd's leads to. Members before 3.6 do not tell of it.
pub fn downgrade(facts: &ClusterFacts) -> Option<Minor> {
    let mut told = views(facts).filter_map(|view| view.downgrade.as_ref());
    told.next().map(Version::minor)
}

/// Whether members answer that run a line above this one, and others that do not.
pub fn is_between(facts: &ClusterFacts, line: Minor) -> bool {
    let above = |version: &Version| version.minor() > line;
    versions(facts).any(above) && !versions(facts).all(above)
}

/// What the members said, by host name.
pub fn views(facts: &ClusterFacts) -> impl Iterator<Item = &MemberView> {
    facts.hosts.values().filter_map(|host| host.answer.view())
}

/// The leader, if all members that answer see the same one.
pub fn leader(facts: &ClusterFacts) -> Option<MemberId> {
    let mut leaders = views(facts).map(|view| view.leader);
    let first = leaders.next()??;
    leaders.all(|leader| leader == Some(first)).then_some(first)
}
