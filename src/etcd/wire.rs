//! What etcd's tools print, as data: `etcdctl -w json` of all 3.x lines, the text form of `endpoint health`, `/version`.
//!
//! Nothing here trusts an exit status. Fields that are zero are absent in etcd's JSON, ids are unsigned 64-bit
//! numbers, an old client drops fields that it does not know, and warnings may stand before the JSON.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

use super::{Alarm, AlarmKind, Member, MemberId, Version};

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

/// Reads what `etcd --version`, `etcdctl version` or `etcdutl version` prints: the first `… version: X` line.
pub fn tool_version(text: &str) -> Option<Version> {
    text.lines().find_map(|line| {
        let (name, version) = line.split_once(':')?;
        let named = name.trim().to_ascii_lowercase();
        (named.starts_with("etcd") && named.ends_with("version"))
            .then(|| version.parse().ok())
            .flatten()
    })
}

#[derive(Deserialize)]
struct RawEndpoint {
    #[serde(rename = "Endpoint", default)]
    endpoint: String,
    #[serde(rename = "Status")]
    status: RawStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawHeader {
    #[serde(deserialize_with = "number")]
    cluster_id: u64,
    #[serde(deserialize_with = "number")]
    member_id: u64,
    #[serde(deserialize_with = "number")]
    revision: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawStatus {
    header: RawHeader,
    version: String,
    #[serde(default, deserialize_with = "number")]
    db_size: u64,
    #[serde(default, deserialize_with = "number")]
    leader: u64,
    #[serde(default, deserialize_with = "number")]
    raft_index: u64,
    #[serde(default, deserialize_with = "number")]
    raft_term: u64,
    #[serde(default, deserialize_with = "number")]
    raft_applied_index: u64,
    #[serde(default)]
    errors: Vec<String>,
    #[serde(default, deserialize_with = "number")]
    db_size_in_use: u64,
    #[serde(default)]
    is_learner: bool,
}

#[derive(Deserialize)]
struct RawHealth {
    endpoint: String,
    health: bool,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
struct RawMemberList {
    header: RawHeader,
    #[serde(default)]
    members: Vec<RawMember>,
}

#[derive(Deserialize)]
struct RawMember {
    #[serde(rename = "ID", deserialize_with = "number")]
    id: u64,
    #[serde(default)]
    name: String,
    #[serde(default, rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(default, rename = "clientURLs")]
    client_urls: Vec<String>,
    #[serde(default, rename = "isLearner")]
    learner: bool,
}

#[derive(Deserialize)]
struct RawAlarmList {
    #[serde(default)]
    alarms: Vec<RawAlarm>,
}

#[derive(Deserialize)]
struct RawAlarm {
    #[serde(default, rename = "memberID", deserialize_with = "number")]
    member: u64,
    #[serde(default, rename = "alarm")]
    kind: RawKind,
}

struct RawKind(AlarmKind);

#[derive(Deserialize)]
struct RawVersions {
    #[serde(rename = "etcdserver")]
    server: String,
    #[serde(default, rename = "etcdcluster")]
    cluster: String,
}

/// A number, or a string of digits as the gRPC gateway writes it.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawNumber {
    Number(u64),
    Digits(String),
}

fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    match RawNumber::deserialize(from)? {
        RawNumber::Number(number) => Ok(number),
        RawNumber::Digits(text) => text.parse().map_err(D::Error::custom),
    }
}

impl Default for RawKind {
    fn default() -> Self {
        Self(alarm_kind("NONE"))
    }
}

impl<'de> Deserialize<'de> for RawKind {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(match serde_json::Value::deserialize(from)? {
            serde_json::Value::String(name) => alarm_kind(&name),
            serde_json::Value::Number(code) => alarm_kind(&code.to_string()),
            other => return Err(D::Error::custom(format!("`{other}` is no alarm"))),
        }))
    }
}

/// `api/etcdserverpb/rpc.proto@v3.5.33`: NONE 0, NOSPACE 1, CORRUPT 2.
fn alarm_kind(word: &str) -> AlarmKind {
    match word {
        "1" | "NOSPACE" => AlarmKind::NoSpace,
        "2" | "CORRUPT" => AlarmKind::Corrupt,
        "0" | "NONE" => AlarmKind::Other("NONE".to_owned()),
        other => AlarmKind::Other(other.to_owned()),
    }
}

impl RawStatus {
    fn into_status(self, endpoint: String) -> Result<Status, super::version::VersionError> {
        let (alarms, errors) = split_errors(self.errors);
        Ok(Status {
            endpoint,
            cluster_id: MemberId(self.header.cluster_id),
            member_id: MemberId(self.header.member_id),
            version: self.version.parse()?,
            leader: (self.leader != 0).then_some(MemberId(self.leader)),
            learner: self.is_learner,
            raft_term: self.raft_term,
            raft_index: self.raft_index,
            raft_applied: (self.raft_applied_index != 0).then_some(self.raft_applied_index),
            revision: self.header.revision,
            db_bytes: self.db_size,
            db_in_use_bytes: (self.db_size_in_use != 0).then_some(self.db_size_in_use),
            alarms,
            errors,
        })
    }
}

impl RawHealth {
    fn into_health(self) -> Health {
        let read_succeeded = self.health || self.error.starts_with("Active Alarm(s)");
        Health {
            endpoint: self.endpoint,
            verdict: if read_succeeded {
                Ok(())
            } else {
                Err(self.error)
            },
        }
    }
}

impl RawMember {
    fn into_member(self) -> Member {
        Member {
            id: MemberId(self.id),
            name: self.name,
            peer_urls: self.peer_urls,
            client_urls: self.client_urls,
            learner: self.learner,
        }
    }
}

/// `memberID:17616938515099967676 alarm:NOSPACE ` is an alarm, all else is an error.
fn split_errors(errors: Vec<String>) -> (Vec<Alarm>, Vec<String>) {
    let mut alarms = Vec::new();
    let mut others = Vec::new();
    for error in errors {
        match alarm_words(&error) {
            Some(alarm) => alarms.push(alarm),
            None => others.push(error),
        }
    }
    (alarms, others)
}

fn alarm_words(text: &str) -> Option<Alarm> {
    let (member, kind) = text
        .trim()
        .strip_prefix("memberID:")?
        .split_once(" alarm:")?;
    Some(Alarm {
        member: MemberId(member.parse().ok()?),
        kind: alarm_kind(kind.trim()),
    })
}

fn health_line(line: &str) -> Option<Health> {
    let (endpoint, verdict) = match line.split_once(" is healthy: ") {
        Some((endpoint, _)) => (endpoint, Ok(())),
        None => {
            let (endpoint, why) = line.split_once(" is unhealthy: ")?;
            (endpoint, Err(why.to_owned()))
        }
    };
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
#[path = "wire_tests.rs"]
mod tests;
