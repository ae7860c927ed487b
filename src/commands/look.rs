//! Looking: every selected cluster's hosts are reached and their facts gathered. Changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::session::Session;
use super::telling::Telling;
use crate::engine::lock::{self, NotTaken, Taken};
use crate::error::{Failure, Problem, Result};
use crate::etcd::Version;
use crate::exit::Exit;
use crate::facts::gather::{GatherError, gather};
use crate::facts::{ClusterFacts, HostFacts};
use crate::inventory::Cluster;
use crate::plan::Finding;
use crate::report::Talk;
use crate::report::text::count;
use crate::transport::{Transport, Unreachable};

/// What each host of a cluster answered, or why it did not.
pub type Answers = BTreeMap<String, Result<HostFacts, GatherError>>;

/// Asks all hosts of a cluster, and shows who has answered.
///
/// # Errors
/// An interrupt.
pub async fn look(
    session: &Session<'_>,
    cluster: &Cluster,
    versions: &[Version],
) -> Result<Answers> {
    let hosts: Vec<String> = cluster.hosts.iter().map(|host| host.name.clone()).collect();
    let what = format!("{}: reach {}", cluster.name, count(hosts.len(), "host"));
    session.voice.talk(Talk::Began { what, hosts });
    let answers = ask(session, cluster, versions).await;
    session.voice.talk(Talk::Over);
    answers
}

/// As [`look`], as a part of something that is announced already.
///
/// # Errors
/// An interrupt.
pub async fn ask(
    session: &Session<'_>,
    cluster: &Cluster,
    versions: &[Version],
) -> Result<Answers> {
    let voice = std::sync::Mutex::new(session.voice.clone());
    let on_host = move |host: &str, answer: Result<(), String>| {
        let talk = Talk::Answered {
            host: host.to_owned(),
            failed: answer.err(),
        };
        if let Ok(voice) = voice.lock() {
            voice.talk(talk);
        }
    };
    let forks = usize::from(session.context.global.forks);
    let deadline = session.look_deadline();
    let asked = gather(
        &*session.transport,
        cluster,
        versions,
        forks,
        deadline,
        &on_host,
    );
    session.or_interrupt(asked).await
}

/// As [`facts_of`]; what is missing is told as findings of a cluster without a plan.
///
/// # Errors
/// As [`facts_of`].
pub fn complete(telling: &Telling, cluster: &Cluster, answers: Answers) -> Result<ClusterFacts> {
    match facts_of(cluster, answers) {
        Ok(facts) => Ok(facts),
        Err(undecided) => {
            telling.no_plan(&cluster.name, undecided.findings)?;
            Err(*undecided.failure)
        }
    }
}

/// What to do about the lock of a cluster that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockUse {
    /// See whether another run holds it.
    See,
    /// Take it: what the look leads to will need it, and beside the look it costs no time.
    Take,
}

/// What a look and its lock came to.
pub struct Looked {
    /// What each host answered.
    pub answers: Answers,
    /// The lock that another run holds.
    pub taken: Option<Taken>,
    /// When the hosts were asked.
    pub since: Instant,
    /// Whether this run holds the lock, so that nobody else can make the answers untrue.
    pub is_locked: bool,
    /// Whether a host has brought up its member meanwhile, so that the answers are not true any more.
    is_late: bool,
}

/// As [`look`], and whether another run holds the cluster's lock. Where a host cannot be asked, nothing is
/// waited for that only the lock needs.
///
/// # Errors
/// An interrupt.
pub async fn look_with_lock(
    session: &Session<'_>,
    cluster: &Cluster,
    versions: &[Version],
    lock: LockUse,
) -> Result<Looked> {
    let again = || with_lock(session, cluster, lock, look(session, cluster, versions));
    let looked = again().await?;
    if looked.is_late {
        return again().await;
    }
    Ok(looked)
}

/// As [`look_with_lock`], as a part of something that is announced already.
///
/// # Errors
/// An interrupt.
pub async fn ask_with_lock(
    session: &Session<'_>,
    cluster: &Cluster,
    versions: &[Version],
    lock: LockUse,
) -> Result<Looked> {
    let again = || with_lock(session, cluster, lock, ask(session, cluster, versions));
    let looked = again().await?;
    if looked.is_late {
        return again().await;
    }
    Ok(looked)
}

async fn with_lock(
    session: &Session<'_>,
    cluster: &Cluster,
    lock: LockUse,
    answering: impl Future<Output = Result<Answers>>,
) -> Result<Looked> {
    let since = Instant::now();
    let (answers, locked) = match lock {
        LockUse::See => {
            let answers = answering.await?;
            let locked = seen(session, cluster, &answers).await?;
            (answers, locked)
        }
        LockUse::Take => beside(session, cluster, answering).await?,
    };
    Ok(Looked {
        answers,
        taken: locked.taken,
        since,
        is_locked: locked.is_held,
        is_late: locked.is_late,
    })
}

