//! What is known of a run so far, folded from its events; bars and lines both draw from it.

use jiff::Timestamp;

use crate::event::{Ending, Event, Kind};
use crate::plan::{Outcome, Plan, Purpose, StepId};

/// All clusters of a run, in the order in which their plans came.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// The clusters.
    pub clusters: Vec<ClusterRow>,
    /// How often an interrupt was asked for.
    pub interrupts: u32,
}

/// One cluster's part of a run.
#[derive(Clone, Debug)]
pub struct ClusterRow {
    /// Its name.
    pub name: String,
    /// The hop in hand, such as `3.4.23 to 3.5.16`.
    pub hop: String,
    /// The number of that hop, from 1.
    pub hop_number: usize,
    /// Hops in all.
    pub hops: usize,
    /// Steps of that hop.
    pub steps: usize,
    /// Steps of that hop that have ended.
    pub ended: usize,
    /// When its first step began; until then, when its plan came.
    pub since: Timestamp,
    /// How it ended, and when.
    pub ending: Option<(Ending, Timestamp)>,
    /// Its hosts, in the plan's order.
    pub hosts: Vec<HostRow>,
}

/// One host's part of a hop.
#[derive(Clone, Debug)]
pub struct HostRow {
    /// Its name.
    pub host: String,
    /// Its steps in order.
    pub steps: Vec<StepId>,
    /// How many of them only stage.
    pub staging: usize,
    /// How many of them have begun.
    pub begun: usize,
    /// What it is at.
    pub state: State,
    /// The step in hand, or how it ended, in a few words.
    pub what: String,
    /// What the step in hand said last.
    pub note: String,
    /// Bytes done and in all, for transfers.
    pub bytes: Option<(u64, u64)>,
    /// The steps in hand, oldest first: a snapshot may be taken beside the staging.
    open: Vec<(StepId, String)>,
    /// When the present state began.
    pub since: Timestamp,
}

/// What a host is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its turn has not come, or it is between two of its waves.
    Waiting,
    /// A step goes on.
    Working,
    /// It is being put back.
    Undoing,
    /// All its steps are done.
    Done,
    /// It failed, or the run stopped before it was done.
    Failed,
}

impl Board {
    /// Takes an event in.
    pub fn apply(&mut self, event: &Event) {
        let at = event.at;
        match &event.kind {
            Kind::Plan { cluster, plan, .. } => self.planned(cluster, plan.as_ref(), at),
            Kind::StepStarted {
                cluster,
                host,
                step,
                what,
                undo,
            } => {
                self.step_started(cluster, at);
                self.on(cluster, host, |row| row.start(*step, what, *undo, at));
            }
            Kind::StepProgress {
                cluster,
                host,
                what,
                bytes,
                ..
            } => {
                self.on(cluster, host, |row| row.progress(what, *bytes));
            }
            Kind::StepEnded {
                cluster,
                host,
                step,
                outcome,
                undo,
                ..
            } => {
                self.on(cluster, host, |row| row.open.retain(|(id, _)| id != step));
                self.step_ended(cluster, host, outcome, *undo, at);
            }
            Kind::UndoStarted { cluster, host, .. } => {
                self.on(cluster, host, |row| {
                    row.enter(State::Undoing, "put back", at);
                });
            }
            Kind::Interrupted { times } => self.interrupts = *times,
            Kind::ClusterEnded { ending } => self.cluster_ended(ending, at),
            Kind::Guarded { .. } | Kind::LogRead { .. } | Kind::Ended { .. } => {}
        }
    }

    /// The cluster of that name.
    pub fn cluster(&self, name: &str) -> Option<&ClusterRow> {
        self.clusters.iter().find(|row| row.name == name)
    }

    /// Hosts on which something goes on now, with their clusters.
    pub fn busy(&self) -> impl Iterator<Item = (&ClusterRow, &HostRow)> {
        self.clusters
            .iter()
            .flat_map(|cluster| cluster.hosts.iter().map(move |host| (cluster, host)))
            .filter(|(_, host)| matches!(host.state, State::Working | State::Undoing))
    }

    fn planned(&mut self, name: &str, plan: Option<&Plan>, at: Timestamp) {
        let Some((plan, hop)) = plan.and_then(|plan| Some((plan, plan.hops.first()?))) else {
            return;
        };
        let known = self.clusters.iter_mut().find(|row| row.name == name);
        let (hops, since) = known.map_or((plan.hops.len(), at), |row| {
            (row.hops.max(plan.hops.len()), row.since)
        });
        let row = ClusterRow {
            name: name.to_owned(),
            hop: format!("{} to {}", hop.from, hop.to),
            hop_number: hops - plan.hops.len() + 1,
            hops,
            steps: hop.steps().count(),
            ended: 0,
            since,
            ending: None,
            hosts: host_rows(plan, at),
        };
        match self.clusters.iter_mut().find(|row| row.name == name) {
            Some(known) => *known = row,
            None => self.clusters.push(row),
        }
    }

