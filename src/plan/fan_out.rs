//! Who gives a release to whom: this machine to all, or to one host, and that one to its neighbours.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::etcd::member::host_of;
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

/// Binary name to SHA-256.
type Files = BTreeMap<String, String>;

/// Puts the lanes that stage releases into waves: all side by side; or, where hosts give to each other, the first host
/// of each architecture before the others, which are told where they may have the same files from.
pub(super) fn waves(fan_out: FanOut, seats: &[Seat], lanes: Vec<Lane>) -> Vec<Wave> {
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    // The same files are of the same architecture.
    let mut givers: Vec<(Files, Neighbour)> = Vec::new();
    for (seat, mut lane) in seats.iter().zip(lanes) {
        let Some((files, from)) = stage(&mut lane).filter(|_| fan_out == FanOut::Peer) else {
            first.push(lane);
            continue;
        };
        if let Some((_, neighbour)) = givers.iter().find(|(given, _)| given == files) {
            *from = Some(neighbour.clone());
            rest.push(lane);
        } else {
            givers.extend(neighbour(seat).map(|neighbour| (files.clone(), neighbour)));
            first.push(lane);
        }
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

/// What a lane stages, and whom from.
fn stage(lane: &mut Lane) -> Option<(&Files, &mut Option<Neighbour>)> {
    let mut actions = lane.steps.iter_mut().map(|step| &mut step.action);
    actions.find_map(|action| match action {
        Action::StageRelease { files, from, .. } => Some((&*files, from)),
        _ => None,
    })
}
