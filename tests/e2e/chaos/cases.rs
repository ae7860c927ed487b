//! What strikes an upgrade, and when.

use crate::common::follow::When;

/// What strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The runner gets SIGKILL.
    Killed,
    /// A host loses its power.
    PowerCut(Whose),
    /// A host's link goes down, its processes go on.
    CutOff,
    /// sshd is stopped and all its processes are killed.
    NoSshd,
    /// Somebody fills a disk.
    FullDisk(Disk),
    /// The new release does not work.
    Bad(Bad),
    /// The unit has a flag that the new release does not know.
    FlagRefused,
    /// The user may no longer become root.
    NoSudo,
    /// What scripts on the host read from the clock is an hour ahead; the kernel's clock is everybody's.
    ClockAhead,
    /// Every link carries 20 Mbit/s.
    SlowLinks,
    /// sshd allows two sessions a connection and three connections that are not logged in.
    FewSessions,
    /// A second run comes.
    SecondRun,
    /// Somebody moves the leadership, to the member in hand if that takes it.
    LeaderMoved,
    /// Somebody adds a member that is not there yet.
    MemberAdded,
    /// Somebody removes a member that neither leads nor is in hand.
    MemberRemoved,
}

/// Whose host is struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// That of the member in hand.
    InHand,
    /// Another one.
    Other,
}

/// Which folder is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    Backup,
    Install,
    Data,
}

impl Disk {
    /// The folder.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Backup => "/var/backups/etcd",
            Self::Install => "/opt/etcd",
            Self::Data => "/var/lib/etcd",
        }
    }
}

/// What the new release does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// It ends at its start.
    Crashes,
    /// It starts and says nothing, for good.
    Hangs,
    /// It starts, answers, and never finds the others.
    NeverHealthy,
    /// It is well for 20 s, then it ends; the run waits longer.
    DiesLater,
}

/// A fault at a time, and how the run may end.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub fault: Fault,
    pub when: When,
    /// Exit statuses that are right; none of a run that is killed.
    pub ends: &'static [i32],
}

impl Case {
    /// How many members may be down at once: one of ours, and those that the fault itself takes down.
    pub fn may_be_down(&self) -> usize {
        match self.fault {
            // A disk may be full only after its member was found healthy and the next one's turn has come.
            Fault::PowerCut(Whose::Other) | Fault::MemberRemoved | Fault::FullDisk(Disk::Data) => 2,
            _ => 1,
        }
    }

    /// Whether it is over within about a minute on a machine that has nothing else to do: it neither waits for a host
    /// that does not come back nor for a member that does not get well, and no link is slow.
    pub fn is_quick(&self) -> bool {
        let is_left_out = match self.fault {
            Fault::PowerCut(_) | Fault::CutOff | Fault::NoSshd | Fault::SlowLinks => true,
            Fault::Bad(bad) => matches!(bad, Bad::Hangs | Bad::NeverHealthy),
            _ => false,
        };
        !is_left_out && !matches!(self.when, When::Underway(_))
    }

    /// Further arguments of the run.
    pub fn args(&self) -> &'static [&'static str] {
        match self.fault {
            Fault::Bad(Bad::DiesLater) => &["--settle", "30s"],
            // Minutes of waiting for what does not come would be the same minutes in every case. A loaded machine stages a
            // release in less.
            Fault::SlowLinks | Fault::FewSessions => &[],
            // The second one has to look around before it comes to the lock.
            Fault::SecondRun => &["--settle", "10s"],
            _ => &["--timeout", "120s"],
        }
    }
}

/// The kinds of steps of the upgrade that is struck.
const STEPS: [&str; 12] = [
    "stage_release",
    "check_flags",
    "take_backup",
    "fetch_backup",
    "prune_backups",
    "move_leader",
    "stop_unit",
    "switch_release",
    "write_file",
    "start_unit",
    "settle",
    "await_cluster_version",
];

