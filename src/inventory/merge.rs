//! Several files, and ranges, become one tree.
//!
//! Tables merge. A later value covers an earlier one in `[defaults]`, `[backup]`, `[releases]` and the settings
//! of a cluster, so that a second file can adjust the first. A host is said once: where two definitions of it
//! disagree, both are named and neither wins.

use std::collections::HashMap;

use super::error::Problem;
use super::range::Pattern;
use super::source::{Pos, Sources};
use super::tree::{Data, Entry, Node, Table};

/// What was found wrong so far.
pub type Clashes = Vec<(Pos, Problem)>;

/// Where in the tree the merge is.
#[derive(Clone)]
enum Level {
    Top,
    Clusters,
    Cluster,
    Hosts,
    Host { host: String, key: String },
    Other,
}

impl Level {
    fn below(&self, entry: &Entry) -> Self {
        match self {
            Self::Top if entry.key == "clusters" => Self::Clusters,
            Self::Clusters => Self::Cluster,
            Self::Cluster if entry.key == "hosts" => Self::Hosts,
            Self::Hosts => Self::Host {
                host: entry.key.clone(),
                key: String::new(),
            },
            Self::Host { host, key } => Self::Host {
                host: host.clone(),
                key: dotted(key, &entry.key),
            },
            _ => Self::Other,
        }
    }
}

/// A key below a dotted prefix, which may be empty.
pub fn dotted(prefix: &str, key: &str) -> String {
    if prefix.is_empty() {
        key.to_owned()
    } else {
        format!("{prefix}.{key}")
    }
}

/// Merges whole files, the later over the earlier.
pub fn files(files: Vec<Table>, sources: &Sources, clashes: &mut Clashes) -> Table {
    let entries = files.into_iter().flat_map(|table| table.0).collect();
    gather(entries, &Level::Top, sources, clashes)
}

/// Merges the tables of several `-e`, the later over the earlier.
pub fn sets(sets: Vec<Table>, sources: &Sources) -> Table {
    let entries = sets.into_iter().flat_map(|table| table.0).collect();
    gather(entries, &Level::Other, sources, &mut Vec::new())
}

/// A table of the entries, those with the same key merged.
fn gather(entries: Vec<Entry>, level: &Level, sources: &Sources, clashes: &mut Clashes) -> Table {
    let mut index: HashMap<String, usize> = HashMap::with_capacity(entries.len());
    let mut groups: Vec<Vec<Entry>> = Vec::with_capacity(entries.len());
    for entry in entries {
        if let Some(&at) = index.get(&entry.key) {
            groups[at].push(entry);
        } else {
            index.insert(entry.key.clone(), groups.len());
            groups.push(vec![entry]);
        }
    }
    let joined = groups
        .into_iter()
        .filter_map(|group| join(group, level, sources, clashes));
    Table(joined.collect())
}

fn join(
    mut group: Vec<Entry>,
    level: &Level,
    sources: &Sources,
    clashes: &mut Clashes,
) -> Option<Entry> {
    if group.len() < 2 {
        return group.pop();
    }
    let level = level.below(&group[0]);
    if group.iter().all(|e| matches!(e.node.data, Data::Table(_))) {
        let Entry { key, pos, node } = group[0].clone_head();
        let inner = group.into_iter().flat_map(Entry::into_entries).collect();
        let data = Data::Table(gather(inner, &level, sources, clashes));
        let node = Node { data, ..node };
        return Some(Entry { key, pos, node });
    }
    if let Level::Host { host, key } = &level {
        disagreements(&group, host, key, sources, clashes);
    }
    group.pop()
}

fn disagreements(group: &[Entry], host: &str, key: &str, sources: &Sources, clashes: &mut Clashes) {
    let first = &group[0];
    for other in &group[1..] {
        if first.node.data.to_json() != other.node.data.to_json() {
            let problem = Problem::HostDisagrees {
                host: host.to_owned(),
                key: key.to_owned(),
                other: Box::new(sources.place(first.pos)),
            };
            clashes.push((other.pos, problem));
        }
    }
}

