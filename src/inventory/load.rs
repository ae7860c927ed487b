//! Reads inventory files once and turns them into an [`Inventory`].

use std::path::{Path, PathBuf};

use super::echo::tidy;
use super::error::{Clash, Errors, Problem};
use super::merge::{self, Clashes};
use super::origins::Origins;
use super::reader::{Model, Reader};
use super::resolve::{Resolver, Stack};
use super::source::{Kind, Place, Pos, Sources};
use super::tree::{self, Table};
use super::{Inventory, files, sets};

/// What holds where nobody says anything else.
const BUILT_IN: &str = r#"
[defaults]
host_key_policy = "strict"
become = false
unit = "etcd.service"
data_dir = "/var/lib/etcd"
bin_dir = "/usr/local/bin"
install_dir = "/opt/etcd"
backup_dir = "/var/backups/etcd"
client_url = "http://127.0.0.1:2379"
[backup]
keep = 7
fetch = true
[releases]
source = "https://github.com/etcd-io/etcd/releases/download/v{version}/etcd-v{version}-linux-{arch}.tar.gz"
sha256sums = "https://github.com/etcd-io/etcd/releases/download/v{version}/SHA256SUMS"
fan_out = "control"
"#;

/// An inventory and where each of its settings came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The clusters and hosts.
    pub inventory: Inventory,
    /// Where each setting came from.
    pub origins: Origins,
}

/// Loads inventory files, which merge in their order, under `-e KEY=VALUE` settings.
///
/// Relative paths start at the folder of the file that names them, those of `sets` at the working folder.
///
/// # Errors
/// Everything that is wrong in all files and settings, each with its place. A file that is not TOML is left
/// out of the checks that need all files.
pub fn load(files: &[PathBuf], sets: &[String]) -> Result<Loaded, Errors> {
    let home = std::env::var_os("HOME")
        .filter(|home| !home.is_empty())
        .map(PathBuf::from);
    load_in(files, sets, home.as_deref())
}

/// As [`load`], with another home folder than `HOME`.
///
/// # Errors
/// As [`load`].
pub fn load_in(files: &[PathBuf], sets: &[String], home: Option<&Path>) -> Result<Loaded, Errors> {
    let mut texts = Vec::new();
    let mut unreadable = Vec::new();
    for file in files {
        match files::read(file) {
            Ok(text) => texts.push((file.clone(), text)),
            Err(why) => unreadable.push(Clash {
                place: Place::Whole(file.clone()),
                problem: Problem::Unreadable(why),
            }),
        }
    }
    if files.is_empty() {
        unreadable.push(Clash {
            place: Place::CommandLine,
            problem: Problem::NoFile,
        });
    }
    let loaded = load_texts(texts, sets, home, unreadable.is_empty());
    match loaded {
        Ok(loaded) if unreadable.is_empty() => Ok(loaded),
        Ok(_) => Err(Errors(unreadable)),
        Err(errors) => Err(Errors(unreadable.into_iter().chain(errors.0).collect())),
    }
}

/// Loads one inventory from a text, such as the embedded lab's; relative paths start at the working folder.
///
/// # Errors
/// As [`load`].
pub fn load_text(name: &str, text: &str, sets: &[String]) -> Result<Loaded, Errors> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let texts = vec![(PathBuf::from(name), text.to_owned())];
    load_texts(texts, sets, home.as_deref(), true)
}

fn load_texts(
    texts: Vec<(PathBuf, String)>,
    sets: &[String],
    home: Option<&Path>,
    mut whole: bool,
) -> Result<Loaded, Errors> {
    let mut sources = Sources::default();
    let mut clashes = Vec::new();
    let mut files = Vec::with_capacity(texts.len());
    let built_in = parse(
        Kind::BuiltIn,
        Path::new("built in"),
        BUILT_IN.to_owned(),
        &mut sources,
    )
    .expect("the built-in defaults are TOML, as every load in the tests shows");
    for (name, text) in texts {
        match parse(Kind::File, &name, text, &mut sources) {
            Ok(table) => files.push(table),
            Err(wrong) => {
                whole = false;
                clashes.extend(wrong);
            }
        }
    }
    let sets = read_sets(sets, &mut sources, &mut clashes);
    for file in &mut files {
        merge::expand(file, &sources, &mut clashes);
    }
    let stack = layers(&built_in, files, sets, &sources, home, &mut clashes);
    let mut resolver = Resolver::new(&stack, &sources, whole);
    let inventory = resolver.inventory();
    clashes.append(&mut resolver.clashes);
    if whole && clashes.is_empty() && inventory.clusters.is_empty() {
        clashes.push((
            Pos {
                source: 1,
                offset: 0,
            },
            Problem::NoClusters,
        ));
    }
    finish(clashes, sources, stack, inventory)
}

fn finish(
    clashes: Clashes,
    sources: Sources,
    stack: Stack,
    inventory: Inventory,
) -> Result<Loaded, Errors> {
    if clashes.is_empty() {
        let origins = Origins::new(sources, stack);
        return Ok(Loaded { inventory, origins });
    }
    let clash = |(pos, problem)| Clash {
        place: sources.place(pos),
        problem,
    };
    Err(Errors(tidy(clashes).into_iter().map(clash).collect()))
}

fn parse(kind: Kind, name: &Path, text: String, sources: &mut Sources) -> Result<Table, Clashes> {
    let base = name.parent().unwrap_or(Path::new("")).to_owned();
    let source = sources.add(kind, name, base, text);
    tree::document(source, sources.text(source))
}

fn read_sets(all: &[String], sources: &mut Sources, clashes: &mut Clashes) -> Vec<Table> {
    let mut tables = Vec::with_capacity(all.len());
    for set in all {
        match sets::read(set, PathBuf::new(), sources) {
            Ok(table) => tables.push(table),
            Err(wrong) => clashes.push(wrong),
        }
    }
    tables
}

/// Reads all layers. Each file is read by itself too, so that a wrong value does not hide behind a later one.
fn layers(
    built_in: &Table,
    files: Vec<Table>,
    sets: Vec<Table>,
    sources: &Sources,
    home: Option<&Path>,
    clashes: &mut Clashes,
) -> Stack {
    let mut reader = Reader::new(sources, home);
    let built_in = reader.file(built_in).defaults;
    if files.len() > 1 {
        for file in &files {
            reader.file(file);
        }
    }
    let merged = merge::files(files, sources, &mut reader.clashes);
    let files: Model = reader.file(&merged);
    for set in &sets {
        reader.sets(set);
    }
    let sets = reader.sets(&merge::sets(sets, sources));
    clashes.append(&mut reader.clashes);
    Stack {
        sets,
        files,
        built_in,
    }
}
