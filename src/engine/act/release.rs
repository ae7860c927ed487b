//! Releases on a host: keep the installed one, stage a new one, switch to a staged one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::time::sleep;

use super::backup::local;
use super::digest::sum;
use super::{Failure, Task, changed, unchanged};
use crate::etcd::Version;
use crate::plan::{Neighbour, Outcome};
use crate::transport::growing::Growing;
use crate::transport::{Command, Input, Meter};

mod hand_on;
mod lack;

use hand_on::Giver;
pub use hand_on::HAND_ON_TITLE;
pub use lack::LOOK_TITLE;
use lack::lacking;

/// The title of [`KEEP`].
pub const KEEP_TITLE: &str = "keep the installed release";
/// The title of [`UPLOAD`].
pub const UPLOAD_TITLE: &str = "upload a binary";
/// The title of [`SWITCH`].
pub const SWITCH_TITLE: &str = "switch the release";

/// The time between two words about an upload. Each is a line of the journal, so it is not told more often.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// Copies binaries into `<install_dir>/<version>/`, each by one rename, its digest checked before.
///
/// Arguments: `bin_dir install_dir version`, then pairs of name and SHA-256. Prints the names that it copied.
const KEEP: &str = concat!(
    sum!(),
    include_str!("release/gently.sh"),
    r#"
set -eu
export LC_ALL=C
bin=$1 dir=$2/$3
shift 3
die() { printf '%s\n' "$1" >&2; exit 1; }
for path in "${dir%/*}" "$dir"; do
  [ ! -L "$path" ] || die "\`$path\` is a symbolic link to \`$(readlink "$path")\`"
done
umask 022
mkdir -p "$dir"
tmp=
trap '[ -z "$tmp" ] || rm -f "$tmp"' EXIT
trap 'exit 143' TERM HUP INT
while [ $# -gt 1 ]; do
  name=$1 want=$2
  shift 2
  if [ -f "$dir/$name" ] && [ "$(sum < "$dir/$name")" = "$want" ]; then continue; fi
  rm -f "$dir/.$name.runner."*
  tmp=$dir/.$name.runner.$$
  gently "$tmp" < "$bin/$name"
  got=$(sum < "$tmp")
  [ "$got" = "$want" ] || die "\`$bin/$name\` has SHA-256 $got, the plan expects $want"
  chown 0:0 "$tmp"
  chmod 0755 "$tmp"
  sync "$tmp" 2>/dev/null || sync
  mv -fT "$tmp" "$dir/$name"
  tmp=
  printf '%s\n' "$name"
done
"#
);

/// Puts a binary at `<install_dir>/<version>/<name>` by one rename, its digest checked before.
///
/// Arguments: `install_dir version name sha256 way`: it comes on stdin if the way is `cat` or `gzip`, and from the
/// address and port that follow if it is `neighbour`. A full disk or a torn upload leaves nothing.
const UPLOAD: &str = concat!(
    sum!(),
    include_str!("release/gently.sh"),
    include_str!("release/upload.sh")
);

/// Points `bin_dir` at a staged release, each binary by one rename.
///
/// Arguments: `install_dir version bin_dir`, names of binaries in the order of switching, `--`, names of links
/// that must go. Prints what it changed. Checks everything before the first change: all binaries are staged, and a
/// plain file that a link would replace is kept somewhere under `install_dir`.
pub(crate) const SWITCH: &str = include_str!("release/switch.sh");

/// `Action::KeepRelease`.
pub(crate) async fn keep(
    task: &Task<'_>,
    version: &Version,
    files: &BTreeMap<String, String>,
    dirs: (&str, &str),
) -> Result<Outcome, Failure> {
    let (bin_dir, install_dir) = dirs;
    let command = task
        .command(KEEP_TITLE, KEEP)
        .args([
            bin_dir.to_owned(),
            install_dir.to_owned(),
            version.to_string(),
        ])
        .args(pairs(files));
    let copied = task.ask(command).await?.text();
    if copied.trim().is_empty() {
        return Ok(unchanged(format!("{version} is kept already")));
    }
    task.turn.leave_here(format!(
        "release {version}, kept as {install_dir}/{version}"
    ));
    Ok(changed(format!(
        "{version} is kept in {install_dir}/{version}"
    )))
}

/// `Action::StageRelease`.
pub(crate) async fn stage(
    task: &Task<'_>,
    version: &Version,
    files: &BTreeMap<String, String>,
    install_dir: &str,
    from: Option<&Neighbour>,
) -> Result<Outcome, Failure> {
    let lack = lacking(task, version, files, install_dir).await?;
    let uploads = lack
        .missing
        .iter()
        .map(|(name, sha256)| Upload::new(task, version, name, sha256, lack.is_slow));
    let uploads: Vec<Upload> = uploads.collect::<Result<_, _>>()?;
    if uploads.is_empty() {
        return Ok(unchanged(format!("{version} is staged already")));
    }
    let giver = match from.filter(|_| lack.is_slow) {
        Some(neighbour) => Giver::ask(task, neighbour, version).await?,
        None => None,
    };
    let sends = uploads
        .iter()
        .map(|upload| upload.arrive(task, version, install_dir, giver.as_ref()));
    let at_once = if lack.is_near { 1 } else { uploads.len() };
    let sends = stream::iter(sends).buffered(at_once);
    let sent: Vec<Way> = tokio::select! {
        sent = sends.try_collect() => sent?,
        failure = tell(task, &uploads) => return Err(failure),
    };
    let taken = sent.iter().filter(|way| **way == Way::Neighbour).count();
    task.turn.leave_here(format!(
        "release {version}, staged as {install_dir}/{version}"
    ));
    let how = match &giver {
        Some(giver) if taken > 0 => {
            format!("{taken} from {}, {} sent", giver.host, sent.len() - taken)
        }
        _ => format!("{} binaries sent", sent.len()),
    };
    Ok(changed(format!("{version} is staged, {how}")))
}

/// How a binary came to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// From this machine.
    Sent,
    /// From a neighbour.
    Neighbour,
}

