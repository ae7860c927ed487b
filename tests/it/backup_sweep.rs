//! The fault sweep of a backup: whatever fails, no member is touched, and the next one is taken.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use runner::event::Ending;
use runner::plan::Plan;
use runner::plan::backup::{self, Request};

use crate::engine_rig::{Rig, old};
use crate::sim::facts::facts;
use crate::sim::{Fault, inventory};
use crate::sweeping::{cases, on_all_cores, paused};

#[test]
fn whatever_fails_in_a_backup_of_1_3_or_5_no_member_is_touched_and_the_next_is_taken() {
    for members in [1, 3, 5] {
        let commands = paused(async {
            let mut rig = Rig::forgetful(members);
            let ending = back_up(&mut rig, members).await;
            assert_eq!(ending.status, 0, "{ending:?}");
            rig.sim.ran().len()
        });
        assert!(
            commands >= 3,
            "only {commands} commands: is it still a backup?"
        );
        on_all_cores(&cases(commands, 1), |(at, fault)| {
            paused(case(members, *at, *fault));
        });
    }
}

/// The plan that is carried out here.
pub fn swept() -> Plan {
    plan(&Rig::forgetful(3), 3)
}

fn plan(rig: &Rig, members: usize) -> Plan {
    let cluster = inventory::cluster(members);
    let facts = facts(&rig.sim.state());
    let planned = backup::plan(&Request {
        cluster: &cluster,
        facts: &facts,
        step_timeout_s: None,
        run_id: "20261120T120102Z-4f2a",
        staged: None,
        stopped: None,
    });
    planned.plan.unwrap()
}

async fn back_up(rig: &mut Rig, members: usize) -> Ending {
    let plan = plan(rig, members);
    rig.execute(&plan).await
}

async fn case(members: usize, at: usize, fault: Fault) {
    let context = format!("{members} members, {fault:?} at command {at}");
    let mut rig = Rig::forgetful(members);
    rig.sim.fail_at(&[(at, fault)]);
    let sim = rig.sim.clone();
    let ending = tokio::select! {
        ending = back_up(&mut rig, members) => Some(ending),
        () = sim.killed() => None,
    };
    if let Some(ending) = ending {
        assert!(
            [0, 3, 4, 5].contains(&ending.status),
            "{context}: {ending:?}"
        );
        assert_eq!(ending.members.len(), members, "{context}");
    }
    rig.sim.mend();
    rig.sim.rescued().await;
    let again = back_up(&mut rig, members).await;
    assert_eq!(again.status, 0, "{context}: the next backup: {again:?}");
    let state = rig.sim.state();
    assert_eq!(state.violations, Vec::<String>::new(), "{context}");
    assert_eq!(state.stops, Vec::<String>::new(), "{context}");
    assert_eq!(inventory::at(&state, &old()).len(), members, "{context}");
}
