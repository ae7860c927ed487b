//! `--limit`: which clusters and hosts a command is for.

use std::collections::BTreeSet;

use globset::{Glob, GlobMatcher};

use super::keys;
use super::{Cluster, Inventory};

/// A cluster of which at least one host was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected {
    /// The cluster with all its hosts, chosen or not: quorum counts them all.
    pub cluster: Cluster,
    /// The names of the chosen hosts. Never empty.
    pub chosen: BTreeSet<String>,
}

/// Why a selection is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// A pattern cannot be read.
    #[error("`{pattern}` is not a pattern: {why}")]
    NotAPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// Patterns match neither a cluster nor a host.
    #[error("{}", unmatched(.0))]
    NoMatch(Vec<Unmatched>),
    /// The excludes leave nothing.
    #[error("`--limit {0}` leaves no host")]
    NothingLeft(String),
}

/// A pattern that matches nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmatched {
    /// The pattern.
    pub pattern: String,
    /// Names that are near to it.
    pub near: Vec<String>,
}

struct Pattern {
    text: String,
    excludes: bool,
    matcher: GlobMatcher,
    used: bool,
}

/// Chooses the hosts that match the patterns; all of them without a pattern.
///
/// A pattern is the name of a cluster or a host, or a glob. Each text may hold several, separated by commas.
/// Those with `!` in front exclude, whatever their place; with nothing but those, all others are chosen.
///
/// # Errors
/// When a pattern matches nothing, be it an excluding one, and when nothing is left.
pub fn select(inventory: &Inventory, limits: &[String]) -> Result<Vec<Selected>, SelectError> {
    let named_all = inventory.clusters.contains_key("all");
    let mut patterns = parse(limits, named_all)?;
    let from_all = patterns.iter().all(|pattern| pattern.excludes);
    let mut selected = Vec::new();
    for cluster in inventory.clusters.values() {
        let chosen = choose(cluster, &mut patterns, from_all);
        if !chosen.is_empty() {
            let cluster = cluster.clone();
            selected.push(Selected { cluster, chosen });
        }
    }
    let unused: Vec<_> = patterns.iter().filter(|pattern| !pattern.used).collect();
    if !unused.is_empty() {
        let unmatched = unused.iter().map(|pattern| Unmatched {
            pattern: pattern.text.clone(),
            near: near(&pattern.text, inventory),
        });
        return Err(SelectError::NoMatch(unmatched.collect()));
    }
    if selected.is_empty() {
        return Err(SelectError::NothingLeft(limits.join(",")));
    }
    Ok(selected)
}

/// Reads the patterns. `all` is every host, unless a cluster has that name.
fn parse(limits: &[String], named_all: bool) -> Result<Vec<Pattern>, SelectError> {
    split(limits)
        .map(|text| {
            let (excludes, bare) = match text.strip_prefix('!') {
                Some(bare) => (true, bare.trim()),
                None => (false, text),
            };
            let glob = if bare == "all" && !named_all {
                "*"
            } else {
                bare
            };
            let matcher = Glob::new(glob).map_err(|e| SelectError::NotAPattern {
                pattern: text.to_owned(),
                why: e.kind().to_string(),
            })?;
            Ok(Pattern {
                text: bare.to_owned(),
                excludes,
                matcher: matcher.compile_matcher(),
                used: false,
            })
        })
        .collect()
}

