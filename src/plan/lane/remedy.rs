//! The waves of a hop's remedies: what members need before the next release, or after it.

use crate::etcd::catalogue::Cure;
use crate::plan::prepare::{self, Lowered};
use crate::plan::previous::Previous;
use crate::plan::seats::Seat;
use crate::plan::{Action, Lane, Purpose, Step, Undo, Wave, deadlines as limit};

use super::Lanes;

/// The key of our own, one a host, so that lanes side by side do not touch each other's.
fn key(seat: &Seat) -> String {
    format!("_runner/{}", seat.host.name)
}

impl Lanes<'_> {
    /// What is done before any member gets the next release.
    pub(super) fn prepare(&self) -> Vec<Wave> {
        let before = prepare::asks_for(self.request, self.work, Cure::WriteBefore);
        let write = before
            .then(|| self.write_through(Purpose::Prepare))
            .flatten();
        write.into_iter().chain(self.snapshots()).collect()
    }

    /// What is done when all members have the next release.
    pub(super) fn write_after(&self) -> Option<Wave> {
        let after = prepare::asks_for(self.request, self.work, Cure::WriteAfter);
        (after && self.work.complete)
            .then(|| self.write_through(Purpose::Finish))
            .flatten()
    }

    /// One v3 write through every member of the hop.
    fn write_through(&self, purpose: Purpose) -> Option<Wave> {
        let lanes: Vec<Lane> = self
            .work
            .seats
            .iter()
            .filter(|seat| seat.view.is_some() && !seat.learner())
            .map(|seat| {
                let write = Action::WriteKey { key: key(seat) };
                self.lane(seat, vec![self.plain(write, limit::WRITE_S)])
            })
            .collect();
        (!lanes.is_empty()).then_some(Wave { purpose, lanes })
    }

    /// Restarts members with a lower count one after the other, then proves the snapshots of all.
    fn snapshots(&self) -> Vec<Wave> {
        let lower = prepare::lower(self.request, self.work).into_iter();
        let lowered: Vec<(&Seat, Lowered)> = lower
            .filter_map(|(seat, lowered)| Some((seat, lowered.ok()?)))
            .collect();
        let Some((first, _)) = lowered.first() else {
            return Vec::new();
        };
        let restart = lowered.iter().map(|(seat, lowered)| Wave {
            purpose: Purpose::Prepare,
            lanes: vec![self.lane(seat, self.restart(seat, lowered))],
        });
        let drops = prepare::drops_v2(self.request, self.work);
        let drop = drops.then(|| Wave {
            purpose: Purpose::Prepare,
            lanes: vec![self.lane(first, vec![self.drop_v2()])],
        });
        let prove = lowered
            .iter()
            .map(|(seat, lowered)| self.lane(seat, self.prove(seat, lowered)));
        let prove = Wave {
            purpose: Purpose::Prepare,
            lanes: prove.collect(),
        };
        restart.chain(drop).chain([prove]).collect()
    }

    fn drop_v2(&self) -> Step {
        let gone = "the keys of API 2 are deleted; they are in the backups".to_owned();
        self.step(Action::DropV2, Undo::Impossible(gone), limit::SNAPSHOT_S)
    }

    fn restart(&self, seat: &Seat, lowered: &Lowered) -> Vec<Step> {
        let now = Previous {
            version: seat.version().unwrap_or(&self.work.from).clone(),
            files: Vec::new(),
        };
        let mut steps: Vec<Step> = self.move_leader(seat).into_iter().collect();
        steps.push(self.stop(seat, Some(&now)));
        steps.push(self.lower(lowered));
        if lowered.unit {
            // The file's undo reloads; this step comes behind it and would be undone too early.
            steps.push(self.plain(Action::ReloadUnits, limit::RELOAD_S));
        }
        let unit = seat.host.unit.clone();
        let stop = Undo::Actions(vec![Action::StopUnit { unit: unit.clone() }]);
        steps.push(self.step(Action::StartUnit { unit }, stop, limit::SHORT_S));
        steps.push(self.settle(seat, &now.version, 0));
        steps
    }

    fn lower(&self, lowered: &Lowered) -> Step {
        let write = Action::WriteFile {
            dest: lowered.dest.clone(),
            before: lowered.before.clone(),
            text: lowered.text.clone(),
            owner: lowered.owner.clone(),
            mode: lowered.mode,
        };
        let reload = lowered.unit.then_some(Action::ReloadUnits);
        let undo = std::iter::once(back(lowered)).chain(reload).collect();
        self.step(write, Undo::Actions(undo), limit::SHORT_S)
    }

    fn prove(&self, seat: &Seat, lowered: &Lowered) -> Vec<Step> {
        let force = Action::ForceSnapshot {
            data_dir: seat.host.data_dir.clone(),
            key: key(seat),
            above: prepare::above(self.request),
            without_v2: prepare::asks_for(self.request, self.work, Cure::SnapshotIfClient),
        };
        let mut steps = vec![
            self.plain(force, limit::SNAPSHOT_S),
            self.plain(back(lowered), limit::SHORT_S),
        ];
        if lowered.unit {
            steps.push(self.plain(Action::ReloadUnits, limit::RELOAD_S));
        }
        steps
    }

    /// What a former run that was killed has left of its lowered count.
    pub(super) fn tidy(&self, seat: &Seat) -> Vec<Step> {
        let mut steps = Vec::new();
        let dropped = seat.host.snapshot_drop_in();
        let is_there = seat.facts.files.contains_key(&dropped);
        if !is_there && seat.facts.unit.drop_ins.contains(&dropped) {
            // It was taken away, and the run ended before systemd forgot it.
            steps.push(self.plain(Action::ReloadUnits, limit::RELOAD_S));
        }
        for (dest, text) in prepare::leftovers(seat) {
            let unit = text.is_none();
            let now = seat.facts.files.get(&dest);
            let (Some(before), Some(file)) = (now.and_then(|file| file.text.clone()), now) else {
                continue;
            };
            let lowered = Lowered {
                dest,
                before: None,
                text: before,
                after: text,
                owner: file.owner.clone(),
                mode: file.mode,
                unit,
            };
            steps.push(self.plain(back(&lowered), limit::SHORT_S));
            if unit {
                steps.push(self.plain(Action::ReloadUnits, limit::RELOAD_S));
            }
        }
        steps
    }
}

/// The file as it was, or away.
fn back(lowered: &Lowered) -> Action {
    let dest = lowered.dest.clone();
    match &lowered.after {
        None => Action::RemoveFile { dest },
        Some(text) => Action::WriteFile {
            dest,
            before: Some(lowered.text.clone()),
            text: text.clone(),
            owner: lowered.owner.clone(),
            mode: lowered.mode,
        },
    }
}
