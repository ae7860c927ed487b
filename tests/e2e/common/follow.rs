//! A run of the binary, followed by its events while it goes on.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A time in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before it begins.
    Before,
    /// When the first step of this kind begins.
    Begun(&'static str),
    /// When the first step of this kind tells how far it got.
    Underway(&'static str),
    /// When the first step of this kind has ended.
    Done(&'static str),
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Before => f.write_str("whole run"),
            Self::Begun(step) => write!(f, "{step} begins"),
            Self::Underway(step) => write!(f, "{step} under way"),
            Self::Done(step) => write!(f, "{step} ended"),
        }
    }
}

/// The longest that any run may take: all its steps have 30 s, a lost host is waited for twice.
const LONGEST: Duration = Duration::from_secs(600);

/// A run that goes on.
pub struct Run {
    child: Child,
    lines: Receiver<String>,
    err: JoinHandle<String>,
    events: Vec<Value>,
    steps: BTreeMap<u64, String>,
    began: Instant,
}

/// How a run ended.
pub struct Told {
    /// Its exit status; none if it was killed.
    pub status: Option<i32>,
    /// What it told.
    pub events: Vec<Value>,
    /// Its stderr.
    pub err: String,
}

impl Run {
    /// Starts it; the command's streams are pipes.
    pub fn begin(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (say, lines) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(out).lines().map_while(Result::ok);
            lines
                .map(|line| say.send(line))
                .take_while(Result::is_ok)
                .count()
        });
        let err = thread::spawn(move || {
            let mut text = Vec::new();
            err.read_to_end(&mut text).unwrap();
            String::from_utf8_lossy(&text).into_owned()
        });
        Self {
            child,
            lines,
            err,
            events: Vec::new(),
            steps: BTreeMap::new(),
            began: Instant::now(),
        }
    }

    /// Reads on until that time has come and returns the host of the step; nothing if the run ends before.
    pub fn until(&mut self, when: When) -> Option<String> {
        loop {
            let event = self.next()?;
            let (kind, wanted) = match when {
                When::Before => return Some(String::new()),
                When::Begun(wanted) => ("step_started", wanted),
                When::Underway(wanted) => ("step_progress", wanted),
                When::Done(wanted) => ("step_ended", wanted),
            };
            let step = event["step"].as_u64().and_then(|id| self.steps.get(&id));
            if event["kind"] == kind && step.is_some_and(|step| step == wanted) {
                return Some(event["host"].as_str().unwrap().to_owned());
            }
        }
    }

    /// Reads one event; nothing at the end.
    fn next(&mut self) -> Option<Value> {
        let left = LONGEST.saturating_sub(self.began.elapsed());
        let line = match self.lines.recv_timeout(left) {
            Ok(line) => line,
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return None,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                self.child.kill().unwrap();
                panic!("the run hangs; its last event: {:?}", self.events.last());
            }
        };
        let event: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        if event["kind"] == "plan" {
            self.learn(&event["plan"]);
        }
        self.events.push(event.clone());
        Some(event)
    }

    /// Notes what each step does.
    fn learn(&mut self, plan: &Value) {
        let parts = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
        for hop in parts(plan, "hops") {
            for wave in parts(&hop, "waves") {
                let lanes = parts(&wave, "lanes").into_iter();
                for step in lanes.flat_map(|lane| parts(&lane, "steps")) {
                    let does = step["action"]["do"].as_str().unwrap().to_owned();
                    self.steps.insert(step["id"].as_u64().unwrap(), does);
                }
            }
        }
    }

    /// Kills it on the spot.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Told {
        while self.next().is_some() {}
        let status = self.child.wait().unwrap().code();
        Told {
            status,
            events: self.events,
            err: self.err.join().unwrap(),
        }
    }
}

impl Told {
    /// Each member's state as the last event tells it.
    pub fn members(&self) -> BTreeMap<String, String> {
        let last = self.events.last().cloned().unwrap_or_default();
        assert_eq!(last["kind"], "ended", "the last event is {last}");
        let clusters = last["clusters"].as_array().cloned().unwrap_or_default();
        let members = clusters.iter().filter_map(|one| one["members"].as_array());
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        members
            .flatten()
            .map(|member| (text(&member["host"]), text(&member["state"])))
            .collect()
    }
}
