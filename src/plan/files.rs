//! Files that templates make, and how they differ from what a host has.

use crate::etcd::Version;
use crate::etcd::catalogue::Catalogue;
use crate::facts::{ClusterFacts, FileFacts};
use crate::inventory::{FileTemplate, Host, TemplateSource};
use crate::template::{self, Context, Numbers, Peer, TemplateError, Tls};

use super::seats::{self, Seat};

/// A unit's mode under `/etc/systemd/system`.
const UNIT_MODE: u32 = 0o644;
/// The owner of what names none.
const ROOT: &str = "root:root";

/// A rendered file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Where it goes.
    pub dest: String,
    /// Its text.
    pub text: String,
    /// Its mode.
    pub mode: u32,
    /// `USER:GROUP`.
    pub owner: String,
    /// Whether it is the unit.
    pub unit: bool,
}

impl Rendered {
    /// Whether what the host has differs in text, mode or owner.
    pub fn differs(&self, now: Option<&FileFacts>) -> bool {
        now.is_none_or(|now| {
            now.text.as_deref() != Some(&self.text)
                || now.mode & 0o7777 != self.mode
                || owner(&now.owner) != self.owner
        })
    }
}

/// Renders all files of a host for a release, the unit last.
///
/// # Errors
/// Every template that cannot be rendered.
pub fn render(
    seat: &Seat,
    facts: &ClusterFacts,
    cluster: &str,
    version: &Version,
    rules: &Catalogue,
) -> Result<Vec<Rendered>, Vec<TemplateError>> {
    let context = context(seat, facts, cluster, version, rules);
    let templates = &seat.host.templates;
    let files = templates.files.iter().map(|file| one_file(file, &context));
    let unit = templates
        .unit
        .iter()
        .map(|unit| one_unit(seat.host, unit, &context));
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for result in files.chain(unit) {
        match result {
            Ok(file) => done.push(file),
            Err(error) => failed.push(error),
        }
    }
    if failed.is_empty() {
        Ok(done)
    } else {
        Err(failed)
    }
}

fn one_file(file: &FileTemplate, context: &Context) -> Result<Rendered, TemplateError> {
    Ok(Rendered {
        dest: file.dest.clone(),
        text: text(&file.source, context)?,
        mode: file.mode,
        owner: owner(&file.owner),
        unit: false,
    })
}

fn one_unit(
    host: &Host,
    source: &TemplateSource,
    context: &Context,
) -> Result<Rendered, TemplateError> {
    Ok(Rendered {
        dest: host.unit_path(),
        text: text(source, context)?,
        mode: UNIT_MODE,
        owner: ROOT.to_owned(),
        unit: true,
    })
}

fn text(source: &TemplateSource, context: &Context) -> Result<String, TemplateError> {
    template::render(&source.path.display().to_string(), &source.text, context)
}

/// `USER:GROUP`, with root and the user's own name filled in as `chown` would not.
fn owner(given: &str) -> String {
    match given.split_once(':') {
        None if given.is_empty() => ROOT.to_owned(),
        None => format!("{given}:{given}"),
        Some(_) => given.to_owned(),
    }
}

fn context(
    seat: &Seat,
    facts: &ClusterFacts,
    cluster: &str,
    version: &Version,
    rules: &Catalogue,
) -> Context {
    let host = seat.host;
    let own = seat.listed();
    let members = peers(seat, facts);
    Context {
        host: host.name.clone(),
        address: host.address.clone(),
        cluster: cluster.to_owned(),
        member: seat.name().to_owned(),
        member_id: own.map(|member| member.id.to_string()).unwrap_or_default(),
        learner: seat.learner(),
        version: version.to_string(),
        minor: version.minor().to_string(),
        release: numbers(version),
        unit: host.unit.clone(),
        unit_type: rules.unit_type(version).to_owned(),
        data_dir: host.data_dir.clone(),
        bin_dir: host.bin_dir.clone(),
        install_dir: host.install_dir.clone(),
        backup_dir: host.backup_dir.clone(),
        client_url: host.client_url.clone(),
        client_urls: own.map(|own| own.client_urls.clone()).unwrap_or_default(),
        peer_urls: own.map(|own| own.peer_urls.clone()).unwrap_or_default(),
        initial_cluster: initial_cluster(&members),
        members,
        tls: host.tls.clone().map(|tls| Tls {
            cacert: tls.cacert,
            cert: tls.cert,
            key: tls.key,
        }),
        vars: host.vars.clone(),
    }
}

fn numbers(version: &Version) -> Numbers {
    Numbers {
        major: version.minor().major,
        minor: version.minor().minor,
        patch: version.patch(),
    }
}

/// All members by name, from this member's own list if it has one.
fn peers(seat: &Seat, facts: &ClusterFacts) -> Vec<Peer> {
    let view = seat.view.or_else(|| seats::views(facts).next());
    let mut peers: Vec<Peer> = view
        .into_iter()
        .flat_map(|view| &view.members)
        .map(|member| Peer {
            name: member.name.clone(),
            id: member.id.to_string(),
            learner: member.learner,
            peer_urls: member.peer_urls.clone(),
            client_urls: member.client_urls.clone(),
        })
        .collect();
    peers.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    peers
}

fn initial_cluster(members: &[Peer]) -> String {
    let pairs: Vec<String> = members
        .iter()
        .flat_map(|member| {
            member
                .peer_urls
                .iter()
                .map(|url| format!("{}={url}", member.name))
        })
        .collect();
    pairs.join(",")
}
