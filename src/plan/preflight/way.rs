//! The hops on the way: what each asks of the cluster as it is, and what is done about it.

use std::collections::BTreeMap;

use crate::etcd::Version;
use crate::etcd::catalogue::{Cure, Floor, Hop};
use crate::plan::prepare;
use crate::plan::seats::{Seat, views};
use crate::plan::upgrade::{Request, Work};
use crate::plan::{Finding, Severity};

use super::names;

pub(super) fn findings(request: &Request, work: &Work, all: &[Seat]) -> Vec<Finding> {
    let mut findings = snapshots(request, work);
    findings.extend(writes(request, work));
    findings.extend(floors(request, work));
    findings.extend(auth(request, work));
    findings.extend(no_way_back(request, work));
    findings.extend(unit_type(request, work));
    findings.extend(folder_mode(request, work));
    findings.extend(behind(request, all));
    findings
}

/// Releases of the way with the one before each, the running one first.
fn pairs<'w>(work: &'w Work) -> impl Iterator<Item = (&'w Version, &'w Version)> {
    let from = std::iter::once(&work.from).chain(&work.path);
    from.zip(&work.path)
}

fn hops<'r>(request: &Request<'r>, work: &Work) -> Vec<(Version, &'r Hop)> {
    pairs(work)
        .filter_map(|(from, to)| {
            let hop = request.rules.hop(from.minor(), to.minor())?;
            Some((from.clone(), hop))
        })
        .collect()
}

/// Members whose logs hold what the next release chokes on, and whether that can be mended.
fn snapshots(request: &Request, work: &Work) -> Vec<Finding> {
    let seats = prepare::in_need(request, work);
    let Some(remedy) = seats
        .first()
        .and_then(|seat| prepare::snapshot(request, work, seat))
    else {
        return Vec::new();
    };
    let mut findings = vec![
        Finding::note(
            "RAFT_SNAPSHOT",
            names(&seats),
            format!("{}, and its newest raft snapshot is older than that", remedy.what),
        )
        .hint("it is restarted once more before the hop, with a lower `snapshot-count`, until it has taken one")
        .source(&remedy.source),
    ];
    let mut why: BTreeMap<String, Vec<&Seat>> = BTreeMap::new();
    for (seat, lowered) in prepare::lower(request, work) {
        if let Err(reason) = lowered {
            why.entry(reason).or_default().push(seat);
        }
    }
    findings.extend(why.into_iter().map(|(reason, seats)| {
        Finding::block("SNAPSHOT_COUNT", names(&seats), reason)
            .hint("lower `snapshot-count` there yourself, restart the members one by one and write until each has a new `.snap`")
            .source(&remedy.source)
    }));
    findings
}

fn writes(request: &Request, work: &Work) -> Option<Finding> {
    let mut remedies = prepare::remedies(request, work).iter();
    let remedy =
        remedies.find(|remedy| matches!(remedy.cure, Cure::WriteBefore | Cure::WriteAfter))?;
    Some(
        Finding::note("V3_WRITE", &request.cluster.name, &remedy.what)
            .hint("a key of our own is written, read and deleted through every member")
            .source(&remedy.source),
    )
}

/// Patches below what the guides ask for, where no better one can be had.
fn floors(request: &Request, work: &Work) -> Vec<Finding> {
    let low = hops(request, work)
        .into_iter()
        .filter(|(from, hop)| *from < hop.least_source);
    low.map(|(from, hop)| {
        let reason = format!(
            "the guide asks for {} or later before {}, the source of releases has {from} at most",
            hop.least_source, hop.to
        );
        Finding::acknowledge("SOURCE_PATCH", from.to_string(), reason)
            .hint(format!("add {} to `[releases] source`", hop.use_source))
            .source(&hop.source)
    })
    .collect()
}

fn has_users(request: &Request) -> bool {
    let mut hosts = request.cluster.hosts.iter();
    hosts.any(|host| host.auth.is_some())
}

