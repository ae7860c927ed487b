//! What is to be known before a restore: about the backup, and about what is lost.

use std::collections::BTreeSet;

use crate::etcd::{MemberId, dialect};
use crate::plan::options::{Options, yaml_keys};
use crate::plan::preflight::{self, restore::Room};
use crate::plan::seats::{self, Seat};
use crate::plan::upgrade::{Request, Work};
use crate::plan::{Finding, v2};

use super::lanes::peer;
use super::{Backup, File, Source, first_start};

const RECOVERY: &str = "etcd docs op-guide/recovery.md";

/// No backup.
pub(super) fn none(request: &Request, source: &Source) -> Finding {
    let reason = format!("0 backups were found: looked {}", source.looked.join(", "));
    Finding::block("NO_BACKUP", &request.cluster.name, reason).hint(
        "name one with `--from`: a file here, `HOST:/PATH`, or the id of the run that took it",
    )
}

/// All members are well, at the backup's release, revision and cluster: nothing was lost, nothing is to be done.
pub(super) fn nothing_lost(request: &Request, source: &Source, backup: &Backup) -> Option<Finding> {
    let all = seats::seats(request.cluster, request.facts);
    let well = all.iter().all(|seat| {
        seat.view.is_some_and(|view| {
            view.health.is_ok()
                && view.version == *request.target
                && Some(view.cluster_id) == backup.cluster_id
        })
    });
    let revision = backup
        .revision
        .filter(|revision| Some(*revision) == source.revision)?;
    // The v2 store counts its changes by itself, and raised revisions are asked for.
    if !well || backup.store.is_some() || source.bump.is_some() {
        return None;
    }
    let reason = format!(
        "all {} members are well at {}, and the revision is {revision} as in the backup: there is nothing to restore",
        all.len(),
        request.target
    );
    Some(Finding::note("BACKUP_SAME", &request.cluster.name, reason))
}

pub(super) fn all(
    request: &Request,
    work: &Work,
    source: &Source,
    backup: &Backup,
) -> Vec<Finding> {
    let mut findings = preflight::restore(request, work, room(backup));
    findings.extend(damage(backup));
    findings.extend(foreign(request, backup));
    findings.push(lost(request, source, backup));
    findings.extend(left(source));
    findings.extend(bump(request, source, backup));
    findings.extend(store(request, work, backup));
    for seat in &work.seats {
        findings.extend(peers(request, backup, seat, work));
        findings.extend(log_apart(seat));
    }
    findings
}

fn room(backup: &Backup) -> Room {
    let files = || [&backup.snapshot, &backup.store].into_iter().flatten();
    let bytes: u64 = files().map(|file| file.bytes).sum();
    // A copy of the v2 store is packed, to about a tenth at best, and its log is as long as one file of 64 MB.
    let unpacked = backup
        .store
        .as_ref()
        .map_or(0, |file| 2 * (10 * file.bytes + (64 << 20)));
    Room {
        data: bytes + unpacked,
        backup: bytes,
    }
}

fn damage(backup: &Backup) -> Vec<Finding> {
    let files = [&backup.snapshot, &backup.store].into_iter().flatten();
    let damaged = |file: &File| {
        let finding = Finding::block("BACKUP_DAMAGED", &file.name, file.damage.clone()?);
        Some(finding.hint("name another backup with `--from`; nothing was changed"))
    };
    files.filter_map(damaged).collect()
}

fn foreign(request: &Request, backup: &Backup) -> Option<Finding> {
    let cluster = &request.cluster.name;
    if let Some(other) = backup.cluster.as_ref().filter(|other| *other != cluster) {
        let reason = format!("the backup is of cluster `{other}`, this is `{cluster}`");
        let finding = Finding::acknowledge("BACKUP_FOREIGN", cluster, reason);
        return Some(finding.hint("name a backup of this cluster with `--from`"));
    }
    let now: BTreeSet<MemberId> = seats::views(request.facts)
        .map(|view| view.cluster_id)
        .collect();
    let was = backup.cluster_id?;
    let other = now.iter().find(|id| **id != was)?;
    let reason = format!("the cluster's id is {other}, the backup is of {was}");
    Some(
        Finding::acknowledge("BACKUP_FOREIGN", cluster, reason)
            .hint("a cluster has a new id since it was restored; if it was not, this is another cluster's backup"),
    )
}

