//! The ending for people: each cluster, what was changed, what was left, how long it took.

use std::fmt::Write as _;
use std::time::Duration;

use super::text::{Paint, duration, one_line};
use crate::event::Ending;

/// The ending of clusters that are well. Those that are not are errors, which `error` prints.
pub fn text(endings: &[Ending], took: Duration, paint: Paint) -> String {
    let mut out = String::new();
    for ending in endings.iter().filter(|ending| ending.status == 0) {
        cluster(&mut out, ending, paint);
    }
    if !out.is_empty() {
        let _ = writeln!(out, "{}", paint.dim(&format!("took {}", duration(took))));
    }
    out
}

fn cluster(out: &mut String, ending: &Ending, paint: Paint) {
    let head = format!("{}: {}", ending.cluster, ending.summary);
    let _ = writeln!(out, "{} {}", paint.green("✔"), one_line(&head));
    let _ = writeln!(
        out,
        "{} {}",
        paint.bold("changed:"),
        one_line(&changed(ending))
    );
    for left in &ending.left {
        let _ = writeln!(out, "{} {}", paint.bold("left:"), one_line(left));
    }
}

/// The `changed:` line: the state of each member, or that nothing was changed.
pub fn changed(ending: &Ending) -> String {
    if !ending.changed {
        return "nothing".to_owned();
    }
    let states: Vec<String> = ending
        .members
        .iter()
        .map(|member| format!("{} {}", member.host, member.state))
        .collect();
    states.join("; ")
}
