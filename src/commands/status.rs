//! `runner status`: what every member is and how it does.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::context::Context;
use super::look::{Answers, LockUse, look_with_lock, problem};
use super::out;
use super::session::{Session, with};
use super::table::Table;
use crate::engine::lock::Taken;
use crate::error::{Failure, Result};
use crate::event::FORMAT;
use crate::exit::Exit;
use crate::facts::{Answer, HostFacts, MemberView};
use crate::inventory::Selected;
use crate::report::text::{Paint, bytes, one_line};

const HEAD: [&str; 12] = [
    "HOST",
    "MEMBER",
    "ID",
    "VERSION",
    "CLUSTER",
    "ROLE",
    "HEALTH",
    "ALARMS",
    "DB (IN USE)",
    "TERM",
    "INDEX (LAG)",
    "UNIT",
];

/// One cluster, as one JSON object.
#[derive(Serialize)]
struct Status<'a> {
    format: u32,
    run: &'a str,
    index: usize,
    at: jiff::Timestamp,
    kind: &'static str,
    cluster: &'a str,
    hosts: BTreeMap<&'a str, HostStatus>,
    /// The lock that a run holds.
    lock: Option<&'a Taken>,
}

/// One host and its member.
#[derive(Serialize)]
struct HostStatus {
    member: String,
    /// Why the host cannot be asked.
    error: Option<String>,
    unit: Option<String>,
    /// The member's own view.
    view: Option<MemberView>,
    role: Option<&'static str>,
    /// Why the member gives no view.
    silent: Option<String>,
    /// Raft entries behind the member that is furthest ahead.
    lag: Option<u64>,
}

/// Shows all selected hosts.
///
/// # Errors
/// What is known is printed first; then every host that could not be asked is an error.
pub fn run(context: &Context) -> Result<Exit> {
    with(context, async |session: &Session| {
        let mut seen = Vec::new();
        for selected in &session.selected {
            let looked = look_with_lock(session, &selected.cluster, &[], LockUse::See).await?;
            seen.push((selected, looked.answers, looked.taken));
        }
        session.quiet();
        for (index, (selected, answers, lock)) in seen.iter().enumerate() {
            show(context, index, selected, answers, lock.as_ref());
        }
        verdict(seen)
    })
}

fn show(
    context: &Context,
    index: usize,
    selected: &Selected,
    answers: &Answers,
    lock: Option<&Taken>,
) {
    let hosts = hosts(selected, answers);
    if context.json() {
        out::object(&Status {
            format: FORMAT,
            run: &context.run,
            index,
            at: jiff::Timestamp::now(),
            kind: "status",
            cluster: &selected.cluster.name,
            hosts,
            lock,
        });
    } else {
        let gap = if index == 0 { "" } else { "\n" };
        let mut text = text(&selected.cluster.name, &hosts, context.out.stdout);
        if let Some(lock) = lock {
            let _ = writeln!(text, "{}", one_line(&lock.to_string()));
        }
        out::data(&format!("{gap}{text}"));
    }
}

fn verdict(seen: Vec<(&Selected, Answers, Option<Taken>)>) -> Result<Exit> {
    let chosen = seen.into_iter().flat_map(|(selected, answers, _)| {
        answers
            .into_iter()
            .filter(|(host, _)| selected.chosen.contains(host))
    });
    let problems: Vec<_> = chosen
        .filter_map(|(_, answer)| answer.err())
        .map(|error| problem(&error))
        .collect();
    if problems.is_empty() {
        return Ok(Exit::Done);
    }
    Err(Failure::several(Exit::Unreachable, problems))
}

fn hosts<'a>(selected: &'a Selected, answers: &Answers) -> BTreeMap<&'a str, HostStatus> {
    let views = answers
        .values()
        .flatten()
        .filter_map(|facts| facts.answer.view());
    let ahead = views.map(|view| view.raft_index).max().unwrap_or_default();
    let chosen = selected
        .cluster
        .hosts
        .iter()
        .filter(|host| selected.chosen.contains(&host.name));
    chosen
        .map(|host| {
            let status = match answers.get(&host.name) {
                Some(Ok(facts)) => answered(facts, &host.member, ahead),
                Some(Err(error)) => unasked(&host.member, &problem(error).what),
                None => unasked(&host.member, "not asked"),
            };
            (host.name.as_str(), status)
        })
        .collect()
}

