//! Carries out plans: the only writer of hosts. It makes no choice that the plan has not made, except to stop.
//!
//! A hop's waves run one after the other, but for the snapshot beside the staging; a wave's lanes side by side, a lane's
//! steps in order (`lane`). Before each disruptive step the cluster is asked again (`guard`); what announces an act is on
//! disk before it ([`crate::journal`]). A member that fails is put back by the undo of its own steps (in a restore all members by that
//! of the whole hop, `whole`), and how the cluster is then is looked at afresh (`ending`), never inferred. What the units
//! log meanwhile is read beside it ([`log`]) and decides nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures_util::future::join_all;

use crate::event::{Ending, Kind, MemberState};
use crate::facts::Observation;
use crate::inventory::Cluster;
use crate::journal::{JournalError, Recorder};
use crate::plan::lint;
use crate::plan::{Action, Hop, Lane, OnFailure, Plan, Purpose, Step, StepId, Wave};
use crate::transport::{Transport, Unreachable};

pub mod act;
pub mod cancel;
mod ending;
mod failure;
pub mod gate;
pub mod guard;
pub mod lane;
mod ledger;
pub mod lock;
pub mod log;
pub mod rescue;
pub mod undo;
pub mod wait;
mod whole;

pub use act::pack::Packs;
pub use cancel::Interrupt;
pub use gate::Gate;
pub use ledger::Ledger;

/// Carries out plans.
#[derive(Clone)]
pub struct Engine {
    /// The way to hosts.
    pub transport: Arc<dyn Transport>,
    /// The journal, and whoever listens to it.
    pub recorder: Arc<Recorder>,
    /// Asks a run to stop.
    pub interrupt: Interrupt,
    /// What the members said when the plan was made.
    pub seen: Observation,
    /// Binaries of releases on this machine, by SHA-256 in hex: what `StageRelease` sends.
    pub binaries: BTreeMap<String, PathBuf>,
    /// The same made smaller, for hosts behind slow links.
    pub packs: Arc<Packs>,
    /// Where fetched backups go, under `backups/<cluster>/`.
    pub state_dir: PathBuf,
    /// The locks on the hosts; those that are not held yet are taken before the first step.
    pub locks: Arc<lock::Locks>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("recorder", &self.recorder)
            .field("interrupt", &self.interrupt)
            .field("state_dir", &self.state_dir)
            .finish_non_exhaustive()
    }
}

/// Why a step did not come to a good end.
#[derive(Debug)]
pub enum Failure {
    /// The host could not be asked.
    Unreachable(Unreachable),
    /// A guard or a step refused, and has changed nothing.
    Refused(String),
    /// It was tried and failed; from the nearest cause to the furthest.
    Failed(Vec<String>),
    /// The lock was lost and somebody else has it now.
    Locked(String),
    /// The journal could not be written, so nothing was done.
    Journal(JournalError),
    /// A second interrupt came while something was awaited.
    Abandoned,
}

/// How the members of a cluster are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Now {
    /// Each one's state.
    pub members: Vec<MemberState>,
    /// Whether all are well.
    pub well: bool,
}

/// How a hop came to its end.
#[derive(Debug)]
pub(crate) enum End {
    /// All steps are done.
    Done,
    /// Stopped at a safe point.
    Interrupted,
    /// The gate let no further wave begin: stopped at a safe point, because.
    Held(String),
    /// A step failed.
    Failed(Stop),
}

/// The step that failed and what was done about it.
#[derive(Debug)]
pub(crate) struct Stop {
    /// Its host.
    pub(crate) host: String,
    /// The step.
    pub(crate) step: StepId,
    /// Why.
    pub(crate) failure: Failure,
    /// What was done about it.
    pub(crate) repair: Repair,
}

/// What was done about a failed member.
#[derive(Debug)]
pub(crate) enum Repair {
    /// No disruptive step of its lane had begun.
    NotNeeded,
    /// All its steps were undone.
    PutBack,
    /// The plan says to leave it as it is, or the run was abandoned.
    Left,
    /// The cluster has gone on, so that the old release must not come back; why.
    TooLate(Vec<String>),
    /// The undo failed too.
    Failed(Vec<String>),
}

impl Engine {
    /// Executes the first hop of `plan` and tells how the cluster is afterwards.
    pub async fn run(&self, cluster: &Cluster, plan: &Plan) -> Ending {
        self.run_through(cluster, plan, &Gate::open()).await
    }

    /// As [`Self::run`], where each wave begins only when `gate` lets it.
    pub async fn run_through(&self, cluster: &Cluster, plan: &Plan, gate: &Gate) -> Ending {
        let ledger = Ledger::default();
        let mut ending = if let Err(broken) = lint::lint(plan) {
            ending::unsound(cluster, &broken)
        } else if let Err(no) = self.lock(cluster, plan).await {
            ending::not_begun(self, cluster, plan, &no).await
        } else {
            let _near = Near::to(cluster, &*self.transport);
            let end = self.hop(cluster, plan, gate, &ledger).await;
            ending::tell(self, cluster, plan, &ledger, end).await
        };
        let event = Kind::ClusterEnded {
            ending: ending.clone(),
        };
        if let Err(error) = self.recorder.record(event) {
            ending::unrecorded(&mut ending, &error);
        }
        ending
    }

