//! Reads ssh's words: which stage failed, and what to do about it.

use self::signs::{judge_words, no_connection};
use super::quote::printable;
use crate::inventory::Ssh;
use crate::transport::{Stage, Unreachable};

mod signs;
#[cfg(test)]
mod tests;

/// As much of ssh's words as is kept for people.
const SAID_KEPT: usize = 4096;

/// Who was to be reached, for messages.
pub(super) struct Target {
    /// The inventory's name.
    pub(super) host: String,
    /// What ssh was asked to reach.
    pub(super) address: String,
    /// How.
    pub(super) ssh: Ssh,
}

/// Everything that was said while connecting.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The last jump host of the inventory, with the words of the ssh that went on from there.
    pub(super) jump: Option<(String, String)>,
    /// The words of the ssh that reached the host.
    pub(super) log: String,
    /// Words of its helpers: processes for `ProxyJump` and `ProxyCommand` of the user's configuration, banners.
    pub(super) helpers: String,
}

/// What the ssh says that asks a jump host's master in vain.
pub(super) const NOT_FORWARDED: &str = "forwarding request failed";

/// A failure to connect.
#[derive(Clone)]
pub(super) struct Failure {
    /// For people.
    pub(super) unreachable: Unreachable,
    /// Whether the handshake was merely dropped, so that it is worth another attempt.
    pub(super) is_dropped: bool,
    /// Whether that was behind a proxy of the user's configuration, which many hosts may have in common.
    pub(super) is_proxied: bool,
}

impl Failure {
    /// The same as one of the way to what is behind this jump host.
    pub(super) fn on_the_way(mut self, jump: &str) -> Self {
        let Unreachable { stage, hint, .. } = &mut self.unreachable;
        if !matches!(stage, Stage::Jump(_)) {
            *hint = format!("on the way to jump host `{jump}`, {stage}: {hint}");
            *stage = Stage::Jump(jump.to_owned());
        }
        self
    }
}

impl Target {
    /// Builds an error about this host.
    pub(super) fn unreachable(
        &self,
        stage: Stage,
        said: &str,
        hint: impl Into<String>,
    ) -> Unreachable {
        Unreachable {
            host: self.host.clone(),
            stage,
            said: tidy(said),
            hint: hint.into(),
        }
    }

    /// The file that host keys are looked up in, for messages.
    fn known_hosts(&self) -> String {
        self.ssh.known_hosts.as_ref().map_or_else(
            || "~/.ssh/known_hosts".into(),
            |path| path.display().to_string(),
        )
    }
}

/// Finds what failed. The jump host is the cause of everything after it.
pub(super) fn judge(target: &Target, said: &Said) -> Failure {
    let of_jump = match &said.jump {
        Some((jump, words)) => judge_jump(target, jump, words),
        None => judge_helpers(target, said),
    };
    if let Some(failure) = of_jump {
        return failure;
    }
    let verdict = judge_words(target, &target.address, &said.log)
        .or_else(|| judge_words(target, &target.address, &said.helpers))
        .unwrap_or_else(|| {
            no_connection(
                &target.address,
                "run `ssh -v` to the host by hand to see more",
                false,
            )
        });
    let all = format!("{}\n{}", said.helpers, said.log);
    Failure {
        unreachable: target.unreachable(verdict.stage, &all, verdict.hint),
        is_dropped: verdict.is_dropped,
        is_proxied: false,
    }
}

/// Judges what was said at a jump host.
fn judge_jump(target: &Target, jump: &str, words: &str) -> Option<Failure> {
    let failure = |stage, hint: String, is_dropped| {
        Some(Failure {
            unreachable: target.unreachable(stage, words, hint),
            is_dropped,
            is_proxied: false,
        })
    };
    if let Some(reason) = after(words, "open failed: connect failed: ") {
        let beyond = target.address.clone();
        let hint = format!(
            "jump host `{jump}` could not reach `{beyond}`: is the address right as seen from there, and does a firewall allow it?"
        );
        let stage = if is_lookup(reason) {
            Stage::NameLookup(beyond)
        } else {
            Stage::Tcp(beyond)
        };
        return failure(stage, hint, false);
    }
    if words.contains("administratively prohibited") {
        let hint = format!(
            "sshd on jump host `{jump}` forbids forwarding: set `AllowTcpForwarding yes` there, or use another jump host"
        );
        return failure(Stage::Jump(jump.to_owned()), hint, false);
    }
    let verdict = judge_words(target, bare_host(jump), words)?;
    failure(verdict.stage, verdict.hint, verdict.is_dropped).map(|failure| failure.on_the_way(jump))
}

