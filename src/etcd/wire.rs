//! What etcd's tools print, as data: `etcdctl -w json` of all 3.x lines, the text form of `endpoint health`, `/version`.
//!
//! Nothing here trusts an exit status. Fields that are zero are absent in etcd's JSON, ids are unsigned 64-bit
//! numbers, an old client drops fields that it does not know, and warnings may stand before the JSON.

use serde::de::DeserializeOwned;

use super::{Alarm, AlarmKind, Member, MemberId, Version};

mod raw;
pub mod v2;

use raw::{RawAlarmList, RawEndpoint, RawHealth, RawMember, RawMemberList, RawVersions};

/// An output that is not what etcd prints.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// There is no JSON in it, as when an unknown subcommand printed its help.
    #[error("no JSON in {0:?}")]
    NoJson(String),
    /// It is JSON of another shape.
    #[error("unexpected JSON: {0}")]
    Shape(String),
    /// It is neither the JSON nor the text form of `endpoint health`.
    #[error("no verdict in {0:?}")]
    NoVerdict(String),
}

/// The status of one endpoint, as `endpoint status` gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The endpoint that was asked.
    pub endpoint: String,
    /// The cluster's id.
    pub cluster_id: MemberId,
    /// The member that answered.
    pub member_id: MemberId,
    /// The release of the process that answered.
    pub version: Version,
    /// The leader that it sees.
    pub leader: Option<MemberId>,
    /// Whether it is a learner; told from 3.4.
    pub learner: bool,
    /// The raft term.
    pub raft_term: u64,
    /// The raft index.
    pub raft_index: u64,
    /// The applied raft index; told from 3.4.
    pub raft_applied: Option<u64>,
    /// The key-value revision.
    pub revision: u64,
    /// Database size in bytes.
    pub db_bytes: u64,
    /// Database bytes in use; told from 3.4.
    pub db_in_use_bytes: Option<u64>,
    /// Alarms named in `errors`; told from 3.4.
    pub alarms: Vec<Alarm>,
    /// What else stands in `errors`, such as `etcdserver: no leader`; told from 3.4.
    pub errors: Vec<String>,
    /// The version that an enabled downgrade leads to; told from 3.6.
    pub downgrade: Option<Version>,
    /// The line that the data are stored as; told from 3.6.
    pub storage: Option<Version>,
}

/// The verdict of `endpoint health` on one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The endpoint that was asked.
    pub endpoint: String,
    /// `Ok` if the linearizable read succeeded, else why not.
    ///
    /// From 3.5 on `endpoint health` calls a member unhealthy because of an alarm after its read succeeded; that is
    /// `Ok` here, since alarms are told apart (`etcdctl/ctlv3/command/ep_command.go@v3.5.33`).
    pub verdict: Result<(), String>,
}

/// The member list as one member gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberList {
    /// The cluster's id.
    pub cluster_id: MemberId,
    /// Members in etcd's order.
    pub members: Vec<Member>,
}

/// What `/version` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The release of the process.
    pub server: Version,
    /// The cluster version; `None` while it is not decided, and in 2.0, which has none.
    pub cluster: Option<Version>,
}

/// Reads `endpoint status -w json`: endpoints that answered, so an empty list when none did.
///
/// # Errors
/// [`WireError`] if it is not that.
pub fn statuses(text: &str) -> Result<Vec<Status>, WireError> {
    let rows: Option<Vec<RawEndpoint>> = json(text)?;
    rows.unwrap_or_default()
        .into_iter()
        .map(|row| {
            let shape = |error| WireError::Shape(format!("{error}"));
            row.status.into_status(row.endpoint).map_err(shape)
        })
        .collect()
}

