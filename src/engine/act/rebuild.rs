//! What only a restore does: bring a backup to a host, make data of it, exchange data, join members, prove the end.
//!
//! Nothing here deletes data that a member has used: old ones are moved aside, and so are new ones when they are
//! taken back. Only what was prepared and never started is deleted.

mod cluster;
mod data;

use std::path::PathBuf;

use super::backup::{digest_of, local};
use super::{Failure, Task, changed, unchanged};
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
            dir, file, sha256, ..
        } => place(task, dir, file, sha256).await,
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
    let look = task.command(HAS_TITLE, HAS).arg(&path);
    if task.ask(look).await?.text().trim() == sha256 {
        return Ok(unchanged(format!("{path} is there")));
    }
    let here = source(task, file, sha256).await?;
    let mut command = task
        .command(PLACE_TITLE, PLACE)
        .args([dir, file, sha256].map(str::to_owned));
    command.input = Input::File(here);
    task.ask(command).await?;
    task.turn.leave_here(format!("backup {path}"));
    Ok(changed(format!("{path} is there")))
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
