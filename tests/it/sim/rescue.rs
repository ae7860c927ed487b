//! The rescue of a host of the model, as the transient unit would do it.

use std::time::Duration;

use tokio::time::Instant;

use super::model::State;
use super::scripts;

/// How long nobody may hold the lock.
const GRACE: Duration = Duration::from_secs(15);
/// How long a process must be up, if nobody waits.
const STEADY: Duration = Duration::from_secs(30);
/// The same, if somebody does.
const STEADY_ENOUGH: Duration = Duration::from_secs(3);

/// A rescue, armed or at work.
#[derive(Clone, Debug)]
pub struct Rescue {
    pub run: String,
    /// Whether somebody waits for its end.
    pub wanted: bool,
    /// Whether the run has started the unit since.
    pub is_started: bool,
    returns: bool,
    files: Vec<(String, Option<String>)>,
    back: Option<Vec<String>>,
    silent_since: Option<Instant>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waits,
    Started(Instant),
    PutBack(Instant),
}

/// Arms a rescue as the script that stops a unit does.
pub fn arm(state: &mut State, name: &str, args: &[String]) {
    let count: usize = args[7].parse().expect("a number of files");
    let (files, back) = args[8..].split_at(count);
    let host = state.host(name);
    let files = files
        .iter()
        .map(|path| (path.clone(), host.files.get(path).cloned()));
    host.rescue = Some(Rescue {
        run: args[3].clone(),
        wanted: false,
        is_started: false,
        returns: args[6] == "yes",
        files: files.collect(),
        back: (!back.is_empty()).then(|| back[1..].to_vec()),
        silent_since: None,
        stage: Stage::Waits,
    });
}

/// Ends the rescue of a run.
pub fn disarm(state: &mut State, name: &str, run: &str) {
    state.host(name).rescue.take_if(|rescue| rescue.run == run);
}

/// Whether a lock's words are a rescue's.
pub fn is_rescue(words: &str) -> bool {
    words
        .lines()
        .next()
        .is_some_and(|line| line.ends_with(" rescue"))
}

impl State {
    /// Lets rescues do what is due.
    pub fn rescue(&mut self) {
        let names: Vec<String> = self.hosts.keys().cloned().collect();
        for name in names {
            let Some(mut rescue) = self.host(&name).rescue.take() else {
                continue;
            };
            if self.advance(&name, &mut rescue) {
                self.host(&name).rescue = Some(rescue);
            } else {
                self.host(&name).lock.take_if(|words| is_rescue(words));
            }
        }
    }

    /// Says whether the rescue goes on.
    fn advance(&mut self, name: &str, rescue: &mut Rescue) -> bool {
        let steady = if rescue.wanted { STEADY_ENOUGH } else { STEADY };
        let is_up = self.hosts[name].unit.active == "active";
        match rescue.stage {
            Stage::Waits => {
                if self.is_due(name, rescue) {
                    rescue.stage = self.act(name, rescue);
                }
                true
            }
            Stage::Started(since) if is_up => since.elapsed() < steady,
            Stage::Started(_) => {
                let Some(back) = rescue.back.take().filter(|_| rescue.returns) else {
                    return false;
                };
                self.put_back(name, rescue, &back);
                rescue.stage = Stage::PutBack(Instant::now());
                true
            }
            Stage::PutBack(since) => is_up && since.elapsed() < steady,
        }
    }

    fn is_due(&mut self, name: &str, rescue: &mut Rescue) -> bool {
        let run = rescue.run.clone();
        let lock = &mut self.host(name).lock;
        let is_alive = |words: &String| words.lines().next() == Some(run.as_str());
        if rescue.wanted {
            return true;
        }
        if lock.as_ref().is_some_and(is_alive) {
            rescue.silent_since = None;
            return false;
        }
        let since = *rescue.silent_since.get_or_insert_with(Instant::now);
        if lock.is_some() || since.elapsed() < GRACE {
            return false;
        }
        *lock = Some(format!("{run} rescue\n{{}}\n"));
        true
    }

    fn act(&mut self, name: &str, rescue: &Rescue) -> Stage {
        if let Some(back) = rescue.back.as_deref().filter(|_| !rescue.is_started) {
            self.put_back(name, rescue, back);
            return Stage::PutBack(Instant::now());
        }
        self.bring_up(name);
        Stage::Started(Instant::now())
    }

    fn bring_up(&mut self, name: &str) {
        let host = self.host(name);
        host.reload();
        if host.unit.active != "active" {
            self.start(name);
        }
    }

    fn put_back(&mut self, name: &str, rescue: &Rescue, back: &[String]) {
        self.rescued += 1;
        self.stop(name);
        let switched = scripts::switch(self, name, back);
        if let Err(error) = switched {
            self.violations
                .push(format!("{name}: no way back: {error}"));
        }
        let host = self.host(name);
        for (path, text) in &rescue.files {
            match text {
                Some(text) => drop(host.files.insert(path.clone(), text.clone())),
                None => drop(host.files.remove(path)),
            }
        }
        self.bring_up(name);
    }
}
