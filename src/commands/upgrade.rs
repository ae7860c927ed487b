//! `runner upgrade`: look, decide, show, ask, do, by the rules for several clusters.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::confirm::confirm;
use super::context::Context;
use super::decide::{Decision, Goal};
use super::many::{self, Draft, decide_each, shows_plans};
use super::plan::text;
use super::session::{Session, with_shard};
use super::telling::Telling;
use super::{admit, hops, lock, out};
use crate::cli::Target;
use crate::error::{Failure, Problem, Result};
use crate::event::Ending;
use crate::exit::Exit;
use crate::fleet::{self, Fleet, Part, Rules};
use crate::inventory::Selected;
use crate::plan::Plan;
use crate::report::summary;

/// Upgrades every selected cluster.
///
/// # Errors
/// Every way in which it does not end well; what was changed is always said.
pub fn run(context: &Context, target: &Target) -> Result<Exit> {
    let goal = Goal::new(target).locking();
    with_shard(context, target.many.shard, async |session: &Session| {
        upgrade(session, &goal).await
    })
    .map_err(unchanged)
}

/// Upgrades every selected cluster, within a session.
///
/// # Errors
/// As [`run`].
pub async fn upgrade(session: &Session<'_>, goal: &Goal) -> Result<Exit> {
    let rules = goal.target.many.rules();
    open_now(&rules)?;
    let _locks = lock::take(session.context, &session.selected)?;
    let telling = Telling::journaled(session)?;
    let mut work = match begin(session, &telling, goal, &rules).await {
        Ok(work) => work,
        Err(failure) => {
            telling.end_with(&failure);
            return Err(failure);
        }
    };
    let fleet = carry_out(session, &telling, goal, &rules, &mut work).await;
    conclude_all(session, &telling, &fleet, work.refusals)
}

/// Outside the window nothing is contacted, let alone begun.
fn open_now(rules: &Rules) -> Result<()> {
    let closed = rules
        .window
        .and_then(|window| window.closed(&rules.clock.now()));
    closed.map_or(Ok(()), |closed| {
        let problem = Problem::new("outside the window nothing is begun")
            .because(closed)
            .hint("run the same command in the window, or without `--window`");
        Err(Failure::new(Exit::Refused, problem).changed("nothing"))
    })
}

/// What is to be done, decided for each cluster.
struct Work<'s> {
    parts: Vec<Part>,
    due: BTreeMap<String, (&'s Selected, Decision)>,
    refusals: BTreeMap<String, Failure>,
}

/// Everything before the first change: plans of all clusters, shown and confirmed.
async fn begin<'s>(
    session: &'s Session<'_>,
    telling: &Telling<'_>,
    goal: &Goal,
    rules: &Rules,
) -> Result<Work<'s>> {
    let mut drafts = decide_each(session, telling, goal).await?;
    let refusals = admit::refusals(session, telling, goal, &mut drafts).await?;
    tell(session, &drafts, &refusals);
    let work = Work::new(drafts, refusals);
    for one in &session.selected {
        if !work.due.contains_key(&one.cluster.name) {
            session.locks.release_of(&one.cluster).await;
        }
    }
    session.flush();
    let plans = work.plans();
    if !plans.is_empty() && work.may_begin(rules) {
        let question = many::question(&plans, rules);
        session
            .or_interrupt(confirm(session.context, &question))
            .await??;
        open_now(rules)?;
    }
    Ok(work)
}

fn tell(session: &Session<'_>, drafts: &[Draft<'_>], refusals: &BTreeMap<String, Failure>) {
    if shows_plans(session) {
        let is_taken = |name| {
            let refusal: Option<&Failure> = refusals.get(name);
            refusal.is_some_and(|failure| failure.exit == Exit::Locked)
        };
        for (selected, draft) in drafts {
            if let (Ok(decision), false) = (draft, is_taken(&selected.cluster.name)) {
                tell_plan(session, selected, decision);
            }
        }
    }
    if drafts.len() > 1 && !is_unseen(session) {
        let refused: BTreeSet<String> = refusals.keys().cloned().collect();
        let paint = session.context.out.stderr;
        let columns = out::columns(&std::io::stderr());
        let table = many::table(drafts, &refused, paint, columns);
        session.voice.say(table);
    }
}

