//! `runner restore`: look, choose a backup, read it through, show what would be lost, ask, restore.

mod choose;
mod decide;
mod pieces;
mod verify;

use super::back::{self, Way};
use super::context::Context;
use super::decide::{Decision, Goal};
use super::session::Session;
use super::telling::Telling;
use crate::cli;
use crate::error::{Failure, Problem, Result};
use crate::exit::Exit;
use crate::inventory::Selected;
use crate::plan::Plan;
use crate::report::text::count;

/// Restores every selected cluster.
///
/// # Errors
/// Every way in which it does not end well; what was changed is always said.
pub fn run(context: &Context, args: &cli::Restore) -> Result<Exit> {
    back::run(context, &args.care, |goal| Wanted { args, goal })
}

/// What was asked for.
struct Wanted<'a> {
    args: &'a cli::Restore,
    goal: Goal,
}

impl Way for Wanted<'_> {
    const DUE: &'static str = "there is something to restore";

    fn goal(&self) -> &Goal {
        &self.goal
    }

    /// One file is the backup of one cluster.
    fn admit(&self, session: &Session<'_>) -> Result<()> {
        let clusters = session.selected.len();
        if self.args.from.is_none() || clusters == 1 {
            return Ok(());
        }
        let problem = Problem::new(format!(
            "`--from` names one backup, {clusters} clusters are selected"
        ))
        .hint("limit the run to one cluster with `--limit`");
        Err(Failure::new(Exit::Usage, problem))
    }

    async fn decide(
        &self,
        session: &Session<'_>,
        telling: &Telling<'_>,
        selected: &Selected,
    ) -> Result<Decision> {
        decide::decide(session, telling, selected, self).await
    }

    fn question(&self, selected: &Selected, decision: &Decision, plan: &Plan) -> String {
        let members = count(selected.cluster.hosts.len(), "member");
        let mut findings = decision.planned.findings.iter();
        let lost = findings.find(|finding| finding.code == "DATA_LOSS");
        let lost = lost.map_or(String::new(), |finding| format!("{}. ", finding.reason));
        format!(
            "{lost}Stop all {members} of cluster {} and restore it at {}?",
            plan.cluster, plan.to
        )
    }

    fn idle(&self, _: &Decision) -> String {
        "nothing to do, it is as it was at the backup".to_owned()
    }
}
