//! The v2 store's way: a cluster of one on the first host, which the others join one by one.

use super::super::first_start::{self, Once};
use super::{Lanes, Peer, lane, listed, wave};
use crate::plan::deadlines as limit;
use crate::plan::seats::Seat;
use crate::plan::{Action, Purpose, Rebuild, Step, Undo, Wave};

impl Lanes<'_> {
    /// A cluster of one on the first host, which the others join.
    pub(super) fn one_by_one(&self) -> Vec<Wave> {
        let Some((seed, others)) = self.work.seats.split_first() else {
            return Vec::new();
        };
        let one =
            |seat: &Seat, steps| wave(Purpose::Rebuild, vec![lane(self.request, seat, steps)]);
        let mut so_far = vec![*seed];
        let mut first = self.once(seed, &so_far, &[("force-new-cluster", "true")]);
        let urls = Rebuild::SetPeers {
            urls: self.peer(seed).urls.join(","),
        };
        let at = first
            .iter()
            .rposition(|step| matches!(step.action, Action::StopUnit { .. }));
        first.insert(
            at.unwrap_or(first.len()),
            self.common.plain(Action::Rebuild(urls), limit::SHORT_S),
        );
        let mut waves = vec![one(seed, first)];
        for seat in others {
            so_far.push(*seat);
            let peer = self.peer(seat);
            let add = Action::Rebuild(Rebuild::AddMember {
                name: peer.name,
                urls: peer.urls.join(","),
            });
            waves.push(one(seed, vec![self.common.plain(add, limit::RELOAD_S)]));
            let peers: Vec<Peer> = so_far.iter().map(|seat| self.peer(seat)).collect();
            let list = listed(&peers);
            let flags = [
                ("initial-cluster", list.as_str()),
                ("initial-cluster-state", "existing"),
            ];
            waves.push(one(seat, self.once(seat, &so_far, &flags)));
        }
        waves
    }

    /// Starts a member once with these flags, then again without.
    fn once(&self, seat: &Seat, so_far: &[Seat], flags: &[(&str, &str)]) -> Vec<Step> {
        let files = first_start::files(seat, self.work.files_of(seat), flags);
        let files = files.expect("the preflight refuses what cannot be started once");
        let reload = || self.common.plain(Action::ReloadUnits, limit::RELOAD_S);
        let settle = || {
            let settle = Rebuild::SettleAmong {
                version: self.work.to.clone(),
                hosts: so_far.iter().map(|seat| seat.host.name.clone()).collect(),
            };
            self.common
                .plain(Action::Rebuild(settle), limit::settle(self.bytes(), 0))
        };
        let mut steps: Vec<Step> = files.iter().map(|file| self.write_once(file)).collect();
        steps.extend([reload(), self.start_unit(seat), settle()]);
        let unit = seat.host.unit.clone();
        let stop = limit::stop(&seat.facts.unit);
        // The start before it is undone by a stop, so there is nothing to add.
        let undo = Undo::Actions(Vec::new());
        steps.push(self.common.step(Action::StopUnit { unit }, undo, stop));
        steps.extend(files.iter().map(|file| {
            let dest = file.dest.clone();
            self.common
                .plain(Action::RemoveFile { dest }, limit::SHORT_S)
        }));
        steps.extend([reload(), self.start_unit(seat), settle()]);
        steps
    }

    fn write_once(&self, file: &Once) -> Step {
        let write = Action::WriteFile {
            dest: file.dest.clone(),
            before: None,
            text: file.text.clone(),
            owner: file.owner.clone(),
            mode: file.mode,
        };
        let dest = file.dest.clone();
        let undo = vec![Action::RemoveFile { dest }, Action::ReloadUnits];
        self.common.step(write, Undo::Actions(undo), limit::SHORT_S)
    }
}
