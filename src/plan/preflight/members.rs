//! Members: do they answer, are they well, do they agree.

use std::collections::{BTreeMap, BTreeSet};

use crate::etcd::catalogue::Catalogue;
use crate::etcd::{Alarm, AlarmKind, Minor, Version};
use crate::facts::Answer;
use crate::plan::Finding;
use crate::plan::seats::{self, Seat};
use crate::plan::upgrade::Request;

use super::{names, of};

const GUIDE: &str = "etcd.io/docs/v3.5/upgrades/upgrade_3_5";
/// Entries that a leader keeps for followers; one further behind needs a whole snapshot.
const CATCH_UP_ENTRIES: u64 = 5000;
/// Far above what NTP leaves, and half of etcd's default election timeout.
const CLOCK_SKEW_MS: u64 = 500;

pub(super) fn findings(request: &Request, seats: &[Seat]) -> Vec<Finding> {
    let mut findings = down(seats);
    findings.extend(unhealthy(seats));
    findings.extend(leadership(request, seats));
    findings.extend(alarms(request));
    findings.extend(downgrade(request));
    findings.extend(learners(seats));
    findings.extend(mixed(request, seats));
    findings.extend(lag(seats));
    findings.extend(clocks(seats));
    findings
}

pub(super) fn down(seats: &[Seat]) -> Vec<Finding> {
    let up = seats.iter().filter(|seat| seat.view.is_some()).count();
    seats
        .iter()
        .filter_map(|seat| match &seat.facts.answer {
            Answer::Member(_) => None,
            Answer::Silent { because } => Some((seat, because)),
        })
        .map(|(seat, because)| {
            Finding::block(
                "MEMBER_DOWN",
                &seat.host.name,
                format!(
                    "{}, all must: {because}",
                    of(up, seats.len(), "members answer")
                ),
            )
            .hint(format!(
                "look at `journalctl -u {}` on {}; upgrade when all members are well",
                seat.host.unit, seat.host.name
            ))
            .source(GUIDE)
        })
        .collect()
}

pub(super) fn unhealthy(seats: &[Seat]) -> Vec<Finding> {
    let well = |seat: &&Seat| seat.view.is_some_and(|view| view.health.is_ok());
    let healthy = seats.iter().filter(well).count();
    seats
        .iter()
        .filter_map(|seat| Some((seat, seat.view?.health.as_ref().err()?)))
        .map(|(seat, why)| {
            Finding::block(
                "MEMBER_UNHEALTHY",
                &seat.host.name,
                format!(
                    "{}, all must be: {why}",
                    of(healthy, seats.len(), "members are healthy")
                ),
            )
            .hint("repair the member first: `runner status` shows what each one sees")
            .source(GUIDE)
        })
        .collect()
}

fn leadership(request: &Request, seats: &[Seat]) -> Vec<Finding> {
    let views: Vec<_> = seats.iter().filter_map(|seat| seat.view).collect();
    if views.is_empty() || seats::leader(request.facts).is_some() {
        return Vec::new();
    }
    let cluster = &request.cluster.name;
    let blind = views.iter().filter(|view| view.leader.is_none()).count();
    if blind > 0 {
        return vec![
            Finding::block(
                "NO_LEADER",
                cluster,
                format!(
                    "{}, none may",
                    of(blind, views.len(), "members see no leader")
                ),
            )
            .hint("wait for the election, or find out why there is no quorum"),
        ];
    }
    let seen: BTreeSet<String> = views
        .iter()
        .filter_map(|view| view.leader)
        .map(|id| id.to_string())
        .collect();
    let list: Vec<String> = seen.into_iter().collect();
    vec![
        Finding::block(
            "LEADER_DISPUTED",
            cluster,
            format!(
                "members see {} leaders ({}), all must see one",
                list.len(),
                list.join(", ")
            ),
        )
        .hint("try again when the election is over"),
    ]
}

fn alarms(request: &Request) -> Vec<Finding> {
    let mut alarms: BTreeMap<(String, String), Alarm> = BTreeMap::new();
    for alarm in seats::views(request.facts).flat_map(|view| &view.alarms) {
        let key = (alarm.member.to_string(), alarm.kind.to_string());
        alarms.insert(key, alarm.clone());
    }
    let total = alarms.len();
    alarms
        .into_values()
        .map(|alarm| {
            let hint = match alarm.kind {
                AlarmKind::NoSpace => {
                    "compact, defragment each member, then `etcdctl alarm disarm`"
                }
                AlarmKind::Corrupt => {
                    "never upgrade: find the member whose data differ and replace it"
                }
                AlarmKind::Other(_) => "find out what raised it, repair it, then disarm it",
            };
            Finding::block(
                "ALARM",
                &request.cluster.name,
                format!(
                    "member {} has raised {}; {total} alarm(s) are set, 0 are allowed",
                    alarm.member, alarm.kind
                ),
            )
            .hint(hint)
            .source(GUIDE)
        })
        .collect()
}

