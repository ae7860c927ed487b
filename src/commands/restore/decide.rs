//! Deciding: from hosts and backups to a plan. Changes nothing on hosts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use super::{Wanted, choose, verify};
use crate::commands::decide::{Decision, Goal, binaries, fetch, in_progress, no_release, paths};
use crate::commands::look::{Looked, complete, look, look_with_lock};
use crate::commands::rollback::past;
use crate::commands::session::Session;
use crate::commands::telling::Telling;
use crate::error::{Failure, Problem, Result};
use crate::etcd::Version;
use crate::etcd::catalogue::Catalogue;
use crate::exit::Exit;
use crate::facts::ClusterFacts;
use crate::facts::backups::{self, Holding};
use crate::inventory::Selected;
use crate::plan::Finding;
use crate::plan::path::Available;
use crate::plan::restore::{self, Backup, Source};
use crate::plan::upgrade::Request;

/// What each host has of backups.
pub(super) type Holdings = BTreeMap<String, Holding>;

/// Looks at a cluster and its backups and plans the restore; tells the plan.
pub(super) async fn decide(
    session: &Session<'_>,
    telling: &Telling<'_>,
    selected: &Selected,
    wanted: &Wanted<'_>,
) -> Result<Decision> {
    let (cluster, when) = (&selected.cluster, Instant::now());
    let mut seen = look_with_lock(session, cluster, &[], wanted.goal.lock).await?;
    let first = complete(telling, cluster, std::mem::take(&mut seen.answers))?;
    let held = holdings(session, telling, selected).await?;
    let chosen = choose::choose(session.context, selected, &held, wanted.args);
    let chosen = match chosen {
        Ok(chosen) => verify::verify(session, chosen).await?,
        Err(finding) => return Err(refused(telling, selected, *finding)),
    };
    let Some(target) = chosen
        .backup
        .as_ref()
        .and_then(|backup| backup.version.clone())
    else {
        return match &chosen.backup {
            Some(backup) => Err(refused(telling, selected, unknown_release(backup))),
            None => none(session, telling, selected, (&first, &held, &chosen)),
        };
    };
    let with = (&held, &chosen, &target);
    let mut decision = planned(session, telling, selected, wanted, (with, &seen)).await?;
    decision.looked = when;
    Ok(decision)
}

async fn holdings(
    session: &Session<'_>,
    telling: &Telling<'_>,
    selected: &Selected,
) -> Result<Holdings> {
    let deadline = session.look_deadline();
    let asked = backups::look(&*session.transport, &selected.cluster, deadline);
    match session.or_interrupt(asked).await? {
        Ok(held) => Ok(held),
        Err(error) => {
            let problem = Problem::of(&error);
            let finding = Finding::block("FACTS_INCOMPLETE", &selected.cluster.name, &problem.what);
            telling.no_plan(&selected.cluster.name, vec![finding])?;
            Err(Failure::new(Exit::Unreachable, problem))
        }
    }
}

/// No backup: the planner's own refusal.
fn none(
    session: &Session,
    telling: &Telling,
    selected: &Selected,
    seen: (&ClusterFacts, &Holdings, &choose::Chosen),
) -> Result<Decision> {
    let (facts, held, chosen) = seen;
    let target = Version::new(0, 0, 0);
    let nothing = BTreeMap::new();
    let request = request(session, selected, facts, &target, &nothing, None);
    let (left, past) = (left(held), restore::Past::default());
    let planned = restore::plan(
        &request,
        &Source {
            backup: None,
            looked: &chosen.looked,
            revision: revision(held),
            aside: &left,
            bump: None,
            mark_compacted: false,
            past: &past,
        },
    );
    telling.plan(&selected.cluster.name, &planned)?;
    Ok(Decision {
        target,
        planned,
        binaries: BTreeMap::new(),
        taken: None,
        looked: Instant::now(),
        seen: facts.observation(),
        is_locked: false,
    })
}

