//! Requests of API 2 in a raft log, found in the bytes around them: what later releases stop at.
//!
//! Up to 3.5 etcd writes each member's start and each change of the cluster's version to the log as a request of API 2;
//! clients of that API and health probes of 3.1 to 3.4 add theirs. Formats: `raftpb.Entry` and `etcdserverpb.Request`.

use super::{Minor, Version};

/// A request of API 2 in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The raft index of its entry.
    pub index: u64,
    /// `PUT`, `QGET`, `SYNC`, …
    pub method: String,
    /// The path in the store: `/0/…` is etcd's own, `/1/…` is that of clients.
    pub path: String,
    /// Its value.
    pub value: String,
}

const METHODS: [&str; 5] = ["PUT", "POST", "DELETE", "QGET", "SYNC"];

impl Request {
    /// All entries with a request that begin in these bytes.
    pub fn find(bytes: &[u8]) -> Vec<Self> {
        (0..bytes.len())
            .filter_map(|at| Self::entry(&bytes[at..]))
            .collect()
    }

    /// Whether a client or a probe made it: everything but etcd's own notes.
    pub fn is_of_a_client(&self) -> bool {
        let own = self.path == "/0/version"
            || (self.path.starts_with("/0/members/") && self.path.ends_with("ttributes"));
        self.method != "PUT" || !own
    }

    /// Whether it sets a version of the cluster up to 3.0: the change from 2.x, which 3.5 does not get over.
    pub fn is_change_from_2(&self) -> bool {
        let set = self.value.parse::<Version>().ok();
        self.path == "/0/version" && set.is_some_and(|line| line.minor() <= Minor::new(3, 0))
    }

    /// Whether it sets a version of the cluster of 2.x.
    pub fn sets_2(&self) -> bool {
        let set = self.value.parse::<Version>().ok();
        self.path == "/0/version" && set.is_some_and(|line| line.minor() < Minor::new(3, 0))
    }

    /// `Type`, `Term`, `Index` and `Data`, all of them written always and in this order.
    fn entry(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&[0x08, 0x00, 0x10])?;
        let (_, rest) = varint(rest)?;
        let (index, rest) = varint(rest.strip_prefix(&[0x18])?)?;
        let (_, rest) = varint(rest.strip_prefix(&[0x22])?)?;
        Self::body(index, rest)
    }

    /// `ID`, `Method`, `Path` and `Val` begin a request. The bytes may end behind the path.
    fn body(index: u64, bytes: &[u8]) -> Option<Self> {
        let (_, rest) = varint(bytes.strip_prefix(&[0x08])?)?;
        let (method, rest) = text(rest, 0x12)?;
        let (path, rest) = text(rest, 0x1a)?;
        let value = text(rest, 0x22).map(|(value, _)| value);
        METHODS.contains(&method.as_str()).then(|| Self {
            index,
            method,
            path,
            value: value.unwrap_or_default(),
        })
    }
}

fn text(bytes: &[u8], key: u8) -> Option<(String, &[u8])> {
    let (length, rest) = varint(bytes.strip_prefix(&[key])?)?;
    let length = usize::try_from(length).ok()?;
    // A long path may be cut off; its beginning tells whose it is.
    let (text, rest) = rest.split_at(length.min(rest.len()));
    Some((String::from_utf8_lossy(text).into_owned(), rest))
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from the log of a member that was born on a line of 2.3: the record before, and a change of version.
    const VERSION: &str = "000000001800000000000000080310f5cebcfa061a0e080210d8ededc581f6d7d01918044b00000000000085\
        080210f5d39ec90a1a4108001002180822390884c28a8a9bbfa8ec7612035055541a0a2f302f76657273696f6e2205322e332e302800\
        32003800480050005800600068007000780080010000000000000018";

    fn bytes(hex: &str) -> Vec<u8> {
        let hex: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        hex.chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn a_change_of_version_is_found_with_its_index() {
        let all = Request::find(&bytes(VERSION));
        assert_eq!(all.len(), 1);
        let found = &all[0];
        assert_eq!((found.index, found.method.as_str()), (8, "PUT"));
        assert_eq!(
            (found.path.as_str(), found.value.as_str()),
            ("/0/version", "2.3.0")
        );
        assert!(found.is_change_from_2() && !found.is_of_a_client());
    }

    #[test]
    fn whose_a_request_is_follows_from_its_method_and_path() {
        let request = |method: &str, path: &str, value: &str| Request {
            index: 1,
            method: method.to_owned(),
            path: path.to_owned(),
            value: value.to_owned(),
        };
        assert!(!request("PUT", "/0/members/1ce4/attributes", "{}").is_of_a_client());
        assert!(request("PUT", "/1/foo", "x").is_of_a_client());
        assert!(request("QGET", "/", "").is_of_a_client());
        assert!(request("SYNC", "", "").is_of_a_client());
        assert!(request("PUT", "/0/version", "3.0.0").is_change_from_2());
        assert!(!request("PUT", "/0/version", "3.1.0").is_change_from_2());
        assert!(request("PUT", "/0/version", "2.3.0").sets_2());
        assert!(!request("PUT", "/0/version", "3.0.0").sets_2());
    }

    #[test]
    fn bytes_without_a_request_have_none() {
        assert_eq!(Request::find(&[0; 192]), []);
        assert_eq!(Request::find(b"PUT /0/version"), []);
    }
}
