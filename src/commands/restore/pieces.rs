//! What lies here and on the hosts, file by file, put together run by run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::decide::Holdings;
use crate::etcd::Version;
use crate::facts::backups::Description;

/// A file of a backup with everything known of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Piece {
    pub name: String,
    pub bytes: u64,
    pub description: Option<Description>,
    pub here: Option<PathBuf>,
    pub on: Option<(String, String)>,
}

/// What a file's name says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub run: String,
    pub version: Version,
}

impl Piece {
    /// Whether it is called a snapshot.
    pub fn is_snapshot(&self) -> bool {
        Path::new(&self.name)
            .extension()
            .is_some_and(|end| end == "db")
    }

    /// Whether it is called a copy of a v2 store.
    pub fn is_store(&self) -> bool {
        self.name.ends_with(".v2.tar.gz")
    }
}

/// The length of a run's id.
const RUN: usize = "20261120T120102Z-4f2a".len();

pub(super) type Runs = BTreeMap<Key, Vec<Piece>>;

pub(super) fn on_hosts(held: &Holdings) -> BTreeMap<String, Piece> {
    let mut pieces: BTreeMap<String, Piece> = BTreeMap::new();
    for (host, holding) in held {
        for file in &holding.files {
            let piece = pieces.entry(file.name.clone()).or_insert_with(|| Piece {
                name: file.name.clone(),
                bytes: file.bytes,
                ..Piece::default()
            });
            // The host that it was taken on has the description.
            if piece.on.is_none() || (piece.description.is_none() && file.description.is_some()) {
                piece.on = Some((host.clone(), format!("{}/{}", holding.dir, file.name)));
                piece.bytes = file.bytes;
            }
            if piece.description.is_none() {
                piece.description.clone_from(&file.description);
            }
        }
    }
    pieces
}

/// A folder that is not there has no backups.
pub(super) fn add_local(pieces: &mut BTreeMap<String, Piece>, dir: &Path) {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_backup = |piece: &Piece| piece.is_snapshot() || piece.is_store();
        let Some(found) = local(&entry.path()).filter(is_backup) else {
            continue;
        };
        let piece = pieces.entry(name).or_insert_with(|| found.clone());
        piece.here = found.here;
        if piece.description.is_none() {
            piece.description = found.description;
        }
    }
}

pub(super) fn local(path: &Path) -> Option<Piece> {
    let meta = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let described = format!("{}.json", path.display());
    let description = fs::read_to_string(described).ok();
    Some(Piece {
        name: path.file_name()?.to_string_lossy().into_owned(),
        bytes: meta.len(),
        description: description.and_then(|text| serde_json::from_str(&text).ok()),
        here: Some(path.to_owned()),
        on: None,
    })
}

pub(super) fn by_run<'p>(cluster: &str, pieces: impl Iterator<Item = &'p Piece>) -> Runs {
    let mut runs = Runs::new();
    for piece in pieces {
        if let Some(key) = key(cluster, &piece.name) {
            runs.entry(key).or_default().push(piece.clone());
        }
    }
    runs
}

/// `CLUSTER-RUN-VERSION.db` or `CLUSTER-RUN-VERSION-HOST.v2.tar.gz`.
pub(super) fn key(cluster: &str, name: &str) -> Option<Key> {
    let rest = name.strip_prefix(&safe(cluster))?.strip_prefix('-')?;
    let (run, rest) = rest.split_at_checked(RUN)?;
    let rest = rest.strip_prefix('-')?;
    let version = match rest.strip_suffix(".db") {
        Some(version) => version,
        None => rest.strip_suffix(".v2.tar.gz")?.split('-').next()?,
    };
    Some(Key {
        run: run.to_owned(),
        version: version.parse().ok()?,
    })
}

pub(super) fn safe(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    name.chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect()
}
