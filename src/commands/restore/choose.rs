//! Which backup: what lies here and on the hosts, put together run by run, and the one that is meant.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::decide::Holdings;
use super::pieces::{Key, Piece, Runs, add_local, by_run, key, local, on_hosts};
use crate::cli;
use crate::commands::context::Context;
use crate::etcd::MemberId;
use crate::inventory::Selected;
use crate::plan::Finding;
use crate::plan::restore::{Backup, File};

/// The backup that is meant, and what is known around it.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// The backup; `None` if there is none at all.
    pub backup: Option<Backup>,
    /// Places that were looked into.
    pub looked: Vec<String>,
    /// Files of it on this machine, by name.
    pub local: BTreeMap<String, PathBuf>,
    /// What descriptions say of files: size and SHA-256, by name.
    pub described: BTreeMap<String, (Option<u64>, Option<String>)>,
    /// Files on this machine, by SHA-256, once they are verified.
    pub here: BTreeMap<String, PathBuf>,
    /// Worth knowing.
    pub notes: Vec<Finding>,
}

/// Chooses.
///
/// # Errors
/// Why the backup that was named is none.
pub(super) fn choose(
    context: &Context,
    selected: &Selected,
    held: &Holdings,
    args: &cli::Restore,
) -> Result<Chosen, Box<Finding>> {
    let cluster = &selected.cluster.name;
    let dir = context.state_dir.join("backups").join(cluster);
    let mut pieces = on_hosts(held);
    add_local(&mut pieces, &dir);
    let mut looked = vec![format!("in `{}` here", dir.display())];
    looked.extend(
        held.iter()
            .map(|(host, held)| format!("in `{}` on {host}", held.dir)),
    );
    let runs = by_run(cluster, pieces.values());
    let known = |key: &Key| whole(key, &runs[key]);
    let mut chosen = match &args.from {
        None => newest(&runs).map_or_else(Chosen::default, |key| known(&key)),
        Some(name) => match named(name, &pieces, &runs) {
            Found::Run(key) => known(&key),
            Found::File(piece) => alone(cluster, &piece),
            Found::Host(host, path) if selected.cluster.host(&host).is_some() => {
                on_host(cluster, &host, &path)
            }
            Found::Host(..) | Found::None => return Err(Box::new(missing(name, &looked))),
        },
    };
    if args.from.is_none() {
        chosen.notes.extend(others(&runs, chosen.backup.as_ref()));
    }
    if let Some(backup) = &mut chosen.backup {
        told(backup, args)?;
    }
    chosen.looked = looked;
    Ok(chosen)
}

enum Found {
    Run(Key),
    File(Box<Piece>),
    Host(String, String),
    None,
}

fn missing(name: &str, looked: &[String]) -> Finding {
    let reason = format!(
        "it is no file here, no run and no backup: looked {}",
        looked.join(", ")
    );
    Finding::block("NO_BACKUP", name, reason)
        .hint("name a run's id, a backup's name, a file here, or `HOST:/PATH`")
}

