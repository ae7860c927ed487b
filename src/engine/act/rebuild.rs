//! What only a restore does: bring a backup to a host, make data of it, exchange data, join members, prove the end.
//!
//! Nothing here deletes data that a member has used: old ones are moved aside, and so are new ones when they are
//! taken back. Only what was prepared and never started is deleted.

mod cluster;
mod data;
mod seal;

use std::path::PathBuf;

use super::backup::{digest_of, local};
use super::{Failure, Task, changed, unchanged};
use crate::plan::rebuild;
use crate::plan::{Outcome, Rebuild};
use crate::transport::Input;

pub use cluster::{ADD_TITLE, HASH_TITLE, PEERS_TITLE};
pub use data::{COMPOSE_TITLE, DISCARD_TITLE, EXCHANGE_TITLE, PREPARE_TITLE, PUT_BACK_TITLE};

/// The title of [`HAS`].
pub const HAS_TITLE: &str = "look for the backup";
/// The title of [`PLACE`].
pub const PLACE_TITLE: &str = "place the backup";

/// Prints the SHA-256 of a backup, or nothing. Arguments: `path`.
const HAS: &str = r#"
set -eu
export LC_ALL=C
[ -f "$1" ] && [ ! -L "$1" ] || exit 0
sha256sum < "$1" | cut -d ' ' -f 1
"#;

/// Puts stdin at a path by one rename, its digest checked before. Arguments: `dir file sha256`.
const PLACE: &str = r#"
set -eu
export LC_ALL=C
dir=$1 path=$1/$2 want=$3
die() { cat > /dev/null; printf '%s\n' "$1" >&2; exit 1; }
[ ! -L "$dir" ] || die "\`$dir\` is a symbolic link to \`$(readlink "$dir")\`"
umask 077
mkdir -p "$dir"
trap 'rm -f "$path.part"' EXIT
trap 'exit 143' TERM HUP INT
cat > "$path.part"
got=$(sha256sum < "$path.part" | cut -d ' ' -f 1)
[ "$got" = "$want" ] || die "the backup arrived with SHA-256 $got, expected $want"
sync "$path.part" 2>/dev/null || sync
mv -fT "$path.part" "$path"
"#;

/// Carries out one action of a restore.
pub(crate) async fn perform(task: &Task<'_>, action: &Rebuild) -> Result<Outcome, Failure> {
    match action {
        Rebuild::Place {
            dir,
            file,
            sha256,
            sealed: false,
            ..
        } => place(task, dir, file, sha256).await,
        Rebuild::Place {
            dir, file, sha256, ..
        } => place_sealed(task, dir, file, sha256).await,
        Rebuild::Prepare { .. } | Rebuild::Compose { .. } => data::make(task, action).await,
        Rebuild::Discard { folder } => data::discard(task, folder).await,
        Rebuild::Exchange { folder, fresh } => data::exchange(task, folder, *fresh).await,
        Rebuild::PutBack { folder } => data::put_back(task, folder).await,
        Rebuild::SetPeers { urls } => cluster::set_peers(task, urls).await,
        Rebuild::AddMember { name, urls } => cluster::add(task, name, urls).await,
        Rebuild::SettleAmong { version, hosts } => cluster::settle(task, version, hosts).await,
        Rebuild::Prove { revision } => cluster::prove(task, *revision).await,
    }
}

/// Sends the backup, unless the host has it.
async fn place(task: &Task<'_>, dir: &str, file: &str, sha256: &str) -> Result<Outcome, Failure> {
    let path = format!("{dir}/{file}");
    if has(task, &path, sha256).await? {
        return Ok(unchanged(format!("{path} is there")));
    }
    let here = source(task, file, sha256).await?;
    send(task, dir, file, (sha256, here)).await
}

async fn has(task: &Task<'_>, path: &str, sha256: &str) -> Result<bool, Failure> {
    let look = task.command(HAS_TITLE, HAS).arg(path);
    Ok(task.ask(look).await?.text().trim() == sha256)
}

async fn send(
    task: &Task<'_>,
    dir: &str,
    file: &str,
    what: (&str, PathBuf),
) -> Result<Outcome, Failure> {
    let (sha256, here) = what;
    let path = format!("{dir}/{file}");
    if has(task, &path, sha256).await? {
        return Ok(unchanged(format!("{path} is there")));
    }
    let mut command = task
        .command(PLACE_TITLE, PLACE)
        .args([dir, file, sha256].map(str::to_owned));
    command.input = Input::File(here);
    task.ask(command).await?;
    task.turn.leave_here(format!("backup {path}"));
    Ok(changed(format!("{path} is there")))
}

/// Seals a copy of a v2 store here and sends that. The original is left alone, here and there.
async fn place_sealed(
    task: &Task<'_>,
    dir: &str,
    file: &str,
    sha256: &str,
) -> Result<Outcome, Failure> {
    let here = source(task, file, sha256).await?;
    let state_dir = &task.turn.engine.state_dir;
    let folder = local(tempfile::tempdir_in(state_dir), state_dir)?;
    let made = folder.path().join("sealed");
    let (from, to) = (here.clone(), made.clone());
    let sealing = tokio::task::spawn_blocking(move || seal::sealed(&from, &to)).await;
    local(
        sealing.map_err(std::io::Error::other).and_then(|done| done),
        &here,
    )?;
    let digest = local(digest_of(made.clone()).await, &made)?;
    send(task, dir, &rebuild::sealed(file), (&digest, made)).await
}

/// The backup on this machine, checked once more: it may be older than this run.
async fn source(task: &Task<'_>, file: &str, sha256: &str) -> Result<PathBuf, Failure> {
    let engine = task.turn.engine;
    let fetched = engine.state_dir.join("backups");
    let fetched = fetched.join(&task.turn.cluster.name).join(file);
    let path = engine.binaries.get(sha256).cloned().unwrap_or(fetched);
    let got = local(digest_of(path.clone()).await, &path)?;
    if got == sha256 {
        return Ok(path);
    }
    Err(Failure::because(format!(
        "`{}` on this machine has SHA-256 {got}, the backup has {sha256}",
        path.display()
    )))
}
