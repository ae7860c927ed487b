//! Whether a text is what its setting needs. Every check takes the key, for its message, and the text.

use std::net::Ipv6Addr;

use super::error::Problem;
use super::keys;
use super::{Escalation, FanOut, HostKeyPolicy};
use crate::etcd::Version;

/// What ssh itself refuses in names, because a shell or an option parser would act on it.
const SHELL: &str = "'`\"$\\;&<>|(){}[]!*?#~^=,";

/// Any text that is not empty and holds no control character.
pub fn text(key: &str, text: &str) -> Result<String, Problem> {
    if text.is_empty() {
        return Err(Problem::Empty(key.to_owned()));
    }
    if text.chars().any(char::is_control) {
        return Err(Problem::ControlCharacter(key.to_owned()));
    }
    Ok(text.to_owned())
}

/// A text that may be empty, for "none".
pub fn text_or_none(key: &str, given: &str) -> Result<String, Problem> {
    if given.is_empty() {
        return Ok(String::new());
    }
    text(key, given)
}

/// A text that no command takes for an option or for several words.
fn word(key: &str, given: &str, forbidden: impl Fn(char) -> bool) -> Result<String, Problem> {
    let given = text(key, given)?;
    if given.starts_with('-') {
        return Err(Problem::LeadingDash {
            key: key.to_owned(),
            text: given,
        });
    }
    match given.chars().find(|c| c.is_whitespace() || forbidden(*c)) {
        None => Ok(given),
        Some(character) => Err(Problem::ForbiddenCharacter {
            key: key.to_owned(),
            character,
            text: given,
        }),
    }
}

/// The name of a host or a cluster.
pub fn name(key: &str, text: &str) -> Result<String, Problem> {
    word(key, text, |c| {
        !(c.is_ascii_alphanumeric() || "._-".contains(c))
    })
}

/// The name of an etcd member; `=` and `,` would break `initial-cluster`.
pub fn member(key: &str, text: &str) -> Result<String, Problem> {
    word(key, text, |c| c == '=' || c == ',')
}

/// A login user.
pub fn login(key: &str, text: &str) -> Result<String, Problem> {
    word(key, text, |c| SHELL.contains(c) || c == ':' || c == '/')
}

/// A user of etcd; etcdctl cuts `USER:PASSWORD` at the first colon.
pub fn etcd_user(key: &str, text: &str) -> Result<String, Problem> {
    word(key, text, |c| c == ':')
}

/// A name, an address or an alias of ssh's configuration. Brackets round an IPv6 address are dropped.
pub fn address(key: &str, text: &str) -> Result<String, Problem> {
    let more = |what| {
        Err(Problem::MoreThanAnAddress {
            address: text.to_owned(),
            what,
        })
    };
    if text.contains("://") {
        return more("scheme");
    }
    if text.contains('@') {
        return more("user");
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .filter(|bare| is_ipv6(bare));
    let bare = word(key, bare.unwrap_or(text), |c| {
        !(c.is_alphanumeric() || "._-:%".contains(c))
    });
    match bare {
        Ok(bare) if bare.contains(':') && !is_ipv6(&bare) => more("port"),
        Err(Problem::ForbiddenCharacter { .. }) if text.contains("]:") => more("port"),
        bare => bare,
    }
}

/// Whether a text is an IPv6 address, with or without a zone.
pub fn is_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "x"));
    !zone.is_empty() && address.parse::<Ipv6Addr>().is_ok()
}

/// A jump host: `[USER@]HOST[:PORT]`.
pub fn jump(key: &str, text: &str) -> Result<String, Problem> {
    let brackets = |c| "[]".contains(c);
    word(key, text, |c| {
        (SHELL.contains(c) && !brackets(c)) || (c == '/' && !text.starts_with("ssh://"))
    })
}

/// An absolute path on a host, without a slash at its end.
pub fn host_path(key: &str, path: &str) -> Result<String, Problem> {
    let path = text(key, path)?;
    let key = key.to_owned();
    if !path.starts_with('/') {
        return Err(Problem::NotAbsolute { key, path });
    }
    if path.split('/').any(|part| part == "..") {
        return Err(Problem::PathClimbs { key, path });
    }
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.is_empty() {
        return Err(Problem::RootFolder(key));
    }
    Ok(format!("/{}", parts.join("/")))
}

/// The name of a systemd service.
pub fn unit(_key: &str, text: &str) -> Result<String, Problem> {
    let stem = text.strip_suffix(".service").unwrap_or("");
    let known = |c: char| c.is_ascii_alphanumeric() || ":_.\\@-".contains(c);
    // A name that ends in `@` is a template without an instance: it cannot be started.
    let good = !stem.is_empty() && !stem.starts_with(['-', '.']) && !stem.ends_with('@');
    if good && text.len() < 256 && stem.chars().all(known) {
        Ok(text.to_owned())
    } else {
        Err(Problem::NotAUnit(text.to_owned()))
    }
}

