//! What stands in the way of a rollback, and of a backup that is taken alone.

use crate::etcd::Version;
use crate::plan::Finding;
use crate::plan::backup::Request as Backup;
use crate::plan::rollback::kept;
use crate::plan::seats::{Seat, seats};
use crate::plan::upgrade::{Request, Work};
use crate::plan::v2::{self as store, Basis};

use super::{Severity, identity, members, names, of, options, space, target, units, v2};

pub(super) fn findings(request: &Request, work: &Work) -> Vec<Finding> {
    let all = seats(request.cluster, request.facts);
    let mut findings = units::work(&work.seats);
    findings.extend(members::size(request, &all));
    findings.extend(space::findings(request, work, &all));
    findings.extend(options::findings(request, work));
    findings.extend(v2::backups(&Basis::of(request, work), &all));
    findings.extend(releases(request, work, |seat| {
        kept(seat, &work.to).is_some()
    }));
    findings.extend(partial(request, work));
    findings.extend(target::by_message(&work.template_errors));
    for seat in &work.seats {
        findings.extend(target::placed(seat, work.files_of(seat)));
    }
    findings
}

/// A release that is on a host in no way and cannot be had.
pub(super) fn releases(
    request: &Request,
    work: &Work,
    is_there: impl Fn(&Seat) -> bool,
) -> Option<Finding> {
    let lacks = |seat: &&Seat| {
        let key = (work.to.clone(), seat.facts.arch);
        let here = request.releases.get(&key);
        let whole =
            here.is_some_and(|files| files.contains_key("etcd") && files.contains_key("etcdctl"));
        !is_there(seat) && !whole
    };
    let lacking: Vec<&Seat> = work.seats.iter().filter(lacks).collect();
    (!lacking.is_empty()).then(|| {
        let reason = format!(
            "{} host(s) have not kept it, and 0 verified copies are here: {}",
            lacking.len(),
            names(&lacking)
        );
        Finding::block("RELEASE_MISSING", work.to.to_string(), reason)
            .hint("add it to `[releases] source`")
    })
}

/// Members that `--limit` keeps off the release, above it or, where a downgrade is given up, below.
pub(super) fn partial(request: &Request, work: &Work) -> Option<Finding> {
    let all = seats(request.cluster, request.facts);
    let down = work.leads_down();
    let is_off = |runs: &Version| {
        if down {
            *runs > work.to
        } else {
            runs.minor() < work.to.minor()
        }
    };
    let stays = |seat: &&Seat| {
        let off = seat.version().is_some_and(is_off);
        off && !request.chosen.contains(&seat.host.name)
    };
    let left: Vec<&Seat> = all.iter().filter(stays).collect();
    (!left.is_empty()).then(|| {
        let side = if down { "above" } else { "below" };
        let stay = of(left.len(), all.len(), "members stay");
        let reason = format!("{stay} {side} {}: {}", work.to, names(&left));
        Finding::note("PARTIAL", &request.cluster.name, reason)
            .hint("the cluster stays mixed; run without `--limit` to take all of them back")
    })
}

/// A backup needs one member that answers, and to be sure whose data it gets. All else is worth knowing only.
pub(super) fn backup(request: &Backup, source: Option<&Seat>) -> Vec<Finding> {
    let all = seats(request.cluster, request.facts);
    let mut findings: Vec<Finding> = identity::of(request.cluster, request.facts)
        .into_iter()
        .map(|finding| match finding.code.as_str() {
            "WRONG_MEMBER" | "CLUSTER_ID_MISMATCH" => finding,
            _ => warned(finding),
        })
        .collect();
    let well = members::down(&all).into_iter();
    findings.extend(well.chain(members::unhealthy(&all)).map(warned));
    let Some(seat) = source else {
        let hint = "start a member first; a backup is read from a running one";
        let reason = of(0, all.len(), "members answer, one must");
        findings.push(Finding::block("NO_MEMBER", &request.cluster.name, reason).hint(hint));
        return findings;
    };
    findings.extend(units::etcdctl(seat));
    findings.extend(space::of_backup(seat));
    // Where there is no other data a backup of none of it is no backup.
    let nothing =
        store::is_all(request.facts) && all.iter().all(|seat| store::saved(request, seat).is_err());
    let kept = v2::backups(request, &all).into_iter();
    findings.extend(kept.map(|finding| match finding.code.as_str() {
        "V2_BACKUP" if nothing => {
            Finding::block("V2_BACKUP", finding.subject, finding.reason).hint(finding.hint)
        }
        _ => warned(finding),
    }));
    findings
}

fn warned(mut finding: Finding) -> Finding {
    finding.severity = finding.severity.max(Severity::Warn);
    finding
}