/// While one is enabled the stored data are of the lower line already; it ends by itself when all members run that, or
/// by `cancel`.
fn downgrade(request: &Request) -> Option<Finding> {
    let to = seats::downgrade(request.facts)?;
    let target = request.target;
    let reason = format!("a downgrade to {to} is enabled, {target} leads the other way");
    Some(
        Finding::block("DOWNGRADE_RUNS", &request.cluster.name, reason)
            .hint("`runner downgrade` finishes it, `runner rollback` leads back to the release before it")
            .source("etcd docs downgrade_3_6.md, downgrade_3_7.md"),
    )
}

fn learners(seats: &[Seat]) -> Option<Finding> {
    let learners: Vec<&Seat> = seats.iter().filter(|seat| seat.learner()).collect();
    let first = learners.first()?;
    Some(
        Finding::acknowledge(
            "LEARNER",
            &first.host.name,
            format!(
                "{} ({})",
                of(learners.len(), seats.len(), "members are learners"),
                names(&learners)
            ),
        )
        .hint("promote it first, or acknowledge that it is upgraded before the voters")
        .source(GUIDE),
    )
}

fn mixed(request: &Request, seats: &[Seat]) -> Option<Finding> {
    let mut counts: BTreeMap<&Version, usize> = BTreeMap::new();
    for version in seats.iter().filter_map(Seat::version) {
        *counts.entry(version).or_default() += 1;
    }
    if counts.len() < 2 {
        return None;
    }
    let said: Vec<String> = counts
        .iter()
        .map(|(version, count)| format!("{count} on {version}"))
        .collect();
    let said = said.join(", ");
    let (low, high) = (counts.keys().next()?.minor(), counts.keys().last()?.minor());
    let cluster = &request.cluster.name;
    if is_apart(request.rules, low, high) {
        return Some(
            Finding::block(
                "MIXED_SPREAD",
                cluster,
                format!("members run {low} and {high} ({said}), one minor apart is the most"),
            )
            .hint("a person has to look: etcd does not work across more than one minor"),
        );
    }
    Some(
        Finding::warn(
            "MIXED",
            cluster,
            format!("members run {} releases: {said}", counts.len()),
        )
        .hint("members below the target are upgraded, the others stay as they are"),
    )
}

fn is_apart(rules: &Catalogue, low: Minor, high: Minor) -> bool {
    low != high && rules.next_minor(low) != Some(high)
}

fn lag(seats: &[Seat]) -> Vec<Finding> {
    let views = seats.iter().filter_map(|seat| seat.view);
    let newest = views.map(|view| view.raft_index).max().unwrap_or_default();
    seats
        .iter()
        .filter_map(|seat| Some((seat, newest.saturating_sub(seat.view?.raft_applied))))
        .filter(|(_, behind)| *behind > CATCH_UP_ENTRIES)
        .map(|(seat, behind)| {
            Finding::warn(
                "RAFT_LAG",
                &seat.host.name,
                format!("{behind} raft entries behind the newest member, {CATCH_UP_ENTRIES} are usual at most"),
            )
            .hint("the guard waits for nobody: let it catch up before you start")
        })
        .collect()
}

fn clocks(seats: &[Seat]) -> Vec<Finding> {
    seats
        .iter()
        .filter(|seat| seat.facts.clock_skew_ms.unsigned_abs() > CLOCK_SKEW_MS)
        .map(|seat| {
            let skew = seat.facts.clock_skew_ms;
            let way = if skew > 0 { "ahead of" } else { "behind" };
            Finding::warn(
                "CLOCK_SKEW",
                &seat.host.name,
                format!(
                    "its clock is {} ms {way} this machine's, {CLOCK_SKEW_MS} ms are usual at most",
                    skew.abs()
                ),
            )
            .hint("check its time synchronisation; leases and logs follow the clock")
        })
        .collect()
}

/// Clusters that cannot lose a member.
pub(super) fn size(request: &Request, seats: &[Seat]) -> Option<Finding> {
    let voters = seats.iter().filter(|seat| !seat.learner()).count();
    let cluster = &request.cluster.name;
    match voters {
        1 => Some(
            Finding::warn(
                "SINGLE_MEMBER",
                cluster,
                "1 voter and no other: the cluster is away while it restarts",
            )
            .hint("clients see errors for some seconds"),
        ),
        2 => Some(
            Finding::acknowledge(
                "TWO_MEMBERS",
                cluster,
                "2 voters, and the quorum is 2: the cluster is away at each of the 2 restarts",
            )
            .hint("add a third member first, or acknowledge"),
        ),
        _ => None,
    }
}
