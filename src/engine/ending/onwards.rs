//! What is left to do once a member cannot be put back any more.

use super::super::{Ledger, Stop};
use crate::plan::Plan;

/// The two ways that are left once the old release must not come back.
pub(super) fn onwards(stop: &Stop, plan: &Plan, ledger: &Ledger) -> String {
    let (host, to) = (&stop.host, &plan.to);
    let onwards =
        format!("repair the member on `{host}`, then run the same command again to reach {to}");
    match ledger.backup() {
        Some(place) => format!(
            "{onwards}; or go back to {} with `runner restore --from {}`, the backup {place}",
            plan.hops.first().map_or(&plan.from, |hop| &hop.from),
            file_name(&place)
        ),
        None => onwards,
    }
}

/// The name in "/a/b/NAME on HOST".
fn file_name(place: &str) -> &str {
    let path = place.split(" on ").next().unwrap_or(place);
    path.rsplit('/').next().unwrap_or(path)
}
