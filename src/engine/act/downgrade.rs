//! etcd's own downgrade: told to the cluster, awaited on its members, given up.
//!
//! What etcdctl says is only half an answer: whether it was heard is seen in what the members say, so a script whose
//! answer was lost may be asked again.

use std::time::Duration;

use super::client::{client, endpoint_args, secrets};
use super::{Failure, Task, changed, unchanged};
use crate::engine::guard::views;
use crate::engine::wait::sees_words;
use crate::etcd::{Minor, Version};
use crate::facts::{MemberView, Observation};
use crate::plan::{Downgrade, Outcome};

/// The title of [`ENABLE`].
pub const ENABLE_TITLE: &str = "enable the downgrade";
/// The title of [`CANCEL`].
pub const CANCEL_TITLE: &str = "cancel the downgrade";
/// The title of [`END`].
pub const END_TITLE: &str = "see that the downgrade has ended";

/// Shell functions behind `client!`: `info` is what the member says of a downgrade, `last` the end of a text.
macro_rules! info {
    () => {
        r#"
info() { ctl 5 endpoint status -w json 2>/dev/null </dev/null | sed -n 's/.*"downgradeInfo":{\([^}]*\)}.*/\1/p'; }
last() { printf '%s\n' "$1" | sed '/^$/d' | tail -n 1; }
"#
    };
}

/// Validates and enables. Arguments: the six of an endpoint, `line` such as 3.5. Prints `enabled`, `same` if it was, or
/// `refused=` with etcd's words if it must not be: nothing has changed then. An unknown command may end with status 0, so
/// only etcdctl's words count.
const ENABLE: &str = concat!(
    client!(),
    info!(),
    r#"
line=$1
enabled() { [ "$(info)" = "\"enabled\":true,\"targetVersion\":\"$line.0\"" ]; }
if enabled; then
  echo same
  exit 0
fi
said=$(ctl 15 downgrade validate "$line" 2>&1 </dev/null) || :
case $said in
  *"Downgrade validate success"*) ;;
  *)
    printf 'refused=%s\n' "$(last "$said")"
    exit 0
    ;;
esac
said=$(ctl 15 downgrade enable "$line" 2>&1 </dev/null) || :
case $said in
  *"Downgrade enable success"*) ;;
  *) enabled || die "$(last "$said")" ;;
esac
echo enabled
"#
);

/// Cancels. Arguments: the six of an endpoint. Prints `cancelled`, or `same` if none was enabled.
const CANCEL: &str = concat!(
    client!(),
    info!(),
    r#"
enabled() { case $(info) in *'"enabled":true'*) return 0 ;; *) return 1 ;; esac; }
if ! enabled; then
  echo same
  exit 0
fi
said=$(ctl 15 downgrade cancel 2>&1 </dev/null) || :
case $said in
  *"Downgrade cancel success"*) ;;
  *) ! enabled || die "$(last "$said")" ;;
esac
echo cancelled
"#
);

