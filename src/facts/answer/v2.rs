//! What a member said by API 2: 2.x, and 3.0 while the cluster is still at a version of 2.x. Pure.

use crate::etcd::wire::{self, v2};
use crate::etcd::{MemberId, Version};
use crate::facts::parse::{Frame, Frames, ParseError};
use crate::facts::{Answer, MemberView};
use crate::inventory::Host;

use super::silent;

/// What the head of a page tells.
#[derive(Default)]
struct Head {
    cluster: Option<MemberId>,
    index: u64,
    term: u64,
}

/// Works out the answer of the member on `host`.
///
/// # Errors
/// [`ParseError::Missing`] if the script was cut short.
pub(super) fn answer(frames: &Frames, host: &Host) -> Result<Answer, ParseError> {
    let url = &host.client_url;
    let (own, read) = (frames.need("v2.self")?, frames.need("v2.read")?);
    let Ok(page) = wire::versions(&frames.text("version")) else {
        return Ok(silent(format!("`{url}/version` tells no version")));
    };
    Ok(match v2::own_stats(&own.text()) {
        Ok(stats) => {
            let versions = (page.server, page.cluster);
            Answer::Member(Box::new(view(&stats, versions, read, frames)))
        }
        Err(error) => silent(format!(
            "`{url}/v2/stats/self`: {error} {}",
            frames.text("v2.self.err").trim()
        )),
    })
}

/// API 2 has no database, no alarms and no learners.
fn view(
    stats: &v2::OwnStats,
    (version, cluster_version): (Version, Option<Version>),
    read: &Frame,
    frames: &Frames,
) -> MemberView {
    let head = head(&frames.text("v2.head"));
    let leader = leader(frames, stats);
    MemberView {
        id: stats.id,
        cluster_id: head.cluster.unwrap_or(MemberId::UNKNOWN),
        version,
        cluster_version,
        leader,
        learner: false,
        raft_term: head.term,
        raft_index: head.index,
        raft_applied: head.index,
        db_bytes: 0,
        db_in_use_bytes: None,
        health: verdict(read, leader, frames),
        alarms: Vec::new(),
        members: v2::members(&frames.text("v2.members")).unwrap_or_default(),
        downgrade: None,
        storage: None,
    }
}

/// What raft says now; the statistics, which go on naming a leader that was lost, only where that page is missing.
fn leader(frames: &Frames, stats: &v2::OwnStats) -> Option<MemberId> {
    match frames.get("v2.leader").filter(|page| !page.body.is_empty()) {
        Some(page) => v2::leader(&page.text()),
        None => stats.leader,
    }
}

/// The read through the quorum is the proof; the statistics of a member that was cut off look well for ever.
fn verdict(read: &Frame, leader: Option<MemberId>, frames: &Frames) -> Result<(), String> {
    let blind = || match leader {
        None => " (it sees no leader)",
        Some(_) => "",
    };
    if read.body.is_empty() {
        let said = frames.text("v2.read.err");
        let said = said.lines().next().unwrap_or("no answer to a read in time");
        return Err(format!("{said}{}", blind()));
    }
    v2::quorum_read(&read.text()).map_err(|said| {
        let rights = if said.contains("credentials") {
            "; set `auth.user` and `auth.password_file`"
        } else {
            ""
        };
        format!("{said}{}{rights}", blind())
    })
}

/// `X-Etcd-Cluster-Id`, `X-Raft-Index` and `X-Raft-Term`, in whatever case the tool prints them.
fn head(text: &str) -> Head {
    let mut head = Head::default();
    for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "x-etcd-cluster-id" => head.cluster = value.parse().ok(),
            "x-raft-index" => head.index = value.parse().unwrap_or_default(),
            "x-raft-term" => head.term = value.parse().unwrap_or_default(),
            _ => {}
        }
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::parse::frame;
    use crate::facts::sample::{host, recorded};

    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Etcd-Cluster-Id: c11f1b527d62d98d\r\n\
                        X-Etcd-Index: 7\r\nX-Raft-Index: 73\r\nX-Raft-Term: 2\r\n";
    const FOUND: &str =
        r#"{"errorCode":100,"message":"Key not found","cause":"/_runner","index":7}"#;
    const LOST: &str = r#"{"errorCode":300,"message":"Raft Internal Error","cause":"etcdserver: request timed out","index":0}"#;

    fn frames(version: &str, state: &str, leader: &str, read: &str) -> Frames {
        let page = |name: &str| recorded(version, &format!("{state}.http-{name}.body"));
        let text = frame("version", 0, page("version").trim_end())
            + &frame("v2.self", 0, &page("v2-stats-self"))
            + &frame("v2.leader", 0, leader)
            + &frame("v2.members", 0, &page("v2-members"))
            + &frame("v2.head", 0, HEAD)
            + &frame("v2.read", 0, read);
        Frames::parse(text.as_bytes()).unwrap()
    }

    fn seen(frames: &Frames) -> MemberView {
        match answer(frames, &host("http://127.0.0.1:2379")).unwrap() {
            Answer::Member(view) => *view,
            Answer::Silent { because } => panic!("silent: {because}"),
        }
    }

    #[test]
    fn a_member_of_every_2_x_line_is_seen_whole() {
        for (version, line) in [
            ("2.0.13", None),
            ("2.1.3", Some(Version::new(2, 1, 0))),
            ("2.2.5", Some(Version::new(2, 2, 0))),
            ("2.3.8", Some(Version::new(2, 3, 0))),
        ] {
            let leader = r#"{"id":"a0085f78fb57c98a","name":"m3","peerURLs":[],"clientURLs":[]}"#;
            let view = seen(&frames(version, "healthy", leader, FOUND));
            assert_eq!(view.version.to_string(), version);
            assert_eq!(view.cluster_version, line, "{version}");
            assert_eq!(view.leader, Some(MemberId(0xa008_5f78_fb57_c98a)));
            assert_eq!(view.cluster_id, MemberId(0xc11f_1b52_7d62_d98d));
            assert_eq!(
                (view.raft_index, view.raft_applied, view.raft_term),
                (73, 73, 2)
            );
            assert_eq!((view.health, view.members.len()), (Ok(()), 3), "{version}");
        }
    }

    #[test]
    fn a_member_without_quorum_is_not_healthy_although_its_statistics_still_name_a_leader() {
        let election = r#"{"message":"During election"}"#;
        for version in ["2.0.13", "2.3.8"] {
            let view = seen(&frames(version, "quorum-lost", election, LOST));
            assert_eq!(view.leader, None, "{version}");
            let why = view.health.unwrap_err();
            assert!(why.contains("timed out (it sees no leader)"), "{why}");
        }
        let late = seen(&frames("2.1.3", "quorum-lost", election, ""));
        assert!(late.health.unwrap_err().contains("in time"));
    }
}
