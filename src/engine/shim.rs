//! TEMPORARY, for the lead to drop: stands in for `facts::observe` and `plan::lint` until they are merged.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;

use super::act::client::{endpoint_args, secrets};
use crate::etcd::{Alarm, AlarmKind, Member, MemberId, Version};
use crate::facts::{Answer, MemberView, Observation};
use crate::inventory::{Cluster, Host};
use crate::plan::Plan;
use crate::transport::{Command, Transport};

/// Holds that no wave has two lanes with a disruptive step.
pub(super) fn lint(plan: &Plan) -> Result<(), Vec<String>> {
    let disruptive = |lane: &&crate::plan::Lane| lane.steps.iter().any(|step| step.disruptive);
    let broken: Vec<String> = plan
        .hops
        .iter()
        .flat_map(|hop| &hop.waves)
        .filter(|wave| wave.lanes.iter().filter(disruptive).count() > 1)
        .map(|wave| format!("two lanes of one wave are disruptive: {:?}", wave.purpose))
        .collect();
    if broken.is_empty() {
        Ok(())
    } else {
        Err(broken)
    }
}

/// Looks at all members.
pub(super) async fn observe(
    transport: &dyn Transport,
    cluster: &Cluster,
    deadline: Duration,
) -> Observation {
    let asked = cluster.hosts.iter().map(|host| async move {
        (
            host.name.clone(),
            observe_host(transport, host, deadline).await,
        )
    });
    Observation {
        hosts: join_all(asked).await.into_iter().collect(),
    }
}

/// Looks at one member.
pub(super) async fn observe_host(
    transport: &dyn Transport,
    host: &Host,
    deadline: Duration,
) -> Answer {
    let mut command = Command::read("observe member", "exit 1", deadline).args(endpoint_args(host));
    command.secrets = secrets(host);
    let silent = |because: String| Answer::Silent { because };
    match transport.run(&host.name, command).await {
        Err(error) => silent(error.to_string()),
        Ok(output) => {
            view(&frames(&output.text())).unwrap_or_else(|| silent("no answer".to_owned()))
        }
    }
}

fn frames(text: &str) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let mut rest = text;
    while let Some((head, body)) = rest
        .strip_prefix('@')
        .and_then(|rest| rest.split_once('\n'))
    {
        let mut words = head.split(' ');
        let name = words.next().unwrap_or_default().to_owned();
        let length: usize = words.nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
        found.insert(
            name,
            serde_json::from_str(&body[..length]).unwrap_or(Value::Null),
        );
        rest = body.get(length + 1..).unwrap_or_default();
    }
    found
}

fn view(frames: &BTreeMap<String, Value>) -> Option<Answer> {
    let status = &frames.get("status")?[0]["Status"];
    let number = |name: &str| status[name].as_u64();
    let healthy = frames.get("health")?[0]["health"].as_bool() == Some(true);
    let why = frames.get("health")?[0]["error"]
        .as_str()
        .unwrap_or("no reason given");
    let listed = frames
        .get("members")
        .and_then(|list| list["members"].as_array().cloned());
    let alarms = frames
        .get("alarms")
        .and_then(|list| list["alarms"].as_array().cloned());
    let cluster_version = frames
        .get("version")
        .and_then(|v| v["etcdcluster"].as_str());
    Some(Answer::Member(Box::new(MemberView {
        id: MemberId(status["header"]["member_id"].as_u64()?),
        cluster_id: MemberId(status["header"]["cluster_id"].as_u64()?),
        version: status["version"].as_str()?.parse::<Version>().ok()?,
        cluster_version: cluster_version.and_then(|v| v.parse().ok()),
        leader: number("leader").filter(|id| *id != 0).map(MemberId),
        learner: status["isLearner"].as_bool().unwrap_or(false),
        raft_term: number("raftTerm").unwrap_or(0),
        raft_index: number("raftIndex")?,
        raft_applied: number("raftAppliedIndex").or(number("raftIndex"))?,
        db_bytes: number("dbSize").unwrap_or(0),
        db_in_use_bytes: number("dbSizeInUse"),
        health: if healthy { Ok(()) } else { Err(why.to_owned()) },
        alarms: alarms
            .unwrap_or_default()
            .iter()
            .filter_map(alarm)
            .collect(),
        members: listed
            .unwrap_or_default()
            .iter()
            .filter_map(member)
            .collect(),
    })))
}

fn alarm(value: &Value) -> Option<Alarm> {
    let kind = match value["alarm"].as_u64()? {
        1 => AlarmKind::NoSpace,
        2 => AlarmKind::Corrupt,
        n => AlarmKind::Other(n.to_string()),
    };
    let member = MemberId(value["memberID"].as_u64()?);
    Some(Alarm { member, kind })
}

fn member(value: &Value) -> Option<Member> {
    let urls = |name: &str| {
        let list = value[name].as_array().cloned().unwrap_or_default();
        list.iter()
            .filter_map(|url| url.as_str().map(str::to_owned))
            .collect()
    };
    Some(Member {
        id: MemberId(value["ID"].as_u64()?),
        name: value["name"].as_str().unwrap_or_default().to_owned(),
        peer_urls: urls("peerURLs"),
        client_urls: urls("clientURLs"),
        learner: value["isLearner"].as_bool().unwrap_or(false),
    })
}
