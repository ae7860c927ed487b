//! Identity: is the member that answers on a host the one that the inventory and the cluster say.

use std::collections::{BTreeMap, BTreeSet};

use crate::etcd::{Member, MemberId};
use crate::plan::Finding;
use crate::plan::seats::{self, Seat};
use crate::plan::upgrade::Request;

const HINT: &str = "correct the inventory's `address` and `member`, or repair the cluster first";

pub(super) fn findings(request: &Request, seats: &[Seat]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = cluster_ids(request, seats).into_iter().collect();
    findings.extend(wrong(seats));
    findings.extend(twice(seats));
    findings.extend(disputed(request));
    findings.extend(unlisted(request, seats));
    findings.extend(absent(request, seats));
    findings
}

fn cluster_ids(request: &Request, seats: &[Seat]) -> Option<Finding> {
    let mut ids: BTreeMap<MemberId, Vec<&str>> = BTreeMap::new();
    for (seat, view) in seats.iter().filter_map(|seat| Some((seat, seat.view?))) {
        ids.entry(view.cluster_id)
            .or_default()
            .push(&seat.host.name);
    }
    if ids.len() < 2 {
        return None;
    }
    let said: Vec<String> = ids
        .iter()
        .map(|(id, hosts)| format!("{id} on {}", hosts.join(", ")))
        .collect();
    Some(
        Finding::block(
            "CLUSTER_ID_MISMATCH",
            &request.cluster.name,
            format!(
                "its hosts belong to {} clusters, not 1: {}",
                ids.len(),
                said.join("; ")
            ),
        )
        .hint(HINT),
    )
}

/// A name that differs; members that are not in their own list are told by [`unlisted`].
fn wrong(seats: &[Seat]) -> Vec<Finding> {
    seats
        .iter()
        .filter_map(|seat| Some((seat, seat.listed()?)))
        .filter(|(seat, listed)| listed.name != seat.host.member)
        .map(|(seat, listed)| {
            Finding::block(
                "WRONG_MEMBER",
                &seat.host.name,
                format!(
                    "member `{}` ({}) answers there, the inventory says `{}`",
                    listed.name, listed.id, seat.host.member
                ),
            )
            .hint(HINT)
        })
        .collect()
}

fn twice(seats: &[Seat]) -> Vec<Finding> {
    let mut by_id: BTreeMap<MemberId, Vec<&str>> = BTreeMap::new();
    for (seat, view) in seats.iter().filter_map(|seat| Some((seat, seat.view?))) {
        by_id.entry(view.id).or_default().push(&seat.host.name);
    }
    by_id
        .into_iter()
        .filter(|(_, hosts)| hosts.len() > 1)
        .map(|(id, hosts)| {
            Finding::block(
                "WRONG_MEMBER",
                hosts.join(", "),
                format!(
                    "member {id} answers on {} hosts, a member has 1",
                    hosts.len()
                ),
            )
            .hint("check `address` and `client_url`: two hosts of the inventory may be one")
        })
        .collect()
}

fn disputed(request: &Request) -> Option<Finding> {
    let lists: BTreeSet<Vec<(MemberId, bool)>> = seats::views(request.facts)
        .map(|view| {
            let mut list: Vec<_> = view.members.iter().map(|m| (m.id, m.learner)).collect();
            list.sort_unstable();
            list
        })
        .collect();
    (lists.len() > 1).then(|| {
        Finding::block(
            "MEMBERS_DISPUTED",
            &request.cluster.name,
            format!(
                "members tell {} different member lists, all must tell 1",
                lists.len()
            ),
        )
        .hint("wait until no member is being added or removed, then try again")
    })
}

/// Members of the cluster that no host of the inventory runs.
fn unlisted(request: &Request, seats: &[Seat]) -> Vec<Finding> {
    let answering: BTreeSet<MemberId> = seats
        .iter()
        .filter_map(|seat| Some(seat.view?.id))
        .collect();
    let silent: BTreeSet<&str> = seats
        .iter()
        .filter(|seat| seat.view.is_none())
        .map(|seat| seat.host.member.as_str())
        .collect();
    let hosts = request.cluster.hosts.len();
    let members = members(request);
    let total = members.len();
    members
        .into_values()
        .filter(|member| !answering.contains(&member.id) && !silent.contains(member.name.as_str()))
        .map(|member| stranger(member, total, hosts))
        .collect()
}

fn stranger(member: &Member, members: usize, hosts: usize) -> Finding {
    if member.name.is_empty() {
        return Finding::block(
            "MEMBER_UNSTARTED",
            member.id.to_string(),
            format!(
                "it was added with peer URL {} and has never started; {members} members are listed, all must run",
                member.peer_urls.join(", ")
            ),
        )
        .hint("start it, or `etcdctl member remove` it")
        .source("etcd.io/docs/v3.5/op-guide/runtime-configuration");
    }
    Finding::block(
        "MEMBER_MISSING_IN_INVENTORY",
        &member.name,
        format!(
            "the cluster has {members} members, the inventory has {hosts} hosts, and `{}` ({}) at {} is on none of them",
            member.name,
            member.id,
            member.peer_urls.join(", ")
        ),
    )
    .hint("add its host to the inventory: every member has to be upgraded")
}

/// Hosts whose member is in no member list.
fn absent(request: &Request, seats: &[Seat]) -> Vec<Finding> {
    let members = members(request);
    if members.is_empty() {
        return Vec::new();
    }
    let known = |seat: &Seat| match seat.view {
        Some(view) => members.contains_key(&view.id),
        None => members
            .values()
            .any(|member| member.name == seat.host.member),
    };
    seats
        .iter()
        .filter(|seat| !known(seat))
        .map(|seat| {
            Finding::block(
                "MEMBER_NOT_IN_CLUSTER",
                &seat.host.name,
                format!(
                    "its member `{}` is none of the {} in the member list",
                    seat.host.member,
                    members.len()
                ),
            )
            .hint("remove the host from the inventory, or add its member to the cluster first")
        })
        .collect()
}

fn members<'a>(request: &Request<'a>) -> BTreeMap<MemberId, &'a Member> {
    seats::views(request.facts)
        .flat_map(|view| &view.members)
        .map(|member| (member.id, member))
        .collect()
}
