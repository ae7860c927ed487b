//! The v2 store: what saves it, what the next releases do with it, how large it is.

use std::collections::BTreeMap;

use crate::etcd::Version;
use crate::etcd::dialect::V2Backup;
use crate::facts::V2Keys;
use crate::plan::seats::Seat;
use crate::plan::upgrade::{Request, Work};
use crate::plan::v2::{self, Basis, HUGE_BYTES, LARGE_BYTES, LARGE_SETTLE_S};
use crate::plan::{Finding, Severity};

use super::options::setting;
use super::{mib, names, of};

const GUIDE: &str = "etcd.io/docs/v3.5/upgrades/upgrade_3_5";
/// From here on etcd has no v2 store.
fn without() -> Version {
    Version::new(3, 6, 0)
}

pub(super) fn findings(request: &Request, work: &Work, all: &[Seat]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = size(request).into_iter().collect();
    findings.extend(users(request, work, all));
    let basis = Basis::of(request, work);
    if v2::is_saved(request.facts) {
        findings.extend(unsaved(&basis, all));
    }
    if v2::found(request.facts) {
        findings.push(saved(&basis, all));
        findings.extend(off(request, work));
        findings.extend(gone(request, work));
    } else {
        findings.extend(unknown(request, work));
    }
    findings
}

/// What backups come to where nothing is upgraded.
pub(super) fn backups(basis: &Basis, all: &[Seat]) -> Vec<Finding> {
    if !v2::is_saved(basis.facts) {
        return Vec::new();
    }
    let saved = v2::found(basis.facts).then(|| saved(basis, all));
    saved.into_iter().chain(unsaved(basis, all)).collect()
}

fn has_keys(seat: &Seat) -> bool {
    seat.facts.data.v2_keys == V2Keys::Present
}

fn saved(basis: &Basis, all: &[Seat]) -> Finding {
    let having = all.iter().filter(|seat| has_keys(seat)).count();
    let size = match v2::bytes(basis.facts) {
        Some(bytes) => format!("{} MiB in the largest raft snapshot", mib(bytes)),
        None => "of a size that is not known before the first raft snapshot".to_owned(),
    };
    let of_all = of(having, all.len(), "members");
    let reason = if v2::is_all(basis.facts) {
        format!("the v2 stores of {of_all} have keys, {size}; there is no other data")
    } else {
        format!(
            "the v2 stores of {of_all} have keys, {size}; a snapshot of API 3 holds none of them"
        )
    };
    let stopped = all
        .iter()
        .any(|seat| v2::way(basis, seat).is_ok_and(|way| way.how == V2Backup::Stopped));
    let hint = if stopped {
        "the files of the first member that is stopped are copied before anything is switched"
    } else {
        "a backup by API 2 is taken on every member"
    };
    Finding::note("V2_DATA", &basis.cluster.name, reason)
        .hint(hint)
        .source("etcd.io/docs/v2.3/admin_guide")
}

fn unsaved(basis: &Basis, all: &[Seat]) -> Vec<Finding> {
    let mut why: BTreeMap<String, Vec<&Seat>> = BTreeMap::new();
    for seat in all {
        if let Err(reason) = v2::saved(basis, seat) {
            why.entry(reason).or_default().push(seat);
        }
    }
    why.into_iter()
        .map(|(reason, seats)| {
            let reason = format!("its v2 keys are in 0 of the backups taken here: {reason}");
            Finding::acknowledge("V2_BACKUP", names(&seats), reason)
                .hint("copy the data folder of a stopped follower first, or acknowledge")
                .source("etcd.io/docs/v2.3/admin_guide")
        })
        .collect()
}

/// The first release on the way that does not serve API 2 with the options in effect, where it is served now.
fn off(request: &Request, work: &Work) -> Vec<Finding> {
    let mut found: BTreeMap<String, Vec<&Seat>> = BTreeMap::new();
    for seat in &work.seats {
        let set = setting(request, work, seat, "enable-v2");
        let quiet =
            |version: &&Version| !v2::serves(version, set.as_deref()) && **version < without();
        let served = seat
            .version()
            .is_some_and(|now| v2::serves(now, set.as_deref()));
        if let Some(version) = work.path.iter().find(quiet).filter(|_| served) {
            let said = set
                .as_deref()
                .map_or("not set".to_owned(), |set| format!("`{set}`"));
            let reason =
                format!("`enable-v2` is {said}: from {version} on clients of `/v2` get 404");
            found.entry(reason).or_default().push(seat);
        }
    }
    found
        .into_iter()
        .map(|(reason, seats)| {
            Finding::acknowledge("V2_OFF", names(&seats), reason)
                .hint("set `enable-v2: true` (`--enable-v2=true`) in the unit, or acknowledge that no client reads v2 keys any more")
                .source("etcd.io/docs/v3.4/upgrades/upgrade_3_4")
        })
        .collect()
}

