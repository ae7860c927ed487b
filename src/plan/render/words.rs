//! Actions in a few words each, for plans, events and errors.

use std::collections::BTreeMap;

use crate::plan::Action;

/// Says what an action does, without its host: "stop etcd.service".
pub fn words(action: &Action) -> String {
    match action {
        Action::KeepRelease {
            version,
            install_dir,
            bin_dir,
            files,
        } => format!(
            "keep {version} ({}) from {bin_dir} in {install_dir}/{version}",
            names(files)
        ),
        Action::StageRelease {
            version,
            install_dir,
            files,
            from,
            ..
        } => {
            let stage = format!(
                "stage {version} ({}) in {install_dir}/{version}",
                names(files)
            );
            let from = from.as_ref();
            stage
                + &from.map_or(String::new(), |from| {
                    format!(", from {} where the link from here is slow", from.host)
                })
        }
        Action::CheckFlags { version, args, .. } => {
            format!(
                "check that {version} takes the unit's {} arguments",
                args.len()
            )
        }
        Action::VerifyUnit { unit, .. } => format!("let systemd verify the rendered {unit}"),
        Action::TakeBackup { dir, file } => format!("take and verify backup {dir}/{file}"),
        Action::TakeV2Backup {
            dir, file, stopped, ..
        } => {
            let what = if *stopped {
                "the stopped member's files"
            } else {
                "the v2 store"
            };
            format!("copy {what} to {dir}/{file} and prove it here")
        }
        Action::FetchBackup { file, .. } => format!("bring {file} here"),
        Action::PruneBackups { dir, keep } => format!("keep the newest {keep} backups in {dir}"),
        Action::MoveLeader { .. } => "move the leadership away if it leads".to_owned(),
        Action::StopUnit { unit } => format!("stop {unit}"),
        Action::SwitchRelease {
            version,
            bin_dir,
            files,
            ..
        } => {
            format!("switch {} in {bin_dir} to {version}", files.join(", "))
        }
        Action::WriteFile { .. } | Action::RemoveFile { .. } => file(action),
        Action::ReloadUnits => "reload systemd's units".to_owned(),
        Action::StartUnit { unit } => format!("start {unit}"),
        Action::Settle { version, least_s } => settle(&version.to_string(), *least_s),
        Action::AwaitClusterVersion { minor } => {
            format!("wait until every member sees cluster version {minor}")
        }
        Action::WriteKey { .. } => "write, read and delete a key of our own by API 3".to_owned(),
        Action::ForceSnapshot {
            above, without_v2, ..
        } => {
            let more = if *without_v2 {
                " and holds no keys of API 2"
            } else {
                ""
            };
            format!("write until the newest raft snapshot is above index {above}{more}")
        }
        Action::DropV2 => "delete all keys of API 2".to_owned(),
        Action::Rebuild(action) => crate::plan::rebuild::words(action),
        Action::Downgrade(action) => crate::plan::downgrade::words(action),
    }
}

fn file(action: &Action) -> String {
    match action {
        Action::WriteFile {
            dest,
            owner,
            mode,
            before,
            ..
        } => {
            let verb = if before.is_some() { "replace" } else { "write" };
            format!("{verb} {dest} ({owner}, {mode:04o})")
        }
        Action::RemoveFile { dest } => format!("remove {dest}"),
        _ => String::new(),
    }
}

fn settle(version: &str, least_s: u64) -> String {
    let least = match least_s {
        0 => String::new(),
        least_s => format!(", {least_s} s at least"),
    };
    format!("settle: it runs {version} and has caught up, all are healthy{least}")
}

fn names(files: &BTreeMap<String, String>) -> String {
    files.keys().cloned().collect::<Vec<_>>().join(", ")
}
