//! Backups: take and verify one, bring it here, prune older ones.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::client::{client, endpoint_args, secrets};
use super::{Failure, Task, changed, retention, unchanged};
use crate::facts::MemberView;
use crate::plan::Outcome;
use crate::transport::{Input, Sink};

/// The title of [`TAKE`].
pub const TAKE_TITLE: &str = "take a backup";
/// The title of [`DESCRIBE`].
pub const DESCRIBE_TITLE: &str = "describe the backup";
/// The title of [`DIGEST`].
pub const DIGEST_TITLE: &str = "read the backup's digest";
/// The title of [`FETCH`].
pub const FETCH_TITLE: &str = "fetch the backup";
/// The title of [`PRUNE`].
pub const PRUNE_TITLE: &str = "prune old backups";

/// Saves a snapshot and verifies it.
///
/// Arguments: the six of an endpoint, `dir file seconds`. Prints `bytes=`, `sha256=`, `revision=`, `least=`.
///
/// `snapshot status` does not notice a damaged file (etcd-upgrades 4.3), so the trailing SHA-256 of the database is
/// checked by hand. The revision must be at least what the member had before: an isolated member may be behind.
///
/// From 3.6 on etcdctl has no `snapshot status`, and a release may come without etcdutl; then the revision is read off the
/// database itself, whose digest has been proved.
const TAKE: &str = concat!(
    client!(),
    include_str!("backup/bolt.sh"),
    r#"
dir=$1 file=$1/$2 secs=$3
revision() { sed -n 's/.*"revision":\([0-9][0-9]*\).*/\1/p' | head -n 1; }
[ ! -L "$dir" ] || die "\`$dir\` is a symbolic link to \`$(readlink "$dir")\`"
umask 077
mkdir -p "$dir"
least=$(ctl 10 endpoint status -w json | revision)
[ -n "$least" ] || die "the member does not tell its revision"
if [ ! -e "$file" ]; then
  rm -f "$file.part" "$file.part.part"
  trap 'rm -f "$file.part" "$file.part.part"' EXIT
  trap 'exit 143' TERM HUP INT
  ctl "$secs" snapshot save "$file.part" >/dev/null 2>"$file.part.said" || {
    rc=$?
    grep -v '"level":"\(info\|debug\)"' "$file.part.said" | tail -n 3 >&2
    rm -f "$file.part.said"
    exit "$rc"
  }
  rm -f "$file.part.said"
  chmod 0600 "$file.part"
  saved=$file.part
else
  saved=$file
fi
bytes=$(wc -c < "$saved")
[ "$bytes" -gt 32 ] || die "the snapshot has $bytes bytes"
[ $((bytes % 512)) -eq 32 ] || die "the snapshot has $bytes bytes, which is no database with a digest behind it"
sum=$(head -c $((bytes - 32)) "$saved" | sha256sum | cut -d ' ' -f 1)
tail=$(tail -c 32 "$saved" | od -An -v -tx1 | tr -d ' \n')
[ "$sum" = "$tail" ] || die "the snapshot is damaged: its database has SHA-256 $sum, its trailer says $tail"
if [ -x "${etcdctl%/*}/etcdutl" ]; then
  said=$("${etcdctl%/*}/etcdutl" snapshot status "$saved" -w json 2>/dev/null) || said=
else
  said=$("$etcdctl" snapshot status "$saved" -w json 2>/dev/null) || said=
fi
revision=$(printf '%s' "$said" | revision)
[ -n "$revision" ] || revision=$(bolt_revision "$saved") || revision=
[ -n "$revision" ] || die "the revision of the snapshot cannot be read"
if [ "$revision" -lt "$least" ]; then
  # Deletions that were compacted away, and a store without keys, leave no trace in the file: then it must hold
  # the newest key that there is.
  newest=$(ctl 30 get '' --prefix --keys-only --limit 1 --sort-by MODIFY --order DESCEND -w json 2>/dev/null) ||
    newest='"mod_revision":'$least
  newest=$(printf '%s' "$newest" | sed -n 's/.*"mod_revision":\([0-9][0-9]*\).*/\1/p')
  [ "$revision" -ge "${newest:-0}" ] ||
    die "the snapshot has revision $revision, the member had $least before it was taken"
fi
sync "$saved" 2>/dev/null || sync
[ "$saved" = "$file" ] || mv -fT "$saved" "$file"
printf 'bytes=%s\nsha256=%s\nrevision=%s\nleast=%s\n' \
  "$((bytes))" "$(sha256sum < "$file" | cut -d ' ' -f 1)" "$revision" "$least"
"#
);

/// Writes the description of a backup beside it. Arguments: `path`; the text on stdin.
pub(super) const DESCRIBE: &str = r#"
set -eu
umask 077
cat > "$1.part"
mv -fT "$1.part" "$1"
"#;

const DIGEST: &str = "set -eu\nexport LC_ALL=C\nsha256sum < \"$1\" | cut -d ' ' -f 1\n";

