//! Identity: is the member that answers on a host the one that the inventory and the cluster say.

use crate::facts::ClusterFacts;
use crate::facts::identity::{self, Mismatch};
use crate::inventory::Cluster;
use crate::plan::Finding;
use crate::plan::upgrade::Request;

pub(super) fn findings(request: &Request) -> Vec<Finding> {
    of(request.cluster, request.facts)
}

pub(super) fn of(cluster: &Cluster, facts: &ClusterFacts) -> Vec<Finding> {
    identity::check(cluster, &facts.observation())
        .iter()
        .map(|mismatch| {
            let (code, hint) = code(mismatch);
            Finding::block(code, mismatch.subject(), mismatch.to_string()).hint(hint)
        })
        .collect()
}

fn code(mismatch: &Mismatch) -> (&'static str, &'static str) {
    match mismatch {
        Mismatch::WrongMember { .. } => (
            "WRONG_MEMBER",
            "correct the inventory's `address` and `member`",
        ),
        Mismatch::SameMember { .. } => (
            "WRONG_MEMBER",
            "check `address` and `client_url`: two hosts of the inventory may be one",
        ),
        Mismatch::OtherCluster { .. } => (
            "CLUSTER_ID_MISMATCH",
            "list the hosts of each cluster apart in the inventory",
        ),
        Mismatch::NotInOwnList { .. } => (
            "MEMBER_NOT_IN_CLUSTER",
            "it was removed: stop it, and take its host out of the inventory or add it again",
        ),
        Mismatch::NotAMember { .. } => (
            "MEMBER_NOT_IN_CLUSTER",
            "take the host out of the inventory, or add its member to the cluster first",
        ),
        Mismatch::ListsDiffer { .. } => (
            "MEMBERS_DISPUTED",
            "wait until no member is being added or removed, then try again",
        ),
        Mismatch::NotInInventory { .. } => (
            "MEMBER_MISSING_IN_INVENTORY",
            "add its host to the inventory: every member has to be upgraded",
        ),
        Mismatch::Unstarted { .. } => (
            "MEMBER_UNSTARTED",
            "start it, or `etcdctl member remove` it",
        ),
        Mismatch::SameName { .. } => (
            "SAME_NAME",
            "remove the member that is not meant, or give one of them another name",
        ),
    }
}
