//! What the member on a host said, from the frames of the observing script. Pure.

use crate::etcd::{Alarm, wire};
use crate::inventory::Host;

use super::parse::{Frame, Frames, ParseError};
use super::{Answer, MemberView};

/// The status of the frame `version` when no process listens: curl's, and the script's own for other tools.
const REFUSED: i32 = 7;

/// The statuses of the frame `version` when time ran out: curl's and that of `timeout`.
const LATE: [i32; 2] = [28, 124];

/// Statuses of curl that mean that TLS did not come about.
const CURL_TLS: [i32; 14] = [35, 51, 53, 54, 55, 56, 58, 59, 60, 66, 77, 80, 83, 91];

/// Works out the answer of the member on `host`.
///
/// # Errors
/// [`ParseError::Missing`] if the script was cut short. That etcd says nothing, or nonsense, is
/// [`Answer::Silent`] with the reason.
pub fn answer(frames: &Frames, host: &Host) -> Result<Answer, ParseError> {
    let page = frames.need("version")?;
    if page.status == REFUSED {
        return Ok(silent(format!(
            "connection refused: nothing listens at `{}`",
            host.client_url
        )));
    }
    if LATE.contains(&page.status) {
        return Ok(silent(format!(
            "no answer from `{}` in time: its process hangs, or packets are dropped on the way",
            host.client_url
        )));
    }
    if frames.get("v2.self").is_some() {
        return v2::answer(frames, host);
    }
    if frames.get("etcdctl").is_some_and(|found| found.status != 0) {
        return Ok(silent(format!(
            "no `etcdctl` in `{}`, on the PATH or under `{}`",
            host.bin_dir, host.install_dir
        )));
    }
    let status = frames.need("status")?;
    let health = frames.need("health")?;
    let spoken = wire::statuses(&status.text()).map(|list| list.into_iter().next());
    Ok(match spoken {
        Ok(Some(spoken)) => Answer::Member(Box::new(view(spoken, health, frames))),
        Err(error) if status.status == 0 => silent(format!("`etcdctl endpoint status`: {error}")),
        Ok(None) | Err(_) => silent(reason(frames, host)),
    })
}

fn silent(because: String) -> Answer {
    Answer::Silent { because }
}

fn view(status: wire::Status, health: &Frame, frames: &Frames) -> MemberView {
    let listed = frames
        .get("alarms")
        .and_then(|frame| wire::alarms(&frame.text()).ok());
    let members = frames
        .get("members")
        .and_then(|frame| wire::members(&frame.text()).ok());
    let page = wire::versions(&frames.text("version")).ok();
    MemberView {
        health: verdict(&status, health, frames),
        alarms: union(status.alarms, listed.unwrap_or_default()),
        id: status.member_id,
        cluster_id: status.cluster_id,
        cluster_version: page.and_then(|page| page.cluster),
        version: status.version,
        leader: status.leader,
        learner: status.learner,
        raft_term: status.raft_term,
        raft_index: status.raft_index,
        raft_applied: status.raft_applied.unwrap_or(status.raft_index),
        db_bytes: status.db_bytes,
        db_in_use_bytes: status.db_in_use_bytes,
        members: members.map(|list| list.members).unwrap_or_default(),
        downgrade: status.downgrade,
        storage: status.storage,
    }
}

/// A learner refuses reads (`rpc not supported for learner`), so its health is that of its status.
fn verdict(status: &wire::Status, health: &Frame, frames: &Frames) -> Result<(), String> {
    if status.learner {
        return match (status.leader, status.errors.first()) {
            (_, Some(error)) => Err(error.clone()),
            (None, None) => Err("it sees no leader".to_owned()),
            (Some(_), None) => Ok(()),
        };
    }
    if let Some(refusal) = no_rights(&frames.text("rights.err")) {
        return Err(refusal);
    }
    let complaint = frames.text("health.err");
    let both = format!("{}\n{complaint}", health.text());
    match wire::healths(&both).map(|list| list.into_iter().next()) {
        Ok(Some(found)) => found.verdict.map_err(|why| detailed(why, status)),
        Ok(None) => Err("`etcdctl endpoint health` named no endpoint".to_owned()),
        Err(_) if health.status == 124 => Err("no answer to a read in time".to_owned()),
        Err(_) => Err(gist(&complaint)),
    }
}

/// `endpoint health` passes a user who may do nothing (3.4: "permission denied" is an answer), status and member
/// list ask for no user at all; a backup needs one with every right.
fn no_rights(complaint: &str) -> Option<String> {
    let refused = ["permission denied", "user name is empty", "user not found"];
    refused.iter().any(|word| complaint.contains(word)).then(|| {
        let said = gist(complaint);
        format!(
            "etcd wants a user who may read every key, as a backup does: {said}; set `auth.user` and \
             `auth.password_file`"
        )
    })
}

