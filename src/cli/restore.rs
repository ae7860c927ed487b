//! Arguments of `restore`.

use clap::Args;

use super::{Failing, parse_duration};
use crate::etcd::Version;

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// The backup: a run's id, a backup's name, a file here, or `HOST:/PATH` (default: that of the newest run)
    #[arg(long, value_name = "BACKUP")]
    pub from: Option<String>,
    /// The release that the backup belongs to, where neither its name nor its description says
    #[arg(long, value_name = "VERSION")]
    pub release: Option<Version>,
    /// Raise revisions by N above the backup's, for clients that watch or cache (3.4.27, 3.5.10, 3.6.0 and later)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), requires = "mark_compacted")]
    pub bump_revision: Option<u64>,
    /// Take everything up to the raised revision for compacted; etcd asks for it beside `--bump-revision`
    #[arg(long, requires = "bump_revision")]
    pub mark_compacted: bool,
    /// The least time to wait for all members to be well, such as `30s`, `2m` or `1h30m`
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub settle: Option<std::time::Duration>,
    /// What to do when something fails: put all members back, or leave everything as it is
    #[arg(
        long,
        value_name = "undo|stop",
        value_enum,
        default_value = "undo",
        hide_possible_values = true
    )]
    pub on_failure: Failing,
    /// Go on in spite of findings with this code (repeatable)
    #[arg(long, value_name = "CODE")]
    pub acknowledge: Vec<String>,
}
