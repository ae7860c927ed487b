//! Data folders: make new data beside the old ones, exchange them, put them back.

use super::super::{Failure, Task, changed, unchanged};
use crate::plan::rebuild::Folder;
use crate::plan::{Outcome, Rebuild};

/// The title of [`PREPARE`].
pub const PREPARE_TITLE: &str = "restore the snapshot";
/// The title of [`COMPOSE`].
pub const COMPOSE_TITLE: &str = "make data of the v2 store";
/// The title of [`DISCARD`].
pub const DISCARD_TITLE: &str = "delete the prepared data";
/// The title of [`EXCHANGE`].
pub const EXCHANGE_TITLE: &str = "exchange the data";
/// The title of [`PUT_BACK`].
pub const PUT_BACK_TITLE: &str = "put the old data back";

/// What both makers share. Arguments: `dir tag owner mode seconds tool snapshot`; the snapshot may be empty.
///
/// `checked FILE` is the size of the database in a snapshot whose trailing SHA-256 is right: neither etcdctl's
/// `status` nor its `restore --skip-hash-check` would tell. `own` gives new data the old ones' owner and modes.
macro_rules! maker {
    () => {
        r#"
set -eu
export LC_ALL=C
dir=$1 tag=$2 owner=$3 mode=$4 secs=$5 tool=$6 snapshot=$7
shift 7
new=$dir/runner-restore-$tag
die() { printf '%s\n' "$1" >&2; exit 1; }
[ ! -e "$dir/member.before-$tag" ] || die "the data in \`$dir\` are exchanged already"
for name in $(env | sed -n 's/^\(ETCD[A-Z_]*\)=.*/\1/p'); do unset "$name"; done
umask 077
[ -d "$dir" ] || { mkdir -p "$dir"; chown "$owner" "$dir"; chmod "$mode" "$dir"; }
# Prepared by runs that were broken off, never used by a member.
rm -rf "$dir"/runner-restore-*
said=$new.said
trap 'rm -f "$said"; [ -z "$made" ] || rm -rf "$new"' EXIT
trap 'exit 143' TERM HUP INT
made=1
checked() {
  bytes=$(($(wc -c < "$1") - 32))
  [ "$bytes" -gt 0 ] && [ $((bytes % 512)) -eq 0 ] || die "\`$1\` is no snapshot: it has $((bytes + 32)) bytes"
  sum=$(head -c "$bytes" "$1" | sha256sum | cut -d ' ' -f 1)
  tail=$(tail -c 32 "$1" | od -An -v -tx1 | tr -d ' \n')
  [ "$sum" = "$tail" ] || die "the snapshot is damaged: its database has SHA-256 $sum, its trailer says $tail"
}
tool() {
  timeout -k 2 "$secs" "$tool" "$@" >"$said" 2>&1 || {
    rc=$?
    grep -v '"level":"\(info\|debug\)"' "$said" | tail -n 3 >&2
    exit "$rc"
  }
}
own() {
  for part in snap wal; do [ -d "$new/member/$part" ] || die "no \`member/$part\` came of it: $(tail -n 1 "$said")"; done
  chown -R "$owner" "$new"
  find "$new" -type d -exec chmod "$mode" {} +
  sync
  made=
}
"#
    };
}

/// Arguments behind the shared ones: `name cluster token urls`, then flags.
const PREPARE: &str = concat!(
    maker!(),
    r#"
name=$1 cluster=$2 token=$3 urls=$4
shift 4
checked "$snapshot"
export ETCDCTL_API=3
tool snapshot restore "$snapshot" --data-dir "$new" --name "$name" --initial-cluster "$cluster" \
  --initial-cluster-token "$token" --initial-advertise-peer-urls "$urls" "$@"
own
"#
);

/// Arguments behind the shared ones: `archive`.
///
/// The copy of the v2 store and the snapshot's database, put together as the folder of a stopped member, are what
/// etcd's own `backup --with-v3` takes: it gives them new ids, drops the old membership, and sets the index up to
/// which the database has followed the log. Without a snapshot the copy itself is what starts.
const COMPOSE: &str = concat!(
    maker!(),
    r#"
archive=$1
both=$new
[ -z "$snapshot" ] || both=$new.both
trap 'rm -rf "$said" "$new.both"; [ -z "$made" ] || rm -rf "$new"' EXIT
mkdir "$both"
gzip -dc < "$archive" | tar -C "$both" -xf - --no-same-owner
if [ -n "$snapshot" ]; then
  checked "$snapshot"
  mkdir -p "$both/member/snap"
  head -c "$bytes" "$snapshot" > "$both/member/snap/db"
  export ETCDCTL_API=2
  tool backup --with-v3 --data-dir "$both" --backup-dir "$new"
fi
own
"#
);

/// Arguments: `dir tag`.
const DISCARD: &str = r#"
set -eu
new=$1/runner-restore-$2
[ -e "$new" ] || { echo same; exit 0; }
rm -rf "$new"
"#;