/// What was written since is what is lost; said with both numbers.
fn lost(request: &Request, source: &Source, backup: &Backup) -> Finding {
    let what = match (backup.revision, source.revision) {
        (Some(then), Some(now)) if now >= then => format!(
            "everything written since the backup is lost: {} revisions, from {then} to {now}",
            now - then
        ),
        (Some(then), Some(now)) => format!(
            "the cluster is at revision {now}, the backup at {then}: its own keys take the place of these"
        ),
        (Some(then), None) => format!(
            "everything written since the backup at revision {then} is lost; no member tells how much that is"
        ),
        (None, Some(now)) => format!(
            "everything written since the backup is lost; the cluster is at revision {now}, the backup's is not known"
        ),
        (None, None) => {
            "everything written since the backup is lost; neither revision is known".to_owned()
        }
    };
    let taken = if backup.run.is_empty() {
        String::new()
    } else {
        format!(" (backup of run {})", backup.run)
    };
    let revisions = if source.bump.is_some() || !dialect::bumps_revision(request.target) {
        ""
    } else {
        "; revisions go back, and clients that watch or cache need `--bump-revision` with `--mark-compacted`, \
         or a restart"
    };
    Finding::warn("DATA_LOSS", &request.cluster.name, what + &taken)
        .hint(format!(
            "all members are stopped while it is done; their data stay, moved aside{revisions}"
        ))
        .source(RECOVERY)
}

fn left(source: &Source) -> Option<Finding> {
    let places: Vec<String> = source
        .aside
        .iter()
        .map(|(host, path)| format!("{path} on {host}"))
        .collect();
    let first = source.aside.first()?;
    Some(
        Finding::note(
            "RESTORE_LEFT",
            &first.0,
            format!(
                "{} left by earlier restores: {}",
                places.len(),
                places.join(", ")
            ),
        )
        .hint("delete what nobody needs any more: they are whole copies of the data"),
    )
}

fn bump(request: &Request, source: &Source, backup: &Backup) -> Option<Finding> {
    source.bump?;
    let subject = request.target.to_string();
    if backup.store.is_some() {
        let reason = "`--bump-revision` is of `snapshot restore`, and keys of the v2 store are not restored by that";
        return Some(Finding::block("NO_BUMP", subject, reason).hint("leave the flag out"));
    }
    (!dialect::bumps_revision(request.target)).then(|| {
        let reason = format!(
            "`snapshot restore` of {} has no `--bump-revision`; 3.4.27, 3.5.10 and 3.6.0 and later have",
            request.target
        );
        Finding::block("NO_BUMP", subject, reason).hint("leave the flag out").source(RECOVERY)
    })
}

fn peers(request: &Request, backup: &Backup, seat: &Seat, work: &Work) -> Option<Finding> {
    if peer(request, backup, seat, work).is_some() {
        return None;
    }
    let reason = "no member lists it, its unit has no `initial-advertise-peer-urls`, and 0 members are described \
                  with the backup";
    Some(
        Finding::block("BACKUP_PEERS", &seat.host.name, reason)
            .hint("put the backup's `.json` beside it, or the flag into the unit"),
    )
}

fn log_apart(seat: &Seat) -> Option<Finding> {
    let options = Options::of(seat, &[]);
    let yaml = || {
        let text = seat
            .facts
            .files
            .get(options.config_file()?)?
            .text
            .as_deref()?;
        yaml_keys(text).remove("wal-dir")
    };
    let dir = options.get("wal-dir").map(str::to_owned).or_else(yaml)?;
    (!dir.is_empty()).then(|| {
        let reason = format!(
            "its log lies in `{dir}`, outside of `{}`",
            seat.host.data_dir
        );
        Finding::block("WAL_APART", &seat.host.name, reason)
            .hint("a restore exchanges the data folder alone: restore this cluster by hand")
    })
}

/// Keys of API 2: whether they come back, and whether the way that brings them can be gone.
fn store(request: &Request, work: &Work, backup: &Backup) -> Vec<Finding> {
    let cluster = &request.cluster.name;
    let Some(_) = &backup.store else {
        let gone =
            v2::found(request.facts) && request.target.minor() < crate::etcd::Minor::new(3, 6);
        let reason = "the v2 store has keys now, and 0 copies of it belong to this backup: the restored cluster has none";
        return gone
            .then(|| Finding::acknowledge("V2_NOT_RESTORED", cluster, reason))
            .into_iter()
            .collect();
    };
    let mut findings = Vec::new();
    if backup.snapshot.is_some() && !dialect::copies_both(request.target) {
        let reason = format!(
            "etcdctl {} cannot put a snapshot and a copy of the v2 store together; 3.3 to 3.5 can",
            request.target
        );
        findings
            .push(Finding::block("V2_START", cluster, reason).hint("restore this cluster by hand"));
    }
    findings.extend(work.seats.iter().filter_map(|seat| {
        let why = first_start::files(seat, work.files_of(seat), &[]).err()?;
        let finding = Finding::block("V2_START", &seat.host.name, why);
        Some(finding.hint("the v2 store's restore starts each member once with other flags"))
    }));
    findings
}
