//! Which clusters may be begun: those that have a plan, that the preflight accepts, and whose locks are held.

use std::collections::BTreeMap;

use super::decide::{Decision, Goal, accepted, decide};
use super::lock;
use super::many::Draft;
use super::session::Session;
use super::telling::Telling;
use crate::error::{Failure, Result};
use crate::exit::Exit;
use crate::inventory::Selected;

/// Why clusters may not be begun, by name. Afterwards the locks of all others are held, and their plans are those that
/// were made under the lock.
///
/// # Errors
/// An interrupt.
pub async fn refusals(
    session: &Session<'_>,
    telling: &Telling<'_>,
    goal: &Goal,
    drafts: &mut [Draft<'_>],
) -> Result<BTreeMap<String, Failure>> {
    let mut refusals = BTreeMap::new();
    for (selected, draft) in drafts {
        let mut refused = refusal(selected, draft, goal);
        if let (Ok(decision), None) = (&*draft, &refused) {
            match lock::take_on_hosts(session, selected, decision).await {
                Ok(false) => {}
                // Somebody may have been at work between the look and the lock.
                Ok(true) => {
                    *draft = decide(session, telling, selected, goal, &decision.target).await;
                    refused = refusal(selected, draft, goal);
                }
                Err(failure) => refused = Some(failure),
            }
        }
        match refused {
            Some(failure) if failure.exit == Exit::Interrupted => return Err(failure),
            Some(failure) => drop(refusals.insert(selected.cluster.name.clone(), failure)),
            None => {}
        }
    }
    Ok(refusals)
}

fn refusal(selected: &Selected, draft: &Result<Decision>, goal: &Goal) -> Option<Failure> {
    let decision = match draft {
        Ok(decision) => decision,
        Err(failure) => return Some(failure.clone()),
    };
    let free = lock::refuse_taken(selected, decision);
    free.and_then(|()| accepted(&selected.cluster.name, &decision.planned, goal))
        .err()
}
