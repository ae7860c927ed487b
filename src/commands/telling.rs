//! Events of a command: through the journal where hosts may be changed, else straight to whoever looks on.

use std::cell::Cell;
use std::sync::Arc;
use std::thread::JoinHandle;

use jiff::Timestamp;

use super::context::Context;
use super::session::{Session, deaf};
use crate::error::{Failure, Problem, Result};
use crate::event::{ClusterPlan, Ending, Event, FORMAT, Kind};
use crate::exit::Exit;
use crate::journal::{Journal, JournalError, Recorder};
use crate::plan::{Finding, Planned};
use crate::report::Voice;

/// A way to tell events.
pub struct Telling<'a> {
    context: &'a Context,
    voice: Voice,
    next: Cell<u64>,
    /// The journal, for commands that may change hosts.
    pub recorder: Option<Arc<Recorder>>,
    forwarder: Cell<Option<JoinHandle<()>>>,
}

impl<'a> Telling<'a> {
    /// Events that nobody keeps.
    pub fn unkept(session: &Session<'a>) -> Self {
        Self {
            context: session.context,
            voice: session.voice.clone(),
            next: Cell::new(0),
            recorder: None,
            forwarder: Cell::new(None),
        }
    }

    /// Events that are on disk before anyone sees them.
    ///
    /// # Errors
    /// The journal cannot be made; so nothing may be begun.
    pub fn journaled(session: &Session<'a>) -> Result<Self> {
        let context = session.context;
        let journal = Journal::create(&context.state_dir, &context.run)
            .map_err(|error| unkept(Exit::Usage, &error))?;
        let recorder = Arc::new(Recorder::new(journal));
        context.place.journal(recorder.path());
        let watched = session
            .signals
            .journaled(Arc::clone(&recorder), session.voice.clone());
        watched.map_err(|error| deaf(&error))?;
        let events = recorder.subscribe();
        let voice = session.voice.clone();
        let forwarder = std::thread::spawn(move || {
            for event in events {
                let last = matches!(event.kind, Kind::Ended { .. });
                voice.event(event);
                if last {
                    break;
                }
            }
        });
        Ok(Self {
            recorder: Some(recorder),
            forwarder: Cell::new(Some(forwarder)),
            ..Self::unkept(session)
        })
    }

    /// Tells an event.
    ///
    /// # Errors
    /// The journal cannot be written; so what it announces may not be done.
    pub fn tell(&self, kind: Kind) -> Result<()> {
        if let Some(recorder) = &self.recorder {
            return recorder
                .record(kind)
                .map_err(|error| unkept(Exit::Refused, &error));
        }
        let index = self.next.replace(self.next.get() + 1);
        self.voice.event(Event {
            format: FORMAT,
            run: self.context.run.clone(),
            index,
            at: Timestamp::now(),
            kind,
        });
        Ok(())
    }

    /// Tells a plan.
    ///
    /// # Errors
    /// As [`Self::tell`].
    pub fn plan(&self, cluster: &str, planned: &Planned) -> Result<()> {
        self.tell(Kind::Plan {
            cluster: cluster.to_owned(),
            plan: planned.plan.clone(),
            findings: planned.findings.clone(),
            others: Vec::new(),
        })
    }

    /// Tells the plans of several clusters: the first event carries all of them, and each cluster has its own.
    ///
    /// # Errors
    /// As [`Self::tell`].
    pub fn plans(&self, mut plans: Vec<ClusterPlan>) -> Result<()> {
        let rest = plans.split_off(plans.len().min(1));
        let Some(first) = plans.pop() else {
            return Ok(());
        };
        self.tell(Kind::Plan {
            cluster: first.cluster,
            plan: first.plan,
            findings: first.findings,
            others: rest.clone(),
        })?;
        for each in rest {
            self.tell(Kind::Plan {
                cluster: each.cluster,
                plan: each.plan,
                findings: each.findings,
                others: Vec::new(),
            })?;
        }
        Ok(())
    }

    /// Tells that there is no plan, because of these findings.
    ///
    /// # Errors
    /// As [`Self::tell`].
    pub fn no_plan(&self, cluster: &str, findings: Vec<Finding>) -> Result<()> {
        self.plan(
            cluster,
            &Planned {
                plan: None,
                findings,
            },
        )
    }

    /// Tells the ending, as the last event.
    ///
    /// # Errors
    /// As [`Self::tell`].
    pub fn end(&self, status: u8, summary: &str, clusters: Vec<Ending>) -> Result<()> {
        let took_ms = u64::try_from(self.context.took().as_millis()).unwrap_or(u64::MAX);
        let told = self.tell(Kind::Ended {
            status,
            summary: summary.to_owned(),
            clusters,
            took_ms,
        });
        if let Some(forwarder) = self.forwarder.take() {
            let _ = forwarder.join();
        }
        told
    }

    /// Tells the ending of a command that failed, if it is not told yet.
    pub fn end_with(&self, failure: &Failure) {
        let summary = failure.problems.first().map_or("", |problem| &problem.what);
        // A journal that cannot be written is the failure itself, or comes after it.
        let _ = self.end(failure.exit.code(), summary, Vec::new());
    }
}

fn unkept(exit: Exit, error: &JournalError) -> Failure {
    Failure::new(
        exit,
        Problem::of(error).hint("make room, or give another folder with `--state-dir`"),
    )
    .changed("nothing")
}
