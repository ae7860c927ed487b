//! Remedies before and after a hop, each a step that is shown, journaled and undone.
//!
//! A member whose log still holds what the next release chokes on is restarted once on the release that it runs, with
//! a lower `snapshot-count`, until it has taken a raft snapshot: a start reads the log from there on. The lower count
//! comes as a drop-in, or as a line in etcd's configuration file where that is what etcd reads, and is taken away again
//! right after; the process keeps it until its next start, which is its upgrade.

use crate::etcd::catalogue::{Cure, Remedy};
use crate::facts::OldRequests;

use super::options::{Options, variable};
use super::seats::{Seat, views};
use super::upgrade::{Request, Work};
use super::v2;

/// What is behind a line of a configuration file that is ours, with the line that stood there.
const MARK: &str = " # runner: for a raft snapshot, was ";
/// Snapshots that come every few entries cost more than they are worth; so many are passed in a moment at start.
const MOST: u64 = 1000;
/// What is written in less than a second.
const LEAST: u64 = 10;

/// How a lower count reaches a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lowered {
    /// The file that says it.
    pub dest: String,
    /// What is there now.
    pub before: Option<String>,
    /// What will be there meanwhile.
    pub text: String,
    /// What will be there afterwards; `None` if the file goes away.
    pub after: Option<String>,
    /// `USER:GROUP`.
    pub owner: String,
    /// The mode.
    pub mode: u32,
    /// Whether systemd reads it.
    pub unit: bool,
}

/// The remedies of this hop.
pub(super) fn remedies<'a>(request: &Request<'a>, work: &Work) -> &'a [Remedy] {
    let (from, to) = (work.from.minor(), work.to.minor());
    let upgrades = work.kind == super::Kind::Upgrade;
    let hop = request.rules.hop(from, to).filter(|_| upgrades);
    hop.map(|hop| hop.remedies.as_slice()).unwrap_or_default()
}

/// Whether one of the hop's remedies is this one.
pub(super) fn asks_for(request: &Request, work: &Work, cure: Cure) -> bool {
    remedies(request, work).iter().any(|one| one.cure == cure)
}

/// The remedy that asks for a raft snapshot of this member, if its log holds what it is against. A log that could not
/// be read may hold it.
pub(super) fn snapshot<'a>(request: &Request<'a>, work: &Work, seat: &Seat) -> Option<&'a Remedy> {
    if !seat.is_below(&work.to) {
        return None;
    }
    let taken = seat.facts.data.snap.map_or(0, |snap| snap.index);
    let drops = drops_v2(request, work);
    remedies(request, work).iter().find(|remedy| {
        if drops && remedy.cure == Cure::SnapshotIfClient {
            return true;
        }
        let last = match (&seat.facts.data.old_requests, remedy.cure) {
            (_, Cure::WriteBefore | Cure::WriteAfter) => None,
            (OldRequests::Unknown(_), _) => Some(u64::MAX),
            (OldRequests::Found { from_2, .. }, Cure::SnapshotIfFrom2) => *from_2,
            (OldRequests::Found { client, .. }, Cure::SnapshotIfClient) => *client,
            (OldRequests::Found { any, .. }, Cure::SnapshotIfAny) => *any,
        };
        last.is_some_and(|index| index > taken)
    })
}

/// Whether the keys of the v2 store are deleted before this hop: its release does not start on them. Deletions are
/// requests of API 2, too, so each member needs a raft snapshot behind them.
pub(super) fn drops_v2(request: &Request, work: &Work) -> bool {
    asks_for(request, work, Cure::SnapshotIfClient) && v2::found(request.facts)
}

/// Whether this member, the first to be restarted, serves API 2 meanwhile, to delete its keys: by itself it does not.
fn opens_v2(request: &Request, work: &Work, seat: &Seat) -> bool {
    let own = v2::setting(seat, "enable-v2");
    let served = |version| v2::serves(version, own.as_deref());
    drops_v2(request, work) && !seat.version().is_some_and(served)
}

/// How a lower count reaches each member that needs a raft snapshot, or why it cannot.
pub(super) fn lower<'a, 'w>(
    request: &Request,
    work: &'w Work<'a>,
) -> Vec<(&'w Seat<'a>, Result<Lowered, String>)> {
    let seats = in_need(request, work);
    let count = count(request, &seats);
    let lowered = |(at, seat): (usize, &'w Seat<'a>)| {
        let mut settings = vec![("snapshot-count", count.to_string())];
        if at == 0 && opens_v2(request, work, seat) {
            settings.push(("enable-v2", "true".to_owned()));
        }
        (seat, lowered(seat, &settings))
    };
    seats.into_iter().enumerate().map(lowered).collect()
}

/// The members of this hop that need a raft snapshot first.
pub(super) fn in_need<'a, 'w>(request: &Request, work: &'w Work<'a>) -> Vec<&'w Seat<'a>> {
    let needs = |seat: &&Seat| snapshot(request, work, seat).is_some();
    work.seats.iter().filter(needs).collect()
}

