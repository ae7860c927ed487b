//! `runner rollback`: look, recall, decide.

use std::collections::BTreeSet;
use std::path::Path;

use super::back::{self, Way};
use super::context::Context;
use super::decide::{Decision, Goal, binaries, fetch, in_progress, no_release, paths};
use super::look::{LockUse, Looked, complete, look, look_with_lock};
use super::session::Session;
use super::telling::Telling;
use crate::cli;
use crate::error::Result;
use crate::etcd::Version;
use crate::etcd::catalogue::Catalogue;
use crate::event::Kind as Told;
use crate::exit::Exit;
use crate::facts::ClusterFacts;
use crate::inventory::{Cluster, Selected};
use crate::journal;
use crate::plan::path::Available;
use crate::plan::rollback::{self, Past};
use crate::plan::upgrade::Request;
use crate::plan::{Finding, Kind, Plan};

/// Takes every selected cluster that is mixed back.
///
/// # Errors
/// Every way in which it does not end well; what was changed is always said.
pub fn run(context: &Context, args: &cli::Rollback) -> Result<Exit> {
    back::run(context, &args.care, |goal| Rollback { goal })
}

struct Rollback {
    goal: Goal,
}

impl Way for Rollback {
    const DUE: &'static str = "there is something to take back";

    fn goal(&self) -> &Goal {
        &self.goal
    }

    async fn decide(
        &self,
        session: &Session<'_>,
        telling: &Telling<'_>,
        selected: &Selected,
    ) -> Result<Decision> {
        decide(session, telling, selected, &self.goal).await
    }

    fn question(&self, _: &Selected, _: &Decision, plan: &Plan) -> String {
        back::question(plan, "back")
    }

    fn idle(&self, decision: &Decision) -> String {
        format!(
            "nothing to do, no selected member runs more than {}",
            decision.target
        )
    }
}

/// Looks at a cluster and plans its way back; tells the plan.
async fn decide(
    session: &Session<'_>,
    telling: &Telling<'_>,
    selected: &Selected,
    goal: &Goal,
) -> Result<Decision> {
    let (target, facts, seen) = see(session, telling, &selected.cluster, goal.lock).await?;
    let mut found = Vec::new();
    for (version, arch) in rollback::needed(&selected.cluster, &selected.chosen, &facts) {
        match fetch(session, &selected.cluster.releases, version, arch).await? {
            Ok(release) => found.push(release),
            Err(error) => return Err(no_release(telling, selected, &target, &error)),
        }
    }
    let (past, unread) = past(
        &session.context.state_dir,
        &session.context.run,
        &selected.cluster,
    );
    let timeout = session.context.global.timeout;
    let request = Request {
        cluster: &selected.cluster,
        chosen: &selected.chosen,
        facts: &facts,
        target: &target,
        available: &Available::Any,
        releases: &binaries(&found),
        rules: Catalogue::embedded(),
        on_failure: goal.target.care.on_failure.into(),
        settle_least_s: goal.target.care.settle.map_or(0, |least| least.as_secs()),
        step_timeout_s: timeout.map(|most| most.as_secs().max(1)),
        resume: goal.target.resume,
        run_id: &session.context.run,
    };
    let mut planned = rollback::plan(&request, &past);
    planned.findings.extend(unread);
    planned
        .findings
        .extend(seen.taken.as_ref().map(in_progress));
    telling.plan(&selected.cluster.name, &planned)?;
    Ok(Decision {
        target,
        planned,
        binaries: paths(&found),
        taken: seen.taken,
        looked: seen.since,
        seen: facts.observation(),
        is_locked: seen.is_locked,
    })
}

/// Looks twice: which release to go back to is seen first, what the hosts have kept of it afterwards.
async fn see(
    session: &Session<'_>,
    telling: &Telling<'_>,
    cluster: &Cluster,
    lock: LockUse,
) -> Result<(Version, ClusterFacts, Looked)> {
    let mut seen = look_with_lock(session, cluster, &[], lock).await?;
    let answers = std::mem::take(&mut seen.answers);
    let first = complete(telling, cluster, answers)?;
    let Some(target) = rollback::release(cluster, &first).cloned() else {
        return Ok((Version::new(0, 0, 0), first, seen));
    };
    let hosts = || first.hosts.values();
    let running = hosts().filter_map(|host| Some(host.answer.view()?.version.clone()));
    let installed = hosts().filter_map(|host| host.binaries.get("etcd")?.version.clone());
    let versions: BTreeSet<Version> = running.chain(installed).collect();
    let versions: Vec<Version> = versions.into_iter().collect();
    let facts = complete(telling, cluster, look(session, cluster, &versions).await?)?;
    Ok((target, facts, seen))
}

/// Plans of runs before this one for a cluster, newest first. Where no template makes files, the newest is enough.
pub(super) fn past(state_dir: &Path, run: &str, cluster: &Cluster) -> (Past, Vec<Finding>) {
    let ours = |host: &crate::inventory::Host| {
        host.templates.unit.is_some() || !host.templates.files.is_empty()
    };
    let all = cluster.hosts.iter().any(ours);
    let (mut past, mut unread) = (Past::default(), Vec::new());
    let runs = journal::list(state_dir).unwrap_or_else(|error| {
        unread.push(journal_unread("runs", &error));
        Vec::new()
    });
    for earlier in runs.iter().rev().filter(|earlier| earlier.id != run) {
        match journal::read(&earlier.path) {
            Ok(replay) => past.plans.extend(plans(replay, &cluster.name)),
            Err(error) => unread.push(journal_unread(&earlier.id, &error)),
        }
        if !all && !past.plans.is_empty() {
            break;
        }
    }
    (past, unread)
}

fn plans(replay: journal::Replay, cluster: &str) -> impl Iterator<Item = Plan> {
    let newest_first = replay.events.into_iter().rev();
    newest_first.filter_map(move |event| match event.kind {
        Told::Plan {
            cluster: of, plan, ..
        } if of == cluster => plan
            .filter(|plan| matches!(plan.kind, Kind::Upgrade | Kind::Rollback | Kind::Downgrade)),
        _ => None,
    })
}

fn journal_unread(run: &str, error: &journal::JournalError) -> Finding {
    Finding::note("JOURNAL_UNREAD", run, error.to_string())
        .hint("files of that run come back as the templates make them")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::sample;
    use crate::plan::Severity;

    #[test]
    fn a_past_run_whose_journal_cannot_be_read_is_told_and_hides_no_other() {
        let state = tempfile::tempdir().unwrap();
        let run = |id: &str, text: &str| {
            let folder = state.path().join("runs").join(id);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("journal.ndjson"), text).unwrap();
        };
        let cluster = sample::cluster(Vec::new());
        let told = || past(state.path(), "20261120T120000Z-4f2a", &cluster).1;
        run("20261118T120000Z-4f2a", "");
        run("20261120T120000Z-4f2a", "this run's own\n{}\n");
        assert_eq!(told(), []);
        run("20261119T120000Z-4f2a", "no event\n{}\n");
        let found = told();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].code, "JOURNAL_UNREAD");
        assert_eq!(found[0].severity, Severity::Note);
        assert_eq!(found[0].subject, "20261119T120000Z-4f2a");
        assert!(found[0].reason.contains("line 1"), "{}", found[0].reason);
    }
}
