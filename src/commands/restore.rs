//! `runner restore`: look, choose a backup, read it through, show what would be lost, ask, restore.

mod choose;
mod verify;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::confirm::confirm;
use super::context::Context;
use super::decide::{Decision, Goal, binaries, fetch, no_release, paths};
use super::look::{complete, look};
use super::plan::{text, together};
use super::rollback::{past, refuse};
use super::session::{Session, with};
use super::telling::Telling;
use super::upgrade::{conclude, ending, not_begun, tell_plan, unchanged};
use super::{hops, lock, out};
use crate::cli;
use crate::error::{Failure, Problem, Result};
use crate::etcd::Version;
use crate::etcd::catalogue::Catalogue;
use crate::event::Ending;
use crate::exit::Exit;
use crate::facts::ClusterFacts;
use crate::facts::backups::{self, Holding};
use crate::inventory::Selected;
use crate::plan::path::Available;
use crate::plan::restore::{self, Backup, Source};
use crate::plan::upgrade::Request;
use crate::plan::{Finding, Plan};
use crate::report::text::count;

/// Restores every selected cluster.
///
/// # Errors
/// Every way in which it does not end well; what was changed is always said.
pub fn run(context: &Context, args: &cli::Restore) -> Result<Exit> {
    let wanted = Wanted {
        args,
        goal: Goal::new(&cli::Target {
            to: None,
            settle: args.settle,
            on_failure: args.on_failure,
            resume: true,
            acknowledge: args.acknowledge.clone(),
        }),
    };
    let done = with(context, async |session: &Session| {
        one_file_one_cluster(session, args)?;
        if context.global.check {
            show(session, &wanted).await
        } else {
            do_it(session, &wanted).await
        }
    });
    if context.global.check {
        done
    } else {
        done.map_err(unchanged)
    }
}

/// What was asked for.
struct Wanted<'a> {
    args: &'a cli::Restore,
    goal: Goal,
}

fn one_file_one_cluster(session: &Session, args: &cli::Restore) -> Result<()> {
    let clusters = session.selected.len();
    if args.from.is_none() || clusters == 1 {
        return Ok(());
    }
    let problem = Problem::new(format!(
        "`--from` names one backup, {clusters} clusters are selected"
    ))
    .hint("limit the run to one cluster with `--limit`");
    Err(Failure::new(Exit::Usage, problem))
}

/// Only shows what would be done.
async fn show(session: &Session<'_>, wanted: &Wanted<'_>) -> Result<Exit> {
    let telling = Telling::unkept(session);
    let shown = async {
        let decisions = decide_all(session, &telling, wanted).await?;
        session.flush();
        for (selected, decision) in decisions.iter().filter(|_| !session.context.json()) {
            let paint = session.context.out.stdout;
            out::data(&text(session.context, selected, decision, paint));
        }
        refuse(&decisions, &wanted.goal)?;
        let due = decisions.iter().any(|(_, one)| one.planned.plan.is_some());
        let summary = if due {
            "there is something to restore"
        } else {
            "nothing to do"
        };
        telling.end(Exit::Done.code(), summary, Vec::new())
    };
    if let Err(failure) = shown.await {
        telling.end_with(&failure);
        return Err(failure);
    }
    session.quiet();
    Ok(Exit::Done)
}

async fn do_it(session: &Session<'_>, wanted: &Wanted<'_>) -> Result<Exit> {
    let _locks = lock::take(session.context, &session.selected)?;
    let telling = Telling::journaled(session)?;
    let endings = match begin(session, &telling, wanted).await {
        Ok(due) => carry_out(session, &telling, due).await,
        Err(failure) => {
            telling.end_with(&failure);
            return Err(failure);
        }
    };
    conclude(session, &telling, &endings)
}

