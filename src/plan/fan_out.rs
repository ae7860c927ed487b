//! Who gives a release to whom: this machine to all, or to one host, and that one to its neighbours.

use serde::{Deserialize, Serialize};

use crate::etcd::member::host_of;
use crate::facts::Arch;
use crate::inventory::FanOut;

use super::seats::Seat;
use super::{Action, Lane, Purpose, Wave};

/// A host that has a release before others, and where they reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Its name in the inventory.
    pub host: String,
    /// The host of its member's peer URL: the one address that the other hosts are known to reach.
    pub address: String,
}

/// Puts the lanes that stage releases into waves: all side by side; or, where hosts give to each other, the first host
/// of each architecture before the others, which are told where they may have the same files from.
pub(super) fn waves(fan_out: FanOut, seats: &[Seat], lanes: Vec<Lane>) -> Vec<Wave> {
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    let mut givers: Vec<(Arch, Neighbour, Action)> = Vec::new();
    for (seat, mut lane) in seats.iter().zip(lanes) {
        let Some(stage) = stage(&mut lane).filter(|_| fan_out == FanOut::Peer) else {
            first.push(lane);
            continue;
        };
        let arch = seat.facts.arch;
        let same =
            |giver: &&(Arch, Neighbour, Action)| giver.0 == arch && files(&giver.2) == files(stage);
        if let Some((_, neighbour, _)) = givers.iter().find(same) {
            give(stage, neighbour);
            rest.push(lane);
            continue;
        }
        let given = stage.clone();
        givers.extend(neighbour(seat).map(|neighbour| (arch, neighbour, given)));
        first.push(lane);
    }
    let lanes = [first, rest].into_iter().filter(|lanes| !lanes.is_empty());
    lanes
        .map(|lanes| Wave {
            purpose: Purpose::Stage,
            lanes,
        })
        .collect()
}

fn neighbour(seat: &Seat) -> Option<Neighbour> {
    let urls = &seat.listed()?.peer_urls;
    Some(Neighbour {
        host: seat.host.name.clone(),
        address: urls.iter().find_map(|url| host_of(url))?,
    })
}

fn stage(lane: &mut Lane) -> Option<&mut Action> {
    let mut actions = lane.steps.iter_mut().map(|step| &mut step.action);
    actions.find(|action| matches!(action, Action::StageRelease { .. }))
}

fn files(action: &Action) -> Option<&std::collections::BTreeMap<String, String>> {
    match action {
        Action::StageRelease { files, .. } => Some(files),
        _ => None,
    }
}

fn give(action: &mut Action, neighbour: &Neighbour) {
    if let Action::StageRelease { from, .. } = action {
        *from = Some(neighbour.clone());
    }
}
