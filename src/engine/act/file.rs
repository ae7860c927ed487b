//! Files on a host: write one atomically, remove one.

use sha2::{Digest, Sha256};

use super::backup::hex;
use super::{Failure, Task, changed, unchanged};
use crate::plan::Outcome;
use crate::transport::Input;

/// The title of [`WRITE`].
pub const WRITE_TITLE: &str = "write a file";
/// The title of [`REMOVE`].
pub const REMOVE_TITLE: &str = "remove a file";

/// The status of [`WRITE`] when somebody has changed the file: it was left as it is.
const CHANGED_MEANWHILE: i32 = 9;

/// What stands for "no file is there" in place of a digest.
pub const ABSENT: &str = "absent";

/// Writes stdin to a file by one rename, owner and mode set before.
///
/// Arguments: `dest owner mode before after`, the last two SHA-256 in hex or `absent`. Refuses when the file is
/// neither as it was when the plan was made nor as it will be: someone else has changed it meanwhile. A temporary
/// file that a killed run left beside it goes away.
const WRITE: &str = r#"
set -eu
export LC_ALL=C
dest=$1 owner=$2 mode=$3 before=$4 after=$5
dir=${dest%/*}
die() { cat > /dev/null; printf '%s\n' "$1" >&2; exit 1; }
sum() { sha256sum < "$1" | cut -d ' ' -f 1; }
[ ! -L "$dest" ] || die "\`$dest\` is a symbolic link to \`$(readlink "$dest")\`"
now=absent
[ ! -e "$dest" ] || now=$(sum "$dest")
if [ "$now" = "$after" ]; then
  cat > /dev/null
  was=$(stat -c '%U:%G %a' "$dest")
  chown "$owner" "$dest"
  chmod "$mode" "$dest"
  [ "$(stat -c '%U:%G %a' "$dest")" != "$was" ] || echo same
  exit 0
fi
if [ "$now" != "$before" ]; then
  cat > /dev/null
  printf '%s\n' "\`$dest\` has changed since the plan was made: SHA-256 $now, expected $before" >&2
  exit 9
fi
umask 077
[ -d "$dir" ] || (umask 022 && mkdir -p "$dir")
rm -f "$dir/.${dest##*/}.runner".??????
tmp=$(mktemp "$dir/.${dest##*/}.runner.XXXXXX") || die "no file can be made in \`$dir\`"
trap 'rm -f "$tmp"' EXIT
trap 'exit 143' TERM HUP INT
cat > "$tmp"
[ "$(sum "$tmp")" = "$after" ] || die "the text of \`$dest\` arrived damaged"
chown "$owner" "$tmp"
chmod "$mode" "$tmp"
sync "$tmp" 2>/dev/null || sync
mv -fT "$tmp" "$dest"
sync "$dir" 2>/dev/null || sync
"#;

const REMOVE: &str = r#"
set -eu
[ -e "$1" ] || [ -L "$1" ] || { echo same; exit 0; }
rm -f "$1"
sync "${1%/*}" 2>/dev/null || sync
"#;

/// A file as it shall be.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// What is there now; `None` if nothing is.
    pub before: Option<&'a str>,
    /// What will be there.
    pub text: &'a str,
    /// `USER:GROUP`.
    pub owner: &'a str,
    /// The mode.
    pub mode: u32,
}

/// `Action::WriteFile`.
pub(crate) async fn write(
    task: &Task<'_>,
    dest: &str,
    content: Content<'_>,
) -> Result<Outcome, Failure> {
    let mut command = task.command(WRITE_TITLE, WRITE).args([
        dest.to_owned(),
        content.owner.to_owned(),
        format!("{:04o}", content.mode),
        content.before.map_or(ABSENT.to_owned(), digest),
        digest(content.text),
    ]);
    command.input = Input::Bytes(content.text.as_bytes().to_vec());
    let output = task.reach(command).await?;
    if output.status == CHANGED_MEANWHILE {
        return Err(Failure::Refused(output.complaint().trim().to_owned()));
    }
    let said = task.succeeded(WRITE_TITLE, output)?.text();
    if said.trim() == "same" {
        return Ok(unchanged(format!("{dest} is so already")));
    }
    Ok(changed(format!("{dest} is written")))
}

/// `Action::RemoveFile`.
pub(crate) async fn remove(task: &Task<'_>, dest: &str) -> Result<Outcome, Failure> {
    let said = task
        .ask(task.command(REMOVE_TITLE, REMOVE).arg(dest))
        .await?
        .text();
    if said.trim() == "same" {
        return Ok(unchanged(format!("{dest} is not there")));
    }
    Ok(changed(format!("{dest} is removed")))
}

/// A text's SHA-256 in hex.
pub fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}