/// Everything before the first change: plans of all clusters, shown and confirmed.
async fn begin<'s>(
    session: &'s Session<'_>,
    telling: &Telling<'_>,
    wanted: &Wanted<'_>,
) -> Result<Vec<(&'s Selected, Decision)>> {
    let decisions = decide_all(session, telling, wanted).await?;
    for (selected, decision) in &decisions {
        tell_plan(session, selected, decision);
    }
    refuse(&decisions, &wanted.goal)?;
    session.flush();
    for (selected, decision) in &decisions {
        if let Some(plan) = &decision.planned.plan {
            let question = question(plan, selected, &decision.planned.findings);
            let asked = confirm(session.context, &question);
            session.or_interrupt(asked).await??;
        }
    }
    Ok(decisions)
}

fn question(plan: &Plan, selected: &Selected, findings: &[Finding]) -> String {
    let members = count(selected.cluster.hosts.len(), "member");
    let lost = findings.iter().find(|finding| finding.code == "DATA_LOSS");
    let lost = lost.map_or(String::new(), |finding| format!("{}. ", finding.reason));
    format!(
        "{lost}Stop all {members} of cluster {} and restore it at {}?",
        plan.cluster, plan.to
    )
}

async fn carry_out(
    session: &Session<'_>,
    telling: &Telling<'_>,
    decisions: Vec<(&Selected, Decision)>,
) -> Vec<Ending> {
    let mut endings: Vec<Ending> = Vec::new();
    for (selected, decision) in decisions {
        let stopped = endings.iter().any(|ending| ending.status != 0);
        endings.push(match &decision.planned.plan {
            None => ending(
                selected,
                Exit::Done,
                "nothing to do, it is as it was at the backup",
            ),
            Some(_) if stopped || session.signals.interrupt.is_raised() => not_begun(selected),
            Some(plan) => hops::one(session, telling, selected, &decision, plan).await,
        });
    }
    endings
}

async fn decide_all<'s>(
    session: &'s Session<'_>,
    telling: &Telling<'_>,
    wanted: &Wanted<'_>,
) -> Result<Vec<(&'s Selected, Decision)>> {
    let (mut decisions, mut failures) = (Vec::new(), Vec::new());
    for selected in &session.selected {
        match decide(session, telling, selected, wanted).await {
            Ok(decision) => decisions.push((selected, decision)),
            Err(failure) if failure.exit == Exit::Interrupted => return Err(failure),
            Err(failure) => failures.push(failure),
        }
    }
    together(failures).map_or(Ok(decisions), Err)
}

type Holdings = BTreeMap<String, Holding>;

/// Looks at a cluster and its backups and plans the restore; tells the plan.
async fn decide(
    session: &Session<'_>,
    telling: &Telling<'_>,
    selected: &Selected,
    wanted: &Wanted<'_>,
) -> Result<Decision> {
    let cluster = &selected.cluster;
    let first = complete(telling, cluster, look(session, cluster, &[]).await?)?;
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
    planned(
        session,
        telling,
        selected,
        wanted,
        (&held, &chosen, &target),
    )
    .await
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
    })
}

async fn planned(
    session: &Session<'_>,
    telling: &Telling<'_>,
    selected: &Selected,
    wanted: &Wanted<'_>,
    with: (&Holdings, &choose::Chosen, &Version),
) -> Result<Decision> {
    let (held, chosen, target) = with;
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
    let (past, unread) = past(session.context, cluster);
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
    telling.plan(&cluster.name, &planned)?;
    let mut here: BTreeMap<String, PathBuf> = paths(&found);
    here.extend(chosen.here.clone());
    Ok(Decision {
        target: target.clone(),
        planned,
        binaries: here,
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
    let settle = goal.and_then(|goal| goal.target.settle);
    let timeout = session.context.global.timeout;
    Request {
        cluster: &selected.cluster,
        chosen: &selected.chosen,
        facts,
        target,
        available: &Available::Any,
        releases,
        rules: Catalogue::embedded(),
        on_failure: goal.map_or_else(Default::default, |goal| goal.target.on_failure.into()),
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
