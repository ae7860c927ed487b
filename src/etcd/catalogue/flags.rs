//! Flags, environment variables and keys of configuration files that a release refuses or drops.
//!
//! An unknown flag stops etcd; an unknown variable or key does not, it is dropped in silence. That silent half can
//! switch off the check of client certificates, so both are asked for here.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::{Minor, Version};
use super::hosts::HostRule;
use super::{Catalogue, ChangedDefault, YamlType};

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    pub(super) flags: Vec<FlagRow>,
    pub(super) prefixes: Vec<PrefixRow>,
    pub(super) values: Vec<ValueRow>,
    pub(super) fatal_env: Vec<FatalEnv>,
    pub(super) yaml_types: Vec<YamlType>,
    pub(super) hosts: Vec<HostRule>,
    pub(super) defaults: Vec<ChangedDefault>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FlagRow {
    pub(super) names: Vec<String>,
    pub(super) since: Vec<Version>,
    pub(super) gone: Option<Minor>,
    pub(super) instead: Option<String>,
    #[serde(default)]
    pub(super) security: bool,
    pub(super) source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PrefixRow {
    pub(super) prefix: String,
    pub(super) gone: Minor,
    pub(super) instead: String,
    pub(super) source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ValueRow {
    pub(super) flag: String,
    pub(super) value: String,
    pub(super) gone: Minor,
    pub(super) instead: String,
    pub(super) source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FatalEnv {
    pub(super) name: String,
    pub(super) minors: Vec<Minor>,
    pub(super) instead: String,
    pub(super) source: String,
}

/// A flag that a release does not start with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedFlag {
    /// The flag with two dashes, and the value where it is the value that is refused.
    pub flag: String,
    /// In which way.
    pub refusal: Refusal,
    /// The first line that refuses it; of one that is too new, the first release that knows it.
    pub since: String,
    /// What to use instead; empty if there is nothing.
    pub replacement: String,
    /// Where it is written.
    pub source: String,
}

/// Why a flag is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The line no longer knows it.
    Gone,
    /// The release does not know it yet.
    TooNew,
    /// The line knows it, but not this value.
    Value,
}

/// A variable or key that a release does not act on, or does not start with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedEnv {
    /// The variable's name, or the key.
    pub name: String,
    /// What comes of it.
    pub effect: Effect,
    /// Whether losing it weakens the member's security.
    pub security: bool,
    /// The first line without it; of one that is too new, the first release that knows it.
    pub since: String,
    /// What to use instead; empty if there is nothing.
    pub replacement: String,
    /// Where it is written.
    pub source: String,
}

/// What comes of a setting that a release does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is dropped and etcd starts.
    Dropped,
    /// etcd does not start.
    Fatal,
}

/// An option that is set on the command line and in the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The flag with two dashes.
    pub flag: String,
    /// The variable.
    pub env: String,
    /// Where it is written.
    pub source: String,
}

/// How a release refuses a setting, before it is put into the words of a flag or of a variable.
struct Verdict<'a> {
    refusal: Refusal,
    since: String,
    replacement: &'a str,
    security: bool,
    source: &'a str,
}

impl Catalogue {
    /// Flags of a command line (without the executable) that `target` does not start with, each once.
    ///
    /// Flags that no row knows are not judged: asking the target's own binary is the wider net.
    pub fn refused_flags<S: AsRef<str>>(&self, target: &Version, args: &[S]) -> Vec<RefusedFlag> {
        let mut refused: Vec<RefusedFlag> = Vec::new();
        for (name, value) in parse_args(args) {
            let Some(verdict) = self.settings.judge(target, &name, value) else {
                continue;
            };
            let flag = verdict.spelt(&name, value);
            if refused.iter().all(|known| known.flag != flag) {
                refused.push(RefusedFlag {
                    flag,
                    refusal: verdict.refusal,
                    since: verdict.since,
                    replacement: verdict.replacement.to_owned(),
                    source: verdict.source.to_owned(),
                });
            }
        }
        refused
    }

    /// Variables that `target` drops in silence, or does not start with.
    pub fn dropped_env(&self, target: &Version, env: &BTreeMap<String, String>) -> Vec<DroppedEnv> {
        env.iter()
            .filter_map(|(name, value)| {
                let flag = flag_of_env(name)?;
                self.settings.fatal_env(target, name).or_else(|| {
                    self.settings
                        .judge(target, &flag, Some(value))
                        .map(|verdict| verdict.dropped(name))
                })
            })
            .collect()
    }

    /// Keys of a configuration file, with their values, that `target` drops in silence or does not start with.
    ///
    /// Nested keys are written with a dot, such as `client-transport-security.ca-file`.
    pub fn dropped_keys(
        &self,
        target: &Version,
        keys: &BTreeMap<String, String>,
    ) -> Vec<DroppedEnv> {
        keys.iter()
            .filter_map(|(key, value)| {
                self.settings
                    .judge(target, &flag_of_key(key), Some(value))
                    .map(|verdict| verdict.dropped(key))
            })
            .collect()
    }

    /// Options that are set both ways, which `target` does not start with.
    pub fn env_conflicts<S: AsRef<str>>(
        &self,
        target: &Version,
        args: &[S],
        env: &BTreeMap<String, String>,
    ) -> Vec<Conflict> {
        let rule = &self.env_flag_conflict;
        if target.minor() < rule.fatal_from {
            return Vec::new();
        }
        let given: Vec<String> = parse_args(args).into_iter().map(|(name, _)| name).collect();
        env.keys()
            .filter_map(|name| Some((name, flag_of_env(name)?)))
            .filter(|(_, flag)| given.contains(flag))
            .map(|(name, flag)| Conflict {
                flag: format!("--{flag}"),
                env: name.clone(),
                source: rule.source.clone(),
            })
            .collect()
    }
}

