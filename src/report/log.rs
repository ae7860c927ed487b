//! What units have logged in words: one line a member, and one for each thing that was not expected.

use super::text::count;
use crate::etcd::log::{Grade, Odd};
use crate::event::HostLog;

/// How many kinds of unexpected lines are told without `-v`.
const TOLD: usize = 3;

/// The lines that a member's turn is worth: a summary, then what was not expected, the gravest first.
pub fn told(host: &str, hosts: &[HostLog], verbose: u8) -> Vec<String> {
    let mut odd: Vec<(&HostLog, &Odd)> = hosts
        .iter()
        .flat_map(|log| log.digest.odd.iter().map(move |odd| (log, odd)))
        .collect();
    odd.sort_by_key(|(_, odd)| odd.grade);
    let most = if verbose > 0 { usize::MAX } else { TOLD };
    let each = odd.iter().take(most).map(|(log, odd)| quoted(log, odd));
    let mut lines = vec![summary(host, hosts)];
    lines.extend(each);
    let left = odd.len().saturating_sub(most);
    if left > 0 {
        lines.push(format!("{} with `-v`", count(left, "more kind")));
    }
    lines
}

/// Whether all that was read was expected, and all that was looked for seen.
pub fn is_clean(hosts: &[HostLog]) -> bool {
    hosts.iter().all(|log| {
        let digest = &log.digest;
        digest.odd.is_empty() && digest.more == 0 && log.lacks.is_empty() && log.unread.is_none()
    })
}

fn summary(host: &str, hosts: &[HostLog]) -> String {
    let expected: u32 = hosts.iter().map(|log| log.digest.expected).sum();
    let mut parts = vec![signs(host, hosts)];
    parts.push(format!("{} as expected", number(expected, "complaint")));
    for (grade, noun) in GRADES {
        match hosts.iter().map(|log| log.digest.count(grade)).sum() {
            0 => {}
            lines => parts.push(number(lines, noun)),
        }
    }
    let more: u32 = hosts.iter().map(|log| log.digest.more).sum();
    if more > 0 {
        parts.push(format!("{} of other kinds", number(more, "line")));
    }
    parts.extend(hosts.iter().filter_map(lacks));
    parts.extend(hosts.iter().filter_map(unread));
    let cut = hosts.iter().filter(|log| log.cut);
    parts.extend(cut.map(|log| format!("only the newest lines of `{}` were read", log.host)));
    parts.retain(|part| !part.is_empty());
    parts.join(", ")
}

const GRADES: [(Grade, &str); 3] = [
    (Grade::Error, "error"),
    (Grade::Warning, "warning"),
    (Grade::Unknown, "unknown line"),
];

/// The signs on the host in turn, in the log's own words.
fn signs(host: &str, hosts: &[HostLog]) -> String {
    let here = hosts.iter().find(|log| log.host == host);
    let said = here.map_or(&[][..], |log| &log.digest.said[..]);
    let words = said.iter().map(|said| match &said.value {
        Some(value) => format!("{} {value}", said.sign),
        None => said.sign.clone(),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn lacks(log: &HostLog) -> Option<String> {
    let lacks = log.lacks.join("`, `");
    (!lacks.is_empty()).then(|| format!("no `{lacks}` on `{}`", log.host))
}

fn unread(log: &HostLog) -> Option<String> {
    let why = log.unread.as_ref()?;
    Some(format!("not read on `{}`: {why}", log.host))
}

fn quoted(log: &HostLog, odd: &Odd) -> String {
    let grade = match odd.grade {
        Grade::Error => "error",
        Grade::Warning => "warning",
        Grade::Unknown => "unknown",
    };
    let times = match odd.times {
        1 => String::new(),
        times => format!(" ({times} times)"),
    };
    let means = odd.means.as_ref();
    let means = means.map_or_else(String::new, |means| format!(": {means}"));
    format!("{grade} on `{}`{times}: \"{}\"{means}", log.host, odd.text)
}

fn number(lines: u32, noun: &str) -> String {
    count(usize::try_from(lines).unwrap_or(usize::MAX), noun)
}
