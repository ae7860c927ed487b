//! What a host lacks of a release, and what the way there is like.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::backup::local;
use super::super::digest::sum;
use super::super::pack::{self, Link, is_crowded, probe};
use super::super::{Failure, Task};
use super::pairs;
use crate::etcd::Version;
use crate::transport::Input;

/// The title of [`LOOK`].
pub const LOOK_TITLE: &str = "look at the staged release";
/// Prints what `probe` does, then the names of binaries that are not staged with the right digest. Writes nothing.
///
/// Arguments: `install_dir version`, then pairs of name and SHA-256; a probe on stdin.
const LOOK: &str = concat!(
    sum!(),
    probe!(),
    r#"
set -eu
export LC_ALL=C
dir=$1/$2
probe
shift 2
for path in "${dir%/*}" "$dir"; do
  [ ! -L "$path" ] || {
    printf '%s\n' "\`$path\` is a symbolic link to \`$(readlink "$path")\`" >&2
    exit 1
  }
done
while [ $# -gt 1 ]; do
  have=
  [ ! -f "$dir/$1" ] || [ ! -x "$dir/$1" ] || have=$(sum < "$dir/$1")
  [ "$have" = "$2" ] || printf '%s\n' "$1"
  shift 2
done
"#
);

/// How long the look at a host takes at most whose link one channel fills: its way there and back is shorter still.
const NEAR: Duration = Duration::from_millis(100);

/// What a host lacks of a release, and what the way there is like.
pub(super) struct Lack<'f> {
    /// Binaries that are not staged yet: name and SHA-256.
    pub missing: Vec<(&'f String, &'f String)>,
    /// Whether they had better come packed.
    pub is_slow: bool,
    /// Whether one channel fills the link: ssh lets no more than 2 MiB be on the way in each. One binary after the other
    /// then keeps fewer processes busy.
    pub is_near: bool,
}

/// Looks at a host's staged release and the way there.
pub(super) async fn lacking<'f>(
    task: &Task<'_>,
    version: &Version,
    files: &'f BTreeMap<String, String>,
    install_dir: &str,
) -> Result<Lack<'f>, Failure> {
    // What is staged may not be here, and then there is nothing to send.
    let here = |sha256| task.turn.engine.binaries.get(sha256);
    let file = files.values().find_map(here);
    let look = async |is_second| {
        let sample = file.map(|path| local(pack::sample(path, is_second), path));
        let mut look = task
            .command(LOOK_TITLE, LOOK)
            .args([install_dir.to_owned(), version.to_string()])
            .args(pairs(files));
        look.input = Input::Bytes(sample.transpose()?.unwrap_or_default());
        let was_crowded = is_crowded();
        let begun = Instant::now();
        let said = task.ask(look).await?.text();
        let whole = begun.elapsed();
        let rate = said.lines().find_map(|line| line.strip_prefix("rate="));
        let rate = rate.and_then(|rate| rate.parse().ok());
        let link = Link::of(rate, is_second, was_crowded || is_crowded());
        Ok::<_, Failure>((said, link, whole))
    };
    let (said, mut link, whole) = look(false).await?;
    let names = |name: &str| said.lines().any(|line| line == name);
    let missing: Vec<_> = files.iter().filter(|(name, _)| names(name)).collect();
    if link == Link::Doubtful && !missing.is_empty() {
        link = look(true).await?.1;
    }
    Ok(Lack {
        missing,
        is_slow: link == Link::Slow,
        is_near: link == Link::Quick && whole < NEAR,
    })
}
