//! `runner downgrade`: look, choose a release, look what the hosts have kept of it, decide.

use std::collections::BTreeSet;

use super::back::{self, Way};
use super::context::Context;
use super::decide::{Decision, Goal, binaries, fetch, in_progress, no_release, paths};
use super::look::{Looked, complete, look, look_with_lock};
use super::session::Session;
use super::shelf::available;
use super::telling::Telling;
use crate::cli;
use crate::error::Result;
use crate::etcd::Version;
use crate::etcd::catalogue::Catalogue;
use crate::exit::Exit;
use crate::facts::ClusterFacts;
use crate::inventory::Selected;
use crate::plan::path::Available;
use crate::plan::upgrade::Request;
use crate::plan::{Finding, Plan, downgrade, seats};
use crate::releases::Release;

/// Takes every selected cluster one minor back.
///
/// # Errors
/// Every way in which it does not end well; what was changed is always said.
pub fn run(context: &Context, args: &cli::Downgrade) -> Result<Exit> {
    let wanted = args.to.as_ref();
    back::run(context, &args.care, |goal| Down { goal, wanted })
}

struct Down<'a> {
    goal: Goal,
    wanted: Option<&'a Version>,
}

/// What a plan is made from.
struct Seen {
    facts: ClusterFacts,
    target: std::result::Result<Version, Box<Finding>>,
    available: Available,
    found: Vec<Release>,
    looked: Looked,
}

impl Way for Down<'_> {
    const DUE: &'static str = "there is something to take down";

    fn goal(&self) -> &Goal {
        &self.goal
    }

    async fn decide(
        &self,
        session: &Session<'_>,
        telling: &Telling<'_>,
        selected: &Selected,
    ) -> Result<Decision> {
        let seen = self.see(session, telling, selected).await?;
        self.decided(session, telling, selected, seen)
    }

    fn question(&self, _: &Selected, _: &Decision, plan: &Plan) -> String {
        back::question(plan, "down")
    }

    fn idle(&self, decision: &Decision) -> String {
        let target = &decision.target;
        format!("nothing to do, no selected member runs more than {target}")
    }
}

impl Down<'_> {
    /// Looks twice: what runs tells which release to go to, the second look what the hosts have kept of it.
    async fn see(
        &self,
        session: &Session<'_>,
        telling: &Telling<'_>,
        selected: &Selected,
    ) -> Result<Seen> {
        let cluster = &selected.cluster;
        let mut looked = look_with_lock(session, cluster, &[], self.goal.lock).await?;
        let answers = std::mem::take(&mut looked.answers);
        let facts = complete(telling, cluster, answers)?;
        let zero = Version::new(0, 0, 0);
        let available = match available(session, &cluster.releases).await? {
            Ok(available) => available,
            Err(error) => {
                let wanted = self.wanted.unwrap_or(&zero);
                return Err(no_release(telling, selected, wanted, &error));
            }
        };
        let target = downgrade::target(&facts, self.wanted, &available, Catalogue::embedded());
        let mut seen = Seen {
            facts,
            target,
            available,
            found: Vec::new(),
            looked,
        };
        let Ok(to) = &seen.target else {
            return Ok(seen);
        };
        let hosts = || seen.facts.hosts.values();
        let running = seats::views(&seen.facts).map(|view| view.version.clone());
        let installed = hosts().filter_map(|host| host.binaries.get("etcd")?.version.clone());
        let versions: BTreeSet<Version> = running.chain(installed).chain([to.clone()]).collect();
        let versions: Vec<Version> = versions.into_iter().collect();
        seen.facts = complete(telling, cluster, look(session, cluster, &versions).await?)?;
        for (version, arch) in downgrade::needed(cluster, &selected.chosen, &seen.facts, to) {
            match fetch(session, &cluster.releases, version, arch).await? {
                Ok(release) => seen.found.push(release),
                Err(error) => return Err(no_release(telling, selected, to, &error)),
            }
        }
        Ok(seen)
    }

    fn decided(
        &self,
        session: &Session<'_>,
        telling: &Telling<'_>,
        selected: &Selected,
        seen: Seen,
    ) -> Result<Decision> {
        let target = seen.target.clone().unwrap_or(Version::new(0, 0, 0));
        let care = &self.goal.target.care;
        let timeout = session.context.global.timeout;
        let request = Request {
            cluster: &selected.cluster,
            chosen: &selected.chosen,
            facts: &seen.facts,
            target: &target,
            available: &seen.available,
            releases: &binaries(&seen.found),
            rules: Catalogue::embedded(),
            on_failure: care.on_failure.into(),
            settle_least_s: care.settle.map_or(0, |least| least.as_secs()),
            step_timeout_s: timeout.map(|most| most.as_secs().max(1)),
            resume: self.goal.target.resume,
            run_id: &session.context.run,
        };
        let mut planned = match seen.target {
            Ok(_) => downgrade::plan(&request),
            Err(why) => downgrade::no_target(&request, *why),
        };
        let taken = seen.looked.taken;
        planned.findings.extend(taken.as_ref().map(in_progress));
        telling.plan(&selected.cluster.name, &planned)?;
        Ok(Decision {
            target,
            planned,
            binaries: paths(&seen.found),
            taken,
            looked: seen.looked.since,
            seen: seen.facts.observation(),
            is_locked: seen.looked.is_locked,
        })
    }
}
