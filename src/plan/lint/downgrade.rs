//! When etcd may be told of its own downgrade, and when to forget it.

use crate::plan::{Action, Downgrade, Hop};

fn position(hop: &Hop, wanted: impl Fn(&Action) -> bool) -> Option<usize> {
    hop.steps().position(|(_, step)| wanted(&step.action))
}

/// Whether the hop ends etcd's own downgrade without having reached its end.
pub(super) fn is_given_up(hop: &Hop) -> bool {
    position(hop, |action| {
        *action == Action::Downgrade(Downgrade::Cancel)
    })
    .is_some()
}

/// While members of the older line run they need it, and before they do etcd must know.
pub(super) fn told(hop: &Hop) -> Vec<String> {
    let stop = position(hop, |action| matches!(action, Action::StopUnit { .. }));
    let enable = position(hop, |action| {
        matches!(action, Action::Downgrade(Downgrade::Enable { .. }))
    });
    let cancel = position(hop, |action| {
        *action == Action::Downgrade(Downgrade::Cancel)
    });
    let starts = |action: &Action| matches!(action, Action::StartUnit { .. });
    let last = hop.steps().filter(|(_, step)| starts(&step.action)).count();
    let started = |at: usize| {
        let before = hop.steps().take(at);
        before.filter(|(_, step)| starts(&step.action)).count()
    };
    let mut wrong = Vec::new();
    if enable.is_some_and(|enable| stop.is_some_and(|stop| stop < enable)) {
        wrong.push("a member is stopped before etcd is told of the downgrade".to_owned());
    }
    if cancel.is_some_and(|cancel| started(cancel) < last) {
        wrong.push("the downgrade is given up before the last member has started".to_owned());
    }
    wrong
}