/// Judges a jump of the user's own ssh configuration: our ssh then only knows that its proxy went away.
fn judge_helpers(target: &Target, said: &Said) -> Option<Failure> {
    if !said.log.contains("UNKNOWN port 65535") {
        return None;
    }
    let named = after(&said.helpers, "connect to host ")
        .or_else(|| after(&said.helpers, "Could not resolve hostname "))
        .and_then(|rest| rest.split([' ', ':']).next());
    let is_ssh = said.helpers.trim().is_empty() || speaks_as_ssh(&said.helpers);
    let Some(name) = named.or(is_ssh.then_some("ProxyCommand")) else {
        return Some(behind_proxy(target, said));
    };
    let mut failure =
        judge_jump(target, name, &said.helpers).unwrap_or_else(|| silent(target, name, said));
    failure.is_proxied = true;
    let place = format!(
        "; see `ProxyJump` and `ProxyCommand` for `{}` in your ssh configuration",
        target.address
    );
    failure.unreachable.hint.push_str(&place);
    failure.unreachable.said = tidy(&format!("{}\n{}", said.helpers, said.log));
    Some(failure)
}

/// Whether the helper is an ssh that failed on its own way.
fn speaks_as_ssh(words: &str) -> bool {
    [
        "Permission denied (",
        "ost key",
        "open failed: ",
        "prohibited",
        "kex_exchange_identification",
    ]
    .iter()
    .any(|sign| words.contains(sign))
}

/// A `ProxyCommand` that is no ssh, such as nc: what failed is the host behind it, or the command itself; its own words
/// say which.
fn behind_proxy(target: &Target, said: &Said) -> Failure {
    let mut failure = silent(target, &target.address, said);
    let what = if said.helpers.contains("not found") || said.helpers.contains("No such file") {
        "the command itself cannot be run: is the program installed, is its path right?"
    } else if said.helpers.contains("refused") {
        "nothing listens there: is sshd running, is the port right?"
    } else if said.log.contains("timed out") || said.helpers.contains("timed out") {
        "no answer in time: is the host up, is the address right?"
    } else {
        "is the host up, is the address right as the command sees it?"
    };
    failure.unreachable.stage = Stage::BehindProxy(target.address.clone());
    failure.unreachable.hint = format!(
        "{what} See `ProxyCommand` for `{0}` in your ssh configuration (`ssh -G {0}` shows it), and run it by hand",
        target.address
    );
    failure.unreachable.said = tidy(&format!("{}\n{}", said.helpers, said.log));
    failure
}

/// Judges a proxy with unknown words or none. Without a word it is as if the host had not answered; if the end came at
/// once, sshd may have dropped a handshake.
fn silent(target: &Target, name: &str, said: &Said) -> Failure {
    let has_words = !said.helpers.trim().is_empty();
    let is_late = said.log.contains("timed out");
    let stage = if has_words {
        Stage::Jump(name.to_owned())
    } else {
        Stage::Tcp(target.address.clone())
    };
    let hint = if is_late {
        "no answer in time: is the host up?"
    } else {
        "the connection was closed: is sshd running there?"
    };
    Failure {
        unreachable: target.unreachable(stage, "", hint),
        is_dropped: !has_words && !is_late,
        is_proxied: true,
    }
}

/// The rest of the line after the first occurrence.
fn after<'a>(words: &'a str, what: &str) -> Option<&'a str> {
    words
        .lines()
        .find_map(|line| line.split_once(what))
        .map(|(_, rest)| rest)
}

fn is_lookup(reason: &str) -> bool {
    ["not known", "name resolution", "No address", "nodename"]
        .iter()
        .any(|sign| reason.contains(sign))
}

/// The host in a jump host's specification.
fn bare_host(jump: &str) -> &str {
    jump.rsplit('@')
        .next()
        .unwrap_or(jump)
        .trim_start_matches("ssh://")
}

/// ssh's words without what is no complaint, safe for a terminal.
pub(super) fn tidy(words: &str) -> String {
    let lines = printable(words);
    let lines: Vec<&str> = lines
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && !line.starts_with("Warning: Permanently added"))
        .collect();
    let text = lines.join("\n");
    let start = text.len().saturating_sub(SAID_KEPT);
    let start = (start..=text.len()).find(|at| text.is_char_boundary(*at));
    text[start.unwrap_or_default()..].to_owned()
}