async fn planned(
    session: &Session<'_>,
    telling: &Telling<'_>,
    selected: &Selected,
    wanted: &Wanted<'_>,
    given: ((&Holdings, &choose::Chosen, &Version), &Looked),
) -> Result<Decision> {
    let ((held, chosen, target), seen) = given;
    let cluster = &selected.cluster;
    let versions = std::slice::from_ref(target);
    let facts = complete(telling, cluster, look(session, cluster, versions).await?)?;
    let mut found = Vec::new();
    for (version, arch) in restore::needed(cluster, &facts, target) {
        match fetch(session, &cluster.releases, version, arch).await? {
            Ok(release) => found.push(release),
            Err(error) => return Err(no_release(telling, selected, target, &error)),
        }
    }
    let (past, unread) = past(&session.context.state_dir, &session.context.run, cluster);
    let (left, releases) = (left(held), binaries(&found));
    let request = request(
        session,
        selected,
        &facts,
        target,
        &releases,
        Some(&wanted.goal),
    );
    let source = Source {
        backup: chosen.backup.as_ref(),
        looked: &chosen.looked,
        revision: revision(held),
        aside: &left,
        bump: wanted.args.bump_revision,
        mark_compacted: wanted.args.mark_compacted,
        past: &past,
    };
    let mut planned = restore::plan(&request, &source);
    planned.findings.extend(chosen.notes.iter().cloned());
    planned.findings.extend(unread);
    planned
        .findings
        .extend(seen.taken.as_ref().map(in_progress));
    telling.plan(&cluster.name, &planned)?;
    let mut here: BTreeMap<String, PathBuf> = paths(&found);
    here.extend(chosen.here.clone());
    Ok(Decision {
        target: target.clone(),
        planned,
        binaries: here,
        taken: seen.taken.clone(),
        looked: Instant::now(),
        seen: facts.observation(),
        is_locked: seen.is_locked,
    })
}

fn request<'a>(
    session: &'a Session,
    selected: &'a Selected,
    facts: &'a ClusterFacts,
    target: &'a Version,
    releases: &'a crate::plan::upgrade::Releases,
    goal: Option<&Goal>,
) -> Request<'a> {
    let settle = goal.and_then(|goal| goal.target.care.settle);
    let timeout = session.context.global.timeout;
    Request {
        cluster: &selected.cluster,
        chosen: &selected.chosen,
        facts,
        target,
        available: &Available::Any,
        releases,
        rules: Catalogue::embedded(),
        on_failure: goal.map_or_else(Default::default, |goal| goal.target.care.on_failure.into()),
        settle_least_s: settle.map_or(0, |least| least.as_secs()),
        step_timeout_s: timeout.map(|most| most.as_secs().max(1)),
        resume: true,
        run_id: &session.context.run,
    }
}

fn revision(held: &Holdings) -> Option<u64> {
    held.values().filter_map(|host| host.revision).max()
}

fn left(held: &Holdings) -> Vec<(String, String)> {
    let all = held.iter();
    all.flat_map(|(host, held)| held.left.iter().map(|path| (host.clone(), path.clone())))
        .collect()
}

fn unknown_release(backup: &Backup) -> Finding {
    let name = backup
        .snapshot
        .as_ref()
        .or(backup.store.as_ref())
        .map(|file| file.name.clone());
    let reason = "neither its name nor a description beside it says which release wrote it";
    Finding::block("BACKUP_RELEASE", name.unwrap_or_default(), reason)
        .hint("pass `--release VERSION`: the release that the members ran when it was taken")
}

/// A refusal before there is anything to plan.
fn refused(telling: &Telling, selected: &Selected, finding: Finding) -> Failure {
    let cluster = &selected.cluster.name;
    let what = format!("cluster `{cluster}`: the preflight refuses, 1 finding");
    let reason = format!("{} {}: {}", finding.code, finding.subject, finding.reason);
    let problem = Problem::new(what)
        .because(reason)
        .hint(finding.hint.clone());
    match telling.no_plan(cluster, vec![finding]) {
        Ok(()) => Failure::new(Exit::Refused, problem),
        Err(failure) => failure,
    }
}
