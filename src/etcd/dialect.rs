//! Which words to say to which version of etcd's tools, and what its answers can be trusted to hold.
//!
//! API 2 is asked by HTTP, whose pages all of its releases have alike, so that only API 3 has words here.

use super::{MemberId, Version};

/// The API that etcd's tools are asked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Releases 2.0 to 2.3: `cluster-health`, `backup`, HTTP.
    V2,
    /// Releases from 3.0 on.
    V3,
}

/// Something that etcdctl is asked or told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The endpoint's own status; answered without quorum.
    Status,
    /// Whether a linearizable read through the endpoint succeeds.
    Health,
    /// The members of the cluster.
    Members,
    /// The alarms of the cluster.
    Alarms,
    /// To move the leadership from the endpoint to this member.
    MoveLeader(MemberId),
    /// To save a snapshot to this path.
    SnapshotSave(String),
}

/// How `endpoint health` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthForm {
    /// `-w json` is honoured.
    Json,
    /// `-w json` is silently ignored and text comes out.
    Text,
}

/// A question that the release has no words for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("etcd {version} has no {question}")]
pub struct Unspeakable {
    /// The release.
    pub version: Version,
    /// What was to be asked, as its first word.
    pub question: &'static str,
}

impl Dialect {
    /// The dialect of a release.
    pub fn of(version: &Version) -> Self {
        if version.minor().major < 3 {
            Self::V2
        } else {
            Self::V3
        }
    }

    /// The value of `ETCDCTL_API`. 3.3 and older need it; 3.6 and newer warn about it on stderr.
    pub fn api(self) -> &'static str {
        match self {
            Self::V2 => "2",
            Self::V3 => "3",
        }
    }
}

/// The words behind `etcdctl` and its connection flags, for a release's own etcdctl.
///
/// # Errors
/// [`Unspeakable`] where the release cannot do it; an etcdctl that does not know a subcommand prints its help
/// and ends with 0, so nothing else would tell.
pub fn words(version: &Version, question: &Question) -> Result<Vec<String>, Unspeakable> {
    let no = |question| Unspeakable {
        version: version.clone(),
        question,
    };
    if Dialect::of(version) == Dialect::V2 {
        return Err(no("API 3"));
    }
    Ok(match question {
        Question::Status => split("endpoint status -w json"),
        Question::Health => split("endpoint health -w json"),
        Question::Members => split("member list -w json"),
        Question::Alarms => split("alarm list -w json"),
        Question::MoveLeader(to) if moves_leader(version) => {
            vec!["move-leader".to_owned(), to.to_string()]
        }
        Question::MoveLeader(_) => return Err(no("move-leader")),
        Question::SnapshotSave(path) => {
            vec!["snapshot".to_owned(), "save".to_owned(), path.clone()]
        }
    })
}

/// The binaries of a release, the one that the unit starts last.
pub fn binaries(version: &Version) -> &'static [&'static str] {
    if *version < Version::new(3, 5, 0) {
        &["etcdctl", "etcd"]
    } else {
        &["etcdutl", "etcdctl", "etcd"]
    }
}

/// How a member's v2 store is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum V2Backup {
    /// While it runs, with these words behind `etcdctl backup --data-dir … --backup-dir …` of API 2.
    Running(&'static [&'static str]),
    /// By its files, once it is stopped for its own upgrade.
    Stopped,
}

/// How this release's etcdctl copies the v2 store of a member; `snapshot`: whether its data folder has a raft snapshot
/// (etcd-upgrades 4.1 and 4.2; tried 3.3.25, 3.4.23, 3.5.16 and 3.5.30: the copies were started).
///
/// # Errors
/// Why it cannot, in words.
pub fn v2_backup(tool: &Version, snapshot: bool) -> Result<V2Backup, &'static str> {
    match (tool.minor().major, tool.minor().minor) {
        // It misses what the running member holds open.
        (2, 0) => Ok(V2Backup::Stopped),
        // It leaves out the database, without which a copy with a raft snapshot does not start.
        (3, 0..=2) if snapshot => Ok(V2Backup::Stopped),
        // With the v3 store it would wait for the lock that the running member holds.
        (3, 5) => Ok(V2Backup::Running(&["--with-v3=false"])),
        (2, _) | (3, 0..=4) => Ok(V2Backup::Running(&[])),
        _ => Err("etcdctl from 3.6 on has no backup of API 2"),
    }
}

/// Whether `snapshot restore` of this release has `--bump-revision` and `--mark-compacted`.
pub fn bumps_revision(version: &Version) -> bool {
    let since = match (version.minor().major, version.minor().minor) {
        (3, 4) => Version::new(3, 4, 27),
        (3, 5) => Version::new(3, 5, 10),
        _ => Version::new(3, 6, 0),
    };
    *version >= since
}

