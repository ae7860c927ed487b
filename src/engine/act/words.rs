//! Actions in a few words, for events.

use crate::plan::Action;

/// Says what an action does, in a few words.
pub fn words(action: &Action) -> String {
    match action {
        Action::KeepRelease { version, .. } => format!("keep the installed {version}"),
        Action::StageRelease { version, .. } => format!("stage {version}"),
        Action::CheckFlags { version, .. } => format!("check the command line with {version}"),
        Action::VerifyUnit { unit, .. } => format!("verify {unit}"),
        Action::TakeBackup { dir, file } => format!("take a backup, {dir}/{file}"),
        Action::TakeV2Backup { dir, file, .. } => format!("copy the v2 store, {dir}/{file}"),
        Action::FetchBackup { file, .. } => format!("fetch the backup {file}"),
        Action::PruneBackups { keep, .. } => format!("prune backups, keep {keep}"),
        Action::MoveLeader { .. } => "move the leadership away if it leads".to_owned(),
        Action::StopUnit { unit } => format!("stop {unit}"),
        Action::SwitchRelease { version, .. } => format!("switch to {version}"),
        Action::WriteFile { dest, .. } => format!("write {dest}"),
        Action::RemoveFile { dest } => format!("remove {dest}"),
        Action::ReloadUnits => "reload units".to_owned(),
        Action::StartUnit { unit } => format!("start {unit}"),
        Action::Settle { version, .. } => format!("settle at {version}"),
        Action::AwaitClusterVersion { minor } => format!("await cluster version {minor}"),
        Action::WriteKey { .. } => "write, read and delete a key of our own".to_owned(),
        Action::ForceSnapshot { above, .. } => format!("have a raft snapshot above {above} taken"),
        Action::DropV2 => "delete all keys of API 2".to_owned(),
        Action::Rebuild(action) => crate::plan::rebuild::words(action),
        Action::Downgrade(action) => crate::plan::downgrade::words(action),
    }
}
