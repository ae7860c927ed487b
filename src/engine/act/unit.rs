//! The unit: stop it, start it, reload units, look at it.

use super::{Failure, Task, changed, unchanged};
use crate::engine::rescue;
use crate::plan::Outcome;
use crate::transport::Command;

/// The title of [`STOP`].
pub const STOP_TITLE: &str = "stop the unit";
/// The title of [`START`].
pub const START_TITLE: &str = "start the unit";
/// The title of [`RELOAD`].
pub const RELOAD_TITLE: &str = "reload the units";
/// The title of [`LOOK`].
pub const LOOK_TITLE: &str = "look at the unit";

/// The properties that every script of this module prints, one `NAME=VALUE` a line.
macro_rules! show {
    () => {
        r#"
show() {
  systemctl show -p ActiveState -p SubState -p Result -p MainPID -p ExecMainStatus -p NRestarts -p Job -- "$1"
}
prop() { systemctl show -p "$2" -- "$1" | sed -n "s/^$2=//p"; }
log() { journalctl -q -u "$1" -n 100 -o cat --no-pager 2>/dev/null || :; }
"#
    };
}
pub(crate) use show;

/// Stops the unit, then makes sure that its main process and every etcd of its cgroup are gone.
///
/// Arguments: `unit`, then what [`rescue::arguments`] gives. Prints `same` when nothing ran, then the properties.
const STOP: &str = concat!(
    "set -eu\nexport LC_ALL=C\nunit=$1\nshift\n",
    include_str!("../lock/file.sh"),
    include_str!("../rescue/arm.sh"),
    r#"
die() { printf '%s\n' "$1" >&2; exit 1; }
load='' active='' pid=0 group='' began=''
# Sets `shown`, and what the script needs of it. The control group is gone behind the stop, so the first one stays.
props() {
  shown=$(systemctl show -p LoadState -p ActiveState -p SubState -p Result -p MainPID -p ExecMainStatus -p NRestarts \
    -p Job -p ControlGroup -p InactiveExitTimestampMonotonic -- "$unit")
  while IFS='=' read -r name value; do
    case $name in
      LoadState) load=$value ;;
      ActiveState) active=$value ;;
      MainPID) pid=$value ;;
      ControlGroup) group=${group:-$value} ;;
      InactiveExitTimestampMonotonic) began=$value ;;
    esac
  done <<SHOWN
$shown
SHOWN
}
left() {
  [ -n "$group" ] || return 0
  for list in "/sys/fs/cgroup$group/cgroup.procs" "/sys/fs/cgroup/unified$group/cgroup.procs" \
    "/sys/fs/cgroup/systemd$group/cgroup.procs"; do
    [ -r "$list" ] || continue
    while read -r pid; do
      name=$(cat "/proc/$pid/comm" 2>/dev/null) || continue
      [ "$name" != etcd ] || printf '%s ' "$pid"
    done < "$list"
  done
}
props
[ "$load" = loaded ] || die "unit \`$unit\` is $load"
[ $# -eq 0 ] || arm "$@"
case $active in
  inactive | failed) [ "$pid" != 0 ] || [ -n "$(left)" ] || echo same ;;
esac
systemctl stop -- "$unit"
props
[ "$pid" = 0 ] || die "process $pid of \`$unit\` still runs after the stop"
rest=$(left)
[ -z "$rest" ] || die "etcd process ${rest% } is still in the unit's control group after the stop"
case $active in
  inactive | failed) ;;
  *) die "unit \`$unit\` is $active after the stop" ;;
esac
printf '%s\n' "$shown"
"#
);

/// Starts the unit and does not wait for it: a `Type=notify` etcd is ready only with a quorum.
///
/// Arguments: `unit`. Prints `same` when it runs already.
const START: &str = r#"
set -eu
export LC_ALL=C
if [ "$(systemctl show -p ActiveState -- "$1")" = ActiveState=active ]; then echo same; exit 0; fi
systemctl reset-failed -- "$1" 2>/dev/null || :
systemctl --no-block start -- "$1"
"#;

