//! Backups of the v2 store: copy it by API 2's `backup`, pack it, bring it here and prove that it is whole.
//!
//! The proof costs no start of etcd: a log is a chain of checksums (see [`wal`]), so following it to its end shows
//! that nothing in it is missing or changed, and it must continue the raft snapshot that lies beside it, whose own
//! checksum is followed too. Indexes are no proof of how recent it is: from 3.3 on the copy leaves out what is of API 3
//! and of the membership, and numbers the rest anew. That it is, follows from the order: the copy begins after the
//! store's index was read, and etcdctl reads the log to its end.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::Archive;

use super::backup::{
    DESCRIBE, DESCRIBE_TITLE, Taken, bring, describe_here, digest_of, folder_here, local,
    parse_taken,
};
use super::client::{client, endpoint_args, secrets};
use super::{Failure, Task, changed};
use crate::etcd::wal;
use crate::plan::{Action, Outcome};
use crate::transport::Input;

/// The title of [`TAKE`].
pub const TAKE_TITLE: &str = "copy the v2 store";

/// Copies a running member's v2 store and packs the copy.
///
/// Arguments: the six of an endpoint, `dir file data_dir wal_dir seconds how tool flags…`; `how` is `running` or
/// `stopped`, `tool` another etcdctl than the installed one. Prints `bytes=`, `sha256=`, and `index=`, that of the store
/// before; 0 if the file was there already, the member is stopped or API 2 is not served. With a snapshot in the data
/// folder the copy must have one too.
const TAKE: &str = concat!(
    client!(),
    r#"
dir=$1 file=$1/$2 data=$3 wal=$4 secs=$5 how=$6
etcdctl=${7:-$etcdctl}
shift 7
# The answer to a read of a key that is not there names the store's index in brackets.
store_index() {
  ETCDCTL_API=2 ETCDCTL_PEERS=$url ETCDCTL_ENDPOINT=$url ETCDCTL_ENDPOINTS=$url \
    ETCDCTL_CA_FILE=$cacert ETCDCTL_CERT_FILE=$cert ETCDCTL_KEY_FILE=$key \
    timeout -k 2 10 "$etcdctl" --no-sync get /_runner/none 2>&1 | sed -n 's/.* 100: .*\[\([0-9]*\)\]$/\1/p' | head -n 1
}
[ ! -L "$dir" ] || die "\`$dir\` is a symbolic link to \`$(readlink "$dir")\`"
umask 077
mkdir -p "$dir"
index=
if [ ! -e "$file" ]; then
  copy=$file.copy
  rm -rf "$copy" "$file.part" "$file.said"
  trap 'rm -rf "$copy" "$file.part" "$file.said"' EXIT
  trap 'exit 143' TERM HUP INT
  if [ "$how" = stopped ]; then
    : >"$file.said"
    mkdir -p "$copy/member/wal"
    cp -a "$data/member/snap" "$copy/member/snap"
    cp -a "${wal:-$data/member/wal}"/*.wal "$copy/member/wal/"
  else
    index=$(store_index)
    [ -z "$wal" ] || set -- --wal-dir "$wal" "$@"
    ETCDCTL_API=2 timeout -k 2 "$secs" "$etcdctl" backup --data-dir "$data" --backup-dir "$copy" "$@" \
      >"$file.said" 2>&1 || {
      rc=$?
      tail -n 3 "$file.said" >&2
      exit "$rc"
    }
  fi
  for log in "$copy"/member/wal/*.wal; do
    [ -s "$log" ] || die "the copy has no log: $(tail -n 1 "$file.said")"
  done
  for snap in "$data"/member/snap/*.snap; do
    [ -e "$snap" ] || continue
    for copied in "$copy"/member/snap/*.snap; do
      [ -s "$copied" ] || die "the member has a raft snapshot, its copy has none"
    done
    break
  done
  tar -C "$copy" -cf "$file.part.tar" member && gzip -1 <"$file.part.tar" >"$file.part" || {
    rm -f "$file.part.tar"
    die "the copy could not be packed"
  }
  rm -f "$file.part.tar"
  sync "$file.part" 2>/dev/null || sync
  mv -fT "$file.part" "$file"
fi
bytes=$(wc -c < "$file")
printf 'bytes=%s\nsha256=%s\nindex=%s\n' "$((bytes))" "$(sha256sum < "$file" | cut -d ' ' -f 1)" "${index:-0}"
"#
);

/// What to copy, where to.
#[derive(Clone, Copy, Debug)]
struct Copy<'a> {
    /// The folder on the host.
    dir: &'a str,
    /// The file's name in it.
    file: &'a str,
    /// The member's data folder.
    data_dir: &'a str,
    /// The folder of its log; empty if it lies in the data folder.
    wal_dir: &'a str,
    /// Further flags of etcdctl.
    flags: &'a [String],
    /// Whether the file stays here too.
    fetch: bool,
    /// The etcdctl to use; empty for the installed one.
    tool: &'a str,
    /// Whether the member is stopped and its files are copied.
    stopped: bool,
}

/// What a proven copy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Proof {
    log: wal::Log,
    store_bytes: usize,
}

/// `Action::TakeV2Backup`.
pub(crate) async fn perform(task: &Task<'_>, action: &Action) -> Result<Outcome, Failure> {
    let Action::TakeV2Backup {
        dir,
        file,
        data_dir,
        wal_dir,
        flags,
        fetch,
        tool,
        stopped,
    } = action
    else {
        return Err(Failure::because("this is no copy of a v2 store"));
    };
    let copy = Copy {
        dir,
        file,
        data_dir,
        wal_dir: wal_dir.as_deref().unwrap_or_default(),
        flags,
        fetch: *fetch,
        tool: tool.as_deref().unwrap_or_default(),
        stopped: *stopped,
    };
    take(task, copy).await
}

async fn take(task: &Task<'_>, copy: Copy<'_>) -> Result<Outcome, Failure> {
    let host = task.turn.host;
    let how = if copy.stopped { "stopped" } else { "running" };
    let mut command = task
        .command(TAKE_TITLE, TAKE)
        .args(endpoint_args(host))
        .args([copy.dir, copy.file, copy.data_dir, copy.wal_dir].map(str::to_owned))
        .arg(task.left().as_secs().max(1).to_string())
        .args([how, copy.tool])
        .args(copy.flags.iter().cloned());
    command.secrets = secrets(host);
    let taken = parse_taken(TAKE_TITLE, "index", &task.ask(command).await?.text())?;
    let (proof, here) = brought(task, copy, &taken).await?;
    describe(task, copy, &taken, proof).await?;
    let holds = if copy.stopped {
        format!(
            "the files of a member stopped at raft index {}",
            proof.log.last
        )
    } else {
        format!("v2 store at index {} or later", taken.at)
    };
    let what = format!("{} bytes, {holds}, SHA-256 {}", taken.bytes, taken.sha256);
    let place = format!("{}/{}", copy.dir, copy.file);
    let ledger = task.turn.ledger;
    ledger.note_change();
    if ledger.backup().is_none() {
        ledger.note_backup(format!("{place} on {}", host.name));
    }
    task.turn
        .leave(format!("backup {place} on {}: {what}", host.name));
    if let Some(here) = here {
        task.turn
            .leave(format!("backup {} on this machine", here.display()));
    }
    Ok(changed(format!("{place}, {what}")))
}

/// Brings the file here and proves it; it stays only if it is wanted.
async fn brought(
    task: &Task<'_>,
    copy: Copy<'_>,
    taken: &Taken,
) -> Result<(Proof, Option<PathBuf>), Failure> {
    let dir = folder_here(task)?;
    let part = dir.join(format!("{}.part", copy.file));
    bring(task, &format!("{}/{}", copy.dir, copy.file), &part).await?;
    let proven = proven(task, &part, taken).await;
    let target = dir.join(copy.file);
    let kept = match &proven {
        Ok(_) if copy.fetch => local(fs::rename(&part, &target), &target).map(|()| Some(target)),
        _ => local(fs::remove_file(&part), &part).map(|()| None),
    };
    Ok((proven?, kept?))
}

async fn proven(task: &Task<'_>, part: &Path, taken: &Taken) -> Result<Proof, Failure> {
    let got = local(digest_of(part.to_owned()).await, part)?;
    if got != taken.sha256 {
        return Err(Failure::because(format!(
            "the copy arrived with SHA-256 {got}, on `{}` it has {}",
            task.turn.host.name, taken.sha256
        )));
    }
    let path = part.to_owned();
    let checked = tokio::task::spawn_blocking(move || prove(&path)).await;
    let proof = local(checked.map_err(io::Error::other), part)?;
    proof.map_err(|causes| {
        let what = format!(
            "the copy of the v2 store on `{}` is no backup",
            task.turn.host.name
        );
        Failure::Failed(std::iter::once(what).chain(causes).collect())
    })
}

/// Proves a packed copy on this machine.
///
/// # Errors
/// Why it is no backup, in words.
pub fn whole(path: &Path) -> Result<(), String> {
    prove(path).map(|_| ()).map_err(|causes| causes.join(": "))
}

/// Follows the chain of the packed log and checks the snapshot that it continues.
fn prove(path: &Path) -> Result<Proof, Vec<String>> {
    let (logs, snaps) = unpacked(path).map_err(|error| vec![error.to_string()])?;
    let files: Vec<&[u8]> = logs.values().map(Vec::as_slice).collect();
    let log = wal::log(&files)
        .map_err(|damage| vec!["its log is damaged".to_owned(), damage.to_string()])?;
    let snapshot = match log.snapshot {
        0 => None,
        index => Some(continued(&snaps, index)?),
    };
    Ok(Proof {
        log,
        store_bytes: snapshot.map_or(0, |snapshot| snapshot.bytes),
    })
}

/// The snapshot of that raft index.
fn continued(snaps: &Files, index: u64) -> Result<wal::Snapshot, Vec<String>> {
    let name = snaps
        .keys()
        .find(|name| name.ends_with(&format!("-{index:016x}.snap")));
    let Some(name) = name else {
        let what =
            format!("its log continues the snapshot at raft index {index}, which is not in it");
        return Err(vec![what]);
    };
    let snapshot = wal::snapshot(&snaps[name])
        .map_err(|damage| vec![format!("{name} is damaged"), damage.to_string()])?;
    if snapshot.index == index {
        return Ok(snapshot);
    }
    Err(vec![format!(
        "{name} holds the snapshot at raft index {}",
        snapshot.index
    )])
}

type Files = BTreeMap<String, Vec<u8>>;

/// The log files and the snapshots in the packed copy, by path.
fn unpacked(path: &Path) -> io::Result<(Files, Files)> {
    let (mut logs, mut snaps) = (Files::new(), Files::new());
    let mut archive = Archive::new(MultiGzDecoder::new(File::open(path)?));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.display().to_string();
        let kind = match Path::new(&name).extension().and_then(|end| end.to_str()) {
            Some("wal") => &mut logs,
            Some("snap") => &mut snaps,
            _ => continue,
        };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        kind.insert(name, bytes);
    }
    Ok((logs, snaps))
}

async fn describe(
    task: &Task<'_>,
    copy: Copy<'_>,
    taken: &Taken,
    proof: Proof,
) -> Result<(), Failure> {
    let value = serde_json::json!({
        "format": 1,
        "kind": "v2",
        "cluster": task.turn.cluster.name,
        "run": task.turn.engine.recorder.run(),
        "file": copy.file,
        "taken_on": task.turn.host.name,
        "member": task.turn.lane.member,
        "bytes": taken.bytes,
        "sha256": taken.sha256,
        "store_index": taken.at,
        "raft_index": proof.log.last,
        "snapshot_index": proof.log.snapshot,
        "store_bytes": proof.store_bytes,
    });
    let text = format!("{value:#}\n");
    describe_here(task, copy.file, &text)?;
    let mut command = task
        .command(DESCRIBE_TITLE, DESCRIBE)
        .arg(format!("{}/{}.json", copy.dir, copy.file));
    command.input = Input::Bytes(text.into_bytes());
    task.ask(command).await.map(|_| ())
}

#[cfg(test)]
mod tests;
