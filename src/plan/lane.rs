//! The steps of an upgrade's first hop or of a rollback, wave by wave, each with its undo.
//!
//! Undo runs newest first over a lane's executed steps. So a unit file's undo reloads systemd itself, because the
//! step `ReloadUnits` behind it is undone before it; and `StopUnit`'s undo, the last to run, starts the member.

use std::collections::BTreeMap;

use crate::etcd::{Version, dialect};
use crate::inventory::Host;

use super::backup::{self, db_bytes};
use super::deadlines as limit;
use super::fan_out;
use super::files::Rendered;
use super::options::Options;
use super::prepare;
use super::previous::{Previous, keeps, previous};
use super::rollback::kept;
use super::seats::{self, Seat, seats};
use super::upgrade::{Request, Work};
use super::v2::{self, Basis};
use super::{Action, Kind, Lane, MemberRef, Purpose, Step, StepId, Undo, Wave};

mod cluster;
mod remedy;

/// Makes the waves of a hop.
pub(super) struct Lanes<'a> {
    request: &'a Request<'a>,
    work: &'a Work<'a>,
}

impl<'a> Lanes<'a> {
    pub fn new(request: &'a Request<'a>, work: &'a Work<'a>) -> Self {
        Self { request, work }
    }

    pub fn waves(&self) -> Vec<Wave> {
        if self.work.seats.is_empty() {
            return self.finish().into_iter().collect();
        }
        let stage = self.work.seats.iter().map(|seat| self.stage(seat));
        let by = self.request.cluster.releases.fan_out;
        let mut waves = fan_out::waves(by, &self.work.seats, stage.collect());
        waves.extend(self.backup());
        waves.extend(self.prepare());
        waves.extend(self.work.seats.iter().map(|seat| Wave {
            purpose: Purpose::Member,
            lanes: vec![self.member(seat)],
        }));
        waves.extend(self.finish());
        waves.extend(self.write_after());
        waves
    }

    fn lane(&self, seat: &Seat, steps: Vec<Step>) -> Lane {
        let member = seat.member(self.request.facts);
        Lane {
            host: seat.host.name.clone(),
            member: member.expect("the preflight refuses a member that no list knows"),
            steps,
        }
    }

    pub(super) fn step(&self, action: Action, undo: Undo, deadline_s: u64) -> Step {
        Step {
            id: StepId(0),
            disruptive: matches!(action, Action::StopUnit { .. }),
            action,
            undo,
            deadline_s: self.request.step_timeout_s.unwrap_or(deadline_s),
        }
    }

    /// What this step leaves behind, a copy beside the others, changes nothing that runs.
    pub(super) fn plain(&self, action: Action, deadline_s: u64) -> Step {
        self.step(action, Undo::Nothing, deadline_s)
    }

    fn stage(&self, seat: &Seat) -> Lane {
        self.lane(seat, self.stage_steps(seat))
    }

    pub(super) fn stage_steps(&self, seat: &Seat) -> Vec<Step> {
        let host = seat.host;
        let release = self.release(seat);
        let bytes: u64 = self.release_bytes(seat);
        let mut steps: Vec<Step> = self.keep(seat, bytes).into_iter().collect();
        let stage = Action::StageRelease {
            version: self.work.to.clone(),
            arch: seat.facts.arch,
            files: release,
            install_dir: host.install_dir.clone(),
            from: None,
        };
        steps.push(self.plain(stage, limit::transfer(bytes)));
        let files = self.work.files_of(seat);
        // A unit that goes away uncovers one that is not known here, which the release has run with before.
        let uncovered = self.work.gone_of(seat).contains(&host.unit_path());
        let check = (!uncovered).then(|| Action::CheckFlags {
            version: self.work.to.clone(),
            install_dir: host.install_dir.clone(),
            args: Options::of(seat, files).args,
        });
        steps.extend(check.map(|check| self.plain(check, limit::SHORT_S)));
        steps.extend(changed(seat, files).filter(|file| file.unit).map(|file| {
            let verify = Action::VerifyUnit {
                unit: host.unit.clone(),
                text: file.text.clone(),
            };
            self.plain(verify, limit::SHORT_S)
        }));
        steps
    }

    fn keep(&self, seat: &Seat, bytes: u64) -> Option<Step> {
        let version = seat.installed().filter(|_| keeps(seat, &self.work.to))?;
        let files = seat.facts.binaries.iter();
        let keep = Action::KeepRelease {
            version: version.clone(),
            files: files
                .map(|(name, binary)| (name.clone(), binary.sha256.clone()))
                .collect(),
            bin_dir: seat.host.bin_dir.clone(),
            install_dir: seat.host.install_dir.clone(),
        };
        Some(self.plain(keep, limit::copy(bytes)))
    }