/// What hops ask of a cluster with users: to leave them alone meanwhile, and to come from a later patch.
fn auth(request: &Request, work: &Work) -> Vec<Finding> {
    if !has_users(request) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (from, hop) in hops(request, work) {
        findings.extend(hop.auth_freeze.iter().map(|freeze| {
            let reason = format!("authentication is on: {}", freeze.text);
            Finding::acknowledge("AUTH_FREEZE", &request.cluster.name, reason)
                .hint("change no users, roles or passwords until the last member is done")
                .source(&freeze.source)
        }));
        let low = |floor: &&Floor| floor.when.starts_with("auth") && from < floor.source_patch;
        findings.extend(hop.floors.iter().filter(low).map(|floor| {
            let reason = format!(
                "authentication is on, and before {} {} or later is asked for: with {} {}",
                hop.to, floor.source_patch, floor.when, floor.what
            );
            Finding::acknowledge("SOURCE_PATCH", from.to_string(), reason)
                .hint(format!("add {} to `[releases] source`", hop.use_source))
                .source(&floor.source)
        }));
    }
    findings
}

/// Hops that no member can be taken back from, not even while the cluster is mixed.
fn no_way_back(request: &Request, work: &Work) -> Vec<Finding> {
    let final_ones = hops(request, work)
        .into_iter()
        .filter(|(_, hop)| !hop.mixed_rollback);
    final_ones
        .map(|(_, hop)| {
            let reason = format!(
                "on the hop from {} to {} a member that has started cannot be put back: only a backup of the whole \
                 cluster leads back",
                hop.from, hop.to
            );
            Finding::acknowledge("NO_WAY_BACK", &request.cluster.name, reason)
                .hint("every member's data are backed up before the first stop")
                .source(&hop.source)
        })
        .collect()
}

/// A unit that waits for word of etcd's readiness, and a release that never sends it.
fn unit_type(request: &Request, work: &Work) -> Option<Finding> {
    if request.rules.tells_ready(&work.to) {
        return None;
    }
    let waits = |seat: &&Seat| {
        let rendered = work.files_of(seat).iter().find(|file| file.unit);
        match rendered {
            Some(file) => file.text.lines().any(|line| line.trim() == "Type=notify"),
            None => seat.facts.unit.kind == "notify",
        }
    };
    let seats: Vec<&Seat> = work.seats.iter().filter(waits).collect();
    (!seats.is_empty()).then(|| {
        let reason = format!(
            "the unit is of type `notify`, and {} never tells systemd that it is ready",
            work.to
        );
        Finding::block("UNIT_TYPE", names(&seats), reason)
            .hint("write `Type=simple` in the unit, or `Type={{ unit_type }}` in its template")
            .source(&request.rules.ready().source)
    })
}

/// Patches that start only on a data folder of mode 0700.
fn folder_mode(request: &Request, work: &Work) -> Vec<Finding> {
    const PRIVATE: u32 = 0o700;
    let open = |seat: &&Seat| seat.facts.data.exists && seat.facts.data.mode & 0o777 != PRIVATE;
    let seats: Vec<&Seat> = work.seats.iter().filter(open).collect();
    if seats.is_empty() {
        return Vec::new();
    }
    let picky = |version: &&Version| {
        let mut faults = request.rules.faults(version).into_iter();
        faults.any(|fault| fault.when.as_deref() == Some("data folder not of mode 0700"))
    };
    work.path
        .iter()
        .filter(picky)
        .map(|version| {
            let mode = seats[0].facts.data.mode & 0o777;
            let reason =
                format!("the data folder is of mode {mode:04o}, {version} starts only on 0700");
            Finding::block("DATA_DIR_MODE", names(&seats), reason)
                .hint("choose another patch, or `chmod 0700` the folder")
                .source("pkg/fileutil/fileutil.go at v3.3.24 and v3.4.12")
        })
        .collect()
}

/// All members run one line and the cluster's version is below it: the hop before has not ended.
fn behind(request: &Request, all: &[Seat]) -> Option<Finding> {
    if all.iter().any(|seat| seat.view.is_none()) {
        return None;
    }
    let lowest = all
        .iter()
        .filter_map(Seat::version)
        .map(Version::minor)
        .min()?;
    let raised = views(request.facts).filter_map(|view| view.cluster_version.as_ref());
    let line = raised.map(Version::minor).min()?;
    (line < lowest).then(|| {
        let reason =
            format!("every member runs {lowest} or later, and the cluster's version is {line}");
        Finding::new(
            Severity::Block,
            "CLUSTER_VERSION",
            &request.cluster.name,
            reason,
        )
        .hint("the leader raises it within seconds once it reaches every listed member")
        .source("etcdserver/server.go: monitorVersions")
    })
}