/// The raft index that snapshots must be above: all that was in the log when the plan was made.
pub(super) fn above(request: &Request) -> u64 {
    let indexes = views(request.facts).map(|view| view.raft_index);
    indexes.max().unwrap_or_default()
}

/// A count that members pass while they read their logs at start, if those are long, and by a few writes else.
pub(super) fn count(request: &Request, seats: &[&Seat]) -> u64 {
    let newest = above(request);
    let tails = seats.iter().map(|seat| {
        let taken = seat.facts.data.snap.map_or(0, |snap| snap.index);
        newest.saturating_sub(taken)
    });
    (tails.min().unwrap_or_default() / 2).clamp(LEAST, MOST)
}

/// How the settings reach this member.
///
/// # Errors
/// Why they cannot, in words.
fn lowered(seat: &Seat, settings: &[(&str, String)]) -> Result<Lowered, String> {
    let options = Options::of(seat, &[]);
    if let Some(path) = options.config_file() {
        return in_config(seat, path, settings);
    }
    let dest = seat.host.snapshot_drop_in();
    let before = seat
        .facts
        .files
        .get(&dest)
        .and_then(|file| file.text.clone());
    let free = settings.iter().all(|(name, _)| options.get(name).is_none());
    let text = if free || before.is_some() {
        let lines = settings
            .iter()
            .map(|(name, value)| format!("Environment={}={value}\n", variable(name)));
        format!("[Service]\n{}", lines.collect::<String>())
    } else {
        command_line(seat, settings)
    };
    Ok(Lowered {
        dest,
        before,
        text,
        after: None,
        owner: "root:root".to_owned(),
        mode: 0o644,
        unit: true,
    })
}

/// What a former run left of this, as it should be: to take away before the member starts again.
pub(super) fn leftovers(seat: &Seat) -> Vec<(String, Option<String>)> {
    let dest = seat.host.snapshot_drop_in();
    let dropped = seat.facts.files.contains_key(&dest).then_some((dest, None));
    let options = Options::of(seat, &[]);
    let config = options.config_file().and_then(|path| {
        let text = seat.facts.files.get(path)?.text.as_deref()?;
        text.contains(MARK)
            .then(|| (path.to_owned(), Some(restored(text))))
    });
    dropped.into_iter().chain(config).collect()
}

/// The whole command line, with the flags changed or, where a variable of the environment says them, added: an option
/// that is set twice stops etcd.
fn command_line(seat: &Seat, settings: &[(&str, String)]) -> String {
    let unit = &seat.facts.unit;
    let is_set = |name: &str| settings.iter().any(|(set, _)| *set == name);
    let mut words = vec![quoted(&unit.exec)];
    let mut rest = unit.argv.iter().skip(1).peekable();
    while let Some(word) = rest.next() {
        let name = word.trim_start_matches('-');
        match name.split_once('=') {
            Some((name, _)) if is_set(name) => {}
            None if is_set(name) => {
                rest.next_if(|value| !value.starts_with('-'));
            }
            _ => words.push(quoted(word)),
        }
    }
    let flags = settings.iter();
    words.extend(flags.map(|(name, value)| format!("--{name}={value}")));
    let names: Vec<String> = settings.iter().map(|(name, _)| variable(name)).collect();
    format!(
        "[Service]\nUnsetEnvironment={}\nExecStart=\nExecStart={}\n",
        names.join(" "),
        words.join(" ")
    )
}

fn quoted(word: &str) -> String {
    let mut text = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '%' | '$' => text.extend([c, c]),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

fn in_config(seat: &Seat, path: &str, settings: &[(&str, String)]) -> Result<Lowered, String> {
    let file = seat.facts.files.get(path);
    let Some((file, now)) = file.and_then(|file| Some((file, file.text.as_deref()?))) else {
        return Err(format!(
            "etcd takes `snapshot-count` from `{path}`, whose text is not known here"
        ));
    };
    let original = restored(now);
    let mut text = original.clone();
    for (name, value) in settings {
        text = with_key(&text, name, value);
    }
    Ok(Lowered {
        dest: path.to_owned(),
        before: Some(now.to_owned()),
        text,
        after: Some(original),
        owner: file.owner.clone(),
        mode: file.mode,
        unit: false,
    })
}

/// A configuration file with this key, marked with the line that stood there.
fn with_key(original: &str, name: &str, value: &str) -> String {
    let key = format!("{name}:");
    let is_it = |line: &str| line.starts_with(&key);
    if original.lines().any(is_it) {
        let lines = original.lines().map(|line| {
            if is_it(line) {
                format!("{key} {value}{MARK}{line}\n")
            } else {
                format!("{line}\n")
            }
        });
        return lines.collect();
    }
    let end = if original.is_empty() || original.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{original}{end}{key} {value}{MARK}\n")
}

/// A configuration file as it was before its count was lowered.
fn restored(text: &str) -> String {
    text.split_inclusive('\n')
        .filter_map(|line| match line.split_once(MARK) {
            Some((_, was)) if was.trim().is_empty() => None,
            Some((_, was)) => Some(was.to_owned()),
            None => Some(line.to_owned()),
        })
        .collect()
}