/// Asks to cancel until etcd says that nothing is left to cancel, which it has said itself by then in most cases. Arguments:
/// the six of an endpoint. Prints `ended`. etcdctl knows the command from 3.6 on, so the one that was kept of the newer
/// release is asked too. A 3.5 that does cancel says that the request timed out.
const END: &str = concat!(
    client!(),
    info!(),
    r#"
for etcdctl in "$bin/etcdctl" "$install"/*/etcdctl; do
  [ -x "$etcdctl" ] || continue
  tries=0
  while :; do
    said=$(ctl 15 downgrade cancel 2>&1 </dev/null) || :
    case $said in
      *'no inflight downgrade job'*)
        echo ended
        exit 0
        ;;
      *'unknown command'*) break ;;
    esac
    tries=$((tries + 1))
    [ "$tries" -lt 5 ] || die "$(last "$said")"
  done
done
die "no etcdctl under \`$install\` knows \`downgrade\`"
"#
);

/// Carries out one of this module's actions.
pub(crate) async fn perform(task: &Task<'_>, action: &Downgrade) -> Result<Outcome, Failure> {
    match action {
        Downgrade::Enable { to } => enable(task, *to).await,
        Downgrade::Cancel => cancel(task).await,
        Downgrade::End => end(task).await,
    }
}

async fn enable(task: &Task<'_>, to: Minor) -> Result<Outcome, Failure> {
    let told = match enabled(&task.observe().await?) {
        Some(line) if line != to => return Err(other(line, to)),
        Some(_) => false,
        None => ask_to_enable(task, to).await?,
    };
    wait_until(task, |seen| not_ready(seen, to)).await?;
    let what = format!("every member stores its data as {to}");
    Ok(if told { changed(what) } else { unchanged(what) })
}

/// Says whether anything was changed by it.
async fn ask_to_enable(task: &Task<'_>, to: Minor) -> Result<bool, Failure> {
    let text = ask(task, ENABLE_TITLE, ENABLE, &[to.to_string()]).await?;
    let refused = text.lines().find_map(|line| line.strip_prefix("refused="));
    if let Some(why) = refused {
        let why = format!("etcd does not allow a downgrade to {to}: \"{why}\"");
        return Err(Failure::Refused(why));
    }
    Ok(text.trim() != "same")
}

async fn cancel(task: &Task<'_>) -> Result<Outcome, Failure> {
    let seen = task.observe().await?;
    let Some(to) = enabled(&seen) else {
        return Ok(unchanged("no downgrade is enabled"));
    };
    if let Some((host, view)) = views(&seen).find(|(_, view)| view.version.minor() <= to) {
        let runs = &view.version;
        let why = format!("`{host}` runs {runs}, which needs the downgrade to {to}");
        return Err(Failure::Refused(why));
    }
    ask(task, CANCEL_TITLE, CANCEL, &[]).await?;
    wait_until(task, |seen| {
        enabled(seen).map(|line| format!("a downgrade to {line} is still enabled"))
    })
    .await?;
    Ok(changed("the downgrade is cancelled"))
}

/// Where a member still needs it, it must not be ended.
async fn end(task: &Task<'_>) -> Result<Outcome, Failure> {
    let seen = task.observe().await?;
    let to = &task.turn.hop.to;
    if let Some((host, view)) = views(&seen).find(|(_, view)| view.version.minor() != to.minor()) {
        let why = format!(
            "`{host}` runs {}, and the downgrade leads to {to}",
            view.version
        );
        return Err(Failure::Refused(why));
    }
    ask(task, END_TITLE, END, &[]).await?;
    Ok(changed("etcd has ended its downgrade"))
}

async fn ask(
    task: &Task<'_>,
    title: &str,
    script: &str,
    args: &[String],
) -> Result<String, Failure> {
    let host = task.turn.host;
    let mut command = task
        .command(title, script)
        .args(endpoint_args(host))
        .args(args.to_vec());
    command.secrets = secrets(host);
    Ok(task.ask(command).await?.text())
}

/// Looks at the members until nothing is lacking.
async fn wait_until(
    task: &Task<'_>,
    lacking: impl Fn(&Observation) -> Option<String>,
) -> Result<(), Failure> {
    let mut pause = Duration::from_millis(100);
    let mut told = String::new();
    loop {
        let seen = task.observe().await?;
        let Some(lack) = lacking(&seen) else {
            task.turn.ledger.note_seen(&seen);
            return Ok(());
        };
        if task.left().is_zero() {
            let name = &task.turn.cluster.name;
            let late = format!("cluster `{name}` did not follow in time");
            return Err(Failure::Failed(vec![late, lack]));
        }
        if lack != told {
            task.progress(&lack)?;
            told = lack;
        }
        task.pause(&mut pause).await?;
    }
}

/// The line that an enabled downgrade leads to, as any member says.
fn enabled(seen: &Observation) -> Option<Minor> {
    let mut told = views(seen).filter_map(|(_, view)| view.downgrade.as_ref());
    told.next().map(Version::minor)
}

fn other(line: Minor, to: Minor) -> Failure {
    Failure::Refused(format!(
        "a downgrade to {line} is enabled, this one leads to {to}"
    ))
}

/// What keeps members that run a newer line from being replaced by this one. Those that run it already tell nothing.
fn not_ready(seen: &Observation, to: Minor) -> Option<String> {
    let newer = |(_, view): &(&str, &MemberView)| view.version.minor() > to;
    views(seen).filter(newer).find_map(|(host, view)| {
        let is = |told: &Option<Version>| told.as_ref().map(Version::minor) == Some(to);
        if !is(&view.downgrade) {
            return Some(format!("`{host}` says nothing of a downgrade to {to}"));
        }
        if !is(&view.storage) {
            return Some(stored(host, view.storage.as_ref()));
        }
        (!is(&view.cluster_version)).then(|| sees_words(host, view.cluster_version.as_ref()))
    })
}

fn stored(host: &str, storage: Option<&Version>) -> String {
    match storage {
        Some(version) => format!("`{host}` stores its data as {}", version.minor()),
        None => format!("`{host}` does not tell how it stores its data"),
    }
}
