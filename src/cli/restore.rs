//! Arguments of `restore`.

use clap::Args;

use super::Care;
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
    /// How carefully.
    #[command(flatten)]
    pub care: Care,
}