    /// A way back leads to the very files that ran there, where they were kept.
    fn release(&self, seat: &Seat) -> BTreeMap<String, String> {
        let back = self.work.kind != Kind::Upgrade;
        if let Some(files) = kept(seat, &self.work.to).filter(|_| back) {
            return files.clone();
        }
        let key = (self.work.to.clone(), seat.facts.arch);
        let files = self.request.releases.get(&key).into_iter().flatten();
        files
            .map(|(name, file)| (name.clone(), file.sha256.clone()))
            .collect()
    }

    fn release_bytes(&self, seat: &Seat) -> u64 {
        let key = (self.work.to.clone(), seat.facts.arch);
        let files = self.request.releases.get(&key).into_iter().flatten();
        files.map(|(_, file)| file.bytes).sum()
    }

    /// One backup, from the leader: it has the newest data.
    fn backup(&self) -> Option<Wave> {
        let all = seats(self.request.cluster, self.request.facts);
        let leads = |seat: &&Seat| seat.view.map(|view| view.id) == self.work.leader;
        backup::wave(&self.basis(), all.iter().find(leads)?)
    }

    fn basis(&self) -> Basis<'a> {
        Basis::of(self.request, self.work)
    }

    fn member(&self, seat: &Seat) -> Lane {
        let previous = previous(seat, self.work).filter(|back| self.may_return(back));
        let mut steps: Vec<Step> = self.tell(seat).into_iter().collect();
        steps.extend(self.move_leader(seat));
        steps.push(self.stop(seat, previous.as_ref()));
        steps.extend(v2::of_stopped(&self.basis(), seat));
        steps.push(self.switch(seat, previous.as_ref()));
        if !self.is_prepared(seat) {
            steps.extend(self.tidy(seat));
        }
        steps.extend(self.write(seat));
        steps.push(self.start(seat));
        let least = self
            .request
            .settle_least_s
            .max(v2::settle_least_s(self.request.facts));
        steps.push(self.settle(seat, &self.work.to, least));
        self.lane(seat, steps)
    }

    /// Whether this hop lowers the member's `snapshot-count` itself, and takes that away again.
    fn is_prepared(&self, seat: &Seat) -> bool {
        prepare::snapshot(self.request, self.work, seat).is_some()
    }

    fn settle(&self, seat: &Seat, version: &Version, least_s: u64) -> Step {
        let settle = Action::Settle {
            version: version.clone(),
            least_s,
        };
        let mut settle = self.plain(settle, limit::settle(db_bytes(seat), least_s));
        settle.deadline_s = settle.deadline_s.max(least_s + limit::SHORT_S);
        settle
    }

    /// Whether no member sees a cluster version above that release's line: it must not start again then.
    fn may_return(&self, back: &Previous) -> bool {
        seats::views(self.request.facts)
            .filter_map(|view| view.cluster_version.as_ref())
            .all(|line| line.minor() <= back.version.minor())
    }

    /// Every voter's lane asks: the leadership may have moved since the plan was made. Members that will be on
    /// the new release by then come first, so that the leadership moves once.
    ///
    /// Before 3.3 nobody can be told to: the leader is the last in turn, and the others elect one when it stops.
    fn move_leader(&self, seat: &Seat) -> Option<Step> {
        let lowest = (&self.work.from).min(&self.work.to);
        if seat.learner() || !dialect::moves_leader(lowest) {
            return None;
        }
        let mut others = seats(self.request.cluster, self.request.facts);
        others.retain(|other| !other.learner() && other.host.name != seat.host.name);
        others.sort_by_key(|other| self.is_ahead_of(other, seat));
        let candidates: Vec<MemberRef> = others
            .iter()
            .filter(|other| other.view.is_some())
            .filter_map(|other| other.member(self.request.facts))
            .collect();
        (!candidates.is_empty())
            .then(|| self.plain(Action::MoveLeader { candidates }, limit::MOVE_LEADER_S))
    }

    /// `false`, which sorts first, for members that run the new release when `seat` is in turn.
    fn is_ahead_of(&self, other: &Seat, seat: &Seat) -> bool {
        let turn = |seat: &Seat| {
            let same = |one: &Seat| one.host.name == seat.host.name;
            self.work.seats.iter().position(same)
        };
        match turn(other) {
            Some(position) => Some(position) > turn(seat),
            None => other.is_below(&self.work.to),
        }
    }

    fn stop(&self, seat: &Seat, previous: Option<&Previous>) -> Step {
        let unit = seat.host.unit.clone();
        let back = previous.map_or(&self.work.to, |previous| &previous.version);
        let undo = vec![
            Action::StartUnit { unit: unit.clone() },
            Action::Settle {
                version: back.clone(),
                least_s: 0,
            },
        ];
        self.step(
            Action::StopUnit { unit },
            Undo::Actions(undo),
            limit::stop(&seat.facts.unit),
        )
    }

    pub(super) fn switch(&self, seat: &Seat, previous: Option<&Previous>) -> Step {
        let files: Vec<String> = self.release(seat).into_keys().collect();
        let now: Vec<String> = seat.facts.binaries.keys().cloned().collect();
        let undo = match previous {
            None => Undo::Impossible(format!(
                "no release but {} is on the host that the cluster would take back",
                self.work.to
            )),
            Some(previous) => Undo::Actions(vec![switched(
                seat.host,
                &previous.version,
                &previous.files,
                &files,
            )]),
        };
        let switch = switched(seat.host, &self.work.to, &files, &now);
        self.step(switch, undo, limit::SHORT_S)
    }

    pub(super) fn write(&self, seat: &Seat) -> Vec<Step> {
        let files: Vec<_> = changed(seat, self.work.files_of(seat)).collect();
        let mut steps: Vec<Step> = files
            .iter()
            .map(|file| self.write_one(seat, file))
            .collect();
        let gone = self.work.gone_of(seat);
        steps.extend(gone.iter().filter_map(|dest| self.remove(seat, dest)));
        let unit = files.iter().any(|file| file.unit) || gone.contains(&seat.host.unit_path());
        // A former run may have written the unit and ended before systemd read it.
        if unit || seat.view.is_none() && seat.facts.unit.needs_reload {
            // The unit file's undo reloads; this step comes behind it and would be undone too early.
            steps.push(self.plain(Action::ReloadUnits, limit::RELOAD_S));
        }
        steps
    }

    fn write_one(&self, seat: &Seat, file: &Rendered) -> Step {
        let now = seat.facts.files.get(&file.dest);
        let before = now.and_then(|now| now.text.clone());
        let write = Action::WriteFile {
            dest: file.dest.clone(),
            before: before.clone(),
            text: file.text.clone(),
            owner: file.owner.clone(),
            mode: file.mode,
        };
        let back = match (now, before) {
            (Some(now), Some(text)) => Action::WriteFile {
                dest: file.dest.clone(),
                before: Some(file.text.clone()),
                text,
                owner: now.owner.clone(),
                mode: now.mode,
            },
            _ => Action::RemoveFile {
                dest: file.dest.clone(),
            },
        };
        let reload = file.unit.then_some(Action::ReloadUnits);
        let undo = std::iter::once(back).chain(reload).collect();
        self.step(write, Undo::Actions(undo), limit::SHORT_S)
    }

    /// Takes away a file that was not there before the upgrade.
    fn remove(&self, seat: &Seat, dest: &str) -> Option<Step> {
        let now = seat.facts.files.get(dest)?;
        let back = Action::WriteFile {
            dest: dest.to_owned(),
            before: None,
            text: now.text.clone()?,
            owner: now.owner.clone(),
            mode: now.mode,
        };
        let reload = (dest == seat.host.unit_path()).then_some(Action::ReloadUnits);
        let undo = std::iter::once(back).chain(reload).collect();
        let dest = dest.to_owned();
        let remove = Action::RemoveFile { dest };
        Some(self.step(remove, Undo::Actions(undo), limit::SHORT_S))
    }

    fn start(&self, seat: &Seat) -> Step {
        let unit = seat.host.unit.clone();
        let (from, to) = (&self.work.from, &self.work.to);
        let opened =
            !self.request.rules.mixed_rollback(from, to) && self.work.kind == Kind::Upgrade;
        let undo = if opened && from.minor() != to.minor() {
            Undo::Impossible(format!(
                "{from} does not start on data that {to} has opened"
            ))
        } else {
            Undo::Actions(vec![Action::StopUnit { unit: unit.clone() }])
        };
        self.step(Action::StartUnit { unit }, undo, limit::SHORT_S)
    }
}

fn changed<'f>(seat: &'f Seat, files: &'f [Rendered]) -> impl Iterator<Item = &'f Rendered> {
    files
        .iter()
        .filter(|file| file.differs(seat.facts.files.get(&file.dest)))
}

/// A switch to `files`, which removes what of `others` the release does not have.
fn switched(host: &Host, version: &Version, files: &[String], others: &[String]) -> Action {
    Action::SwitchRelease {
        version: version.clone(),
        install_dir: host.install_dir.clone(),
        bin_dir: host.bin_dir.clone(),
        files: files.to_vec(),
        remove: others
            .iter()
            .filter(|name| !files.contains(name))
            .cloned()
            .collect(),
    }
}
