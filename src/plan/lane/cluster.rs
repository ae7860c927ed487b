//! What concerns the cluster as a whole: etcd's own downgrade, and the version that all members see in the end.

use crate::etcd::dialect;
use crate::plan::downgrade;
use crate::plan::rollback::leads_up;
use crate::plan::seats::{Seat, seats};
use crate::plan::{Action, Downgrade, Kind, Purpose, Step, Undo, Wave, deadlines as limit};

use super::Lanes;

impl Lanes<'_> {
    /// Tells etcd of its downgrade before the first member goes, or waits for what it was told before. If this plan
    /// tells it, nobody runs the older release when the first lane is undone: then it is taken back as well.
    pub(super) fn tell(&self, seat: &Seat) -> Option<Step> {
        let first = self.work.seats.first()?;
        let telling = downgrade::telling(self.request, self.work)
            .filter(|_| first.host.name == seat.host.name)?;
        let undo = if downgrade::is_told_here(self.request) {
            let minor = self.work.from.minor();
            let rises = Action::AwaitClusterVersion { minor };
            Undo::Actions(vec![Action::Downgrade(Downgrade::Cancel), rises])
        } else {
            Undo::Nothing
        };
        Some(self.step(Action::Downgrade(telling), undo, limit::DOWNGRADE_S))
    }

    /// The leader raises the cluster version once every member runs the new release; a downgrade that is given up is in
    /// the way of that.
    pub(super) fn finish(&self) -> Option<Wave> {
        let tells = dialect::has_cluster_version(&self.work.to);
        let all = seats(self.request.cluster, self.request.facts);
        let leads = |seat: &&Seat| seat.view.map(|view| view.id) == self.work.leader;
        let asked = self.work.seats.last().or_else(|| all.iter().find(leads));
        let asked = asked.filter(|_| self.work.complete && tells)?;
        let gives_up = self.work.kind == Kind::Rollback && leads_up(self.request.facts);
        let cancel =
            gives_up.then(|| self.plain(Action::Downgrade(Downgrade::Cancel), limit::DOWNGRADE_S));
        let await_it = Action::AwaitClusterVersion {
            minor: self.work.to.minor(),
        };
        let mut steps: Vec<Step> = cancel.into_iter().collect();
        steps.push(self.plain(await_it, limit::CLUSTER_VERSION_S));
        if self.work.kind == Kind::Downgrade {
            let end = Action::Downgrade(Downgrade::End);
            steps.push(self.plain(end, limit::DOWNGRADE_S));
        }
        Some(Wave {
            purpose: Purpose::Finish,
            lanes: vec![self.lane(asked, steps)],
        })
    }
}
