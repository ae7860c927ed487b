//! Room on the file systems that an upgrade writes to; paths on one mount are added up.

use std::collections::BTreeMap;

use crate::plan::Finding;
use crate::plan::backup::db_bytes;
use crate::plan::previous::keeps;
use crate::plan::seats::Seat;
use crate::plan::upgrade::{Request, Work};
use crate::plan::v2::{self, Basis};

use super::mib;
use super::restore::Room;

/// A member preallocates its next WAL file. It also writes a second database when it receives a snapshot.
const WAL_BYTES: u64 = 64 * 1024 * 1024;
const RULE: &str = "etcd: server/storage/wal, SegmentSizeBytes";

struct Need {
    what: &'static str,
    path: String,
    bytes: u64,
}

pub(super) fn findings(request: &Request, work: &Work, all: &[Seat]) -> Vec<Finding> {
    let in_turn = |seat: &Seat| {
        work.seats
            .iter()
            .any(|other| other.host.name == seat.host.name)
    };
    let basis = Basis::of(request, work);
    all.iter()
        .flat_map(|seat| {
            let mut needs = Vec::new();
            if in_turn(seat) {
                needs.extend(release(request, work, seat));
                needs.push(data(seat));
            }
            let leads = seat.view.is_some_and(|view| Some(view.id) == work.leader);
            if leads && !v2::is_all(request.facts) {
                needs.push(backup(seat));
            }
            if v2::is_saved(request.facts) && v2::way(&basis, seat).is_ok() {
                needs.push(v2_backup(seat));
            }
            host(seat, needs)
        })
        .collect()
}

/// The new release, and a copy of the old one of about its size, as far as they are not there.
fn release(request: &Request, work: &Work, seat: &Seat) -> Option<Need> {
    let files = request.releases.get(&(work.to.clone(), seat.facts.arch))?;
    let staged = seat.facts.staged.get(&work.to);
    let missing = |name: &str, sha: &str| {
        staged.and_then(|files| files.get(name)).map(String::as_str) != Some(sha)
    };
    let all: u64 = files.values().map(|file| file.bytes).sum();
    let new: u64 = files
        .iter()
        .filter(|(name, file)| missing(name, &file.sha256))
        .map(|(_, file)| file.bytes)
        .sum();
    let old = if keeps(seat, &work.to) { all } else { 0 };
    Some(Need {
        what: "releases",
        path: seat.host.install_dir.clone(),
        bytes: new + old,
    })
}

fn data(seat: &Seat) -> Need {
    Need {
        what: "data",
        path: seat.host.data_dir.clone(),
        bytes: 2 * db_bytes(seat) + WAL_BYTES,
    }
}

fn backup(seat: &Seat) -> Need {
    Need {
        what: "backup",
        path: seat.host.backup_dir.clone(),
        bytes: db_bytes(seat),
    }
}

/// The copy, a preallocated log in it, and the copy once more in one file.
fn v2_backup(seat: &Seat) -> Need {
    Need {
        what: "v2 backup",
        path: seat.host.backup_dir.clone(),
        bytes: 2 * (v2::copied_bytes(seat) + WAL_BYTES),
    }
}

/// What a restore needs on a host, beside the data that stay.
pub(super) fn of_restore(request: &Request, work: &Work, seat: &Seat, room: Room) -> Vec<Finding> {
    let stages = seat.installed() != Some(&work.to);
    let mut needs: Vec<Need> = release(request, work, seat)
        .filter(|_| stages)
        .into_iter()
        .collect();
    needs.push(Need {
        what: "data",
        path: seat.host.data_dir.clone(),
        bytes: room.data + WAL_BYTES,
    });
    needs.push(Need {
        what: "backup",
        path: seat.host.backup_dir.clone(),
        bytes: room.backup,
    });
    host(seat, needs)
}

/// What a backup alone needs on its host.
pub(super) fn of_backup(seat: &Seat) -> Vec<Finding> {
    host(seat, vec![backup(seat)])
}

fn host(seat: &Seat, needs: Vec<Need>) -> Vec<Finding> {
    let mut mounts: BTreeMap<&str, (u64, Vec<Need>)> = BTreeMap::new();
    let mut findings = Vec::new();
    for need in needs.into_iter().filter(|need| need.bytes > 0) {
        match seat.facts.disks.get(&need.path) {
            Some(disk) => {
                let entry = mounts
                    .entry(&disk.mount)
                    .or_insert((disk.free_bytes, Vec::new()));
                entry.0 = entry.0.min(disk.free_bytes);
                entry.1.push(need);
            }
            None => findings.push(unknown(seat, &need)),
        }
    }
    let short = mounts
        .into_iter()
        .filter_map(|(mount, (free, needs))| short(seat, mount, free, &needs));
    findings.extend(short);
    findings
}

fn short(seat: &Seat, mount: &str, free: u64, needs: &[Need]) -> Option<Finding> {
    let sum: u64 = needs.iter().map(|need| need.bytes).sum();
    if sum <= free {
        return None;
    }
    let parts: Vec<String> = needs
        .iter()
        .map(|need| format!("{} {} MiB in `{}`", need.what, mib(need.bytes), need.path))
        .collect();
    Some(
        Finding::block(
            "DISK_FREE",
            format!("{mount} on {}", seat.host.name),
            format!(
                "needs {} MiB, has {} MiB: {}",
                mib(sum),
                free / (1024 * 1024),
                parts.join(", ")
            ),
        )
        .hint("make room, or point `install_dir` or `backup_dir` at another file system")
        .source(RULE),
    )
}

fn unknown(seat: &Seat, need: &Need) -> Finding {
    Finding::warn(
        "DISK_FREE",
        &seat.host.name,
        format!(
            "needs {} MiB in `{}`, how much is free could not be read",
            mib(need.bytes),
            need.path
        ),
    )
}
