//! The serde shapes of etcd's JSON, and their translation.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::{Health, Status};
use crate::etcd::version::VersionError;
use crate::etcd::{Alarm, AlarmKind, Member, MemberId};

#[derive(Deserialize)]
pub(super) struct RawEndpoint {
    #[serde(rename = "Endpoint", default)]
    pub(super) endpoint: String,
    #[serde(rename = "Status")]
    pub(super) status: RawStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawHeader {
    #[serde(deserialize_with = "number")]
    pub(super) cluster_id: u64,
    #[serde(deserialize_with = "number")]
    pub(super) member_id: u64,
    #[serde(deserialize_with = "number")]
    pub(super) revision: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawStatus {
    pub(super) header: RawHeader,
    pub(super) version: String,
    #[serde(default, deserialize_with = "number")]
    pub(super) db_size: u64,
    #[serde(default, deserialize_with = "number")]
    pub(super) leader: u64,
    #[serde(default, deserialize_with = "number")]
    pub(super) raft_index: u64,
    #[serde(default, deserialize_with = "number")]
    pub(super) raft_term: u64,
    #[serde(default, deserialize_with = "number")]
    pub(super) raft_applied_index: u64,
    #[serde(default)]
    pub(super) errors: Vec<String>,
    #[serde(default, deserialize_with = "number")]
    pub(super) db_size_in_use: u64,
    #[serde(default)]
    pub(super) is_learner: bool,
    #[serde(default)]
    pub(super) downgrade_info: RawDowngrade,
    #[serde(default)]
    pub(super) storage_version: String,
}

/// Told from 3.6; empty unless a downgrade is enabled.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawDowngrade {
    enabled: bool,
    target_version: String,
}

#[derive(Deserialize)]
pub(super) struct RawHealth {
    pub(super) endpoint: String,
    pub(super) health: bool,
    #[serde(default)]
    pub(super) error: String,
}

#[derive(Deserialize)]
pub(super) struct RawMemberList {
    pub(super) header: RawHeader,
    #[serde(default)]
    pub(super) members: Vec<RawMember>,
}

#[derive(Deserialize)]
pub(super) struct RawMember {
    #[serde(rename = "ID", deserialize_with = "number")]
    pub(super) id: u64,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default, rename = "peerURLs")]
    pub(super) peer_urls: Vec<String>,
    #[serde(default, rename = "clientURLs")]
    pub(super) client_urls: Vec<String>,
    #[serde(default, rename = "isLearner")]
    pub(super) learner: bool,
}

#[derive(Deserialize)]
pub(super) struct RawAlarmList {
    #[serde(default)]
    pub(super) alarms: Vec<RawAlarm>,
}

#[derive(Deserialize)]
pub(super) struct RawAlarm {
    #[serde(default, rename = "memberID", deserialize_with = "number")]
    pub(super) member: u64,
    #[serde(default, rename = "alarm")]
    pub(super) kind: RawKind,
}

pub(super) struct RawKind(pub(super) AlarmKind);

#[derive(Deserialize)]
pub(super) struct RawVersions {
    #[serde(rename = "etcdserver")]
    pub(super) server: String,
    #[serde(default, rename = "etcdcluster")]
    pub(super) cluster: String,
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
    pub(super) fn into_status(self, endpoint: String) -> Result<Status, VersionError> {
        let (alarms, errors) = split_errors(self.errors);
        let downgrade = self.downgrade_info;
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
            downgrade: downgrade
                .enabled
                .then(|| downgrade.target_version.parse())
                .transpose()?,
            storage: (!self.storage_version.is_empty())
                .then(|| self.storage_version.parse())
                .transpose()?,
        })
    }
}

impl RawHealth {
    pub(super) fn into_health(self) -> Health {
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
    pub(super) fn into_member(self) -> Member {
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
