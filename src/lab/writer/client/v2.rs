//! The same client by API 2, all that 2.x speaks, and 3.0 as long as the cluster's version is one of 2.x.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Client, parse};
use crate::etcd::Version;
use crate::etcd::dialect::{Dialect, has_cluster_version, spoken};

impl Client {
    /// Which API the member serves, by its page `/version`.
    ///
    /// # Errors
    /// As [`Client::put`], or when the page is none of etcd's.
    pub fn speaks(&self) -> Result<Dialect, String> {
        let (version, cluster) = self.versions()?;
        Ok(spoken(&version, cluster.as_ref()))
    }

    /// Whether the member answers a linearizable read and, from 2.1 on, the cluster has decided on its version.
    ///
    /// # Errors
    /// As [`Client::put`], or what is lacking.
    pub fn well(&self) -> Result<(), String> {
        let (version, cluster) = self.versions()?;
        match spoken(&version, cluster.as_ref()) {
            Dialect::V2 => self.read_v2("none").map(drop)?,
            Dialect::V3 => self.read_nothing()?,
        }
        if cluster.is_none() && has_cluster_version(&version) {
            return Err("the cluster has not decided on its version".to_owned());
        }
        Ok(())
    }

    /// Whether the member is well and the cluster's version is its own: a new cluster of three or more begins at 3.0
    /// until its members have told each other their releases.
    ///
    /// # Errors
    /// As [`Self::well`].
    pub fn formed(&self) -> Result<(), String> {
        self.well()?;
        match self.versions()? {
            (version, Some(cluster)) if cluster.minor() != version.minor() => {
                Err(format!("the cluster's version is {cluster}"))
            }
            _ => Ok(()),
        }
    }

    /// Writes a key of API 2; `Ok` is an acknowledged write.
    ///
    /// # Errors
    /// As [`Client::put`].
    pub fn put_v2(&self, key: &str, value: &str) -> Result<(), String> {
        let put = self.agent.put(self.page(key));
        let put = put.content_type("application/x-www-form-urlencoded");
        let mut answer = put
            .send(format!("value={value}"))
            .map_err(|error| error.to_string())?;
        told(&mut answer).map(drop)
    }

    /// Reads all keys of a folder of API 2, through the quorum; none if there is no such folder.
    ///
    /// # Errors
    /// As [`Client::put`].
    pub fn read_v2(&self, folder: &str) -> Result<BTreeMap<String, String>, String> {
        let url = format!("{}?recursive=true&quorum=true", self.page(folder));
        let asked = self.agent.get(url).call();
        let answer = told(&mut asked.map_err(|error| error.to_string())?)?;
        let mut found = BTreeMap::new();
        collect(&answer["node"], &mut found);
        Ok(found)
    }

    /// Removes a folder of API 2 with all that is in it.
    ///
    /// # Errors
    /// As [`Client::put`].
    pub fn remove_v2(&self, folder: &str) -> Result<(), String> {
        let url = format!("{}?recursive=true", self.page(folder));
        let asked = self.agent.delete(url).call();
        told(&mut asked.map_err(|error| error.to_string())?).map(drop)
    }

    fn page(&self, key: &str) -> String {
        format!("{}/v2/keys/{}", self.endpoint, key.trim_matches('/'))
    }

    /// The member's release and, once it is decided, the cluster's version: words up to 2.0, JSON from 2.1 on.
    fn versions(&self) -> Result<(Version, Option<Version>), String> {
        let url = format!("{}/version", self.endpoint);
        let mut answer = self.agent.get(url).call().map_err(|e| e.to_string())?;
        let text = answer.body_mut().read_to_string();
        let text = text.map_err(|e| e.to_string())?;
        versions(&text).ok_or_else(|| format!("{text:?} is no version of etcd"))
    }
}

fn versions(text: &str) -> Option<(Version, Option<Version>)> {
    if let Some(version) = text.trim().strip_prefix("etcd ") {
        return Some((version.parse().ok()?, None));
    }
    let page: Value = serde_json::from_str(text).ok()?;
    let of = |name: &str| page.get(name)?.as_str()?.parse().ok();
    Some((of("etcdserver")?, of("etcdcluster")))
}

/// What API 2 answered. 100, no such key, is an answer: a quorum has agreed on it.
fn told(answer: &mut ureq::http::Response<ureq::Body>) -> Result<Value, String> {
    const NO_SUCH_KEY: u64 = 100;
    let status = answer.status();
    let text = answer
        .body_mut()
        .with_config()
        .limit(64 << 20)
        .read_to_string();
    let text = text.map_err(|error| error.to_string())?;
    let known = parse(&text).map_err(|error| format!("status {status}: {error}"))?;
    let is_none = known.get("errorCode").and_then(Value::as_u64) == Some(NO_SUCH_KEY);
    if status.is_success() || is_none {
        return Ok(known);
    }
    Err(format!("status {status}: {}", text.trim()))
}

/// Keys and values below a node, keys without the slash that they begin with.
fn collect(node: &Value, found: &mut BTreeMap<String, String>) {
    let field = |name| node.get(name).and_then(Value::as_str);
    if let (Some(key), Some(value)) = (field("key"), field("value")) {
        found.insert(key.trim_start_matches('/').to_owned(), value.to_owned());
    }
    let below = node.get("nodes").and_then(Value::as_array);
    for node in below.into_iter().flatten() {
        collect(node, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn the_page_of_every_release_tells_its_version() {
        let old = versions("etcd 2.0.13\n").unwrap();
        assert_eq!(old, (version("2.0.13"), None));
        let mixed = r#"{"etcdserver":"2.1.3","etcdcluster":"not_decided"}"#;
        assert_eq!(versions(mixed).unwrap(), (version("2.1.3"), None));
        let new = r#"{"etcdserver":"3.6.14","etcdcluster":"3.5.0","storage":"3.5.0"}"#;
        let (server, cluster) = versions(new).unwrap();
        assert_eq!(
            (server, cluster),
            (version("3.6.14"), Some(version("3.5.0")))
        );
        assert_eq!(versions("404 page not found"), None);
    }

    #[test]
    fn keys_are_found_at_any_depth() {
        let node = serde_json::json!({"key": "/runner-lab", "dir": true, "nodes": [
            {"key": "/runner-lab/7", "dir": true, "nodes": [{"key": "/runner-lab/7/1", "value": "1"}]},
            {"key": "/runner-lab/8", "dir": true}]});
        let mut found = BTreeMap::new();
        collect(&node, &mut found);
        let wanted = BTreeMap::from([("runner-lab/7/1".to_owned(), "1".to_owned())]);
        assert_eq!(found, wanted);
    }
}