impl Entry {
    /// The entry without its value.
    fn clone_head(&self) -> Self {
        Self {
            key: self.key.clone(),
            pos: self.pos,
            node: Node {
                pos: self.node.pos,
                data: Data::Table(Table::default()),
            },
        }
    }

    fn into_entries(self) -> Vec<Self> {
        match self.node.data {
            Data::Table(table) => table.0,
            _ => Vec::new(),
        }
    }
}

/// Replaces every host whose name is a range by the hosts that it stands for.
pub fn expand(file: &mut Table, sources: &Sources, clashes: &mut Clashes) {
    for cluster in tables(file, "clusters").flat_map(|clusters| &mut clusters.0) {
        let Data::Table(cluster) = &mut cluster.node.data else {
            continue;
        };
        for hosts in tables(cluster, "hosts") {
            let entries = std::mem::take(&mut hosts.0);
            let expanded = entries
                .into_iter()
                .flat_map(|entry| expand_host(entry, clashes))
                .collect();
            *hosts = gather(expanded, &Level::Hosts, sources, clashes);
        }
    }
}

fn tables<'a>(table: &'a mut Table, key: &'a str) -> impl Iterator<Item = &'a mut Table> {
    table
        .0
        .iter_mut()
        .filter(move |e| e.key == key)
        .filter_map(|e| match &mut e.node.data {
            Data::Table(table) => Some(table),
            _ => None,
        })
}

fn expand_host(entry: Entry, clashes: &mut Clashes) -> Vec<Entry> {
    let key = entry.key.clone();
    let names = match Pattern::read(&key) {
        Ok(names) => names,
        Err(problem) => {
            clashes.push((entry.pos, problem));
            return Vec::new();
        }
    };
    mismatches(&entry.node, &names, &key, clashes);
    if !names.is_range() {
        return vec![entry];
    }
    (0..names.count())
        .map(|index| Entry {
            key: names.nth(index),
            pos: entry.pos,
            node: fill(&entry.node, index, names.count()),
        })
        .collect()
}

/// Reports ranges in a host's values that do not fit its name. A host that is no range may have brackets in
/// its variables, which are nobody's range; in its address and member name they can only be a mistake.
fn mismatches(node: &Node, names: &Pattern<'_>, host: &str, clashes: &mut Clashes) {
    match &node.data {
        Data::Text(text) => {
            if let Some(problem) = mismatch(text, names, host) {
                clashes.push((node.pos, problem));
            }
        }
        Data::List(items) => {
            for item in items {
                mismatches(item, names, host, clashes);
            }
        }
        Data::Table(table) => {
            let matters = |e: &&Entry| names.is_range() || matches!(&*e.key, "address" | "member");
            for entry in table.0.iter().filter(matters) {
                mismatches(&entry.node, names, host, clashes);
            }
        }
        _ => {}
    }
}

fn mismatch(text: &str, names: &Pattern<'_>, host: &str) -> Option<Problem> {
    match Pattern::read(text) {
        Err(problem) => Some(problem),
        Ok(values) if values.is_range() && values.count() != names.count() => {
            Some(Problem::RangeMismatch {
                value: text.to_owned(),
                values: values.count(),
                hosts: host.to_owned(),
                count: names.count(),
            })
        }
        Ok(_) => None,
    }
}

/// The value for the host of that index.
fn fill(node: &Node, index: usize, count: usize) -> Node {
    let data = match &node.data {
        Data::Text(text) => Data::Text(match Pattern::read(text) {
            Ok(values) if values.count() == count => values.nth(index),
            _ => text.clone(),
        }),
        Data::List(items) => Data::List(items.iter().map(|i| fill(i, index, count)).collect()),
        Data::Table(table) => Data::Table(Table(
            table
                .0
                .iter()
                .map(|entry| Entry {
                    key: entry.key.clone(),
                    pos: entry.pos,
                    node: fill(&entry.node, index, count),
                })
                .collect(),
        )),
        other => other.clone(),
    };
    Node {
        pos: node.pos,
        data,
    }
}
