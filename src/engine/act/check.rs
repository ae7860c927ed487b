//! Checks on a host that start nothing: the command line of the new release, and a rendered unit.

use super::{Failure, Task, unchanged};
use crate::etcd::Version;
use crate::plan::Outcome;
use crate::transport::Input;

/// The title of [`FLAGS`].
pub const FLAGS_TITLE: &str = "check the command line";
/// The title of [`VERIFY`].
pub const VERIFY_TITLE: &str = "verify the unit";

/// Runs a staged etcd with the unit's arguments and `--version` behind them, which parses all of them and starts
/// nothing, on every version (etcd-upgrades 0.1, rule 12). Arguments: `path args…`.
///
/// The environment is empty except for etcd's own switch for architectures that it calls experimental.
const FLAGS: &str = r#"
case $(uname -m) in
  aarch64) arch=arm64 ;;
  *) arch=$(uname -m) ;;
esac
exec timeout -k 2 20 env -i PATH="$PATH" ETCD_UNSUPPORTED_ARCH="$arch" "$@" --version
"#;

/// Lets systemd check a unit of that name, from a folder of its own under `/run`. Arguments: `unit`; text on stdin.
const VERIFY: &str = r#"
set -eu
export LC_ALL=C
command -v systemd-analyze >/dev/null || { cat > /dev/null; echo missing; exit 0; }
dir=$(mktemp -d /run/runner-verify.XXXXXX)
trap 'rm -rf "$dir"' EXIT
trap 'exit 143' TERM HUP INT
cat > "$dir/$1"
only=
if systemd-analyze --help 2>/dev/null | grep -q -e --recursive-errors; then only=--recursive-errors=no; fi
systemd-analyze verify --man=no $only "$dir/$1" >&2
"#;

/// `Action::CheckFlags`.
pub(crate) async fn flags(
    task: &Task<'_>,
    version: &Version,
    install_dir: &str,
    args: &[String],
) -> Result<Outcome, Failure> {
    let command = task
        .command(FLAGS_TITLE, FLAGS)
        .arg(format!("{install_dir}/{version}/etcd"))
        .args(args.to_vec());
    let output = task.reach(command).await?;
    if output.is_success() {
        return Ok(unchanged(format!(
            "etcd {version} takes the unit's command line"
        )));
    }
    let said = output.complaint();
    let line = said.lines().find(|line| !line.trim().is_empty());
    Err(Failure::Refused(format!(
        "etcd {version} does not take the command line of the unit, exit status {}: \"{}\"",
        output.status,
        line.unwrap_or("it said nothing")
    )))
}

/// `Action::VerifyUnit`.
pub(crate) async fn verify(task: &Task<'_>, unit: &str, text: &str) -> Result<Outcome, Failure> {
    let mut command = task.command(VERIFY_TITLE, VERIFY).arg(unit);
    command.input = Input::Bytes(text.as_bytes().to_vec());
    let output = task.reach(command).await?;
    if !output.is_success() {
        return Err(Failure::Refused(format!(
            "systemd does not accept the rendered `{unit}`: \"{}\"",
            output.complaint().trim()
        )));
    }
    if output.text().trim() == "missing" {
        let host = &task.turn.host.name;
        return Ok(unchanged(format!(
            "not checked: `{host}` has no systemd-analyze"
        )));
    }
    Ok(unchanged(format!("systemd accepts {unit}")))
}
