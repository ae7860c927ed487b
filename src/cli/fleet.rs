//! Flags for several clusters in one run.

use std::num::NonZeroUsize;

use clap::Args;

use crate::fleet::{Clock, Rules, Shard, Window};

const MANY: &str = "Several clusters";

/// How several clusters are gone through.
#[derive(Clone, Debug, Default, Args)]
pub struct Many {
    /// The cluster that goes first and alone; the others follow only if it ends well
    #[arg(long, value_name = "CLUSTER", help_heading = MANY)]
    pub canary: Option<String>,
    /// How many clusters are worked on at once; in each of them one member at a time [default: 1]
    #[arg(long, value_name = "N", help_heading = MANY)]
    pub max_clusters: Option<NonZeroUsize>,
    /// How many clusters may fail before no further one is begun
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = MANY)]
    pub max_failures: usize,
    /// Local time in which members are begun, if they can be finished in it too; may pass midnight
    #[arg(long, value_name = "HH:MM-HH:MM", help_heading = MANY)]
    pub window: Option<Window>,
    /// Only the K-th of N parts of the clusters, so that several control machines share a fleet
    #[arg(long, value_name = "K/N", help_heading = MANY)]
    pub shard: Option<Shard>,
}

impl Many {
    /// The rules for a run, by the clock of this machine.
    pub fn rules(&self) -> Rules {
        Rules {
            canary: self.canary.clone(),
            at_once: self.max_clusters.unwrap_or(NonZeroUsize::MIN),
            max_failures: self.max_failures,
            window: self.window,
            clock: Clock::system(),
        }
    }
}