/// etcdctl only says that time ran out; the status may know more.
fn detailed(why: String, status: &wire::Status) -> String {
    match (status.leader, status.errors.first()) {
        (None, Some(error)) => format!("{why} ({error})"),
        (None, None) => format!("{why} (it sees no leader)"),
        (Some(_), _) => why,
    }
}

fn union(mut alarms: Vec<Alarm>, more: Vec<Alarm>) -> Vec<Alarm> {
    for alarm in more {
        if !alarms.contains(&alarm) {
            alarms.push(alarm);
        }
    }
    alarms
}

/// Why there is no status, with the setting that would help.
fn reason(frames: &Frames, host: &Host) -> String {
    let complaint = frames.text("status.err");
    let page = frames.get("version");
    let page_complaint = frames.text("version.err");
    let url = &host.client_url;
    let said = gist(&complaint);
    let has = |words: &[&str]| words.iter().any(|word| complaint.contains(word));
    if has(&["user name is empty"]) {
        return format!(
            "etcd at `{url}` wants a user: {said}; set `auth.user` and `auth.password_file`"
        );
    }
    if has(&[
        "authentication failed",
        "invalid auth token",
        "permission denied",
        "password",
    ]) {
        let user = host.auth.as_ref().map_or("", |auth| &auth.user);
        return format!(
            "etcd at `{url}` refuses user `{user}`: {said}; check `auth.user` and its password file"
        );
    }
    if url.starts_with("http://") && page.is_some_and(answers_tls) {
        return format!(
            "`{url}` closes plain connections, as a TLS port does: {said}; should `client_url` begin with https?"
        );
    }
    let curl_says_tls = page.is_some_and(|page| CURL_TLS.contains(&page.status));
    if has(&[
        "x509",
        "tls:",
        "certificate",
        "handshake",
        "no such file",
        "PEM",
    ]) || (url.starts_with("https://") && curl_says_tls)
    {
        let page_said = page_complaint.lines().next().unwrap_or_default();
        let bare = host.tls.as_ref().is_none_or(|tls| tls.cert.is_none());
        let fix = if bare {
            "check `tls.cacert`, and set `tls.cert` and `tls.key` if etcd asks clients for a certificate"
        } else {
            "check the paths of `tls`"
        };
        return format!("no TLS with `{url}`: {said} ({page_said}); {fix}");
    }
    if has(&["connection refused"]) || page_complaint.contains("onnection refused") {
        return format!("connection refused: nothing listens at `{url}`");
    }
    format!("no status from `{url}`: {said}")
}

/// 52 is curl's status for a reply without a byte; Go's own HTTPS server says it in words.
fn answers_tls(page: &Frame) -> bool {
    page.status == 52 || page.text().contains("HTTP request to an HTTPS server")
}

/// The one sentence that matters of etcdctl's stderr: its own last error, or, when that is only that time ran out,
/// the cause in its last log line.
pub(super) fn gist(complaint: &str) -> String {
    let own = complaint.lines().rev().find_map(own_error);
    let logged = complaint.lines().rev().find_map(logged_error);
    let vague = own
        .as_deref()
        .is_none_or(|own| own.contains("deadline exceeded") || own == "unhealthy cluster");
    let best = if vague { logged.or(own) } else { own };
    let last = || complaint.lines().rev().find(|line| !line.trim().is_empty());
    best.or_else(|| last().map(str::to_owned))
        .unwrap_or_else(|| "not a word".to_owned())
        .chars()
        .take(300)
        .collect()
}

fn own_error(line: &str) -> Option<String> {
    if let Some(error) = line.strip_prefix("Error:") {
        return Some(error.trim().to_owned());
    }
    let (_, why) = line
        .strip_prefix("Failed to get the status of endpoint ")?
        .split_once(" (")?;
    Some(why.trim_end().trim_end_matches(')').to_owned())
}

/// `{"level":"warn",…,"error":"rpc error: code = X desc = … desc = \"the cause\""}`.
fn logged_error(line: &str) -> Option<String> {
    let log: serde_json::Value = serde_json::from_str(line).ok()?;
    let error = log.get("error")?.as_str()?;
    let cause = error.rsplit("desc = ").next().unwrap_or(error);
    let cause = cause.trim_matches('"');
    Some(
        cause
            .strip_prefix("latest balancer error: ")
            .unwrap_or(cause)
            .to_owned(),
    )
}

mod v2;

#[cfg(test)]
mod tests;