const RELOAD: &str = "set -eu\nsystemctl daemon-reload\n";

/// Prints the unit's properties, `installed=` where `bin_dir/etcd` leads to, an empty line and the last lines that
/// the unit logged. Arguments: `unit bin_dir`.
const LOOK: &str = concat!(
    "export LC_ALL=C\n",
    show!(),
    r#"
show "$1"
printf 'installed=%s\n\n' "$(readlink -f "$2/etcd" 2>/dev/null)"
log "$1"
"#
);

/// A unit as the scripts print it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// `active`, `failed`, …
    pub active: String,
    /// `running`, `auto-restart`, …
    pub sub: String,
    /// `success`, `exit-code`, …
    pub result: String,
    /// The main process; 0 when there is none.
    pub pid: u32,
    /// The last main process's exit status or signal.
    pub status: i32,
    /// Restarts that systemd has done by itself.
    pub restarts: u32,
    /// Whether a start or stop is queued.
    pub queued: bool,
    /// Where `bin_dir/etcd` leads to, if asked for.
    pub installed: String,
    /// The last lines it logged.
    pub log: Vec<String>,
}

impl Unit {
    /// Parses properties, an empty line and log lines.
    pub fn parse(text: &str) -> Self {
        let mut unit = Self::default();
        let (head, log) = text.split_once("\n\n").unwrap_or((text, ""));
        for (name, value) in head.lines().filter_map(|line| line.split_once('=')) {
            let value = value.trim();
            match name {
                "ActiveState" => value.clone_into(&mut unit.active),
                "SubState" => value.clone_into(&mut unit.sub),
                "Result" => value.clone_into(&mut unit.result),
                "MainPID" => unit.pid = value.parse().unwrap_or(0),
                "ExecMainStatus" => unit.status = value.parse().unwrap_or(0),
                "NRestarts" => unit.restarts = value.parse().unwrap_or(0),
                "Job" => unit.queued = !value.is_empty() && value != "0",
                "installed" => value.clone_into(&mut unit.installed),
                _ => {}
            }
        }
        unit.log = log.lines().map(str::to_owned).collect();
        unit
    }

    /// Whether its process came to an end that waiting does not mend: failed, waiting for the next restart, or
    /// stopped with no start queued.
    pub fn is_down(&self) -> bool {
        self.active == "failed"
            || self.sub == "auto-restart"
            || (self.active == "inactive" && !self.queued)
    }

    /// The unit's state in words, such as "unit `etcd.service` on `etcd-2` is failed, exit status 2".
    pub fn words(&self, unit: &str, host: &str) -> String {
        let sub = match self.sub.as_str() {
            sub if sub.is_empty() || sub == self.active => String::new(),
            sub => format!(" ({sub})"),
        };
        let status = if self.is_down() {
            format!(", exit status {}", self.status)
        } else {
            String::new()
        };
        let restarts = match self.restarts {
            0 => String::new(),
            1 => ", restarted once by systemd".to_owned(),
            n => format!(", restarted {n} times by systemd"),
        };
        format!(
            "unit `{unit}` on `{host}` is {}{sub}{status}{restarts}",
            self.active
        )
    }

    /// The state in words, then the log lines that tell most, quoted.
    pub fn causes(&self, unit: &str, host: &str) -> Vec<String> {
        let mut causes = vec![self.words(unit, host)];
        causes.extend(
            telling(&self.log)
                .into_iter()
                .map(|line| format!("\"{line}\"")),
        );
        causes
    }
}