/// Moves the old data aside and the prepared ones, if any, in their place. Arguments: `dir tag fresh`, the last
/// `yes` or `no`. Looks where an earlier try has got to.
const EXCHANGE: &str = r#"
set -eu
export LC_ALL=C
dir=$1 now=$1/member new=$1/runner-restore-$2/member old=$1/member.before-$2 fresh=$3
die() { printf '%s\n' "$1" >&2; exit 1; }
if [ "$fresh" = yes ]; then
  if [ ! -e "$new" ]; then
    [ -e "$now" ] || die "\`$new\` is gone"
    echo same
    exit 0
  fi
elif [ ! -e "$now" ]; then
  echo same
  exit 0
fi
if [ -e "$now" ]; then
  [ ! -e "$old" ] || die "\`$old\` is there already"
  mv -T "$now" "$old"
fi
if [ "$fresh" = yes ]; then
  mv -T "$new" "$now"
  rmdir "${new%/*}"
fi
sync "$dir" 2>/dev/null || sync
"#;

/// Moves the data of the restore aside and the old ones back. Arguments: `dir tag had`, the last `yes` or `no`.
const PUT_BACK: &str = r#"
set -eu
export LC_ALL=C
dir=$1 now=$1/member new=$1/runner-restore-$2/member old=$1/member.before-$2 undone=$1/member.undone-$2 had=$3
die() { printf '%s\n' "$1" >&2; exit 1; }
if [ ! -e "$old" ]; then
  # Nothing was moved aside: not exchanged yet, put back already, or there was nothing.
  if [ "$had" = yes ] || [ -e "$new" ] || [ ! -e "$now" ]; then echo same; exit 0; fi
fi
if [ -e "$now" ]; then
  [ ! -e "$undone" ] || die "\`$undone\` is there already"
  mv -T "$now" "$undone"
fi
[ ! -e "$old" ] || mv -T "$old" "$now"
sync "$dir" 2>/dev/null || sync
"#;

/// `Rebuild::Prepare` and `Rebuild::Compose`.
pub(super) async fn make(task: &Task<'_>, action: &Rebuild) -> Result<Outcome, Failure> {
    let (command, folder) = match action {
        Rebuild::Prepare {
            tool,
            snapshot,
            folder,
            name,
            cluster,
            token,
            urls,
            flags,
        } => {
            let own = [name, cluster, token, urls].map(Clone::clone);
            let command = task.command(PREPARE_TITLE, PREPARE);
            let command = command.args(shared(task, folder, tool, snapshot));
            (command.args(own).args(flags.iter().cloned()), folder)
        }
        Rebuild::Compose {
            tool,
            archive,
            snapshot,
            folder,
        } => {
            let snapshot = snapshot.as_deref().unwrap_or_default();
            let command = task.command(COMPOSE_TITLE, COMPOSE);
            let command = command.args(shared(task, folder, tool, snapshot));
            (command.arg(archive), folder)
        }
        other => return Err(Failure::because(format!("{other:?} makes no data"))),
    };
    task.ask(command).await?;
    Ok(changed(format!("new data are in {}", folder.prepared())))
}

fn shared(task: &Task<'_>, folder: &Folder, tool: &str, snapshot: &str) -> [String; 7] {
    [
        folder.dir.clone(),
        folder.tag.clone(),
        folder.owner.clone(),
        format!("{:04o}", folder.mode),
        task.left().as_secs().max(1).to_string(),
        tool.to_owned(),
        snapshot.to_owned(),
    ]
}

/// `Rebuild::Discard`.
pub(super) async fn discard(task: &Task<'_>, folder: &Folder) -> Result<Outcome, Failure> {
    let command = task.command(DISCARD_TITLE, DISCARD);
    let command = command.args([&folder.dir, &folder.tag]);
    Ok(match task.ask(command).await?.text().trim() {
        "same" => unchanged("nothing is prepared"),
        _ => changed(format!("{} is deleted", folder.prepared())),
    })
}

/// `Rebuild::Exchange`.
pub(super) async fn exchange(
    task: &Task<'_>,
    folder: &Folder,
    fresh: bool,
) -> Result<Outcome, Failure> {
    // Told even if the answer is lost: somebody has to know where the data are.
    if folder.had {
        task.turn
            .leave_here(format!("the data from before, {}", folder.aside()));
    }
    let command = task.command(EXCHANGE_TITLE, EXCHANGE);
    let fresh = if fresh { "yes" } else { "no" };
    let command = command.args([&folder.dir, &folder.tag]).arg(fresh);
    Ok(match task.ask(command).await?.text().trim() {
        "same" => unchanged("the data are exchanged already"),
        _ if folder.had => changed(format!("the old data are {}", folder.aside())),
        _ => changed(format!("new data are in {}", folder.dir)),
    })
}

/// `Rebuild::PutBack`.
pub(super) async fn put_back(task: &Task<'_>, folder: &Folder) -> Result<Outcome, Failure> {
    let command = task.command(PUT_BACK_TITLE, PUT_BACK);
    let had = if folder.had { "yes" } else { "no" };
    let command = command.args([&folder.dir, &folder.tag]).arg(had);
    let said = task.ask(command).await?.text();
    task.turn
        .take_away(&format!("the data from before, {}", folder.aside()));
    Ok(match said.trim() {
        "same" => unchanged("the data of before are there"),
        _ => changed(format!("the data of before are in {} again", folder.dir)),
    })
}
