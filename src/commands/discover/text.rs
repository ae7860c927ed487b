//! The inventory that `discover` writes: settings that all hosts share stand once, and what is not known is a comment.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{Discovered, Seat};
use crate::inventory::{Escalation, Host, HostKeyPolicy};

/// The whole inventory; `like` has the ssh settings that were used.
pub fn text(like: &Host, clusters: &[Discovered]) -> String {
    let mut out = String::from(
        "# Written by `runner discover` from the running processes. Read the comments, then try `runner check`.\n\n[defaults]\n",
    );
    for (key, value) in connection(like) {
        let _ = writeln!(out, "{key} = {value}");
    }
    for cluster in clusters {
        out.push_str(&cluster_text(cluster));
    }
    out
}

/// How the hosts were reached, as far as flags say; the rest is left to ssh's own configuration.
fn connection(like: &Host) -> Vec<(&'static str, String)> {
    let ssh = &like.ssh;
    let path = |path: &std::path::PathBuf| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        quoted(&path.display().to_string())
    };
    let jumps: Vec<String> = ssh.jump.iter().map(|jump| quoted(jump)).collect();
    let accept = ssh.host_key_policy == HostKeyPolicy::AcceptNew;
    let escalation = match like.escalation {
        Escalation::None => None,
        Escalation::Sudo => Some("sudo"),
        Escalation::Doas => Some("doas"),
    };
    [
        ("user", ssh.user.as_deref().map(quoted)),
        ("port", ssh.port.map(|port| port.to_string())),
        ("identity_file", ssh.identity_file.as_ref().map(path)),
        ("known_hosts", ssh.known_hosts.as_ref().map(path)),
        ("host_key_policy", accept.then(|| quoted("accept-new"))),
        (
            "jump",
            (!jumps.is_empty()).then(|| format!("[{}]", jumps.join(", "))),
        ),
        ("ssh_config", ssh.config.as_ref().map(path)),
        ("become", escalation.map(quoted)),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key, value?)))
    .collect()
}

fn cluster_text(cluster: &Discovered) -> String {
    let name = quoted(&cluster.name);
    let mut out = format!("\n[clusters.{name}]\n");
    let versions: BTreeSet<String> = cluster
        .seats
        .iter()
        .filter_map(|seat| seat.version.clone())
        .collect();
    match versions.iter().collect::<Vec<_>>().as_slice() {
        [] => out.push_str("# version: not found out\n"),
        [version] => {
            let _ = writeln!(out, "version = {}", quoted(version));
        }
        several => {
            let _ = writeln!(
                out,
                "# version: the members run {several:?}; say which one they should run"
            );
        }
    }
    for note in &cluster.notes {
        let _ = writeln!(out, "# {}", plain(note));
    }
    let seats: Vec<&Seat> = cluster.seats.iter().filter(|seat| seat.is_known).collect();
    let shared: Vec<(&str, String)> = seats.first().map_or_else(Vec::new, |first| {
        let own = settings(first).into_iter();
        own.filter(|pair| seats.iter().all(|seat| settings(seat).contains(pair)))
            .collect()
    });
    for (key, value) in &shared {
        let _ = writeln!(out, "{key} = {value}");
    }
    for seat in &cluster.seats {
        let _ = write!(
            out,
            "\n[clusters.{name}.hosts.{}]\naddress = {}\n",
            quoted(&seat.name),
            quoted(&seat.address)
        );
        if seat.member != seat.name {
            let _ = writeln!(out, "member = {}", quoted(&seat.member));
        }
        for (key, value) in settings(seat).iter().filter(|pair| !shared.contains(pair)) {
            let _ = writeln!(out, "{key} = {value}");
        }
        for note in &seat.notes {
            let _ = writeln!(out, "# {}", plain(note));
        }
    }
    out
}

/// What was found out about a member, as keys and values of TOML.
fn settings(seat: &Seat) -> Vec<(&'static str, String)> {
    let tls = seat.tls.as_ref().map(|tls| {
        let parts = [
            ("cacert", &tls.cacert),
            ("cert", &tls.cert),
            ("key", &tls.key),
        ];
        let parts: Vec<String> = parts
            .into_iter()
            .filter_map(|(key, path)| Some(format!("{key} = {}", quoted(path.as_deref()?))))
            .collect();
        format!("{{ {} }}", parts.join(", "))
    });
    let text = |value: &Option<String>| value.as_deref().map(quoted);
    [
        ("unit", text(&seat.unit)),
        ("data_dir", text(&seat.data_dir)),
        ("bin_dir", text(&seat.bin_dir)),
        ("client_url", text(&seat.client_url)),
        ("tls", tls.filter(|tls| tls.contains('='))),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key, value?)))
    .collect()
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A note of one line: what a host said cannot end the comment.
fn plain(note: &str) -> String {
    crate::report::text::one_line(note)
}
