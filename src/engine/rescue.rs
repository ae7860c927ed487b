//! What brings a member up again if its run is gone between the stop and the settle: the host itself.
//!
//! The script that stops a member first arms the *rescue*, a transient unit of systemd that does nothing while the run
//! holds the host's lock ([`super::lock`]). The lock dies with the run, or with its connection; a run that is merely
//! slow keeps it. Once nobody has held it for 15 s, the rescue takes the lock itself, so that neither this run nor
//! another can come between. If the run has not started the unit again, the rescue puts back what was there when it was
//! armed, the release and the files, and starts that: nothing half done is ever started. If the run has, the unit is
//! started as it is, and what was there is put back only if that does not come up.
//!
//! It starts nothing but the unit, so there are never two processes on one data folder. It puts nothing back behind a
//! start that only a backup leads back from. What another run must do about it is in the lock: a run that finds a
//! rescue armed or at work waits until the member is up, and looks then.

use std::time::Duration;

use super::act::Turn;
use super::act::release;
use super::act::unit::show;
use crate::inventory::Host;
use crate::plan::{Action, Step, StepId, Undo};
use crate::transport::Command;

/// The title of [`DISARM`].
pub const DISARM_TITLE: &str = "disarm the rescue";

/// Arguments: `dir data_dir run unit seconds returns`, where `returns` is `yes` if there is a way back even behind the
/// start; the number of files that steps of the lane write and their paths; then,
/// if there is a way back, the script that switches to the old release and its arguments.
const RESCUE: &str = concat!(
    "set -u\n",
    include_str!("lock/file.sh"),
    show!(),
    include_str!("rescue/rescue.sh")
);

/// Ends the rescue if this run has armed it. Arguments: `dir data_dir run`.
const DISARM: &str = concat!(
    "set -eu\n",
    include_str!("lock/file.sh"),
    r#"
paths "$1" "$2"
{ IFS= read -r by <"$kept/run"; } 2>/dev/null || exit 0
[ "$by" = "$3" ] || exit 0
systemctl stop -- "$rescue" 2>/dev/null || :
systemctl reset-failed -- "$rescue" 2>/dev/null || :
rm -rf -- "$kept"
"#
);

/// What the script that stops the member of a lane gets for `arm`; nothing if the step is no such stop, or if what comes
/// between it and the settle is more than a rescue understands.
pub(crate) fn arguments(turn: &Turn<'_>, stop: StepId, dir: &str, run: &str) -> Vec<String> {
    let steps = turn.lane.steps.iter();
    let mut lane = steps.skip_while(|step| step.id != stop);
    let is_stop = |step: &Step| matches!(step.action, Action::StopUnit { .. });
    if !lane.next().is_some_and(is_stop) {
        return Vec::new();
    }
    let Some((open, patience)) = open(lane) else {
        return Vec::new();
    };
    let is_last = open
        .iter()
        .any(|step| turn.hop.point_of_no_return == Some(step.id));
    let returns = if is_last { "no" } else { "yes" };
    let files: Vec<String> = open.iter().filter_map(|step| file(step)).collect();
    let host = turn.host;
    let head = [RESCUE, dir, &host.data_dir, run, &host.unit].map(str::to_owned);
    let tail = [
        patience.to_string(),
        returns.to_owned(),
        files.len().to_string(),
    ];
    let back = way_back(&open).map(switch_back);
    head.into_iter()
        .chain(tail)
        .chain(files)
        .chain(back.into_iter().flatten())
        .collect()
}

/// The steps between a stop and its settle, and the settle's time.
fn open<'s>(steps: impl Iterator<Item = &'s Step>) -> Option<(Vec<&'s Step>, u64)> {
    let mut open = Vec::new();
    for step in steps {
        match step.action {
            Action::Settle { .. } => return Some((open, step.deadline_s)),
            Action::SwitchRelease { .. }
            | Action::WriteFile { .. }
            | Action::RemoveFile { .. }
            | Action::ReloadUnits
            | Action::StartUnit { .. } => open.push(step),
            // It reads the stopped member's files and leaves them as they are.
            Action::TakeV2Backup { .. } => {}
            _ => return None,
        }
    }
    None
}

/// The switch to what was there, where each step can be undone.
fn way_back<'s>(open: &[&'s Step]) -> Option<&'s Action> {
    let undo = open.iter().find_map(|step| match &step.action {
        Action::SwitchRelease { .. } => Some(&step.undo),
        _ => None,
    })?;
    match undo {
        Undo::Actions(actions) => actions.first(),
        Undo::Nothing | Undo::Impossible(_) => None,
    }
}

fn file(step: &Step) -> Option<String> {
    match &step.action {
        Action::WriteFile { dest, .. } | Action::RemoveFile { dest } => Some(dest.clone()),
        _ => None,
    }
}

fn switch_back(action: &Action) -> Vec<String> {
    let Action::SwitchRelease {
        version,
        install_dir,
        bin_dir,
        files,
        remove,
    } = action
    else {
        return Vec::new();
    };
    let arguments = release::switch_arguments(version, install_dir, bin_dir, files, remove);
    std::iter::once(release::SWITCH.to_owned())
        .chain(arguments)
        .collect()
}

/// The command that ends the rescue of a run.
pub(super) fn disarm(host: &Host, dir: &str, run: &str, deadline: Duration) -> Command {
    Command::read(DISARM_TITLE, DISARM, deadline).args([dir, &host.data_dir, run])
}