    /// Looks how the members are, at a time when nothing is being done.
    pub async fn look_again(&self, cluster: &Cluster, plan: &Plan) -> Now {
        let (members, well) =
            ending::members(self, cluster, plan, &Ledger::default(), &End::Done).await;
        Now { members, well }
    }

    async fn hop(&self, cluster: &Cluster, plan: &Plan, gate: &Gate, ledger: &Ledger) -> End {
        let Some(hop) = plan.hops.first() else {
            return End::Done;
        };
        let works = whole::Works {
            engine: self,
            cluster,
            plan,
            hop,
            ledger,
        };
        let mut logs = log::Logs::new(self, cluster, plan, hop);
        let end = self.waves(&works, gate, &mut logs).await;
        logs.finish().await;
        end
    }

    async fn waves<'a>(
        &self,
        works: &whole::Works<'a>,
        gate: &Gate,
        logs: &mut log::Logs<'a>,
    ) -> End {
        let (cluster, plan, hop, ledger) = (works.cluster, works.plan, works.hop, works.ledger);
        let mut rest = hop.waves.as_slice();
        while let Some(wave) = rest.first() {
            let (now, later) = rest.split_at(together(rest, gate));
            rest = later;
            let goes_on = whole::goes_on(plan, ledger);
            let entered = if goes_on {
                Ok(())
            } else {
                logs.beside(enter(gate, now)).await
            };
            let end = if !goes_on && self.interrupt.is_raised() {
                End::Interrupted
            } else if let Err(because) = entered {
                End::Held(because)
            } else {
                for wave in now {
                    logs.begin(wave);
                }
                let work = self.lanes(cluster, plan, hop, now, ledger);
                logs.beside(work).await
            };
            if let Some(wave) = now.last() {
                logs.ended(wave, later.first(), &end, ledger);
            }
            match end {
                End::Done => {}
                end if whole::is(plan) => return whole::ended(works, wave, end).await,
                end => return end,
            }
        }
        End::Done
    }

    /// Runs the lanes of these waves side by side; all of them end before the first failure is told.
    async fn lanes(
        &self,
        cluster: &Cluster,
        plan: &Plan,
        hop: &Hop,
        waves: &[Wave],
        ledger: &Ledger,
    ) -> End {
        let lanes = waves.iter().flat_map(|wave| &wave.lanes);
        let lanes = lanes.map(|lane| async move {
            match cluster.host(&lane.host) {
                Some(host) => {
                    lane::run(&act::Turn {
                        engine: self,
                        cluster,
                        plan,
                        hop,
                        lane,
                        host,
                        ledger,
                        disrupted: AtomicBool::new(whole::goes_on(plan, ledger)),
                        lost: AtomicBool::new(false),
                    })
                    .await
                }
                None => unknown_host(lane),
            }
        });
        let mut worst = End::Done;
        for end in join_all(lanes).await {
            match (&worst, &end) {
                (End::Failed(_), _) | (_, End::Done) => {}
                _ => worst = end,
            }
        }
        worst
    }
}

/// While this lives, the transport expects commands for a cluster's hosts.
struct Near<'a> {
    cluster: &'a Cluster,
    transport: &'a dyn Transport,
}

impl<'a> Near<'a> {
    fn to(cluster: &'a Cluster, transport: &'a dyn Transport) -> Self {
        let near = Self { cluster, transport };
        near.expect(true);
        near
    }

    fn expect(&self, more: bool) {
        for host in &self.cluster.hosts {
            self.transport.expect(&host.name, more);
        }
    }
}

impl Drop for Near<'_> {
    fn drop(&mut self) {
        self.expect(false);
    }
}

/// Waits until all of these waves may begin.
async fn enter(gate: &Gate, waves: &[Wave]) -> Result<(), String> {
    for wave in waves {
        gate.enter(wave).await?;
    }
    Ok(())
}

/// How many of the next waves run together: staging and the snapshot behind it, which need nothing of each other
/// and disturb no member. Where clusters wait for each other, each is backed up when its turn has come.
fn together(waves: &[Wave], gate: &Gate) -> usize {
    let is_snapshot = |wave: &Wave| {
        let mut steps = wave.lanes.iter().flat_map(|lane| &lane.steps);
        let of_v2 = |step: &Step| matches!(step.action, Action::TakeV2Backup { .. });
        wave.purpose == Purpose::Backup && !steps.any(of_v2)
    };
    match waves {
        [stage, backup, ..]
            if stage.purpose == Purpose::Stage && is_snapshot(backup) && gate.overlaps() =>
        {
            2
        }
        _ => 1,
    }
}

fn unknown_host(lane: &Lane) -> End {
    let step = lane.steps.first().map_or(StepId(0), |step| step.id);
    End::Failed(Stop {
        host: lane.host.clone(),
        step,
        failure: Failure::because(format!("`{}` is not a host of the inventory", lane.host)),
        repair: Repair::NotNeeded,
    })
}

/// Whether a failed lane of this plan is undone.
fn is_undone(plan: &Plan, failure: &Failure) -> bool {
    let possible = !matches!(failure, Failure::Abandoned | Failure::Journal(_));
    possible && plan.on_failure == OnFailure::Undo
}
