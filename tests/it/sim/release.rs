//! Releases as the simulation has them: a binary holds its name and its version.

use runner::engine::act::file::digest;
use runner::etcd::{Minor, Version};

pub fn binaries(version: &Version) -> Vec<&'static str> {
    let mut names = vec!["etcd", "etcdctl"];
    if version.minor() >= Minor::new(3, 5) {
        names.push("etcdutl");
    }
    names
}

/// What a binary holds, here and there.
pub fn content(name: &str, version: &Version) -> String {
    format!("{name} {version}\n")
}

/// Its digest.
pub fn sha256(name: &str, version: &Version) -> String {
    digest(&content(name, version))
}