/// Shows the plan, unless nobody wants to see it.
pub fn tell_plan(session: &Session, selected: &Selected, decision: &Decision) {
    if is_unseen(session) {
        return;
    }
    let paint = session.context.out.stderr;
    session
        .voice
        .say(text(session.context, selected, decision, paint));
}

/// Whether plans are data already, or there is neither talk nor a question.
fn is_unseen(session: &Session) -> bool {
    let global = &session.context.global;
    global.yes && (global.quiet || session.context.json())
}

impl<'s> Work<'s> {
    fn new(drafts: Vec<Draft<'s>>, refusals: BTreeMap<String, Failure>) -> Self {
        let mut work = Self {
            parts: Vec::new(),
            due: BTreeMap::new(),
            refusals,
        };
        for (selected, draft) in drafts {
            let part = work.part(selected, draft);
            work.parts.push(part);
        }
        work
    }

    fn part(&mut self, selected: &'s Selected, draft: Result<Decision, Failure>) -> Part {
        let name = &selected.cluster.name;
        match (self.refusals.get(name), draft) {
            (Some(failure), _) => Part::Settled(refused(name, failure)),
            (None, Err(failure)) => Part::Settled(refused(name, &failure)),
            (None, Ok(decision)) if decision.planned.plan.is_none() => {
                let summary = format!("nothing to do, it runs {}", decision.target);
                Part::Settled(settled(name, Exit::Done, summary))
            }
            (None, Ok(decision)) => {
                self.due.insert(name.clone(), (selected, decision));
                Part::Due(name.clone())
            }
        }
    }

    fn plans(&self) -> Vec<&Plan> {
        let due = self
            .parts
            .iter()
            .filter_map(|part| self.due.get(part.cluster()));
        due.filter_map(|(_, decision)| decision.planned.plan.as_ref())
            .collect()
    }

    /// Whether the refusals leave anything to ask about.
    fn may_begin(&self, rules: &Rules) -> bool {
        let canary = rules.canary.as_ref();
        let canary_refused = canary.is_some_and(|name| self.refusals.contains_key(name));
        self.refusals.len() <= rules.max_failures && !canary_refused
    }
}

/// Works on the clusters by the rules.
async fn carry_out(
    session: &Session<'_>,
    telling: &Telling<'_>,
    goal: &Goal,
    rules: &Rules,
    work: &mut Work<'_>,
) -> Fleet {
    let due = RefCell::new(std::mem::take(&mut work.due));
    let interrupt = &session.signals.interrupt;
    fleet::run(&work.parts, rules, interrupt, |name, gate| {
        let taken = due.borrow_mut().remove(&name);
        let (selected, decision) = taken.expect("each cluster that is due is begun once");
        async move {
            let ending = hops::run(session, telling, selected, goal, decision, &gate).await;
            session.locks.release_of(&selected.cluster).await;
            ending
        }
    })
    .await
}

fn refused(cluster: &str, failure: &Failure) -> Ending {
    let mut problems = failure.problems.iter();
    let first = problems.next();
    let prefix = format!("cluster `{cluster}`: ");
    let what = first.map_or("", |problem| &problem.what);
    let summary = what.strip_prefix(&prefix).unwrap_or(what).to_owned();
    let mut ending = settled(cluster, failure.exit, summary);
    if let Some(problem) = first {
        ending.causes.clone_from(&problem.because);
        ending.hint = problem.hint.clone().unwrap_or_default();
    }
    ending
        .causes
        .extend(problems.map(|problem| problem.what.clone()));
    ending
}

pub(super) fn not_begun(selected: &Selected) -> Ending {
    let why = "not begun, because the run stopped before it";
    ending(selected, Exit::Interrupted, why)
}

pub(super) fn ending(selected: &Selected, exit: Exit, summary: &str) -> Ending {
    settled(&selected.cluster.name, exit, summary.to_owned())
}