impl Settings {
    fn judge(&self, target: &Version, name: &str, value: Option<&str>) -> Option<Verdict<'_>> {
        self.judge_value(target, name, value)
            .or_else(|| match self.row(name) {
                Some(row) => row.judge(target),
                None => self.judge_prefix(target, name),
            })
    }

    fn row(&self, name: &str) -> Option<&FlagRow> {
        self.flags
            .iter()
            .find(|row| row.names.iter().any(|known| known == name))
    }

    fn judge_value(
        &self,
        target: &Version,
        name: &str,
        value: Option<&str>,
    ) -> Option<Verdict<'_>> {
        let row = self
            .values
            .iter()
            .find(|row| row.flag == name && Some(row.value.as_str()) == value)?;
        (target.minor() >= row.gone).then(|| Verdict {
            refusal: Refusal::Value,
            since: row.gone.to_string(),
            replacement: &row.instead,
            security: false,
            source: &row.source,
        })
    }

    fn judge_prefix(&self, target: &Version, name: &str) -> Option<Verdict<'_>> {
        let row = self
            .prefixes
            .iter()
            .find(|row| name.starts_with(&row.prefix))?;
        (target.minor() >= row.gone).then(|| Verdict {
            refusal: Refusal::Gone,
            since: row.gone.to_string(),
            replacement: &row.instead,
            security: false,
            source: &row.source,
        })
    }

    fn fatal_env(&self, target: &Version, name: &str) -> Option<DroppedEnv> {
        let row = self.fatal_env.iter().find(|row| row.name == name)?;
        row.minors.contains(&target.minor()).then(|| DroppedEnv {
            name: name.to_owned(),
            effect: Effect::Fatal,
            security: false,
            since: target.minor().to_string(),
            replacement: row.instead.clone(),
            source: row.source.clone(),
        })
    }
}

impl FlagRow {
    fn judge(&self, target: &Version) -> Option<Verdict<'_>> {
        let (refusal, since) = match self.gone {
            Some(gone) if target.minor() >= gone => (Refusal::Gone, gone.to_string()),
            _ => (Refusal::TooNew, self.missing_until(target)?.to_string()),
        };
        Some(Verdict {
            refusal,
            since,
            replacement: self.instead.as_deref().unwrap_or_default(),
            security: self.security,
            source: &self.source,
        })
    }

    /// The release that first knows the flag, if `target` is before it in its line or before all lines with it.
    fn missing_until(&self, target: &Version) -> Option<&Version> {
        let of_line = |first: &&Version| first.minor() == target.minor();
        match self.since.iter().find(of_line) {
            Some(first) => (target < first).then_some(first),
            None => self.since.first().filter(|first| target < *first),
        }
    }
}

impl Verdict<'_> {
    fn spelt(&self, name: &str, value: Option<&str>) -> String {
        match (self.refusal, value) {
            (Refusal::Value, Some(value)) => format!("--{name}={value}"),
            _ => format!("--{name}"),
        }
    }

    fn dropped(self, name: &str) -> DroppedEnv {
        DroppedEnv {
            name: name.to_owned(),
            effect: match self.refusal {
                Refusal::Value => Effect::Fatal,
                Refusal::Gone | Refusal::TooNew => Effect::Dropped,
            },
            security: self.security,
            since: self.since,
            replacement: self.replacement.to_owned(),
            source: self.source.to_owned(),
        }
    }
}

/// Flags with their values, as Go's `flag` package reads them: one dash or two, `=` or the next word.
fn parse_args<S: AsRef<str>>(args: &[S]) -> Vec<(String, Option<&str>)> {
    let words = args.iter().map(AsRef::as_ref);
    let next = words.clone().skip(1).map(Some).chain([None]);
    words
        .zip(next)
        .filter_map(|(word, next)| {
            let bare = word.strip_prefix('-')?;
            let bare = bare.strip_prefix('-').unwrap_or(bare);
            Some(match bare.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value)),
                None => (bare.to_owned(), next.filter(|next| !next.starts_with('-'))),
            })
        })
        .filter(|(name, _)| !name.is_empty())
        .collect()
}

/// The flag that a variable stands for: `ETCD_ENABLE_V2` is `enable-v2`.
fn flag_of_env(name: &str) -> Option<String> {
    let bare = name.strip_prefix("ETCD_")?;
    Some(match bare {
        "EXPERIMENTAL_GRPC_ADDR" => "experimental-gRPC-addr".to_owned(),
        _ => bare.to_lowercase().replace('_', "-"),
    })
}

/// The flag that a key stands for: `peer-transport-security.ca-file` is `peer-ca-file`.
fn flag_of_key(key: &str) -> String {
    if let Some(name) = key.strip_prefix("peer-transport-security.") {
        let peer = [
            "auto-tls",
            "cert-file",
            "key-file",
            "ca-file",
            "trusted-ca-file",
            "crl-file",
        ];
        let own = peer.contains(&name) || name.starts_with("client-") || name == "cert-allowed-cn";
        return if own {
            format!("peer-{name}")
        } else {
            name.to_owned()
        };
    }
    key.strip_prefix("client-transport-security.")
        .unwrap_or(key)
        .to_owned()
}
