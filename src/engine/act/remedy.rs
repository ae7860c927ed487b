//! Remedies: writes of our own that make a member ready for the next release.

use super::client::{client, endpoint_args, secrets};
use super::{Failure, Task, changed, unchanged};
use crate::plan::Outcome;

/// The title of [`WRITE`].
pub const WRITE_TITLE: &str = "write a key of our own";
/// The title of [`SNAPSHOT`].
pub const SNAPSHOT_TITLE: &str = "force a raft snapshot";

/// Writes a key through this member, reads it back and deletes it, until all three succeed: right after the cluster has
/// reached a line, a member may say `not capable` for some seconds. Arguments: the six of an endpoint, `key seconds`.
const WRITE: &str = concat!(
    client!(),
    r#"
ours=$1 end=$(($(date +%s) + $2))
while :; do
  said=$({ ctl 5 put "$ours" written && ctl 5 get "$ours" && ctl 5 del "$ours"; } 2>&1) && exit 0
  [ "$(date +%s)" -lt "$end" ] || die "$(printf '%s' "$said" | tail -n 1)"
  sleep 0.5 2>/dev/null || sleep 1
done
"#
);

/// Writes a key until the newest raft snapshot is above an index, then deletes it. A member that has passed its
/// snapshot count while it read its log needs no write at all, only the time to save the snapshot.
///
/// Arguments: the six of an endpoint, `data_dir key above seconds`. Prints `index=` and `writes=`.
const SNAPSHOT: &str = concat!(
    client!(),
    r#"
data=$1 ours=$2 above=$3 end=$(($(date +%s) + $4)) writes=0 said=
newest() {
  index=0
  for snap in "$data"/member/snap/*-*.snap; do
    name=${snap##*-}
    case $name in
      [0-9a-f]*.snap) index=$((0x${name%.snap})) ;;
    esac
  done
  [ "$index" -gt "$above" ]
}
until newest; do
  if [ "$(date +%s)" -ge "$end" ]; then
    [ "$writes" = 0 ] || ctl 5 del "$ours" >/dev/null 2>&1 || :
    die "the newest raft snapshot is at $index after $writes writes, it must be above $above: $(printf '%s' "$said" | tail -n 1)"
  fi
  if said=$(ctl 5 put "$ours" "$writes" 2>&1); then
    writes=$((writes + 1))
  else
    sleep 0.5 2>/dev/null || sleep 1
  fi
done
[ "$writes" = 0 ] || ctl 5 del "$ours" >/dev/null
printf 'index=%s\nwrites=%s\n' "$index" "$writes"
"#
);

/// `Action::WriteKey`.
pub(crate) async fn write(task: &Task<'_>, key: &str) -> Result<Outcome, Failure> {
    let host = task.turn.host;
    let mut command = task
        .command(WRITE_TITLE, WRITE)
        .args(endpoint_args(host))
        .args([key.to_owned(), task.left().as_secs().max(1).to_string()]);
    command.secrets = secrets(host);
    task.ask(command).await?;
    let member = &task.turn.lane.member.name;
    Ok(changed(format!("`{member}` has applied a v3 write")))
}

/// `Action::ForceSnapshot`.
pub(crate) async fn snapshot(
    task: &Task<'_>,
    data_dir: &str,
    key: &str,
    above: u64,
) -> Result<Outcome, Failure> {
    let host = task.turn.host;
    let mut command = task
        .command(SNAPSHOT_TITLE, SNAPSHOT)
        .args(endpoint_args(host))
        .args([
            data_dir.to_owned(),
            key.to_owned(),
            above.to_string(),
            task.left().as_secs().max(1).to_string(),
        ]);
    command.secrets = secrets(host);
    let text = task.ask(command).await?.text();
    let number = |name: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| {
            line.strip_prefix(name)?
                .strip_prefix('=')?
                .parse::<u64>()
                .ok()
        })
    };
    match (number("index"), number("writes")) {
        (Some(index), Some(0)) if index > above => {
            Ok(unchanged(format!("the newest raft snapshot is at {index}")))
        }
        (Some(index), Some(writes)) if index > above => Ok(changed(format!(
            "the newest raft snapshot is at {index} after {writes} writes"
        ))),
        _ => Err(Failure::because(format!(
            "`{SNAPSHOT_TITLE}` gave an answer that cannot be understood: {text:?}"
        ))),
    }
}
