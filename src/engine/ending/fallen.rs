//! Members that had settled and have ended since.

use futures_util::future::join_all;
use tokio::time::sleep;

use super::members::{BETWEEN_LOOKS, LOOK, LOOKS};
use crate::engine::act::unit::{self, Unit};
use crate::engine::{Engine, Ledger};
use crate::event::{Ending, MemberState};
use crate::inventory::{Cluster, Host};

/// Why members that had settled are not what they were, if any is not: their process is gone, or is another one, for
/// systemd has started them again. The state of any member whose host cannot be asked any more becomes unknown.
///
/// The members are looked at all at once, when everything is done: a release that dies after some seconds is noticed if
/// it dies before the last member is done; later than that only a longer settle notices it.
pub(super) async fn fallen(
    engine: &Engine,
    cluster: &Cluster,
    ledger: &Ledger,
    members: &mut [MemberState],
) -> Option<Vec<String>> {
    let processes = ledger.processes();
    let looks = cluster.hosts.iter().map(|host| {
        let process = processes.get(&host.name).copied();
        async move { (host, look(engine, host, process).await) }
    });
    let mut causes = Vec::new();
    let mut any = false;
    for (host, found) in join_all(looks).await {
        let member = members.iter_mut().find(|member| member.host == host.name);
        match (found, member) {
            (Found::Same, _) => continue,
            (Found::Other(unit), member) => {
                let name = member.map_or(&host.member, |member| &member.member);
                causes.push(format!("member `{name}` has ended since it settled"));
                causes.extend(unit.causes(&host.unit, &host.name));
            }
            (Found::Unknown(state), Some(member)) => member.state = state,
            (Found::Unknown(_), None) => {}
        }
        any = true;
    }
    any.then_some(causes)
}

/// What a last look at a unit came to.
enum Found {
    /// The process that had settled.
    Same,
    /// Another one, or none.
    Other(Unit),
    /// No answer; the member's state in words.
    Unknown(String),
}

/// Looks again, a few times, where no answer comes: one lost answer must not become a wrong last word.
async fn look(engine: &Engine, host: &Host, process: Option<u32>) -> Found {
    let mut looks = 1;
    loop {
        let look = unit::look(LOOK, &host.unit, &host.bin_dir);
        match engine.transport.run(&host.name, look).await {
            Err(unreachable) if looks == LOOKS => {
                return Found::Unknown(format!("is unknown: {unreachable}"));
            }
            Err(_) => {}
            Ok(output) => {
                let unit = Unit::parse(&output.text());
                let is_same = process.is_none_or(|process| unit.pid == process);
                let is_same = is_same || !output.is_success();
                return if is_same {
                    Found::Same
                } else {
                    Found::Other(unit)
                };
            }
        }
        looks += 1;
        sleep(BETWEEN_LOOKS).await;
    }
}

/// Tells an ending that came to its last step but not to a cluster that is well.
pub(super) fn tell(ending: &mut Ending, fallen: Vec<String>) {
    ending.summary.push_str(", but not all are well");
    ending.causes = fallen;
    let states = unwell(ending).map(|member| format!("{} {}", member.host, member.state));
    let states: Vec<String> = states.collect();
    ending.causes.extend(states);
    ending.hint =
        String::from("see to the members that are not well first: `runner status` shows them");
}

/// The members that are not told to be healthy.
pub(super) fn unwell(ending: &Ending) -> impl Iterator<Item = &MemberState> {
    let is_well =
        |state: &str| state.ends_with("and is healthy") || state.ends_with("as a learner");
    let members = ending.members.iter();
    members.filter(move |member| !is_well(&member.state))
}