/// Nobody is down yet: nothing was touched.
const UNTOUCHED: &[i32] = &[3, 4, 5];
/// The member in hand is lost, or could be put back.
const HURT: &[i32] = &[5, 6];
/// Whether it is noticed depends on who is quicker.
const PERHAPS: &[i32] = &[0, 3, 5, 6];

/// All cases.
pub fn all() -> Vec<Case> {
    let at = |fault, when, ends| Case { fault, when, ends };
    let last = STEPS[STEPS.len() - 1];
    let bounds = STEPS
        .into_iter()
        .flat_map(|step| [When::Begun(step), When::Done(step)]);
    let mut cases: Vec<Case> = bounds.map(|when| at(Fault::Killed, when, &[])).collect();
    for whose in [Whose::InHand, Whose::Other] {
        let cut = |when, ends| at(Fault::PowerCut(whose), when, ends);
        cases.extend([
            cut(When::Begun("stage_release"), UNTOUCHED),
            cut(When::Begun("take_backup"), PERHAPS_UNTOUCHED),
            cut(When::Begun("stop_unit"), HURT),
            cut(When::Begun("switch_release"), HURT),
            cut(When::Begun("start_unit"), HURT),
            cut(When::Begun("settle"), HURT),
            cut(When::Begun(last), &[0, 6]),
        ]);
    }
    cases.extend([
        at(Fault::CutOff, When::Underway("stage_release"), UNTOUCHED),
        at(Fault::CutOff, When::Begun("stop_unit"), HURT),
        at(Fault::CutOff, When::Begun("settle"), HURT),
        at(Fault::NoSshd, When::Begun("stage_release"), UNTOUCHED),
        at(Fault::NoSshd, When::Begun("stop_unit"), HURT),
        at(Fault::NoSshd, When::Begun("settle"), HURT),
        // The backup is taken beside the staging, and may be there before the disk is full.
        at(
            Fault::FullDisk(Disk::Backup),
            When::Begun("stage_release"),
            &[0, 3, 4, 5],
        ),
        at(
            Fault::FullDisk(Disk::Install),
            When::Underway("stage_release"),
            UNTOUCHED,
        ),
        at(Fault::FullDisk(Disk::Data), When::Begun("stop_unit"), HURT),
        at(Fault::Bad(Bad::Crashes), When::Before, &[5]),
        at(Fault::Bad(Bad::Hangs), When::Before, &[5]),
        at(Fault::Bad(Bad::NeverHealthy), When::Before, &[5]),
        at(Fault::Bad(Bad::DiesLater), When::Before, &[5]),
        at(Fault::FlagRefused, When::Before, &[3]),
        // A shell that root's rights were given to keeps them; nobody is stopped with it.
        at(Fault::NoSudo, When::Begun("take_backup"), UNTOUCHED),
        at(Fault::NoSudo, When::Begun("stop_unit"), &[0, 5, 6]),
        at(Fault::NoSudo, When::Begun("settle"), &[0, 5, 6]),
        at(Fault::ClockAhead, When::Before, &[0]),
        at(Fault::ClockAhead, When::Begun("settle"), &[0]),
        at(Fault::SlowLinks, When::Before, &[0]),
        at(Fault::FewSessions, When::Before, &[0]),
        at(Fault::SecondRun, When::Begun("stage_release"), &[0]),
        at(Fault::SecondRun, When::Begun("stop_unit"), &[0]),
        at(Fault::LeaderMoved, When::Begun("stop_unit"), &[0, 5]),
        at(Fault::LeaderMoved, When::Begun("settle"), &[0]),
        at(Fault::LeaderMoved, When::Done("settle"), &[0]),
        at(Fault::MemberAdded, When::Begun("take_backup"), &[3]),
        at(Fault::MemberAdded, When::Done("settle"), PERHAPS),
        // By the time that it is removed, its turn may have come.
        at(Fault::MemberRemoved, When::Begun("take_backup"), &[3, 5, 6]),
        at(Fault::MemberRemoved, When::Done("settle"), PERHAPS),
    ]);
    cases
}

/// A host that has no power while backups are taken may have taken its part already.
const PERHAPS_UNTOUCHED: &[i32] = &[3, 4, 5];