fn unasked(member: &str, why: &str) -> HostStatus {
    HostStatus {
        member: member.to_owned(),
        error: Some(why.to_owned()),
        unit: None,
        view: None,
        role: None,
        silent: None,
        lag: None,
    }
}

fn answered(facts: &HostFacts, member: &str, ahead: u64) -> HostStatus {
    let view = facts.answer.view().cloned();
    let silent = match &facts.answer {
        Answer::Silent { because } => Some(because.clone()),
        Answer::Member(_) => None,
    };
    HostStatus {
        member: name(view.as_ref()).unwrap_or(member).to_owned(),
        error: None,
        unit: Some(format!(
            "{} ({})",
            facts.unit.active_state, facts.unit.sub_state
        )),
        role: view.as_ref().map(role),
        lag: view
            .as_ref()
            .map(|view| ahead.saturating_sub(view.raft_applied)),
        silent,
        view,
    }
}

/// The name that the cluster knows the member by.
fn name(view: Option<&MemberView>) -> Option<&str> {
    let view = view?;
    let own = view.members.iter().find(|member| member.id == view.id)?;
    Some(&own.name)
}

fn role(view: &MemberView) -> &'static str {
    if view.learner {
        "learner"
    } else if view.leader == Some(view.id) {
        "leader"
    } else if view.leader.is_some() {
        "follower"
    } else {
        "no leader"
    }
}

fn text(cluster: &str, hosts: &BTreeMap<&str, HostStatus>, paint: Paint) -> String {
    let mut table = Table::new(&HEAD);
    for (host, status) in hosts {
        table.row(row(host, status));
    }
    let mut text = format!(
        "{}\n{}",
        paint.bold(&one_line(cluster)),
        table.painted(paint)
    );
    for (host, status) in hosts {
        let unwell = status
            .view
            .as_ref()
            .and_then(|view| view.health.as_ref().err());
        // An error names its host itself, and is printed as one after the table.
        for note in [status.silent.as_ref(), unwell].into_iter().flatten() {
            let _ = writeln!(text, "{host}: {}", one_line(note));
        }
    }
    text
}

fn row(host: &str, status: &HostStatus) -> Vec<String> {
    let unit = status.unit.clone().unwrap_or_else(|| "?".to_owned());
    let Some(view) = &status.view else {
        let health = if status.error.is_some() {
            "unreachable"
        } else {
            "silent"
        };
        let mut cells = vec!["-".to_owned(); HEAD.len()];
        host.clone_into(&mut cells[0]);
        cells[1] = one_line(&status.member);
        health.clone_into(&mut cells[6]);
        cells[11] = unit;
        return cells;
    };
    let cluster_version = view
        .cluster_version
        .as_ref()
        .map_or_else(|| "?".to_owned(), ToString::to_string);
    vec![
        host.to_owned(),
        one_line(&status.member),
        view.id.to_string(),
        view.version.to_string(),
        cluster_version,
        status.role.unwrap_or("?").to_owned(),
        if view.health.is_ok() {
            "healthy"
        } else {
            "unhealthy"
        }
        .to_owned(),
        alarms(view),
        size(view),
        view.raft_term.to_string(),
        format!("{} ({})", view.raft_index, status.lag.unwrap_or_default()),
        unit,
    ]
}

fn alarms(view: &MemberView) -> String {
    let own = view.alarms.iter().filter(|alarm| alarm.member == view.id);
    let kinds: Vec<String> = own.map(|alarm| one_line(&alarm.kind.to_string())).collect();
    if kinds.is_empty() {
        "none".to_owned()
    } else {
        kinds.join(",")
    }
}

fn size(view: &MemberView) -> String {
    let all = bytes(view.db_bytes);
    match view.db_in_use_bytes {
        Some(used) => format!("{all} ({})", bytes(used)),
        None => all,
    }
}
