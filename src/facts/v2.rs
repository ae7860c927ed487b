//! Whether the v2 store has keys, and the log requests of API 2, from the frames of the gathering script. Pure.

use crate::etcd::old::Request;

use super::parse::{Frame, Frames};
use super::{OldRequests, V2Keys};

/// Works out what the member's own listing says, or else its newest raft snapshot, of that index, with the requests in the
/// log behind it, or else etcdutl.
pub(super) fn keys(frames: &Frames, snap: u64) -> V2Keys {
    let listing = frames.get("v2.keys").map(Frame::text);
    if let Some(known) = listing.as_deref().and_then(listed) {
        return known;
    }
    let check = frames.get("v2.check").map(|check| checked(&check.text()));
    let store = frames.get("v2.snap").map(Frame::text);
    match (stored(store.as_deref(), frames, snap), check, listing) {
        (Some(known), ..) | (None, Some(known), _) => known,
        (None, None, Some(_)) => V2Keys::Unknown(
            "API 2 is not served, keys were deleted since the newest raft snapshot, and no etcdutl 3.5 is installed"
                .to_owned(),
        ),
        (None, None, None) => V2Keys::default(),
    }
}

/// What the newest raft snapshot had and what clients did since. Reads change nothing. A deletion behind all that was
/// written may have left keys or none.
fn stored(store: Option<&str>, frames: &Frames, snap: u64) -> Option<V2Keys> {
    let log = frames.get("log.old").filter(|log| log.status == 0)?;
    let text = log.text();
    let last = |kind: &str| -> Option<u64> {
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        let mut last = snap;
        for (_, hex) in lines.filter(|(of, _)| *of == kind) {
            // Bytes that cannot be read as a request may be one of any index.
            let found = Request::find(&bytes(hex));
            last = last.max(found.iter().map(|one| one.index).max()?);
        }
        Some(last)
    };
    match (last("set")?, last("gone")?, store?.trim()) {
        (set, gone, _) if set > gone => Some(V2Keys::Present),
        (_, gone, _) if gone > snap => None,
        (_, _, "keys") => Some(V2Keys::Present),
        (_, _, "none") => Some(V2Keys::Absent),
        _ => None,
    }
}

