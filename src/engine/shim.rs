//! TEMPORARY, for the lead to drop: stands in for `plan::lint` until it is merged.

use crate::plan::Plan;

/// Holds that no wave has two lanes with a disruptive step.
pub(super) fn lint(plan: &Plan) -> Result<(), Vec<String>> {
    let disruptive = |lane: &&crate::plan::Lane| lane.steps.iter().any(|step| step.disruptive);
    let broken: Vec<String> = plan
        .hops
        .iter()
        .flat_map(|hop| &hop.waves)
        .filter(|wave| wave.lanes.iter().filter(disruptive).count() > 1)
        .map(|wave| format!("two lanes of one wave are disruptive: {:?}", wave.purpose))
        .collect();
    if broken.is_empty() {
        Ok(())
    } else {
        Err(broken)
    }
}
