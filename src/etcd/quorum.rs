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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cluster(health: &[bool]) -> Vec<Voter> {
        (1..)
            .zip(health)
            .map(|(id, healthy)| Voter {
                id: MemberId(id),
                name: format!("m{id}"),
                healthy: *healthy,
            })
            .collect()
    }

    fn healthy_without(voters: &[Voter], target: MemberId) -> usize {
        voters
            .iter()
            .filter(|voter| voter.healthy && voter.id != target)
            .count()
    }

    #[test]
    fn the_refusal_names_the_member_that_is_down_and_both_numbers() {
        let refusal = may_stop(&cluster(&[true, false, true]), MemberId(1)).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "member `m2` is not healthy, so 2 of 3 voters are left and the guides ask for all"
        );
    }

    #[test]
    fn a_member_that_is_itself_down_may_be_worked_on() {
        assert_eq!(
            may_stop(&cluster(&[true, false, true]), MemberId(2)),
            Ok(())
        );
    }

    proptest! {
        #[test]
        fn two_majorities_always_share_a_voter(voters in 1_usize..1000) {
            prop_assert!(2 * quorum(voters) > voters);
            prop_assert!(2 * (quorum(voters) - 1) <= voters);
        }

        #[test]
        fn a_permitted_stop_leaves_a_healthy_quorum_from_three_voters_up(
            health in prop::collection::vec(any::<bool>(), 3..12),
            pick in any::<prop::sample::Index>(),
        ) {
            let voters = cluster(&health);
            let target = voters[pick.index(voters.len())].id;
            if may_stop(&voters, target).is_ok() {
                prop_assert!(healthy_without(&voters, target) >= quorum(voters.len()));
            }
        }

        #[test]
        fn a_stop_is_refused_if_and_only_if_another_voter_is_down(
            health in prop::collection::vec(any::<bool>(), 1..12),
            pick in any::<prop::sample::Index>(),
        ) {
            let voters = cluster(&health);
            let target = voters[pick.index(voters.len())].id;
            let others_well = healthy_without(&voters, target) == voters.len() - 1;
            prop_assert_eq!(may_stop(&voters, target).is_ok(), others_well);
        }

        #[test]
        fn once_one_member_was_stopped_no_second_one_may_be(
            size in 3_usize..12,
            first in any::<prop::sample::Index>(),
            second in any::<prop::sample::Index>(),
        ) {
            let mut voters = cluster(&vec![true; size]);
            let (first, second) = (first.index(size), second.index(size));
            prop_assert!(may_stop(&voters, voters[first].id).is_ok());
            voters[first].healthy = false;
            let allowed = may_stop(&voters, voters[second].id).is_ok();
            prop_assert_eq!(allowed, first == second);
        }
    }
}