const FETCH: &str = "exec cat < \"$1\"\n";

/// Deletes all but the newest backups of one cluster. Arguments: `dir cluster`, then how many snapshots stay, and how many
/// copies of the v2 store.
///
/// Only files that are named as ours are looked at: cluster, run id (its time, four digits), release. The time
/// sorts as text. Prints what it deleted.
const PRUNE: &str = r#"
set -eu
export LC_ALL=C
dir=$1 cluster=$2 keep=$3 stores=$4
d='[0-9]'
d4=$d$d$d$d
x='[0-9a-f]'
stamp="$d4$d4"T"$d4$d$d"Z-"$x$x$x$x"
# Snapshots and copies of the v2 store are counted apart: a run makes one of each.
for kind in db v2.tar.gz; do
  [ "$kind" = db ] || keep=$stores
  set --
  for path in "$dir"/*."$kind"; do
    name=${path##*/}
    rest=${name#"$cluster"-}
    [ "$rest" != "$name" ] && [ -f "$path" ] && [ ! -L "$path" ] || continue
    case $rest in
      $stamp.$kind | $stamp-[0-9]*.$kind) set -- "$@" "$path" ;;
    esac
  done
  while [ $# -gt "$keep" ]; do
    rm -f "$1" "$1.json"
    printf '%s\n' "${1##*/}"
    shift
  done
done
"#;

/// What a verified backup was found to be.
#[derive(Debug)]
pub(super) struct Taken {
    pub bytes: u64,
    pub sha256: String,
    /// What it is of: a revision of API 3, or an index of the v2 store.
    pub at: u64,
}

/// `Action::TakeBackup`.
pub(crate) async fn take(task: &Task<'_>, dir: &str, file: &str) -> Result<Outcome, Failure> {
    let host = task.turn.host;
    let mut command = task
        .command(TAKE_TITLE, TAKE)
        .args(endpoint_args(host))
        .args([
            dir.to_owned(),
            file.to_owned(),
            task.left().as_secs().max(1).to_string(),
        ]);
    command.secrets = secrets(host);
    let taken = parse_taken(TAKE_TITLE, "revision", &task.ask(command).await?.text())?;
    // The description may yet fail, and the step then tells nothing of the backup.
    task.turn.ledger.note_change();
    describe(task, (dir, file), &taken).await?;
    let place = format!("{dir}/{file} on {}", host.name);
    task.turn.ledger.note_backup(place);
    task.turn.leave(format!(
        "backup {dir}/{file} on {}: {} bytes, revision {}, SHA-256 {}",
        host.name, taken.bytes, taken.at, taken.sha256
    ));
    Ok(changed(format!(
        "{dir}/{file}, {} bytes, revision {}, SHA-256 {}",
        taken.bytes, taken.at, taken.sha256
    )))
}

/// What a script that takes a backup answers; `at` is its word for what the backup is of.
pub(super) fn parse_taken(title: &str, at: &str, text: &str) -> Result<Taken, Failure> {
    let fields: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    let number = |name: &str| fields.get(name).and_then(|value| value.parse().ok());
    match (number("bytes"), number(at), fields.get("sha256")) {
        (Some(bytes), Some(at), Some(sha256)) if sha256.len() == 64 => Ok(Taken {
            bytes,
            sha256: (*sha256).to_owned(),
            at,
        }),
        _ => Err(Failure::because(format!(
            "`{title}` gave an answer that cannot be understood: {text:?}"
        ))),
    }
}

async fn describe(
    task: &Task<'_>,
    (dir, file): (&str, &str),
    taken: &Taken,
) -> Result<(), Failure> {
    let text = description(task, file, taken);
    describe_here(task, file, &text)?;
    let mut command = task
        .command(DESCRIBE_TITLE, DESCRIBE)
        .arg(format!("{dir}/{file}.json"));
    command.input = Input::Bytes(text.into_bytes());
    task.ask(command).await.map(|_| ())
}

/// Keeps the description here too, where the file will come: a host that is lost takes its own along.
pub(super) fn describe_here(task: &Task<'_>, file: &str, text: &str) -> Result<(), Failure> {
    if !task.turn.cluster.backup.fetch {
        return Ok(());
    }
    let folder = folder_here(task)?;
    let path = folder.join(format!("{file}.json"));
    local(write_whole(&folder, &path, text), &path)
}

/// Writes a file by one rename, for its owner alone.
fn write_whole(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    let mut part = tempfile::NamedTempFile::new_in(folder)?;
    part.write_all(text.as_bytes())?;
    part.as_file().sync_all()?;
    part.persist(path)?;
    Ok(())
}

/// The folder on this machine that backups of the cluster are brought to.
pub(super) fn folder_here(task: &Task<'_>) -> Result<PathBuf, Failure> {
    let backups = task.turn.engine.state_dir.join("backups");
    let dir = backups.join(&task.turn.cluster.name);
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir);
    local(made, &dir)?;
    Ok(dir)
}