/// Keys that are deleted on the way, right before the first release that does not start on them.
fn gone(request: &Request, work: &Work) -> Option<Finding> {
    let at = work.path.iter().position(|version| *version >= without())?;
    let version = &work.path[at];
    let last = at
        .checked_sub(1)
        .map_or(&work.from, |before| &work.path[before]);
    let reason = format!(
        "its v2 store has keys, and {version} does not start on them: what is there when the run leaves {last} is deleted"
    );
    Some(
        Finding::acknowledge("V2_GONE", &request.cluster.name, reason)
            .hint("move the v2 keys elsewhere first; each member's v2 store is backed up before they are deleted")
            .source("etcd.io/docs/v3.6/upgrades/upgrade_3_6"),
    )
}

/// Members that serve API 2, or did for long enough to have a store of some size, and that could not be asked.
fn unknown(request: &Request, work: &Work) -> Vec<Finding> {
    let mut found = Vec::new();
    for seat in &work.seats {
        let V2Keys::Unknown(why) = &seat.facts.data.v2_keys else {
            continue;
        };
        let set = setting(request, work, seat, "enable-v2");
        if seat
            .version()
            .is_some_and(|now| v2::serves(now, set.as_deref()))
        {
            let reason = format!("API 2 is on, and whether there are v2 keys is not known: {why}");
            found.push(
                Finding::acknowledge("V2_UNKNOWN", &seat.host.name, reason).hint(
                    "look at `/v2/keys` yourself: such keys are in 0 of the backups taken here",
                ),
            );
        }
    }
    found
}

/// API 2's own users, where it is the API that members are asked through, and where 3.6 does not start on them.
fn users(request: &Request, work: &Work, all: &[Seat]) -> Option<Finding> {
    let having: Vec<&Seat> = all.iter().filter(|seat| seat.facts.data.v2_users).collect();
    let ends = work.path.iter().find(|version| **version >= without());
    let why = match ends {
        _ if v2::is_all(request.facts) => {
            "an upgrade asks and writes by that API as nobody".to_owned()
        }
        Some(version) => format!("{version} does not start on what they are kept in"),
        None => return None,
    };
    let of_all = of(having.len(), all.len(), "members");
    (!having.is_empty()).then(|| {
        let reason = format!("API 2 has its own users switched on, say {of_all}, 0 may: {why}");
        Finding::block("V2_USERS", names(&having), reason)
            .hint("`etcdctl auth disable` by API 2 first, and remove its users and roles before 3.6: from there on only those of API 3 are left")
            .source("etcd.io/docs/v2.3/auth_api; server/etcdserver/api/membership/storev2.go")
    })
}

fn size(request: &Request) -> Option<Finding> {
    let bytes = v2::bytes(request.facts)?;
    let (severity, more) = match bytes {
        HUGE_BYTES.. => (
            Severity::Acknowledge,
            ", and the guides ask to plan such an upgrade with care",
        ),
        LARGE_BYTES.. if bytes > LARGE_BYTES => (Severity::Warn, ""),
        _ => return None,
    };
    let largest = |host: &&String| {
        let snap = request.facts.hosts[*host].data.snap;
        snap.is_some_and(|snap| snap.bytes == bytes)
    };
    let host = request.facts.hosts.keys().find(largest)?;
    let reason = format!(
        "its newest raft snapshot holds {} MiB of v2 data, {} MiB are usual at most{more}",
        mib(bytes),
        mib(LARGE_BYTES)
    );
    let wait = request.settle_least_s.max(LARGE_SETTLE_S);
    Some(
        Finding::new(severity, "SIZE_WARN", host, reason)
            .hint(format!(
                "at least {wait} s are left to each member to catch up"
            ))
            .source(GUIDE),
    )
}
