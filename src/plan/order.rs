//! In which order members are worked on: one that is down, learners, followers as the inventory lists them, and
//! the leader last.

use crate::etcd::MemberId;

use super::seats::Seat;

/// Sorts the seats of members to work on. A learner has no vote and goes first: what fails there costs nothing.
pub fn order(mut seats: Vec<Seat<'_>>, leader: Option<MemberId>) -> Vec<Seat<'_>> {
    seats.sort_by_key(|seat| rank(seat, leader));
    seats
}

fn rank(seat: &Seat, leader: Option<MemberId>) -> u8 {
    let leads = leader.is_some() && seat.view.map(|view| view.id) == leader;
    match (leads, seat.learner()) {
        _ if seat.view.is_none() => 0,
        (false, true) => 1,
        (false, false) => 2,
        (true, _) => 3,
    }
}