fn settled(cluster: &str, exit: Exit, summary: String) -> Ending {
    Ending {
        cluster: cluster.to_owned(),
        status: exit.code(),
        summary,
        causes: Vec::new(),
        members: Vec::new(),
        changed: false,
        hint: String::new(),
        left: Vec::new(),
    }
}

/// Tells the ending: what went well on stdout, what did not as errors.
pub(super) fn conclude(session: &Session, telling: &Telling, endings: &[Ending]) -> Result<Exit> {
    let fleet = Fleet {
        endings: endings.to_vec(),
        not_begun: Vec::new(),
        because: None,
    };
    conclude_all(session, telling, &fleet, BTreeMap::new())
}

fn conclude_all(
    session: &Session,
    telling: &Telling,
    fleet: &Fleet,
    refusals: BTreeMap<String, Failure>,
) -> Result<Exit> {
    let context = session.context;
    let exit = Exit::from_code(fleet.status());
    let told = telling.end(exit.code(), &fleet.summary(), fleet.endings.clone());
    session.quiet();
    if !context.json() {
        out::data(&ended(context, fleet));
    }
    if exit == Exit::Done {
        if let Err(failure) = told {
            // All is done and well; only who reads the journal later will not know.
            for problem in &failure.problems {
                let what = &problem.what;
                out::talk(&format!("note: the run's ending is not kept: {what}\n"));
            }
        }
        return Ok(exit);
    }
    let bad = fleet.endings.iter().filter(|ending| ending.status != 0);
    let left = bad.flat_map(|ending| ending.left.clone());
    Err(Failure::several(exit, problems(fleet, refusals))
        .changed(said_changed(fleet))
        .left(left))
}

fn ended(context: &Context, fleet: &Fleet) -> String {
    let paint = context.out.stdout;
    let many = fleet.endings.len() > 1;
    let mut text = String::new();
    if !many || context.global.verbose > 0 {
        text = summary::text(&fleet.endings, context.took(), paint);
    }
    if many {
        text.push_str(&many::endings(fleet, paint));
    }
    text
}

/// What is wrong, cluster by cluster; those that were not begun share one line.
fn problems(fleet: &Fleet, mut refusals: BTreeMap<String, Failure>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for ending in fleet.endings.iter().filter(|ending| ending.status != 0) {
        if let Some(failure) = refusals.remove(&ending.cluster) {
            problems.extend(failure.problems);
        } else if !fleet.not_begun.contains(&ending.cluster) {
            problems.push(problem(ending));
        }
    }
    if let Some(because) = &fleet.because {
        let names = fleet.not_begun.join(", ");
        problems.push(Problem::new(format!("not begun: {names}")).because(because.to_string()));
    }
    problems
}

fn problem(ending: &Ending) -> Problem {
    let what = format!("cluster `{}`: {}", ending.cluster, ending.summary);
    let problem = Problem::new(what).hint(ending.hint.clone());
    ending.causes.iter().fold(problem, Problem::because)
}

/// What was changed in clusters that did not end well.
fn said_changed(fleet: &Fleet) -> String {
    let is_bad = |ending: &&Ending| ending.status != 0 && ending.changed;
    let bad: Vec<&Ending> = fleet.endings.iter().filter(is_bad).collect();
    match bad.as_slice() {
        [] if fleet.endings.iter().all(|ending| !ending.changed) => "nothing".to_owned(),
        [] => "nothing in these clusters".to_owned(),
        [only] if fleet.endings.len() == 1 => summary::changed(only),
        _ => changed(bad),
    }
}

/// The `changed:` line with the clusters' names.
fn changed<'e>(endings: impl IntoIterator<Item = &'e Ending>) -> String {
    let said = endings
        .into_iter()
        .map(|ending| format!("{}: {}", ending.cluster, summary::changed(ending)));
    said.collect::<Vec<_>>().join("\n")
}

/// Commands that may change hosts always say what they changed.
pub(super) fn unchanged(failure: Failure) -> Failure {
    if failure.changed.is_some() || failure.exit == Exit::Usage {
        return failure;
    }
    failure.changed("nothing")
}