/// The binary that has `snapshot restore`: etcdctl up to 3.5, etcdutl from 3.6 on, and in 3.5 where it is there.
pub fn restores_with(version: &Version, has_etcdutl: bool) -> &'static str {
    match (version.minor().major, version.minor().minor) {
        (3, 5) if has_etcdutl => "etcdutl",
        (major, minor) if (major, minor) >= (3, 6) => "etcdutl",
        _ => "etcdctl",
    }
}

/// Whether etcdctl's `backup` of API 2 takes the database along: `--with-v3`, 3.3 to 3.5.
pub fn copies_both(version: &Version) -> bool {
    matches!((version.minor().major, version.minor().minor), (3, 3..=5))
}

/// How `endpoint health` of this release's etcdctl answers: JSON from 3.2.27, 3.3.14 and 3.4.0.
pub fn health_form(version: &Version) -> HealthForm {
    let since = match (version.minor().major, version.minor().minor) {
        (3, 2) => Version::new(3, 2, 27),
        (3, 3) => Version::new(3, 3, 14),
        _ => Version::new(3, 4, 0),
    };
    if *version >= since {
        HealthForm::Json
    } else {
        HealthForm::Text
    }
}

/// Whether the exit status of `endpoint health` tells an unhealthy endpoint: from 3.2.5.
pub fn health_status_counts(version: &Version) -> bool {
    *version >= Version::new(3, 2, 5)
}

/// Whether `endpoint status` names alarms in `errors`: from 3.4.
pub fn status_names_alarms(version: &Version) -> bool {
    *version >= Version::new(3, 4, 0)
}

/// Whether `member list` needs quorum: from 3.5. Before, it answers from the member's own data.
pub fn member_list_needs_quorum(version: &Version) -> bool {
    *version >= Version::new(3, 5, 0)
}

/// Whether `endpoint status` answers whatever the other members run: from 3.1. That of 3.0 says `not capable` in a
/// cluster of 2.3.
pub fn tells_status(version: &Version) -> bool {
    *version >= Version::new(3, 1, 0)
}

/// Which API the members are to be asked through: API 2 for 2.x, and for 3.0 until the cluster's version is 3.0.
pub fn spoken(version: &Version, cluster: Option<&Version>) -> Dialect {
    let raised = cluster.is_some_and(|line| line.minor().major >= 3);
    match Dialect::of(version) {
        Dialect::V3 if raised || tells_status(version) => Dialect::V3,
        _ => Dialect::V2,
    }
}

/// Whether there is a cluster version to wait for: from 2.1.
pub fn has_cluster_version(version: &Version) -> bool {
    *version >= Version::new(2, 1, 0)
}

/// Whether leadership can be moved on demand: from 3.3.
pub fn moves_leader(version: &Version) -> bool {
    *version >= Version::new(3, 3, 0)
}

/// Whether there are learners: from 3.4.
pub fn has_learners(version: &Version) -> bool {
    *version >= Version::new(3, 4, 0)
}

fn split(words: &str) -> Vec<String> {
    words.split(' ').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn health_answers_in_json_from_the_patch_that_learned_it() {
        for (text, form) in [
            ("3.1.20", HealthForm::Text),
            ("3.2.26", HealthForm::Text),
            ("3.2.27", HealthForm::Json),
            ("3.3.13", HealthForm::Text),
            ("3.3.25", HealthForm::Json),
            ("3.6.14", HealthForm::Json),
        ] {
            assert_eq!(health_form(&version(text)), form, "{text}");
        }
    }

    #[test]
    fn leadership_is_moved_by_hexadecimal_id_and_only_from_3_3() {
        let to = Question::MoveLeader(MemberId(0x06c4_cb94_0208_1f33));
        let spoken = words(&version("3.4.23"), &to).unwrap();
        assert_eq!(spoken, ["move-leader", "6c4cb9402081f33"]);
        let refused = words(&version("3.2.32"), &to).unwrap_err();
        assert_eq!(refused.to_string(), "etcd 3.2.32 has no move-leader");
    }

    #[test]
    fn etcd_itself_is_always_the_last_binary_and_etcdutl_comes_with_3_5() {
        assert_eq!(binaries(&version("3.4.23")), ["etcdctl", "etcd"]);
        assert_eq!(binaries(&version("3.5.0")), ["etcdutl", "etcdctl", "etcd"]);
    }

    #[test]
    fn a_2_x_release_speaks_another_api() {
        assert_eq!(Dialect::of(&version("2.3.8")).api(), "2");
        assert!(words(&version("2.3.8"), &Question::Status).is_err());
    }

    #[test]
    fn the_observing_script_says_these_very_words() {
        let script = include_str!("../facts/observe.sh");
        for question in [
            Question::Status,
            Question::Health,
            Question::Members,
            Question::Alarms,
        ] {
            let said = words(&version("3.5.16"), &question).unwrap().join(" ");
            assert!(script.contains(&format!(" ctl {said}")), "{said}");
        }
    }
}
