//! What API 2 answers: etcdctl's text and the pages below `/v2`.
//!
//! `cluster-health` says "cluster is healthy" and exits with 0 while members are down, so only the line of each member
//! counts. `/v2/stats/self` goes on naming a leader on a member that has lost its quorum, so that only a read through
//! the quorum is proof of health.

use serde::Deserialize;

use super::{Member, MemberId, WireError, excerpt, json};

/// A member that `member list` of API 2 names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The member; without a name if it was never started.
    pub member: Member,
    /// Whether it leads; told from 2.3 on, by memory where the quorum is lost.
    pub leads: Option<bool>,
}

/// What `/v2/stats/self` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnStats {
    /// The member's own id.
    pub id: MemberId,
    /// Its name.
    pub name: String,
    /// The leader that it believes in.
    pub leader: Option<MemberId>,
}

/// Reads `cluster-health`: each member's line. Empty if there is none, as in 2.0 without quorum.
pub fn cluster_health(text: &str) -> Vec<(MemberId, bool)> {
    let verdict = |line: &str| {
        let (id, said) = line.strip_prefix("member ")?.split_once(" is ")?;
        let word = said.split([':', ' ']).next()?;
        Some((id.parse().ok()?, word == "healthy"))
    };
    text.lines().filter_map(verdict).collect()
}

/// Reads `member list` of API 2, `ID: name=… peerURLs=… clientURLs=… isLeader=…`.
///
/// # Errors
/// [`WireError`] if a line is not that, or there is none.
pub fn member_list(text: &str) -> Result<Vec<Listed>, WireError> {
    let wrong = || WireError::Shape(excerpt(text));
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let listed: Option<Vec<Listed>> = lines.map(listed).collect();
    listed.filter(|list| !list.is_empty()).ok_or_else(wrong)
}

fn listed(line: &str) -> Option<Listed> {
    let (id, rest) = line.split_once(": ")?;
    let id = id.strip_suffix("[unstarted]").unwrap_or(id).parse().ok()?;
    let field = |name: &str| {
        let mut words = rest.split(' ');
        words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    };
    let urls = |name| {
        let text = field(name).unwrap_or_default().split(',');
        text.filter(|url| !url.is_empty())
            .map(str::to_owned)
            .collect()
    };
    Some(Listed {
        member: Member {
            id,
            name: field("name").unwrap_or_default().to_owned(),
            peer_urls: urls("peerURLs"),
            client_urls: urls("clientURLs"),
            learner: false,
        },
        leads: field("isLeader").map(|leads| leads == "true"),
    })
}

#[derive(Deserialize)]
struct RawMembers {
    members: Vec<RawMember>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMember {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default, rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(default, rename = "clientURLs")]
    client_urls: Vec<String>,
}

/// Reads the page `/v2/members`.
///
/// # Errors
/// [`WireError`] if it is not that.
pub fn members(text: &str) -> Result<Vec<Member>, WireError> {
    let raw: RawMembers = json(text)?;
    raw.members.into_iter().map(member).collect()
}

fn member(raw: RawMember) -> Result<Member, WireError> {
    Ok(Member {
        id: id(&raw.id)?,
        name: raw.name,
        peer_urls: raw.peer_urls,
        client_urls: raw.client_urls,
        learner: false,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawStats {
    id: String,
    name: String,
    #[serde(default)]
    leader_info: RawLeader,
}

#[derive(Default, Deserialize)]
struct RawLeader {
    #[serde(default)]
    leader: String,
}

/// Reads the page `/v2/stats/self`.
///
/// # Errors
/// [`WireError`] if it is not that.
pub fn own_stats(text: &str) -> Result<OwnStats, WireError> {
    let raw: RawStats = json(text)?;
    Ok(OwnStats {
        id: id(&raw.id)?,
        name: raw.name,
        leader: raw
            .leader_info
            .leader
            .parse()
            .ok()
            .filter(|id| id != &MemberId(0)),
    })
}

/// Reads the page `/v2/members/leader`; `None` during an election.
pub fn leader(text: &str) -> Option<MemberId> {
    let raw: RawMember = json(text).ok()?;
    raw.id.parse().ok().filter(|id| id != &MemberId(0))
}

fn id(text: &str) -> Result<MemberId, WireError> {
    text.parse()
        .map_err(|_| WireError::Shape(format!("`{text}` is no member id")))
}

/// Code 100 of API 2: the key is not there, which a read through the quorum tells only with a quorum.
const NO_SUCH_KEY: u64 = 100;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRead {
    action: Option<String>,
    error_code: Option<u64>,
    message: Option<String>,
    cause: Option<String>,
}

/// Reads the answer to `GET /v2/keys/KEY?quorum=true`: `Ok` if it went through the quorum, whether or not the key is
/// there, else why not.
///
/// # Errors
/// In etcd's own words.
pub fn quorum_read(text: &str) -> Result<(), String> {
    let raw: RawRead = json(text).map_err(|error| error.to_string())?;
    match (raw.action.as_deref(), raw.error_code) {
        (Some("get"), _) | (_, Some(NO_SUCH_KEY)) => Ok(()),
        _ => {
            let said = [raw.message, raw.cause].into_iter().flatten();
            Err(said.collect::<Vec<_>>().join(": "))
        }
    }
}

/// The leader that a majority of the members believes in, each by its own [`OwnStats`]: one that was cut off goes on
/// believing in itself.
pub fn agreed_leader(stats: &[OwnStats], members: usize) -> Option<MemberId> {
    let believed = |leader: MemberId| {
        stats
            .iter()
            .filter(|one| one.leader == Some(leader))
            .count()
    };
    let mut leaders = stats.iter().filter_map(|one| one.leader);
    leaders.find(|leader| 2 * believed(*leader) > members)
}

#[cfg(test)]
mod tests;
