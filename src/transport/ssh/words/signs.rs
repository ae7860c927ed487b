//! The signs in one ssh's words, and the fix for each.

use super::{Target, after};
use crate::transport::Stage;

/// One ssh's failure, whichever host it was to reach.
pub(super) struct Verdict {
    pub(super) stage: Stage,
    pub(super) hint: String,
    pub(super) is_dropped: bool,
}

/// Judges one ssh's words; `to` is the host that it was to reach. `None`: no complaint that is known.
pub(super) fn judge_words(target: &Target, to: &str, words: &str) -> Option<Verdict> {
    configuration(words)
        .or_else(|| lookup(to, words))
        .or_else(|| tcp(to, words))
        .or_else(|| host_key(target, to, words))
        .or_else(|| authentication(target, to, words))
        .or_else(|| dropped(to, words))
}

fn configuration(words: &str) -> Option<Verdict> {
    const SIGNS: [&str; 9] = [
        "Bad configuration option",
        "bad configuration option",
        "Unsupported option",
        "Bad owner or permissions on",
        "Can't open user config file",
        "unknown key %",
        "Unable to negotiate with",
        "command-line line",
        "too long for Unix domain socket",
    ];
    let sign = SIGNS.iter().find(|sign| words.contains(**sign))?;
    let hint = if *sign == "Unable to negotiate with" {
        "ssh here and sshd there have no algorithm in common: upgrade the older one, or name the algorithm for this host in your ssh configuration"
    } else {
        "correct the ssh configuration that is named"
    };
    Some(Verdict {
        stage: Stage::Configuration,
        hint: hint.into(),
        is_dropped: false,
    })
}

fn lookup(to: &str, words: &str) -> Option<Verdict> {
    let rest = after(words, "Could not resolve hostname ")?;
    let name = rest.split(": ").next().unwrap_or(to);
    let hint = format!(
        "check the spelling of `{name}` in the inventory, and `getent hosts {name}`; an alias must be in the ssh configuration that is used"
    );
    Some(Verdict {
        stage: Stage::NameLookup(name.to_owned()),
        hint,
        is_dropped: false,
    })
}

fn tcp(to: &str, words: &str) -> Option<Verdict> {
    let hint = if words.contains("Connection refused") {
        "nothing listens there: is sshd running, is the port right?"
    } else if words.contains("No route to host") || words.contains("unreachable") {
        "there is no route: is the host up, is the address right, is a VPN or a jump host needed?"
    } else {
        "no answer in time: is the host up, does a firewall drop the packets, is the address right?"
    };
    if let Some(place) = after(words, "connect to host ")
        .and_then(|rest| rest.rsplit_once(": "))
        .map(|(place, _)| place)
    {
        return Some(no_connection(place, hint, false));
    }
    let is_timeout = words.contains("timed out during banner exchange")
        || (words.contains("Connection to ") && words.contains(" timed out"));
    is_timeout.then(|| no_connection(to, "the port answers, but not as sshd does in time: is it overloaded, or is another service there?", false))
}

pub(super) fn no_connection(to: &str, hint: &str, is_dropped: bool) -> Verdict {
    Verdict {
        stage: Stage::Tcp(to.to_owned()),
        hint: hint.to_owned(),
        is_dropped,
    }
}

fn host_key(target: &Target, to: &str, words: &str) -> Option<Verdict> {
    if words.contains("IDENTIFICATION HAS CHANGED")
        || words.contains("has changed and you have requested strict checking")
    {
        return Some(Verdict {
            stage: Stage::HostKeyChanged,
            hint: changed_key(target, to, words),
            is_dropped: false,
        });
    }
    if words.contains("REVOKED HOST KEY") {
        let hint = format!(
            "the key of `{to}` is marked as revoked: do not connect before its owner has given the host a new key"
        );
        return Some(Verdict {
            stage: Stage::HostKeyChanged,
            hint,
            is_dropped: false,
        });
    }
    let is_unknown =
        words.contains("host key is known for") || words.contains("Host key verification failed");
    is_unknown.then(|| Verdict {
        stage: Stage::HostKeyUnknown,
        hint: unknown_key(target, to, words),
        is_dropped: false,
    })
}

/// What to do about a key that differs: ssh prints the file and line, and its own name for the host.
fn changed_key(target: &Target, to: &str, words: &str) -> String {
    let place = after(words, "Offending ").and_then(|rest| rest.split(" key in ").nth(1));
    let (file, line) = place
        .and_then(|place| place.rsplit_once(':'))
        .unwrap_or((place.unwrap_or(""), ""));
    let file = if file.is_empty() {
        target.known_hosts()
    } else {
        file.to_owned()
    };
    let at = if line.is_empty() {
        format!("`{file}`")
    } else {
        format!("`{file}` line {line}")
    };
    let name = after(words, "Host key for ")
        .and_then(|rest| rest.split(" has changed").next())
        .unwrap_or(to);
    format!(
        "the known key is in {at}. If the host was reinstalled, compare the new fingerprint on its console (`ssh-keygen -lf \
         /etc/ssh/ssh_host_ed25519_key.pub`), then `ssh-keygen -R '{name}' -f '{file}'` and add the new key; if not, \
         someone may stand in between"
    )
}

/// What to do about a key that nobody vouched for yet.
fn unknown_key(target: &Target, to: &str, words: &str) -> String {
    let name = after(words, "host key is known for ")
        .and_then(|rest| rest.split(" and you have").next())
        .unwrap_or(to);
    let (host, port) = match name
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]:"))
    {
        Some((host, port)) => (host, format!("-p {port} ")),
        None => (name, String::new()),
    };
    format!(
        "run `ssh-keyscan {port}{host}`, compare the fingerprint (pipe it through `ssh-keygen -lf -`) with the one on the \
         host's console, and add the line to `{}`; or set `host_key_policy = \"accept-new\"` to learn keys at first contact",
        target.known_hosts()
    )
}

fn authentication(target: &Target, to: &str, words: &str) -> Option<Verdict> {
    const SIGNS: [&str; 4] = [
        "Permission denied (",
        "Too many authentication failures",
        "No more authentication methods",
        "No supported authentication methods",
    ];
    SIGNS.iter().find(|sign| words.contains(**sign))?;
    let line = words
        .lines()
        .find(|line| line.contains(": Permission denied ("));
    let login = line
        .and_then(|line| line.split(": ").next())
        .map_or_else(|| to.to_owned(), str::to_owned);
    let hint = match &target.ssh.identity_file {
        Some(key) => format!(
            "`{login}` does not accept `{}`: is its public half in that user's authorized_keys, and does `ssh-add -l` list \
             it if it has a passphrase (`ssh-add {0}`)?",
            key.display()
        ),
        None => format!(
            "`{login}` accepts none of your keys: see `ssh-add -l`, load one with `ssh-add`, or name it with \
             `--private-key` or `identity_file`; is the user right?"
        ),
    };
    Some(Verdict {
        stage: Stage::Authentication,
        hint,
        is_dropped: false,
    })
}

fn dropped(to: &str, words: &str) -> Option<Verdict> {
    const SIGNS: [&str; 6] = [
        "kex_exchange_identification",
        "Connection closed by",
        "Connection reset by",
        "Not allowed at this time",
        "Exceeded MaxStartups",
        "Broken pipe",
    ];
    SIGNS.iter().find(|sign| words.contains(**sign))?;
    let hint = "sshd closed the connection before authentication, several times: see its log; `MaxStartups`, hosts.deny or fail2ban may be the cause";
    Some(no_connection(to, hint, true))
}
