//! The hop catalogue: what etcd's guides, change logs and source say about going from one release to another.
//!
//! The data are `catalogue.toml`, embedded and replaceable; this module gives them types and answers questions.
//! Nothing about versions is written down anywhere else but in `etcd::dialect`.

use std::sync::OnceLock;

use serde::Deserialize;

use super::{Minor, Version};

#[cfg(test)]
mod flag_tests;
mod flags;
mod hosts;
mod ready;
#[cfg(test)]
mod tests;

pub use flags::{Conflict, DroppedEnv, Effect, Refusal, RefusedFlag};
pub use hosts::{HostRule, RefusedHost};
pub use ready::Ready;

/// The format of catalogue files.
pub const FORMAT: u32 = 1;

const EMBEDDED: &str = include_str!("catalogue.toml");

/// All rules.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    format: u32,
    minors: Vec<Minor>,
    patch_step: PatchStep,
    ready: Ready,
    env_flag_conflict: EnvFlagConflict,
    #[serde(rename = "hop")]
    hops: Vec<Hop>,
    patches: Patches,
    settings: flags::Settings,
}

/// Why a catalogue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// It is not TOML of the right shape.
    #[error("the catalogue cannot be read")]
    Shape(#[from] toml::de::Error),
    /// It is of another format.
    #[error("the catalogue has format {found}, this build reads {FORMAT}")]
    Format {
        /// What it says.
        found: u32,
    },
    /// Two neighbouring lines have no hop, or a hop joins lines that are no neighbours.
    #[error("the catalogue's hops do not lead from `{from}` to `{to}`")]
    Gap {
        /// The lower line.
        from: Minor,
        /// The line after it.
        to: Minor,
    },
}

/// One line to the next.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hop {
    /// The line it leaves.
    pub from: Minor,
    /// The line it reaches.
    pub to: Minor,
    /// What every member must run at least, by the guides; a path inserts a patch step to reach it.
    pub least_source: Version,
    /// Below this it goes wrong, whatever is acknowledged; `least_source` if left out.
    pub hard_source: Option<Version>,
    /// The patch to leave from where there is a choice.
    pub use_source: Version,
    /// The lowest patch of the new line that may be gone to.
    pub least_target: Version,
    /// The patch to go to where there is a choice.
    pub use_target: Version,
    /// Whether a member can be put back while the cluster is mixed.
    pub mixed_rollback: bool,
    /// Where it is written.
    pub source: String,
    /// Where it is written that etcd's own downgrade leads back after the hop; nothing if none does.
    pub downgrade: Option<String>,
    /// Floors that hold under a condition only.
    #[serde(default)]
    pub floors: Vec<Floor>,
    /// What goes wrong if users, roles or passwords change while it goes on.
    pub auth_freeze: Option<Note>,
    /// What is to be done before it or after it, by whoever does it.
    #[serde(default)]
    pub remedies: Vec<Remedy>,
    /// What else is to be known.
    #[serde(default)]
    pub notes: Vec<Note>,
}

/// Something that keeps a hop from going wrong.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remedy {
    /// What is done.
    #[serde(rename = "do")]
    pub cure: Cure,
    /// What happens without it.
    pub what: String,
    /// Where it is written.
    pub source: String,
}

/// What a remedy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cure {
    /// One write by API 3 through every member, before the hop.
    WriteBefore,
    /// The same after the hop.
    WriteAfter,
    /// A raft snapshot of every member whose log holds a change of the cluster's version from 2.x since the last one.
    #[serde(rename = "snapshot_if_from_2")]
    SnapshotIfFrom2,
    /// A raft snapshot of every member whose log holds a request of a client of API 2 since the last one.
    SnapshotIfClient,
    /// A raft snapshot of every member whose log holds any request of API 2 since the last one.
    SnapshotIfAny,
}

/// A least source patch that holds under a condition only.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// The least source patch.
    pub source_patch: Version,
    /// The condition, in words.
    pub when: String,
    /// What happens below it.
    pub what: String,
    /// Where it is written.
    pub source: String,
}

/// Something to be known about a hop.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// In one sentence.
    pub text: String,
    /// Where it is written.
    pub source: String,
}

/// Steps within a line.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchStep {
    /// Whether a member can be put back while the cluster is mixed.
    pub mixed_rollback: bool,
    /// Where it is written.
    pub source: String,
}

/// The rule about options that are set twice.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvFlagConflict {
    /// The first line that does not start.
    pub fatal_from: Minor,
    /// The rule in one sentence.
    pub what: String,
    /// Where it is written.
    pub source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Patches {
    bad: Vec<BadPatch>,
}

/// Releases with a known fault.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BadPatch {
    /// First and last release of each stretch.
    pub ranges: Vec<(Version, Version)>,
    /// How grave it is.
    pub weight: Weight,
    /// The condition under which it shows, in words; always if left out.
    pub when: Option<String>,
    /// What happens.
    pub what: String,
    /// The first release without the fault, of each line.
    pub fixed: Vec<Version>,
    /// Where it is written.
    pub source: String,
}

/// How grave a fault of a release is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// Never a target, nor a step on the way.
    Refuse,
    /// To be said.
    Warn,
}

/// A default that changes with a line.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangedDefault {
    /// The flag, or the variable of etcdctl.
    pub setting: String,
    /// The first line with the new value.
    pub at: Minor,
    /// The value before.
    pub was: String,
    /// The value from then on.
    pub is: String,
    /// Where it is written.
    pub source: String,
}