/// Works out the last requests of each kind. Bytes that cannot be read as a request are as bad as one at the end of the
/// log, for they may be one.
///
/// A cluster that is born on 3.x may begin at 3.0 too, until all its members have told their releases; so a lone change
/// to 3.0 comes from 2.x only where a raft snapshot, `with_snap`, may have taken the one to 2.x out of the log.
pub(super) fn old_requests(frames: &Frames, with_snap: bool) -> OldRequests {
    let Some(frame) = frames.get("log.old") else {
        return OldRequests::default();
    };
    if frame.status != 0 {
        return OldRequests::Unknown("the log files could not be searched".to_owned());
    }
    let (mut from_2, mut client, mut any) = (None, None, None);
    let mut was_2 = with_snap;
    for line in frame.text().lines() {
        let (kind, hex) = line.split_once(' ').unwrap_or((line, ""));
        let (last, wanted): (_, fn(&Request) -> bool) = match kind {
            "line" => (&mut from_2, Request::is_change_from_2),
            "client" => (&mut client, Request::is_of_a_client),
            "any" => (&mut any, |_| true),
            _ => continue,
        };
        let found = Request::find(&bytes(hex));
        if found.is_empty() {
            *last = Some(u64::MAX);
        }
        was_2 |= found.is_empty() || found.iter().any(Request::sets_2);
        let indexes = found.iter().filter(|one| wanted(one)).map(|one| one.index);
        *last = (*last).max(indexes.max());
    }
    OldRequests::Found {
        from_2: from_2.filter(|_| was_2),
        client,
        any,
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// The beginning of what `GET /v2/keys/?recursive=false` answers: it names nodes only if there are any.
fn listed(text: &str) -> Option<V2Keys> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let root = text.strip_prefix(r#"{"action":"get","node":{"#)?;
    Some(if root.contains(r#""nodes":["#) {
        V2Keys::Present
    } else {
        V2Keys::Absent
    })
}

/// The page `/v2/auth/enable`: `{"enabled":true}`.
pub(super) fn has_users(page: &str) -> bool {
    let page: String = page.chars().filter(|c| !c.is_whitespace()).collect();
    page.contains(r#""enabled":true"#)
}

/// The words of `etcdutl check v2store`, the same with whatever status (etcd-upgrades 1.4e).
fn checked(text: &str) -> V2Keys {
    if text.contains("No custom content found") {
        V2Keys::Absent
    } else if text.contains("custom content in v2store") || text.contains("in both v2store and WAL")
    {
        V2Keys::Present
    } else {
        let said = text.lines().next().unwrap_or_default();
        V2Keys::Unknown(format!(
            "API 2 is not served, and `etcdutl check v2store` says {said:?}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::parse::frame;

    fn read(frames: &[(&str, &str)]) -> V2Keys {
        let text: String = frames
            .iter()
            .map(|(name, text)| frame(name, 0, text))
            .collect();
        keys(&Frames::parse(text.as_bytes()).unwrap(), 0)
    }

    /// What is known of a store of which the newest raft snapshot says this, with these requests from index 8 on.
    fn of_snapshot(says: &str, snap: u64, requests: &[(&str, &str)]) -> V2Keys {
        let hex = |text: &str| -> String {
            let pairs: Vec<String> = text.bytes().map(|byte| format!("{byte:02x}")).collect();
            pairs.concat()
        };
        let field = |key: &str, text: &str| format!("{key}{:02x}{}", text.len(), hex(text));
        let line = |(at, (method, path)): (usize, &(&str, &str))| {
            let kind = match *method {
                "DELETE" => "gone",
                "PUT" | "POST" => "set",
                _ => "client",
            };
            let (method, path) = (field("12", method), field("1a", path));
            format!(
                "{kind} 0800100218{:02x}22390884c28a8a9bbfa8ec76{method}{path}2800\n",
                8 + at
            )
        };
        let lines: String = requests.iter().enumerate().map(line).collect();
        let frames = [
            frame("v2.keys", 0, "404 page not found\n"),
            frame("v2.snap", 0, says),
            frame("log.old", 0, &lines),
        ];
        keys(&Frames::parse(frames.concat().as_bytes()).unwrap(), snap)
    }

    #[test]
    fn where_api_2_is_not_served_the_newest_raft_snapshot_and_the_log_behind_it_tell() {
        let (put, read, delete) = (("PUT", "/1/a"), ("QGET", "/1/a"), ("DELETE", "/1/a"));
        for (says, snap, requests, known) in [
            ("keys\n", 7, &[][..], V2Keys::Present),
            ("none\n", 7, &[], V2Keys::Absent),
            ("none\n", 7, &[put], V2Keys::Present),
            ("none\n", 8, &[put], V2Keys::Absent),
            // A health probe or a reading client comes last.
            ("none\n", 7, &[put, read], V2Keys::Present),
            ("keys\n", 7, &[read], V2Keys::Present),
            ("none\n", 7, &[read], V2Keys::Absent),
            ("keys\n", 7, &[delete, put], V2Keys::Present),
        ] {
            assert_eq!(
                of_snapshot(says, snap, requests),
                known,
                "{says} {requests:?}"
            );
        }
        for requests in [&[delete][..], &[put, delete], &[put, delete, read]] {
            let known = of_snapshot("keys\n", 7, requests);
            assert!(
                matches!(known, V2Keys::Unknown(_)),
                "{requests:?}: {known:?}"
            );
        }
    }

    #[test]
    fn a_listing_with_nodes_means_keys_and_one_without_means_none() {
        let begun = r#"{"action":"get","node":{"dir":true,"nodes":[{"key":"/k34","value":"34","#;
        assert_eq!(read(&[("v2.keys", begun)]), V2Keys::Present);
        let empty = r#"{"action":"get","node":{"dir":true}}"#;
        assert_eq!(read(&[("v2.keys", empty)]), V2Keys::Absent);
    }

    /// As 3.3.25 answered; 2.0 has no such page.
    #[test]
    fn users_of_api_2_are_there_once_they_are_switched_on() {
        assert!(has_users("{\"enabled\":true}\n"));
        assert!(!has_users("{\"enabled\":false}\n"));
        assert!(!has_users("404 page not found\n"));
    }

    #[test]
    fn where_api_2_is_not_served_etcdutl_is_believed() {
        let off = ("v2.keys", "404 page not found\n");
        let clean = "No custom content found in both v2store and WAL records.";
        assert_eq!(read(&[off, ("v2.check", clean)]), V2Keys::Absent);
        let dirty = "Error: detected custom content in v2store\n";
        assert_eq!(read(&[off, ("v2.check", dirty)]), V2Keys::Present);
        let both = "Error: detected custom v2 content in both v2store and WAL records";
        assert_eq!(read(&[off, ("v2.check", both)]), V2Keys::Present);
    }

    #[test]
    fn what_nothing_can_tell_is_unknown() {
        let old = r#"Error: unknown command "check" for "etcdutl""#;
        for frames in [
            &[][..],
            &[("v2.keys", "")],
            &[("v2.keys", "404 page not found"), ("v2.check", old)],
            &[("v2.keys", r#"{"message":"Insufficient credentials"}"#)],
        ] {
            assert!(matches!(read(frames), V2Keys::Unknown(_)), "{frames:?}");
        }
    }

    /// The last change from 2.x in a log that sets these versions, in this order.
    fn from_2(versions: &[&str], with_snap: bool) -> Option<u64> {
        let line = |version: &&str| {
            let value: Vec<String> = version.bytes().map(|byte| format!("{byte:02x}")).collect();
            let value = value.concat();
            format!(
                "line 08001002180822390884c28a8a9bbfa8ec7612035055541a0a2f302f76657273696f6e2205{value}2800\n"
            )
        };
        let text: String = versions.iter().map(line).collect();
        let frames = frame("log.old", 0, &text);
        match old_requests(&Frames::parse(frames.as_bytes()).unwrap(), with_snap) {
            OldRequests::Found { from_2, .. } => from_2,
            OldRequests::Unknown(why) => panic!("{why}"),
        }
    }

    #[test]
    fn a_cluster_that_began_at_3_0_did_not_come_from_2() {
        assert_eq!(from_2(&["2.3.0", "3.0.0", "3.1.0"], false), Some(8));
        assert_eq!(from_2(&["3.0.0", "3.4.0"], true), Some(8));
        assert_eq!(from_2(&["3.0.0", "3.4.0"], false), None);
        assert_eq!(from_2(&["3.4.0"], true), None);
    }
}