/// Takes the lock while the hosts answer.
async fn beside(
    session: &Session<'_>,
    cluster: &Cluster,
    answering: impl Future<Output = Result<Answers>>,
) -> Result<(Answers, Locked)> {
    let locking = locking(session, cluster);
    tokio::pin!(answering, locking);
    let mut locked = None;
    let answers = loop {
        tokio::select! {
            biased;
            answers = &mut answering => break answers?,
            done = &mut locking, if locked.is_none() => locked = Some(done),
        }
    };
    let is_complete = answers.values().all(Result::is_ok);
    if locked.is_none() && is_complete {
        locked = Some(session.or_interrupt(locking).await?);
    }
    Ok((answers, locked.unwrap_or_default()))
}

/// The lock of another run. Hosts are asked for it only if one of them has a file of some lock.
async fn seen(session: &Session<'_>, cluster: &Cluster, answers: &Answers) -> Result<Locked> {
    let mut locked = Locked::default();
    let mut known = answers.values().flatten();
    if known.any(|facts| facts.has_locks) {
        let own = &session.context.run;
        let look = lock::look(&*session.transport, cluster, own, session.look_deadline());
        locked.taken = session.or_interrupt(look).await?;
    }
    Ok(locked)
}

/// What came of taking a lock, or of looking at it.
#[derive(Default)]
struct Locked {
    taken: Option<Taken>,
    is_held: bool,
    is_late: bool,
}

/// A host that gives no lock is told of when it is needed.
async fn locking(session: &Session<'_>, cluster: &Cluster) -> Locked {
    let mut locked = Locked::default();
    let transport: Arc<dyn Transport> = session.transport.clone();
    match session.locks.take(&transport, cluster).await {
        Ok(is_late) => {
            locked.is_held = true;
            locked.is_late = is_late;
        }
        Err(NotTaken::Taken(taken)) => locked.taken = Some(taken),
        Err(_) => {}
    }
    locked
}

/// The facts of a cluster whose hosts have all answered.
///
/// # Errors
/// All hosts that did not, each with ssh's words and a fix, as findings too.
pub fn facts_of(cluster: &Cluster, answers: Answers) -> Result<ClusterFacts, Undecided> {
    let mut facts = ClusterFacts {
        cluster: cluster.name.clone(),
        hosts: BTreeMap::new(),
    };
    let mut errors = Vec::new();
    for (host, answer) in answers {
        match answer {
            Ok(answer) => {
                facts.hosts.insert(host, answer);
            }
            Err(error) => errors.push((host, error)),
        }
    }
    if errors.is_empty() {
        return Ok(facts);
    }
    let findings = errors
        .iter()
        .map(|(host, error)| finding(host, error))
        .collect();
    let problems = errors.iter().map(|(_, error)| problem(error));
    Err(Undecided {
        findings,
        failure: Box::new(Failure::several(Exit::Unreachable, problems)),
    })
}

/// Why there is no decision about a cluster.
#[derive(Clone, Debug)]
pub struct Undecided {
    /// The same as findings; none where the run itself ends.
    pub findings: Vec<Finding>,
    /// In words, with the exit status.
    pub failure: Box<Failure>,
}

impl From<Failure> for Undecided {
    fn from(failure: Failure) -> Self {
        Self {
            findings: Vec::new(),
            failure: Box::new(failure),
        }
    }
}

fn finding(host: &str, error: &GatherError) -> Finding {
    let code = match error {
        GatherError::Unreachable(_) => "HOST_UNREACHABLE",
        GatherError::NoSystemd { .. } | GatherError::Garbled { .. } => "FACTS_INCOMPLETE",
    };
    let problem = problem(error);
    let reason = std::iter::once(problem.what)
        .chain(problem.because)
        .collect::<Vec<_>>();
    Finding::block(code, host, reason.join(": ")).hint(problem.hint.unwrap_or_default())
}

/// Why a host's facts are missing, in ssh's own words.
pub fn problem(error: &GatherError) -> Problem {
    match error {
        GatherError::Unreachable(unreachable) => unreachable_problem(unreachable),
        other => Problem::of(other).hint(other.hint()),
    }
}

/// Why a host could not be asked, in ssh's own words.
pub fn unreachable_problem(unreachable: &Unreachable) -> Problem {
    Problem::of(unreachable)
        .because(unreachable.said.clone())
        .hint(unreachable.hint.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::parse::ParseError;
    use crate::transport::Stage;

    #[test]
    fn a_host_that_cannot_be_asked_and_one_that_answers_half_are_findings_with_what_to_do() {
        let unreachable = GatherError::Unreachable(Unreachable {
            host: "a".to_owned(),
            stage: Stage::NoSession,
            said: "refused by peer".to_owned(),
            hint: "see `MaxSessions`".to_owned(),
        });
        let garbled = GatherError::Garbled {
            host: "a".to_owned(),
            status: 1,
            said: String::new(),
            error: ParseError::Missing("arch".to_owned()),
        };
        let no_systemd = GatherError::NoSystemd {
            host: "a".to_owned(),
            said: "Host is down".to_owned(),
        };
        for (error, code, hint) in [
            (&unreachable, "HOST_UNREACHABLE", "MaxSessions"),
            (&garbled, "FACTS_INCOMPLETE", "--timeout"),
            (&no_systemd, "FACTS_INCOMPLETE", "systemd"),
        ] {
            let found = finding("a", error);
            assert_eq!((found.code.as_ref(), found.subject.as_str()), (code, "a"));
            assert!(found.hint.contains(hint), "{}", found.hint);
        }
    }
}