/// What the backup is of. The members are not asked once more: this is the busiest moment of a run, and they were when
/// the plan was made.
fn description(task: &Task<'_>, file: &str, taken: &Taken) -> String {
    let hosts = &task.turn.engine.seen.hosts;
    let views = || {
        hosts
            .iter()
            .filter_map(|(host, answer)| Some((host, answer.view()?)))
    };
    let versions: BTreeMap<&String, String> = views()
        .map(|(host, view)| (host, view.version.to_string()))
        .collect();
    let lists = |view: &&MemberView| !view.members.is_empty();
    let (cluster_id, members) = views()
        .map(|(_, view)| view)
        .find(lists)
        .map(|view| (view.cluster_id.to_string(), view.members.clone()))
        .unwrap_or_default();
    let value = serde_json::json!({
        "format": 1,
        "cluster": task.turn.cluster.name,
        "cluster_id": cluster_id,
        "run": task.turn.engine.recorder.run(),
        "file": file,
        "taken_on": task.turn.host.name,
        "bytes": taken.bytes,
        "sha256": taken.sha256,
        "revision": taken.at,
        "versions": versions,
        "members": members,
    });
    format!("{value:#}\n")
}

/// `Action::FetchBackup`. A file that is here already with the right digest is not sent again.
pub(crate) async fn fetch(task: &Task<'_>, path: &str, file: &str) -> Result<Outcome, Failure> {
    let dir = folder_here(task)?;
    let target = dir.join(file);
    let digest = task.ask(task.command(DIGEST_TITLE, DIGEST).arg(path));
    let part = dir.join(format!("{file}.part"));
    let digest = if target.exists() {
        let digest = digest.await?;
        if local(digest_of(target.clone()).await, &target)? == digest.text().trim() {
            return Ok(unchanged(format!("{} is here already", target.display())));
        }
        bring(task, path, &part).await?;
        digest
    } else {
        let (digest, brought) = tokio::join!(digest, bring(task, path, &part));
        brought?;
        digest.inspect_err(|_| drop(fs::remove_file(&part)))?
    };
    let text = digest.text();
    let expected = text.trim();
    let got = local(digest_of(part.clone()).await, &part)?;
    if got != expected {
        let _ = fs::remove_file(&part);
        return Err(Failure::because(format!(
            "the backup arrived with SHA-256 {got}, on `{}` it has {expected}",
            task.turn.host.name
        )));
    }
    local(fs::rename(&part, &target), &target)?;
    let place = format!("{} on this machine", target.display());
    task.turn.leave(format!("backup {place}"));
    task.turn.ledger.note_backup(place);
    Ok(changed(format!("{} is here", target.display())))
}

pub(super) async fn bring(task: &Task<'_>, path: &str, part: &Path) -> Result<(), Failure> {
    match fs::remove_file(part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => local(Err(error), part)?,
        _ => {}
    }
    let mut command = task.command(FETCH_TITLE, FETCH).arg(path);
    command.output = Sink::File(part.to_owned());
    let brought = task.ask(command).await;
    if brought.is_err() {
        let _ = fs::remove_file(part);
    }
    brought.map(|_| ())
}

/// `Action::PruneBackups`, on the host and here.
pub(crate) async fn prune(task: &Task<'_>, dir: &str, keep: usize) -> Result<Outcome, Failure> {
    let command = task
        .command(PRUNE_TITLE, PRUNE)
        .args([dir.to_owned(), safe(&task.turn.cluster.name)])
        .args(retention::stay(keep).map(|number| number.to_string()));
    let mut gone: Vec<String> = task
        .ask(command)
        .await?
        .text()
        .lines()
        .map(str::to_owned)
        .collect();
    let cluster = &task.turn.cluster.name;
    let here = task.turn.engine.state_dir.join("backups").join(cluster);
    let too = local(retention::prune(&here, &safe(cluster), keep), &here)?;
    gone.extend(too.iter().map(|name| format!("{name} here")));
    match gone.len() {
        0 => Ok(unchanged(format!("no more than {keep} are there"))),
        n => Ok(changed(format!("{n} older deleted: {}", gone.join(", ")))),
    }
}

pub(super) fn local<T>(result: io::Result<T>, path: &Path) -> Result<T, Failure> {
    result
        .map_err(|error| Failure::because(format!("`{}` on this machine: {error}", path.display())))
}

pub(super) async fn digest_of(path: PathBuf) -> io::Result<String> {
    tokio::task::spawn_blocking(move || {
        let mut file = fs::File::open(path)?;
        file.sync_all()?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                n => hasher.update(&buffer[..n]),
            }
        }
        Ok(hex(&hasher.finalize()))
    })
    .await
    .map_err(io::Error::other)?
}

/// A name as the planner puts it into file names: what a shell would look at becomes an underscore.
fn safe(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    name.chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect()
}

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
