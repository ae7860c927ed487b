//! What stands in the way of a restore on the hosts. The members may be in any state, but must all be known.

use crate::etcd::Minor;
use crate::plan::Finding;
use crate::plan::rollback::kept;
use crate::plan::seats::Seat;
use crate::plan::upgrade::{Request, Work};

use super::{Severity, back, identity, names, of, options, space, target, units};

/// What a restore writes on a host, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Room {
    /// Into the data folder.
    pub data: u64,
    /// Into the backup folder.
    pub backup: u64,
}

pub(super) fn findings(request: &Request, work: &Work, room: Room) -> Vec<Finding> {
    let mut findings: Vec<Finding> = identity::findings(request).into_iter().map(known).collect();
    findings.extend(units::state(&work.seats).into_iter().filter_map(stopped));
    // Data that are gone are what a restore is for.
    let here = |finding: &Finding| !finding.reason.contains("has no `member/wal`");
    findings.extend(units::work(&work.seats).into_iter().filter(here));
    findings.extend(
        work.seats
            .iter()
            .flat_map(|seat| space::of_restore(request, work, seat, room)),
    );
    findings.extend(options::findings(request, work));
    findings.extend(back::releases(request, work, |seat| {
        seat.installed() == Some(&work.to) || kept(seat, &work.to).is_some()
    }));
    findings.extend(partial(request, work));
    findings.extend(old(work));
    findings.extend(target::by_message(&work.template_errors));
    for seat in &work.seats {
        findings.extend(target::placed(seat, work.files_of(seat)));
    }
    findings
}

/// Only what could leave a member of the old cluster running, or restore on the wrong host, refuses.
fn known(mut finding: Finding) -> Finding {
    if !matches!(
        finding.code.as_str(),
        "WRONG_MEMBER" | "MEMBER_MISSING_IN_INVENTORY"
    ) {
        finding.severity = finding.severity.max(Severity::Warn);
    }
    if finding.code == "MEMBER_MISSING_IN_INVENTORY" {
        "add its host to the inventory: every member has to be restored, or removed first"
            .clone_into(&mut finding.hint);
    }
    finding
}

/// A unit that does not run is no hindrance.
fn stopped(mut finding: Finding) -> Option<Finding> {
    match finding.code.as_str() {
        "BINARY_DRIFT" => None,
        "UNIT_NOT_ACTIVE" => {
            finding.severity = Severity::Warn;
            "it is started with the restored data".clone_into(&mut finding.hint);
            Some(finding)
        }
        _ => Some(finding),
    }
}

/// Members of the old cluster must not go on beside the new one.
fn partial(request: &Request, work: &Work) -> Option<Finding> {
    let left: Vec<&Seat> = work
        .seats
        .iter()
        .filter(|seat| !request.chosen.contains(&seat.host.name))
        .collect();
    (!left.is_empty()).then(|| {
        let out = of(left.len(), work.seats.len(), "members are left out");
        let reason = format!("{out}: {}", names(&left));
        Finding::block("PARTIAL", &request.cluster.name, reason)
            .hint("all members are restored from the same file: run without `--limit`, or limit to clusters")
    })
}

/// A restore adds members and proves the data through API 3.
fn old(work: &Work) -> Option<Finding> {
    (work.to.minor() < Minor::new(3, 0)).then(|| {
        let reason = "releases before 3.0 have no API 3, by which members are added and the data proved";
        Finding::block("RESTORE_OLD", work.to.to_string(), reason)
            .hint("restore by hand with `--force-new-cluster` of that release; the backup is verified and stays where it is")
            .source("etcd.io/docs/v2.3/admin_guide")
    })
}