/// Reads `endpoint health -w json`, or its text form from stdout and stderr together where a version ignores `-w`.
///
/// # Errors
/// [`WireError`] if it is neither.
pub fn healths(text: &str) -> Result<Vec<Health>, WireError> {
    if let Ok(rows) = json::<Vec<RawHealth>>(text) {
        return Ok(rows.into_iter().map(RawHealth::into_health).collect());
    }
    let found: Vec<Health> = text.lines().filter_map(health_line).collect();
    if found.is_empty() {
        return Err(WireError::NoVerdict(excerpt(text)));
    }
    Ok(found)
}

/// Reads `member list -w json`.
///
/// # Errors
/// [`WireError`] if it is not that.
pub fn members(text: &str) -> Result<MemberList, WireError> {
    let raw: RawMemberList = json(text)?;
    Ok(MemberList {
        cluster_id: MemberId(raw.header.cluster_id),
        members: raw
            .members
            .into_iter()
            .map(RawMember::into_member)
            .collect(),
    })
}

/// Reads `alarm list -w json`.
///
/// # Errors
/// [`WireError`] if it is not that.
pub fn alarms(text: &str) -> Result<Vec<Alarm>, WireError> {
    let raw: RawAlarmList = json(text)?;
    Ok(raw
        .alarms
        .into_iter()
        .filter(|alarm| alarm.kind.0 != AlarmKind::Other("NONE".to_owned()))
        .map(|alarm| Alarm {
            member: MemberId(alarm.member),
            kind: alarm.kind.0,
        })
        .collect())
}

/// Reads the body of `/version`: JSON from 2.1, `etcd 2.0.13` before.
///
/// # Errors
/// [`WireError`] if it is neither.
pub fn versions(text: &str) -> Result<Versions, WireError> {
    if let Some(bare) = text.trim().strip_prefix("etcd ") {
        let server = bare.parse().map_err(|_| WireError::NoJson(excerpt(text)))?;
        return Ok(Versions {
            server,
            cluster: None,
        });
    }
    let raw: RawVersions = json(text)?;
    Ok(Versions {
        server: raw
            .server
            .parse()
            .map_err(|error| WireError::Shape(format!("{error}")))?,
        cluster: raw.cluster.parse().ok(),
    })
}

/// Reads what `etcd --version`, `etcdctl version` or `etcdutl version` prints: the first `… version: X` line. In 2.x
/// `etcdctl --version` prints it without the colon.
pub fn tool_version(text: &str) -> Option<Version> {
    text.lines().find_map(|line| {
        if let Some(bare) = line.strip_prefix("etcdctl version ") {
            return bare.parse().ok();
        }
        let (name, version) = line.split_once(':')?;
        let named = name.trim().to_ascii_lowercase();
        (named.starts_with("etcd") && named.ends_with("version"))
            .then(|| version.parse().ok())
            .flatten()
    })
}

fn health_line(line: &str) -> Option<Health> {
    let parted = |by: &str| line.split_once(by);
    let (endpoint, verdict) = parted(" is healthy: ")
        .map(|(endpoint, _)| (endpoint, Ok(())))
        .or_else(|| {
            parted(" is unhealthy: ").map(|(endpoint, why)| (endpoint, Err(why.to_owned())))
        })?;
    Some(Health {
        endpoint: endpoint.trim().to_owned(),
        verdict,
    })
}

/// The whole text as JSON, or else the last line that is of the wanted shape.
fn json<T: DeserializeOwned>(text: &str) -> Result<T, WireError> {
    let whole = match serde_json::from_str(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let starts = |line: &&str| line.starts_with(['{', '[']);
    let mut lines = text.lines().rev().map(str::trim).filter(starts).peekable();
    if lines.peek().is_none() {
        return Err(WireError::NoJson(excerpt(text)));
    }
    lines
        .find_map(|line| serde_json::from_str(line).ok())
        .ok_or_else(|| WireError::Shape(format!("{whole} in {:?}", excerpt(text))))
}

fn excerpt(text: &str) -> String {
    text.trim().chars().take(120).collect()
}

#[cfg(test)]
mod tests;
