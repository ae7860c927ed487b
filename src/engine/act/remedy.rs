//! Remedies: writes of our own that make a member ready for the next release.

use super::client::{client, endpoint_args, secrets};
use super::{Failure, Task, changed, unchanged};
use crate::plan::{Action, Outcome};

/// The title of [`WRITE`].
pub const WRITE_TITLE: &str = "write a key of our own";
/// The title of [`SNAPSHOT`].
pub const SNAPSHOT_TITLE: &str = "force a raft snapshot";

/// The title of [`DROP`].
pub const DROP_TITLE: &str = "delete the keys of API 2";

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
/// Arguments: the six of an endpoint, `data_dir key above seconds without_v2`. Prints `index=` and `writes=`. Where the
/// snapshot must be without keys of API 2, it must be above what is in the log now, too: such a key's deletion may be.
const SNAPSHOT: &str = concat!(
    client!(),
    r#"
data=$1 ours=$2 above=$3 end=$(($(date +%s) + $4)) without=$5 writes=0 said= newest=
if [ -n "$without" ]; then
  now=$(ctl 5 endpoint status -w json | sed -n 's/.*"raftIndex":\([0-9][0-9]*\).*/\1/p')
  [ "${now:-0}" -le "$above" ] || above=$now
fi
newest() {
  index=0
  for snap in "$data"/member/snap/*-*.snap; do
    name=${snap##*-}
    case $name in
      [0-9a-f]*.snap) index=$((0x${name%.snap})) newest=$snap ;;
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
if [ -n "$without" ] && tr '{' '\n' <"$newest" | grep -aq '^"Path":"/[1-9][0-9]*/[^_]'; then
  die "the raft snapshot at $index has keys of API 2, which the next release does not start on"
fi
printf 'index=%s\nwrites=%s\n' "$index" "$writes"
"#
);

/// Deletes what is in the v2 store, until nothing is. A member that has just been started may not serve it at once.
/// Only this member is asked: others need not serve it. Arguments: the six of an endpoint, `seconds`; prints `keys=`,
/// how many there were at the root.
const DROP: &str = concat!(
    client!(),
    r#"
end=$(($(date +%s) + $1)) keys=0 said=
export ETCDCTL_API=2
v2() {
  [ -z "$key" ] || set -- --key-file "$key" "$@"
  [ -z "$cert" ] || set -- --cert-file "$cert" "$@"
  [ -z "$cacert" ] || set -- --ca-file "$cacert" "$@"
  timeout -k 2 60 "$etcdctl" --no-sync --endpoints "$url" "$@" </dev/null
}
while :; do
  if said=$(v2 ls / 2>&1); then
    [ -n "$said" ] || break
    said=$(printf '%s\n' "$said" | while IFS= read -r name; do
      v2 rm --recursive -- "$name" 2>&1 >/dev/null || exit 1
      echo gone
    done) && keys=$((keys + $(printf '%s\n' "$said" | grep -cx gone)))
  else
    sleep 0.5 2>/dev/null || sleep 1
  fi
  [ "$(date +%s)" -lt "$end" ] || die "$(printf '%s' "$said" | tail -n 1)"
done
echo "keys=$keys"
"#
);

/// Carries out one of this module's actions.
pub(crate) async fn perform(task: &Task<'_>, action: &Action) -> Result<Outcome, Failure> {
    match action {
        Action::WriteKey { key } => write(task, key).await,
        Action::ForceSnapshot {
            data_dir,
            key,
            above,
            without_v2,
        } => snapshot(task, (data_dir, key), *above, *without_v2).await,
        _ => drop_v2(task).await,
    }
}

async fn drop_v2(task: &Task<'_>) -> Result<Outcome, Failure> {
    let host = task.turn.host;
    let mut command = task
        .command(DROP_TITLE, DROP)
        .args(endpoint_args(host))
        .arg(task.left().as_secs().max(1).to_string());
    command.secrets = secrets(host);
    let text = task.ask(command).await?.text();
    let keys = text.lines().find_map(|line| line.strip_prefix("keys="));
    match keys {
        Some("0") => Ok(unchanged("there are no keys of API 2")),
        Some(keys) => Ok(changed(format!(
            "{keys} keys and folders of API 2 are deleted with all below them"
        ))),
        None => Err(Failure::because(format!(
            "`{DROP_TITLE}` gave an answer that cannot be understood: {text:?}"
        ))),
    }
}

async fn write(task: &Task<'_>, key: &str) -> Result<Outcome, Failure> {
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

async fn snapshot(
    task: &Task<'_>,
    (data_dir, key): (&str, &str),
    above: u64,
    without_v2: bool,
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
            if without_v2 { "without" } else { "" }.to_owned(),
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