/// A type that a line refuses for a key of its configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct YamlType {
    /// The key.
    pub key: String,
    /// The type: `number` or `string`.
    pub refuses: String,
    /// The first line that refuses it.
    pub from: Minor,
    /// The last line that refuses it; all later ones if left out.
    pub until: Option<Minor>,
    /// What to do.
    pub instead: String,
    /// Where it is written.
    pub source: String,
}

impl Catalogue {
    /// The catalogue that this build carries.
    pub fn embedded() -> &'static Self {
        static ONCE: OnceLock<Catalogue> = OnceLock::new();
        ONCE.get_or_init(|| Self::from_toml(EMBEDDED).expect("a test reads the embedded catalogue"))
    }

    /// Reads a catalogue.
    ///
    /// # Errors
    /// It is not TOML of this shape, is of another format, or its hops leave a gap.
    pub fn from_toml(text: &str) -> Result<Self, CatalogueError> {
        let catalogue: Self = toml::from_str(text)?;
        if catalogue.format != FORMAT {
            return Err(CatalogueError::Format {
                found: catalogue.format,
            });
        }
        match catalogue.gap() {
            Some((from, to)) => Err(CatalogueError::Gap { from, to }),
            None => Ok(catalogue),
        }
    }

    fn gap(&self) -> Option<(Minor, Minor)> {
        let pairs = || self.minors.windows(2).map(|pair| (pair[0], pair[1]));
        let stray = self.hops.iter().map(|hop| (hop.from, hop.to));
        pairs()
            .find(|&(from, to)| self.hop(from, to).is_none())
            .or_else(|| {
                stray
                    .into_iter()
                    .find(|&hop| !pairs().any(|pair| pair == hop))
            })
    }

    /// The lines it knows, in order.
    pub fn minors(&self) -> &[Minor] {
        &self.minors
    }

    /// The line after this one; `None` for the last and for one that it does not know.
    pub fn next_minor(&self, minor: Minor) -> Option<Minor> {
        let at = self.minors.iter().position(|known| *known == minor)?;
        self.minors.get(at + 1).copied()
    }

    /// The hop between two neighbouring lines.
    pub fn hop(&self, from: Minor, to: Minor) -> Option<&Hop> {
        self.hops
            .iter()
            .find(|hop| hop.from == from && hop.to == to)
    }

    /// The hop that etcd's own downgrade takes back, for a cluster of this line.
    pub fn downgrade(&self, from: Minor) -> Option<&Hop> {
        let back = |hop: &&Hop| hop.to == from && hop.downgrade.is_some();
        self.hops.iter().find(back)
    }

    /// What every member must run at least before the hop, by the guides.
    pub fn least_source(&self, from: Minor, to: Minor) -> Option<&Version> {
        self.hop(from, to).map(|hop| &hop.least_source)
    }

    /// The lowest patch of a line that may be gone to from the line before.
    pub fn least_target(&self, to: Minor) -> Option<&Version> {
        let hop = self.hops.iter().find(|hop| hop.to == to)?;
        Some(&hop.least_target)
    }

    /// Why this release is never a target nor a step on the way; the first reason.
    pub fn bad(&self, version: &Version) -> Option<&BadPatch> {
        let grave = |bad: &&BadPatch| bad.weight == Weight::Refuse && bad.covers(version);
        self.patches.bad.iter().find(grave)
    }

    /// All known faults of a release, grave or not.
    pub fn faults(&self, version: &Version) -> Vec<&BadPatch> {
        let all = self.patches.bad.iter();
        all.filter(|bad| bad.covers(version)).collect()
    }

    /// Whether a member can be put back while the cluster is mixed, in the same or the next line.
    pub fn mixed_rollback(&self, from: &Version, to: &Version) -> bool {
        if from.minor() == to.minor() {
            return self.patch_step.mixed_rollback;
        }
        self.hop(from.minor(), to.minor())
            .is_some_and(|hop| hop.mixed_rollback)
    }

    /// The rule about steps within a line.
    pub fn patch_step(&self) -> &PatchStep {
        &self.patch_step
    }

    /// Defaults that differ between two releases.
    pub fn changed_defaults(&self, from: &Version, to: &Version) -> Vec<&ChangedDefault> {
        let crossed = |at: Minor| at > from.minor() && at <= to.minor();
        let all = self.settings.defaults.iter();
        all.filter(|change| crossed(change.at)).collect()
    }

    /// Hosts in addresses that a release refuses.
    pub fn refused_hosts(&self, target: &Version) -> Vec<&HostRule> {
        let rules = self.settings.hosts.iter();
        rules.filter(|rule| rule.from <= target.minor()).collect()
    }

    /// Types that a release refuses for keys of its configuration file.
    pub fn refused_yaml_types(&self, target: &Version) -> Vec<&YamlType> {
        let minor = target.minor();
        let refuses =
            |rule: &&YamlType| rule.from <= minor && rule.until.is_none_or(|last| minor <= last);
        self.settings.yaml_types.iter().filter(refuses).collect()
    }
}

impl Hop {
    /// Below this every member must be lifted first, whatever is acknowledged.
    pub fn hard_source(&self) -> &Version {
        self.hard_source.as_ref().unwrap_or(&self.least_source)
    }
}

impl BadPatch {
    fn covers(&self, version: &Version) -> bool {
        self.ranges
            .iter()
            .any(|(first, last)| first <= version && version <= last)
    }

    /// The first release of that line without the fault.
    pub fn fixed_in(&self, minor: Minor) -> Option<&Version> {
        self.fixed.iter().find(|fixed| fixed.minor() == minor)
    }
}