/// How a host reaches its own member: an `http` or `https` URL of one endpoint.
pub fn client_url(key: &str, text: &str) -> Result<String, Problem> {
    let url = word(key, text, |_| false)?;
    placeholders(key, &url, &["address"], "`{address}`")?;
    let wrong = |why| {
        Err(Problem::NotAUrl {
            key: key.to_owned(),
            why,
            url: url.clone(),
        })
    };
    let Some((scheme, rest)) = url.split_once("://") else {
        return wrong("is not a URL such as `https://{address}:2379`");
    };
    if rest.contains('@') {
        return Err(Problem::UrlWithPassword(key.to_owned()));
    }
    if !matches!(scheme, "http" | "https") {
        return wrong("is neither `http` nor `https`");
    }
    if rest.contains(',') {
        return wrong("holds more than one endpoint");
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        return wrong("holds more than a host and a port");
    }
    match port_of(authority) {
        Some(true) => Ok(format!("{scheme}://{authority}")),
        _ => wrong("is not a URL such as `https://{address}:2379`"),
    }
}

/// Whether the port of `HOST[:PORT]` is a good one; `None` without a host.
fn port_of(authority: &str) -> Option<bool> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            is_ipv6(host).then_some(())?;
            (
                host,
                port.strip_prefix(':').or(port.is_empty().then_some("1"))?,
            )
        }
        None => authority.split_once(':').unwrap_or((authority, "1")),
    };
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    (!host.is_empty()).then(|| digits && port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Where releases come from, or where their checksums are: URLs or paths, separated by commas.
pub fn source(key: &str, given: &str) -> Result<String, Problem> {
    let source = text(key, given)?;
    placeholders(
        key,
        &source,
        &["version", "arch"],
        "`{version}` and `{arch}`",
    )?;
    for part in source.split(',').map(str::trim) {
        source_part(key, part)?;
    }
    Ok(source)
}

fn source_part(key: &str, part: &str) -> Result<(), Problem> {
    let Some((scheme, rest)) = part.split_once("://") else {
        return Ok(());
    };
    let authority = rest.split('/').next().unwrap_or("");
    if authority.contains('@') {
        return Err(Problem::UrlWithPassword(key.to_owned()));
    }
    match scheme {
        "http" | "https" if !authority.is_empty() => Ok(()),
        "file" => Ok(()),
        _ => Err(Problem::NotAUrl {
            key: key.to_owned(),
            why: "is neither a path nor an `http` or `https` URL",
            url: part.to_owned(),
        }),
    }
}

/// A source, or empty for none.
pub fn source_or_none(key: &str, text: &str) -> Result<String, Problem> {
    text_or_none(key, text)?;
    if text.is_empty() {
        Ok(String::new())
    } else {
        source(key, text)
    }
}

fn placeholders(key: &str, text: &str, fills: &[&str], known: &'static str) -> Result<(), Problem> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('{') {
        let (inner, after, closed) = match after.split_once('}') {
            Some((inner, after)) => (inner, after, true),
            None => (after, "", false),
        };
        if !closed || !fills.contains(&inner) {
            return Err(Problem::UnknownPlaceholder {
                key: key.to_owned(),
                placeholder: inner.to_owned(),
                known,
            });
        }
        rest = after;
    }
    Ok(())
}

/// A file mode in octal digits.
pub fn mode(_key: &str, text: &str) -> Result<u32, Problem> {
    let digits = matches!(text.len(), 3 | 4) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| digits && *mode <= 0o777)
        .ok_or_else(|| Problem::NotAMode(text.to_owned()))
}

/// `USER:GROUP`.
pub fn owner(_key: &str, text: &str) -> Result<String, Problem> {
    let good = |name: &str| {
        !name.is_empty()
            && !name.starts_with('-')
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    match text.split_once(':') {
        Some((user, group)) if good(user) && good(group) => Ok(text.to_owned()),
        _ => Err(Problem::NotAnOwner(text.to_owned())),
    }
}

/// Who gives a release to hosts behind slow links.
pub fn fan_out(_key: &str, text: &str) -> Result<FanOut, Problem> {
    match text {
        "control" => Ok(FanOut::Control),
        "peer" => Ok(FanOut::Peer),
        other => Err(Problem::NotAChoice {
            key: "fan_out",
            text: other.to_owned(),
            choices: "`control` or `peer`",
            fix: keys::near(other, ["control", "peer"]).map(keys::did_you_mean),
        }),
    }
}

/// What happens with unknown host keys.
pub fn host_key_policy(_key: &str, text: &str) -> Result<HostKeyPolicy, Problem> {
    match text {
        "strict" => Ok(HostKeyPolicy::Strict),
        "accept-new" => Ok(HostKeyPolicy::AcceptNew),
        other => Err(Problem::NotAChoice {
            key: "host_key_policy",
            text: other.to_owned(),
            choices: "`strict` or `accept-new`",
            fix: Some(keys::near(other, ["strict", "accept-new"]).map_or_else(
                || "checking host keys cannot be switched off".to_owned(),
                keys::did_you_mean,
            )),
        }),
    }
}

/// How root is gained.
pub fn escalation(text: &str) -> Result<Escalation, Problem> {
    match text {
        "sudo" => Ok(Escalation::Sudo),
        "doas" => Ok(Escalation::Doas),
        "false" => Ok(Escalation::None),
        other => Err(Problem::NotAChoice {
            key: "become",
            text: other.to_owned(),
            choices: "`false`, `\"sudo\"` or `\"doas\"`",
            fix: keys::near(other, ["sudo", "doas", "false"]).map(keys::did_you_mean),
        }),
    }
}

/// A release of etcd.
pub fn version(_key: &str, text: &str) -> Result<Version, Problem> {
    Ok(text.parse()?)
}

/// A variable's name, as templates can use it.
pub fn variable(name: &str) -> Result<(), Problem> {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if starts && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        Ok(())
    } else {
        Err(Problem::NotAVariable(name.to_owned()))
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
