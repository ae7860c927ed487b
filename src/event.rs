//! What happened, as data with times. The journal, the reporters and `--output json` all read these.
//!
//! The grammar of a run, with one word a [`Kind`]:
//!
//! ```text
//! run      = plan* cluster* ended                        plan: one a cluster, all before the first change
//! cluster  = (hop plan)* hop? cluster_ended              a further hop is planned again, visibly
//! hop      = (step | guarded | log_read | interrupted)*  lanes of a wave run together, so steps interleave; a log is
//!                                                        read beside the next wave
//! step     = step_started step_progress* step_ended      step_started is on disk before the act
//! failure  = step_ended(failed) step_ended(not_run)* undo_started step(undo)*
//! ```
//!
//! So a journal without `ended` is of a run that was killed (or runs still), and a `step_started` without its
//! `step_ended` names the step that was in hand. Steps that a stop leaves out get a `step_ended` with
//! [`Outcome::NotRun`]: nothing of a plan is passed over in silence.
//!
//! Events are facts, not messages: words for people are made from them in [`crate::report`], and no code decides
//! anything by a text in them. `index` counts without gaps, so a reader can tell a cut stream from an ended one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::etcd::MemberId;
use crate::etcd::log::Digest;
use crate::plan::{Finding, Outcome, Plan, StepId};

/// The format of serialised events.
pub const FORMAT: u32 = 1;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// [`FORMAT`].
    pub format: u32,
    /// The run's id.
    pub run: String,
    /// Its number in the run, from 0, without gaps.
    pub index: u64,
    /// When, with the control machine's clock.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub kind: Kind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// The first event of a cluster's part of a run (again at each hop's boundary): the whole plan.
    Plan {
        /// The cluster.
        cluster: String,
        /// The plan; `None` if there is none.
        plan: Option<Plan>,
        /// What was found.
        findings: Vec<Finding>,
        /// In the first event of a run over several clusters: the plans of all others, which also come as events of
        /// their own. Else empty and left out.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        others: Vec<ClusterPlan>,
    },
    /// A step begins. Journaled and flushed before the act.
    StepStarted {
        /// The cluster.
        cluster: String,
        /// The host.
        host: String,
        /// The step.
        step: StepId,
        /// What is done, in a few words: "stop etcd.service".
        what: String,
        /// Whether it belongs to an undo.
        undo: bool,
    },
    /// Something to show about a step that goes on.
    StepProgress {
        /// The cluster.
        cluster: String,
        /// The host.
        host: String,
        /// The step.
        step: StepId,
        /// What is awaited or how far it got.
        what: String,
        /// Bytes done and in all, for transfers.
        bytes: Option<(u64, u64)>,
    },
    /// A step ended.
    StepEnded {
        /// The cluster.
        cluster: String,
        /// The host.
        host: String,
        /// The step.
        step: StepId,
        /// How.
        outcome: Outcome,
        /// How long it took, in milliseconds.
        took_ms: u64,
        /// Whether it belongs to an undo.
        undo: bool,
    },
    /// The engine asked the cluster right before a disruptive step.
    Guarded {
        /// The cluster.
        cluster: String,
        /// The host in turn.
        host: String,
        /// The step that waits.
        step: StepId,
        /// `None`: go on. Else why not.
        refused: Option<String>,
    },
    /// What the units wrote while a member had its turn was read, on all hosts.
    LogRead {
        /// The cluster.
        cluster: String,
        /// The host whose member had its turn.
        host: String,
        /// Each host's log.
        hosts: Vec<HostLog>,
        /// How long it took, in milliseconds, beside the run but for the last one.
        took_ms: u64,
    },
    /// A member failed and is put back.
    UndoStarted {
        /// The cluster.
        cluster: String,
        /// The host.
        host: String,
        /// Why.
        because: Vec<String>,
    },
    /// An interrupt was asked for; the run stops at the next safe point.
    Interrupted {
        /// 1: finish the member in hand. 2: abandon waiting.
        times: u32,
    },
    /// One cluster's part of the run is over.
    ClusterEnded {
        /// How.
        ending: Ending,
    },
    /// The last event of a run.
    Ended {
        /// The exit status, as in [`crate::exit::Exit`].
        status: u8,
        /// One line for people.
        summary: String,
        /// Each cluster's ending.
        clusters: Vec<Ending>,
        /// How long it took, in milliseconds.
        took_ms: u64,
    },
}

/// What a host's unit wrote while a member had its turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostLog {
    /// The host.
    pub host: String,
    /// What the lines come to.
    #[serde(flatten)]
    pub digest: Digest,
    /// Signs that were looked for here and not seen.
    pub lacks: Vec<String>,
    /// Whether there was more than is read.
    pub cut: bool,
    /// Why nothing could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
}

/// What planning came to for one cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterPlan {
    /// The cluster.
    pub cluster: String,
    /// The plan; `None` if there is none.
    pub plan: Option<Plan>,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// How a cluster's part of a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The cluster.
    pub cluster: String,
    /// The exit status that this cluster alone would give.
    pub status: u8,
    /// One line: "step 14 of 31 failed: …", "all 3 members run 3.5.16".
    pub summary: String,
    /// Causes, nearest first; printed as `because:` lines.
    pub causes: Vec<String>,
    /// The state of each member; printed as the `changed:` line.
    pub members: Vec<MemberState>,
    /// Whether anything on a host was changed by this run.
    pub changed: bool,
    /// What to type next; may be empty.
    pub hint: String,
    /// Backups and other things that this run left on purpose.
    pub left: Vec<String>,
}

/// The state of a member as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberState {
    /// The host.
    pub host: String,
    /// The member's name.
    pub member: String,
    /// Its id, if known.
    pub id: Option<MemberId>,
    /// A few words: "runs 3.5.16 and is healthy", "was put back on 3.4.23 and is healthy", "is stopped".
    pub state: String,
}
