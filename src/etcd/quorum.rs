//! The arithmetic of who may be stopped, asked by the planner and again by the engine before each disruptive step.

use super::MemberId;

/// A voter as the predicate needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Its id.
    pub id: MemberId,
    /// Its name, for the refusal.
    pub name: String,
    /// Whether it answers a linearizable read.
    pub healthy: bool,
}

/// Why a member must not be stopped now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MayNotStop {
    /// Another voter is not healthy. etcd's guides ask for a healthy cluster before each stop, even where the
    /// quorum would survive.
    #[error(
        "member `{down}` is not healthy, so {healthy} of {voters} voters are left and the guides ask for all"
    )]
    OtherDown {
        /// The name of the first voter that is not healthy.
        down: String,
        /// Healthy voters now.
        healthy: usize,
        /// Voters in all.
        voters: usize,
    },
}

/// The number of voters that must agree.
pub fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

/// Tells whether `target` may be stopped: every other voter is healthy.
///
/// With all others healthy the quorum holds from three voters up; with one or two voters any stop loses it,
/// which the planner says as a finding and no arithmetic can mend. A target that is itself down may be worked
/// on: stopping it takes nothing from the quorum.
///
/// # Errors
/// The first other voter that is not healthy.
pub fn may_stop(voters: &[Voter], target: MemberId) -> Result<(), MayNotStop> {
    let healthy = voters.iter().filter(|voter| voter.healthy).count();
    voters
        .iter()
        .find(|voter| voter.id != target && !voter.healthy)
        .map_or(Ok(()), |down| {
            Err(MayNotStop::OtherDown {
                down: down.name.clone(),
                healthy,
                voters: voters.len(),
            })
        })
}