/// Picks at most three log lines that tell why a process ended: complaints first, else the last line.
///
/// etcd's own complaints come before usage texts (of an unknown flag) and before systemd's epilogue; the lists are
/// those of the failures that etcd prints at start (etcd-upgrades, "Real failures").
fn telling(log: &[String]) -> Vec<String> {
    const COMPLAINTS: [&str; 11] = [
        "\"level\":\"fatal\"",
        "\"level\":\"panic\"",
        "\"level\":\"error\"",
        "panic:",
        "flag provided but not defined",
        "conflicting environment variable",
        "error verifying flags",
        "error unmarshaling",
        " C | ",
        " E | ",
        "error:",
    ];
    let complaint = |line: &&String| COMPLAINTS.iter().any(|word| line.contains(word));
    let mut found: Vec<String> = log.iter().filter(complaint).cloned().collect();
    if found.is_empty() {
        let meant = |line: &&String| !line.trim().is_empty();
        found.extend(log.iter().rfind(meant).cloned());
    }
    found.dedup();
    let from = found.len().saturating_sub(3);
    found.split_off(from)
}

/// The command that looks at a host's unit.
pub fn look(task_deadline: std::time::Duration, unit: &str, bin_dir: &str) -> Command {
    Command::read(LOOK_TITLE, LOOK, task_deadline).args([unit, bin_dir])
}

/// How a unit ended in words. 15 is the signal by which systemd asks etcd to stop, which 3.4 ends by.
fn stopped(unit: &str, status: i32) -> String {
    match status {
        0 | 15 => format!("{unit} is stopped"),
        other => format!("{unit} is stopped, exit status {other}"),
    }
}

/// `Action::StopUnit`.
pub(crate) async fn stop(task: &Task<'_>, unit: &str) -> Result<Outcome, Failure> {
    let locks = &task.turn.engine.locks;
    let (dir, run) = locks.rescue_keys();
    let rescue = rescue::arguments(task.turn, task.step, dir, run);
    let is_armed = !rescue.is_empty();
    if is_armed {
        locks.disarmed(&task.turn.host.name).await;
    }
    let command = task.command(STOP_TITLE, STOP).arg(unit).args(rescue);
    let text = task.ask(command).await?.text();
    if is_armed {
        locks.note_armed(&task.turn.host.name);
    }
    if text.lines().next() == Some("same") {
        return Ok(unchanged(format!("{unit} does not run")));
    }
    Ok(changed(stopped(unit, Unit::parse(&text).status)))
}

/// `Action::StartUnit`.
pub(crate) async fn start(task: &Task<'_>, unit: &str) -> Result<Outcome, Failure> {
    let text = task
        .ask(task.command(START_TITLE, START).arg(unit))
        .await?
        .text();
    if text.trim() == "same" {
        return Ok(unchanged(format!("{unit} runs already")));
    }
    Ok(changed(format!("{unit} is starting")))
}

/// `Action::ReloadUnits`.
pub(crate) async fn reload(task: &Task<'_>) -> Result<Outcome, Failure> {
    task.ask(task.command(RELOAD_TITLE, RELOAD)).await?;
    Ok(changed("units read again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRASHED: &str = "ActiveState=activating\nSubState=auto-restart\nResult=exit-code\nMainPID=0\n\
        ExecMainStatus=2\nNRestarts=3\nJob=\ninstalled=/opt/etcd/3.6.4/etcd\n\n\
        flag provided but not defined: -enable-v2\nUsage:\n  etcd [flags]\n";

    #[test]
    fn a_crash_loop_is_told_with_status_restarts_and_the_line_that_matters() {
        let unit = Unit::parse(CRASHED);
        assert!(unit.is_down());
        assert_eq!(
            unit.causes("etcd.service", "etcd-2"),
            [
                "unit `etcd.service` on `etcd-2` is activating (auto-restart), exit status 2, \
                 restarted 3 times by systemd",
                "\"flag provided but not defined: -enable-v2\""
            ]
        );
    }

    #[test]
    fn an_inactive_unit_with_a_queued_start_is_not_down() {
        let mut unit = Unit::parse("ActiveState=inactive\nSubState=dead\nJob=812\n");
        assert!(!unit.is_down());
        unit.queued = false;
        assert!(unit.is_down());
    }

    #[test]
    fn without_a_complaint_the_last_line_is_quoted() {
        let log = ["one".to_owned(), "two".to_owned(), " ".to_owned()];
        assert_eq!(telling(&log), ["two"]);
    }
}