/// A binary on its way to a host.
struct Upload<'a> {
    name: &'a str,
    sha256: &'a str,
    source: &'a Path,
    packed: bool,
    /// What is sent if it goes packed.
    growing: OnceLock<Growing>,
    meter: Meter,
}

impl<'a> Upload<'a> {
    fn new(
        task: &Task<'a>,
        version: &Version,
        name: &'a str,
        sha256: &'a str,
        packed: bool,
    ) -> Result<Self, Failure> {
        let Some(source) = task.turn.engine.binaries.get(sha256) else {
            return Err(Failure::because(format!(
                "no binary with SHA-256 {sha256} for `{name}` {version} on this machine"
            )));
        };
        Ok(Self {
            name,
            sha256,
            source,
            packed,
            growing: OnceLock::new(),
            meter: Meter::default(),
        })
    }

    /// What to send: a packed file is on its way while it is still made.
    fn input(&self, task: &Task<'_>) -> Result<Input, Failure> {
        if self.packed {
            let packs = &task.turn.engine.packs;
            let growing = local(packs.packed(self.sha256, self.source), self.source)?;
            let _ = self.growing.set(growing.clone());
            return Ok(Input::Growing(growing));
        }
        Ok(Input::File(self.source.to_owned()))
    }

    /// How much is sent in all, once that is known.
    fn bytes(&self) -> Option<u64> {
        if self.packed {
            return self.growing.get()?.size();
        }
        // Only shown; a file that cannot be read fails when it is sent.
        Some(std::fs::metadata(self.source).map_or(0, |file| file.len()))
    }

    /// Brings it to the host: from a neighbour if one gives it, else from here.
    async fn arrive(
        &self,
        task: &Task<'_>,
        version: &Version,
        install_dir: &str,
        giver: Option<&Giver>,
    ) -> Result<Way, Failure> {
        let command = |way: &str| {
            task.command(UPLOAD_TITLE, UPLOAD).args([
                install_dir.to_owned(),
                version.to_string(),
                self.name.to_owned(),
                self.sha256.to_owned(),
                way.to_owned(),
            ])
        };
        let way = match giver {
            Some(giver) if giver.gives(task, self.name, command("neighbour")).await? => {
                Way::Neighbour
            }
            _ => {
                let filter = if self.packed { "gzip" } else { "cat" };
                self.send(task, command(filter)).await?;
                Way::Sent
            }
        };
        // Another upload beside this one may yet fail, and the step then tells nothing of this one.
        task.turn.ledger.note_change();
        Ok(way)
    }

    async fn send(&self, task: &Task<'_>, mut command: Command) -> Result<(), Failure> {
        command.input = self.input(task)?;
        command.meter = Some(self.meter.clone());
        task.ask(command).await.map(drop)
    }
}

/// Tells how far uploads are, until it is dropped. Ends only when the journal takes no more.
async fn tell(task: &Task<'_>, uploads: &[Upload<'_>]) -> Failure {
    let names: Vec<&str> = uploads.iter().map(|upload| upload.name).collect();
    let how = if uploads.iter().any(|upload| upload.packed) {
        ", compressed for a slow link"
    } else {
        ""
    };
    let what = format!("sending {}{how}", names.join(", "));
    let mut told = None;
    loop {
        let all: Option<u64> = uploads.iter().map(Upload::bytes).sum();
        let done = uploads.iter().map(|upload| upload.meter.bytes()).sum();
        if let Some(all) = all
            && told != Some(done)
            && let Err(failure) = task.transferred(&what, done, all)
        {
            return failure;
        }
        told = all.map(|_| done);
        sleep(TOLD_EVERY).await;
    }
}

/// `Action::SwitchRelease`. `etcd` goes last: until then a restart still brings up the old one.
pub(crate) async fn switch(
    task: &Task<'_>,
    version: &Version,
    dirs: (&str, &str),
    files: &[String],
    remove: &[String],
) -> Result<Outcome, Failure> {
    let (install_dir, bin_dir) = dirs;
    let arguments = switch_arguments(version, install_dir, bin_dir, files, remove);
    let command = task.command(SWITCH_TITLE, SWITCH).args(arguments);
    let done = task.ask(command).await?.text();
    if done.trim().is_empty() {
        return Ok(unchanged(format!("{bin_dir} leads to {version} already")));
    }
    Ok(changed(format!("{bin_dir} leads to {version}")))
}

/// What [`SWITCH`] is told.
pub(crate) fn switch_arguments(
    version: &Version,
    install_dir: &str,
    bin_dir: &str,
    files: &[String],
    remove: &[String],
) -> Vec<String> {
    let mut order: Vec<String> = files.to_vec();
    order.sort_by_key(|name| name == "etcd");
    let head = [
        install_dir.to_owned(),
        version.to_string(),
        bin_dir.to_owned(),
    ];
    let divider = std::iter::once("--".to_owned());
    head.into_iter()
        .chain(order)
        .chain(divider)
        .chain(remove.to_vec())
        .collect()
}

fn pairs(files: &BTreeMap<String, String>) -> impl Iterator<Item = String> {
    files
        .iter()
        .flat_map(|(name, sha256)| [name.clone(), sha256.clone()])
}
