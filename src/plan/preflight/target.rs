//! The target: its releases, its files, and what the way to it asks for.

use std::collections::BTreeMap;

use crate::etcd::Version;
use crate::etcd::catalogue::BadPatch;
use crate::plan::Finding;
use crate::plan::files::{self, Rendered};
use crate::plan::options::Options;
use crate::plan::path;
use crate::plan::seats::{Seat, seats};
use crate::plan::upgrade::{Request, Work};

use super::{names, trimmed};

pub(super) fn findings(request: &Request, work: &Work, all: &[Seat]) -> Vec<Finding> {
    let mut findings = faults(request, work);
    findings.extend(notes(request, work));
    findings.extend(releases(request, work));
    findings.extend(partial(request, work, all));
    findings.extend(by_message(&work.template_errors));
    for seat in &work.seats {
        findings.extend(placed(seat, work.files_of(seat)));
    }
    findings
}

/// The target of a downgrade: whether it can be had, and what is known against it.
pub(super) fn usable(request: &Request, work: &Work) -> Vec<Finding> {
    let mut findings = path::unusable(&work.to, request.available, request.rules);
    if findings.is_empty() {
        findings.extend(faults(request, work));
    }
    findings
}

/// Known faults of the releases to pass; one that refuses has been told on the way.
fn faults(request: &Request, work: &Work) -> Vec<Finding> {
    work.path
        .iter()
        .filter_map(|version| {
            let known = request.rules.faults(version);
            let fixed = known
                .iter()
                .filter_map(|fault| fault.fixed_in(version.minor()))
                .max()?;
            let said: Vec<String> = known.iter().map(|fault| one_fault(fault)).collect();
            let reason = format!("{}: {}", known_faults(known.len()), said.join("; "));
            Some(
                Finding::warn("BAD_PATCH", version.to_string(), reason)
                    .hint(format!("{fixed} has none of them")),
            )
        })
        .collect()
}

/// What the catalogue has to say of hops on the way and nothing here can check.
fn notes(request: &Request, work: &Work) -> Vec<Finding> {
    let lines = std::iter::once(&work.from)
        .chain(&work.path)
        .map(Version::minor);
    let pairs = lines.clone().zip(lines.skip(1));
    let hops = pairs.filter_map(|(from, to)| request.rules.hop(from, to));
    hops.flat_map(|hop| hop.notes.iter().map(move |note| (hop, note)))
        .map(|(hop, note)| {
            let subject = format!("{} to {}", hop.from, hop.to);
            Finding::note("HOP_NOTE", subject, &note.text).source(&note.source)
        })
        .collect()
}

fn one_fault(fault: &BadPatch) -> String {
    match &fault.when {
        Some(when) => format!("{} (with {when}; {})", fault.what, fault.source),
        None => format!("{} ({})", fault.what, fault.source),
    }
}

fn releases(request: &Request, work: &Work) -> Vec<Finding> {
    let mut lacking: BTreeMap<_, Vec<&Seat>> = BTreeMap::new();
    for seat in &work.seats {
        let key = (work.to.clone(), seat.facts.arch);
        let complete = request
            .releases
            .get(&key)
            .is_some_and(|files| files.contains_key("etcd") && files.contains_key("etcdctl"));
        if !complete {
            lacking.entry(key).or_default().push(seat);
        }
    }
    lacking
        .into_iter()
        .map(|((version, arch), hosts)| {
            Finding::block(
                "RELEASE_MISSING",
                version.to_string(),
                format!(
                    "{} host(s) need it for {arch:?} with etcd and etcdctl, and 0 verified copies are here: {}",
                    hosts.len(),
                    names(&hosts)
                ),
            )
            .hint("add it to `[releases] source`")
        })
        .collect()
}

fn partial(request: &Request, work: &Work, all: &[Seat]) -> Option<Finding> {
    let left: Vec<&Seat> = all
        .iter()
        .filter(|seat| seat.is_below(&work.to) && !request.chosen.contains(&seat.host.name))
        .collect();
    if left.is_empty() {
        return None;
    }
    let reason = format!(
        "{} of {} members stay below {}: {}",
        left.len(),
        all.len(),
        work.to,
        names(&left)
    );
    let cluster = &request.cluster.name;
    if work.seats.is_empty() {
        return Some(Finding::block("PARTIAL", cluster, reason).hint(
            "all members pass this release before any goes on: run without `--limit` first",
        ));
    }
    Some(Finding::note("PARTIAL", cluster, reason).hint(
        "the cluster stays mixed and the way back stays open; run without `--limit` to finish",
    ))
}

/// Findings that say the same about several hosts are told once.
pub(super) fn by_message(errors: &[(String, String)]) -> Vec<Finding> {
    let mut hosts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (host, error) in errors {
        hosts.entry(error).or_default().push(host);
    }
    hosts
        .into_iter()
        .map(|(error, hosts)| {
            Finding::block("TEMPLATE", hosts.join(", "), error)
                .hint("correct the template, or set the variable in the inventory's `vars`")
        })
        .collect()
}

/// Files that will be placed: the unit must start what is switched, and what was there must be known.
pub(super) fn placed(seat: &Seat, files: &[Rendered]) -> Vec<Finding> {
    let want = format!("{}/etcd", trimmed(&seat.host.bin_dir));
    let unit = files
        .iter()
        .find(|file| file.unit)
        .filter(|file| Options::of(seat, std::slice::from_ref(*file)).exec != want);
    let exec = unit.map(|file| {
        let exec = Options::of(seat, std::slice::from_ref(file)).exec;
        Finding::block(
            "TEMPLATE_EXEC",
            &seat.host.name,
            format!("the rendered unit starts `{exec}`, an upgrade switches `{want}`"),
        )
        .hint("write `ExecStart={{ bin_dir }}/etcd …` in the template")
    });
    exec.into_iter()
        .chain(files.iter().filter_map(|file| unreadable(seat, file)))
        .collect()
}

fn unreadable(seat: &Seat, file: &Rendered) -> Option<Finding> {
    let now = seat.facts.files.get(&file.dest)?;
    now.text.is_none().then(|| {
        Finding::block(
            "TEMPLATE_UNREADABLE",
            format!("{} on {}", file.dest, seat.host.name),
            "it is over 256 KiB or not UTF-8, so it could not be put back",
        )
        .hint("move it away by hand, or leave the template out")
    })
}

/// Files of hosts that are up to date and yet not what their templates make.
pub(super) fn drift(request: &Request) -> Vec<Finding> {
    let all = seats(request.cluster, request.facts);
    let chosen = |seat: &&Seat| request.chosen.contains(&seat.host.name);
    let mut drifting: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for seat in all.iter().filter(chosen) {
        let Some(version) = seat.version() else {
            continue;
        };
        let rendered = files::render(
            seat,
            request.facts,
            &request.cluster.name,
            version,
            request.rules,
        );
        for file in rendered.unwrap_or_default() {
            if file.differs(seat.facts.files.get(&file.dest)) {
                drifting
                    .entry(file.dest)
                    .or_default()
                    .push(seat.host.name.clone());
            }
        }
    }
    drifting
        .into_iter()
        .map(|(dest, hosts)| {
            let reason = format!(
                "differs from its template on {} host(s): {}",
                hosts.len(),
                hosts.join(", ")
            );
            Finding::note("TEMPLATE_DRIFT", dest, reason)
                .hint("an upgrade writes files only on members whose release it changes")
        })
        .collect()
}

fn known_faults(count: usize) -> String {
    match count {
        1 => "1 known fault".to_owned(),
        count => format!("{count} known faults"),
    }
}