    /// The time between a plan and its first step is the user's, who was asked.
    fn step_started(&mut self, cluster: &str, at: Timestamp) {
        let row = self.clusters.iter_mut().find(|row| row.name == cluster);
        if let Some(row) = row.filter(|row| !row.has_begun()) {
            row.since = at;
        }
    }

    fn step_ended(
        &mut self,
        cluster: &str,
        host: &str,
        outcome: &Outcome,
        undo: bool,
        at: Timestamp,
    ) {
        if let Some(row) = self.clusters.iter_mut().find(|row| row.name == cluster) {
            row.ended += usize::from(!undo);
        }
        self.on(cluster, host, |row| row.end(outcome, undo, at));
    }

    fn cluster_ended(&mut self, ending: &Ending, at: Timestamp) {
        let Some(row) = self
            .clusters
            .iter_mut()
            .find(|row| row.name == ending.cluster)
        else {
            return;
        };
        for host in &mut row.hosts {
            let known = ending
                .members
                .iter()
                .find(|member| member.host == host.host);
            let said = known.map_or("", |member| member.state.as_str());
            host.close(ending.status == 0, said, at);
        }
        row.ending = Some((ending.clone(), at));
    }

    fn on(&mut self, cluster: &str, host: &str, act: impl FnOnce(&mut HostRow)) {
        let row = self
            .clusters
            .iter_mut()
            .filter(|row| row.name == cluster)
            .find_map(|row| row.hosts.iter_mut().find(|row| row.host == host));
        if let Some(row) = row {
            act(row);
        }
    }
}

impl ClusterRow {
    /// Whether it is staged and no more: other clusters go first.
    pub fn awaits_its_turn(&self) -> bool {
        let waits = |row: &HostRow| row.state == State::Waiting && row.begun <= row.staging;
        self.hop_number == 1 && self.hosts.iter().all(waits)
    }

    /// Whether any step has begun, or it is over without one.
    pub fn has_begun(&self) -> bool {
        self.ending.is_some() || self.hop_number > 1 || self.hosts.iter().any(|row| row.begun > 0)
    }
}

impl HostRow {
    fn start(&mut self, step: StepId, what: &str, undo: bool, at: Timestamp) {
        if let Some(place) = self.steps.iter().position(|id| *id == step)
            && !undo
        {
            self.begun = self.begun.max(place + 1);
            self.open.push((step, what.to_owned()));
        }
        self.enter(if undo { State::Undoing } else { State::Working }, what, at);
    }

    fn progress(&mut self, what: &str, bytes: Option<(u64, u64)>) {
        what.clone_into(&mut self.note);
        self.bytes = bytes;
    }

    fn end(&mut self, outcome: &Outcome, undo: bool, at: Timestamp) {
        match outcome {
            Outcome::Failed { causes } => {
                let cause = causes.first().map_or("failed", String::as_str);
                self.enter(State::Failed, cause, at);
            }
            Outcome::NotRun { because } => self.enter(State::Waiting, because, at),
            Outcome::Changed { .. } | Outcome::Unchanged { .. } if undo => {}
            Outcome::Changed { .. } | Outcome::Unchanged { .. } => self.step_done(at),
        }
    }

    fn step_done(&mut self, at: Timestamp) {
        if let Some((_, what)) = self.open.last().cloned() {
            self.enter(State::Working, &what, at);
        } else if self.begun == self.steps.len() {
            self.enter(State::Done, "done", at);
        } else {
            self.enter(State::Waiting, "waits for its turn", at);
        }
    }

    fn close(&mut self, well: bool, said: &str, at: Timestamp) {
        let state = match (well, self.state) {
            (true, _) | (false, State::Done) => State::Done,
            (false, State::Waiting) => State::Waiting,
            (false, State::Working | State::Undoing | State::Failed) => State::Failed,
        };
        let what = if said.is_empty() {
            self.what.clone()
        } else {
            said.to_owned()
        };
        self.enter(state, &what, at);
    }

    fn enter(&mut self, state: State, what: &str, at: Timestamp) {
        self.state = state;
        what.clone_into(&mut self.what);
        self.note.clear();
        self.bytes = None;
        self.since = at;
    }
}

fn host_rows(plan: &Plan, at: Timestamp) -> Vec<HostRow> {
    let mut rows: Vec<HostRow> = Vec::new();
    let waves = plan.hops.iter().take(1).flat_map(|hop| &hop.waves);
    let lanes = waves.flat_map(|wave| wave.lanes.iter().map(|lane| (wave.purpose, lane)));
    for (purpose, lane) in lanes {
        let steps = lane.steps.iter().map(|step| step.id);
        let staging = if purpose == Purpose::Stage {
            lane.steps.len()
        } else {
            0
        };
        match rows.iter_mut().find(|row| row.host == lane.host) {
            Some(row) => {
                row.steps.extend(steps);
                row.staging += staging;
            }
            None => rows.push(HostRow {
                host: lane.host.clone(),
                steps: steps.collect(),
                staging,
                begun: 0,
                state: State::Waiting,
                what: "waits for its turn".to_owned(),
                note: String::new(),
                bytes: None,
                open: Vec::new(),
                since: at,
            }),
        }
    }
    rows
}
