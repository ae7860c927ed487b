//! Members that had settled and have ended since.

use futures_util::future::join_all;

use super::members::LOOK;
use crate::engine::act::unit::{self, Unit};
use crate::engine::{Engine, Ledger};
use crate::event::{Ending, MemberState};
use crate::inventory::Cluster;

/// Why members that had settled are not what they were: their process is gone, or is another one, for systemd has
/// started them again. One that cannot be asked any more is told by its state.
///
/// The members are looked at all at once, when everything is done: a release that dies after some seconds is noticed if
/// it dies before the last member is done; later than that only a longer settle notices it.
pub(super) async fn fallen(
    engine: &Engine,
    cluster: &Cluster,
    ledger: &Ledger,
    members: &[MemberState],
) -> Vec<String> {
    let looks = ledger
        .processes()
        .into_iter()
        .map(|(name, process)| async move {
            let host = cluster.host(&name)?;
            let look = unit::look(LOOK, &host.unit, &host.bin_dir);
            let output = engine.transport.run(&name, look).await.ok()?;
            if !output.is_success() {
                return None;
            }
            let unit = Unit::parse(&output.text());
            if unit.pid == process {
                return None;
            }
            let known = members.iter().find(|member| member.host == name);
            let member = known.map_or(&host.member, |member| &member.member);
            let mut causes = vec![format!("member `{member}` has ended since it settled")];
            causes.extend(unit.causes(&host.unit, &name));
            Some(causes)
        });
    join_all(looks)
        .await
        .into_iter()
        .flatten()
        .flatten()
        .collect()
}

/// Tells an ending that came to its last step but not to a cluster that is well.
pub(super) fn tell(ending: &mut Ending, fallen: Vec<String>) {
    ending.summary.push_str(", but not all are well");
    ending.causes = fallen;
    let is_well =
        |state: &str| state.ends_with("and is healthy") || state.ends_with("as a learner");
    let unwell = ending
        .members
        .iter()
        .filter(|member| !is_well(&member.state));
    let states: Vec<String> = unwell
        .map(|member| format!("{} {}", member.host, member.state))
        .collect();
    ending.causes.extend(states);
    ending.hint =
        String::from("see to the members that are not well first: `runner status` shows them");
}