/// The patterns of all texts; a comma inside braces belongs to its glob, as in `etcd-{1,3}`.
fn split(limits: &[String]) -> impl Iterator<Item = &str> {
    limits.iter().flat_map(|limit| {
        let mut depth = 0_usize;
        limit
            .split(move |c: char| {
                match c {
                    '{' => depth += 1,
                    '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                c == ',' && depth == 0
            })
            .map(str::trim)
            .filter(|text| !text.is_empty())
    })
}

fn choose(cluster: &Cluster, patterns: &mut [Pattern], from_all: bool) -> BTreeSet<String> {
    let whole: Vec<bool> = patterns
        .iter()
        .map(|p| p.matcher.is_match(&cluster.name))
        .collect();
    let mut chosen = BTreeSet::new();
    for host in &cluster.hosts {
        let (mut included, mut excluded) = (from_all, false);
        for (pattern, whole) in patterns.iter_mut().zip(&whole) {
            let hit = *whole || pattern.matcher.is_match(&host.name);
            pattern.used |= hit;
            included |= hit && !pattern.excludes;
            excluded |= hit && pattern.excludes;
        }
        if included && !excluded {
            chosen.insert(host.name.clone());
        }
    }
    chosen
}

/// The nearest three names, clusters first.
fn near(text: &str, inventory: &Inventory) -> Vec<String> {
    let clusters = inventory.clusters.keys();
    let hosts = inventory
        .clusters
        .values()
        .flat_map(|c| &c.hosts)
        .map(|host| &host.name);
    keys::nearest(text, clusters.chain(hosts).map(String::as_str))
}

fn unmatched(all: &[Unmatched]) -> String {
    let one = |unmatched: &Unmatched| {
        let Unmatched { pattern, near } = unmatched;
        let near: Vec<_> = near.iter().map(|name| format!("`{name}`")).collect();
        let hint = match near.as_slice() {
            [] => String::new(),
            near => format!("; did you mean {}?", near.join(" or ")),
        };
        format!("`{pattern}` matches no cluster and no host{hint}")
    };
    all.iter().map(one).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::load_text;

    fn pick(limits: &[&str]) -> Result<String, String> {
        let text = r#"
            [clusters.prod.hosts."etcd-[1:3]"]
            [clusters.stage.hosts."stage-[1:2]"]
            [clusters.lone.hosts.lone]
        "#;
        let inventory = load_text("t.toml", text, &[]).unwrap().inventory;
        let limits: Vec<String> = limits.iter().map(ToString::to_string).collect();
        let selected = select(&inventory, &limits).map_err(|e| e.to_string())?;
        let all = selected.into_iter().flat_map(|s| s.chosen);
        Ok(all.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn without_a_pattern_all_hosts_are_chosen() {
        assert_eq!(
            pick(&[]).unwrap(),
            "lone etcd-1 etcd-2 etcd-3 stage-1 stage-2"
        );
        assert_eq!(pick(&["all"]).unwrap(), pick(&[]).unwrap());
        assert_eq!(pick(&["*"]).unwrap(), pick(&[]).unwrap());
    }

    #[test]
    fn a_pattern_names_a_cluster_or_a_host_or_is_a_glob() {
        assert_eq!(pick(&["prod"]).unwrap(), "etcd-1 etcd-2 etcd-3");
        assert_eq!(pick(&["etcd-2"]).unwrap(), "etcd-2");
        assert_eq!(pick(&["*-1"]).unwrap(), "etcd-1 stage-1");
        assert_eq!(pick(&["etcd-{1,3}"]).unwrap(), "etcd-1 etcd-3");
        assert_eq!(pick(&["etcd-[23]"]).unwrap(), "etcd-2 etcd-3");
        assert_eq!(pick(&["lone"]).unwrap(), "lone");
    }

    #[test]
    fn patterns_add_up_and_excludes_win_wherever_they_stand() {
        assert_eq!(pick(&["etcd-1,stage-1"]).unwrap(), "etcd-1 stage-1");
        assert_eq!(pick(&["etcd-1", "stage-1"]).unwrap(), "etcd-1 stage-1");
        assert_eq!(pick(&["!etcd-2", "prod"]).unwrap(), "etcd-1 etcd-3");
        assert_eq!(pick(&["prod, !etcd-2, etcd-2"]).unwrap(), "etcd-1 etcd-3");
    }

    #[test]
    fn only_excludes_mean_all_but_those() {
        assert_eq!(pick(&["!prod"]).unwrap(), "lone stage-1 stage-2");
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_an_error_with_near_names() {
        assert_eq!(
            pick(&["etdc-1,!sage,zzz"]).unwrap_err(),
            "`etdc-1` matches no cluster and no host; did you mean `etcd-1` or `etcd-2` or `etcd-3`?\n\
             `sage` matches no cluster and no host; did you mean `stage`?\n\
             `zzz` matches no cluster and no host"
        );
        assert!(pick(&["etcd-[1"]).unwrap_err().contains("is not a pattern"));
    }

    #[test]
    fn excluding_everything_leaves_nothing() {
        assert_eq!(
            pick(&["prod", "!etcd-*"]).unwrap_err(),
            "`--limit prod,!etcd-*` leaves no host"
        );
    }

    #[test]
    fn a_chosen_cluster_keeps_the_hosts_that_were_not_chosen() {
        let text = r#"[clusters.prod.hosts."etcd-[1:3]"]"#;
        let inventory = load_text("t.toml", text, &[]).unwrap().inventory;
        let selected = select(&inventory, &["etcd-1".into()]).unwrap();
        assert_eq!(selected[0].cluster.hosts.len(), 3);
        assert_eq!(selected[0].chosen.len(), 1);
    }
}