/// `--release` fills a gap; it may not contradict what is known.
fn told(backup: &mut Backup, args: &cli::Restore) -> Result<(), Box<Finding>> {
    match (&backup.version, &args.release) {
        (Some(known), Some(said)) if known != said => {
            let name = backup
                .snapshot
                .as_ref()
                .map_or("", |file| file.name.as_str());
            let reason = format!("`--release` says {said}, the backup itself says {known}");
            Err(Box::new(
                Finding::block("BACKUP_RELEASE", name, reason).hint("leave `--release` out"),
            ))
        }
        (None, said) => {
            backup.version.clone_from(said);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The newest run's; of several releases the one that it began with.
fn newest(runs: &Runs) -> Option<Key> {
    let newest = runs.keys().map(|key| &key.run).max()?;
    runs.keys().find(|key| key.run == *newest).cloned()
}

fn named(name: &str, pieces: &BTreeMap<String, Piece>, runs: &Runs) -> Found {
    let of_file = |name: &str| {
        let has = |pieces: &Vec<Piece>| pieces.iter().any(|piece| piece.name == name);
        runs.iter()
            .find(|(_, pieces)| has(pieces))
            .map(|(key, _)| key.clone())
    };
    if let Some(key) = of_file(name) {
        return Found::Run(key);
    }
    if pieces.contains_key(name)
        && let Some(piece) = pieces.get(name)
    {
        return Found::File(Box::new(piece.clone()));
    }
    if let Some(piece) = local(Path::new(name)) {
        return Found::File(Box::new(piece));
    }
    if let Some((host, path)) = name
        .split_once(':')
        .filter(|(_, path)| path.starts_with('/'))
    {
        let held = |key: &Key| {
            let place = (host.to_owned(), path.to_owned());
            runs[key]
                .iter()
                .any(|piece| piece.on.as_ref() == Some(&place))
        };
        return match runs.keys().find(|key| held(key)) {
            Some(key) => Found::Run(key.clone()),
            None => Found::Host(host.to_owned(), path.to_owned()),
        };
    }
    let mut fits = runs.keys().filter(|key| key.run.starts_with(name));
    let first = fits.next();
    let other = fits.find(|key| first.is_some_and(|first| first.run != key.run));
    match (first, other) {
        (Some(key), None) if !name.is_empty() => Found::Run(key.clone()),
        _ => Found::None,
    }
}

/// A backup of one run at one release: its snapshot, and the newest copy of a v2 store.
fn whole(key: &Key, pieces: &[Piece]) -> Chosen {
    let snapshot = pieces.iter().find(|piece| piece.is_snapshot());
    let newest = |piece: &&Piece| {
        let description = piece.description.clone().unwrap_or_default();
        (description.store_index, description.raft_index)
    };
    let stores = pieces.iter().filter(|piece| piece.is_store());
    let store = stores.max_by_key(newest);
    let mut chosen = chosen(snapshot, store);
    if let Some(backup) = &mut chosen.backup {
        backup.run.clone_from(&key.run);
        backup.version = Some(key.version.clone());
    }
    chosen
}

/// A file that no run is known of.
fn alone(cluster: &str, piece: &Piece) -> Chosen {
    let is_store = piece.is_store();
    let mut chosen = if is_store {
        chosen(None, Some(piece))
    } else {
        chosen(Some(piece), None)
    };
    if let Some(backup) = &mut chosen.backup {
        backup.version = key(cluster, &piece.name)
            .map(|key| key.version)
            .or(backup.version.take());
    }
    chosen
}

fn on_host(cluster: &str, host: &str, path: &str) -> Chosen {
    let name = path.rsplit('/').next().unwrap_or(path).to_owned();
    let piece = Piece {
        name,
        on: Some((host.to_owned(), path.to_owned())),
        ..Piece::default()
    };
    alone(cluster, &piece)
}

fn chosen(snapshot: Option<&Piece>, store: Option<&Piece>) -> Chosen {
    let described = snapshot
        .or(store)
        .and_then(|piece| piece.description.clone());
    let description = described.unwrap_or_default();
    let versions = description
        .versions
        .values()
        .filter_map(|text| text.parse().ok());
    let id = description
        .cluster_id
        .as_deref()
        .and_then(|id| id.parse::<MemberId>().ok());
    let file = |piece: &Piece| File {
        name: piece.name.clone(),
        bytes: piece.bytes,
        sha256: String::new(),
        here: piece.here.is_some(),
        on: piece.on.clone(),
        damage: None,
    };
    let mut chosen = Chosen {
        backup: Some(Backup {
            run: description.run.unwrap_or_default(),
            version: versions.min(),
            cluster: description.cluster,
            cluster_id: id.filter(|id| *id != MemberId::UNKNOWN),
            members: description.members,
            revision: description.revision,
            snapshot: snapshot.map(file),
            store: store.map(file),
        }),
        ..Chosen::default()
    };
    for piece in [snapshot, store].into_iter().flatten() {
        let description = piece.description.clone().unwrap_or_default();
        let said = (description.bytes, description.sha256);
        chosen.described.insert(piece.name.clone(), said);
        if let Some(path) = &piece.here {
            chosen.local.insert(piece.name.clone(), path.clone());
        }
    }
    chosen
}

/// Names the other backups, so that nobody takes the wrong one for want of knowing.
fn others(runs: &Runs, taken: Option<&Backup>) -> Option<Finding> {
    let taken = taken?;
    let is_other =
        |key: &&Key| key.run != taken.run || Some(&key.version) != taken.version.as_ref();
    let others: Vec<String> = runs
        .keys()
        .rev()
        .filter(is_other)
        .map(|key| format!("{} at {}", key.run, key.version))
        .collect();
    let (first, more) = (others.first()?, others.len().saturating_sub(3));
    let mut named = others
        .iter()
        .take(3)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if more > 0 {
        named = format!("{named} and {more} more");
    }
    let finding = Finding::note(
        "BACKUP_OTHERS",
        &taken.run,
        format!("{} other backups: {named}", others.len()),
    );
    Some(finding.hint(format!(
        "`--from {}` takes another",
        first.split(' ').next().unwrap_or_default()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::Version;
    use crate::facts::backups::Description;

    fn piece(name: &str) -> Piece {
        Piece {
            name: name.to_owned(),
            ..Piece::default()
        }
    }

    #[test]
    fn the_newest_runs_backup_is_taken_and_of_two_hops_the_one_before_the_first() {
        let names = [
            "prod-20261119T120000Z-4f2a-3.6.0.db",
            "prod-20261120T120000Z-4f2a-3.4.23.db",
            "prod-20261120T120000Z-4f2a-3.3.25.db",
            "prod-20261120T120000Z-4f2a-3.3.25-etcd-1.v2.tar.gz",
            "prod-eu-20261121T120000Z-4f2a-3.3.25.db",
        ];
        let pieces: Vec<Piece> = names.iter().map(|name| piece(name)).collect();
        let runs = by_run("prod", pieces.iter());
        assert_eq!(runs.len(), 3);
        let key = newest(&runs).unwrap();
        assert_eq!(key.version, Version::new(3, 3, 25));
        let backup = whole(&key, &runs[&key]).backup.unwrap();
        assert_eq!(backup.snapshot.unwrap().name, names[2]);
        assert_eq!(backup.store.unwrap().name, names[3]);
    }

    #[test]
    fn of_several_copies_of_the_v2_store_the_one_that_has_seen_most_is_taken() {
        let at = |host: &str, index| Piece {
            description: Some(Description {
                store_index: index,
                ..Description::default()
            }),
            ..piece(&format!(
                "prod-20261120T120000Z-4f2a-3.3.25-{host}.v2.tar.gz"
            ))
        };
        let pieces = [at("a", 7), at("b", 9), at("c", 8)];
        let key = key("prod", &pieces[0].name).unwrap();
        let store = whole(&key, &pieces).backup.unwrap().store.unwrap();
        assert!(store.name.contains("-b.v2"), "{store:?}");
    }

    #[test]
    fn other_backups_are_named_beside_the_one_that_is_taken() {
        let names =
            ["19", "20", "21"].map(|day| format!("prod-202611{day}T120000Z-4f2a-3.4.23.db"));
        let pieces = names.map(|name| piece(&name));
        let runs = by_run("prod", pieces.iter());
        let taken = whole(&newest(&runs).unwrap(), &pieces[2..]).backup;
        let found = others(&runs, taken.as_ref()).unwrap();
        assert_eq!(found.code, "BACKUP_OTHERS");
        assert_eq!(
            found.reason,
            "2 other backups: 20261120T120000Z-4f2a at 3.4.23, 20261119T120000Z-4f2a at 3.4.23"
        );
        assert!(
            found.hint.contains("--from 20261120T120000Z-4f2a"),
            "{}",
            found.hint
        );
        let alone = by_run("prod", pieces[2..].iter());
        assert_eq!(others(&alone, taken.as_ref()), None);
    }

    #[test]
    fn a_release_that_is_given_fills_a_gap_and_contradicts_nothing() {
        use clap::Parser as _;
        let args = |words: &[&str]| {
            let all = [&["runner", "restore"], words].concat();
            match crate::cli::Cli::try_parse_from(all).unwrap().command {
                crate::cli::Command::Restore(args) => args,
                other => panic!("{other:?}"),
            }
        };
        let known = || {
            let pieces = [piece("prod-20261120T120000Z-4f2a-3.4.23.db")];
            let key = key("prod", &pieces[0].name).unwrap();
            whole(&key, &pieces).backup.unwrap()
        };
        let refused = told(&mut known(), &args(&["--release", "3.5.16"])).unwrap_err();
        assert_eq!(refused.code, "BACKUP_RELEASE");
        assert!(
            refused
                .reason
                .contains("says 3.5.16, the backup itself says 3.4.23")
        );
        assert!(told(&mut known(), &args(&["--release", "3.4.23"])).is_ok());
        let mut nameless = Backup {
            version: None,
            ..known()
        };
        told(&mut nameless, &args(&["--release", "3.5.16"])).unwrap();
        assert_eq!(nameless.version, Some(Version::new(3, 5, 16)));
    }
}
