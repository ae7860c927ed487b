//! `runner discover`: from one reachable host to the inventory of its cluster. Changes nothing on hosts.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use self::process::{Process, processes};
use self::write::{there_already, write};
use super::context::{Context, runtime};
use super::look::unreachable_problem;
use super::session::{Session, invalid, within};
use crate::cli::Discover;
use crate::error::{Failure, Problem, Result};
use crate::etcd::member::host_of;
use crate::etcd::{Member, MemberId};
use crate::exit::Exit;
use crate::facts::observe::observe_host;
use crate::facts::parse::Frames;
use crate::facts::{Answer, MemberView};
use crate::inventory::{self, Cluster, Host, Selected, Tls};
use crate::report::Talk;
use crate::transport::{Command, Transport as _};

mod process;
mod text;
mod write;

const TITLE: &str = "find etcd processes";
const SCRIPT: &str = concat!(
    include_str!("../../facts/lib.sh"),
    include_str!("process.sh")
);

/// A cluster that was found.
#[derive(Debug)]
pub struct Discovered {
    name: String,
    id: MemberId,
    seats: Vec<Seat>,
    notes: Vec<String>,
}

/// A member with what was found out about it.
#[derive(Debug, Default)]
pub struct Seat {
    name: String,
    member: String,
    address: String,
    id: Option<MemberId>,
    unit: Option<String>,
    data_dir: Option<String>,
    bin_dir: Option<String>,
    client_url: Option<String>,
    tls: Option<Tls>,
    version: Option<String>,
    /// Whether its host was reached and its process found.
    is_known: bool,
    notes: Vec<String>,
}

/// A process that answers.
struct Found {
    address: String,
    seat: Seat,
    view: MemberView,
}

/// What came of looking at some hosts.
#[derive(Default)]
struct Looked {
    found: Vec<Found>,
    problems: BTreeMap<String, Problem>,
}

/// Finds the clusters of the given hosts and writes their inventory.
///
/// # Errors
/// The file is there already; no host given runs a member that answers; or a member's host was not reached: then the
/// inventory is written all the same.
pub fn run(context: &Context, args: &Discover) -> Result<Exit> {
    if let Some(path) = args.write.as_deref().filter(|path| path.exists()) {
        return Err(there_already(path));
    }
    let like = template(context)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(discover(context, &like, args));
    runtime.shutdown_background();
    ended
}

async fn discover(context: &Context, like: &Cluster, args: &Discover) -> Result<Exit> {
    let first = look(context, like, &args.hosts).await?;
    if first.found.is_empty() {
        return Err(
            Failure::several(Exit::Unreachable, first.problems.into_values()).changed("nothing"),
        );
    }
    let mut problems = first.problems;
    let mut clusters = clusters(&first.found, args.cluster.as_deref());
    let others = addresses(&clusters, &args.hosts);
    let mut found = first.found;
    if !others.is_empty() {
        let more = look(context, like, &others).await?;
        found.extend(more.found);
        problems.extend(more.problems);
    }
    for cluster in &mut clusters {
        fill(cluster, &mut found, &problems);
    }
    write(
        args.write.as_deref(),
        &text::text(&like.hosts[0], &clusters),
    )?;
    if problems.is_empty() {
        return Ok(Exit::Done);
    }
    let failure = Failure::several(Exit::Unreachable, problems.into_values());
    Err(failure
        .changed("nothing")
        .hint("the inventory was written; its comments say what is missing"))
}

/// A cluster of one host with the settings of the flags, which all hosts get.
fn template(context: &Context) -> Result<Cluster> {
    let text = "[clusters.discover.hosts.host]\naddress = \"host\"\n";
    let loaded = inventory::load_text("discover", text, &context.global.sets());
    let mut clusters = loaded
        .map_err(|errors| invalid(&errors))?
        .inventory
        .clusters;
    Ok(clusters
        .remove("discover")
        .expect("the text has this cluster"))
}

/// Looks at hosts side by side.
async fn look(context: &Context, like: &Cluster, addresses: &[String]) -> Result<Looked> {
    let addresses: BTreeSet<&String> = addresses.iter().collect();
    let hosts = addresses.into_iter().map(|address| Host {
        name: address.clone(),
        address: address.clone(),
        ..like.hosts[0].clone()
    });
    let cluster = Cluster {
        hosts: hosts.collect(),
        ..like.clone()
    };
    let selected = Selected {
        chosen: BTreeSet::new(),
        cluster,
    };
    let mut looked = Looked::default();
    let place = &mut looked;
    within(context, vec![selected], async |session: &Session| {
        let hosts = &session.selected[0].cluster.hosts;
        let names = hosts.iter().map(|host| host.name.clone()).collect();
        session.voice.talk(Talk::Began {
            what: "look for etcd".to_owned(),
            hosts: names,
        });
        let asked = join_all(hosts.iter().map(|host| look_at(session, host)));
        for (host, answer) in hosts.iter().zip(session.or_interrupt(asked).await?) {
            match answer {
                Ok(found) => place.found.extend(found),
                Err(problem) => {
                    place.problems.insert(host.address.clone(), problem);
                }
            }
        }
        session.voice.talk(Talk::Over);
        Ok(Exit::Done)
    })
    .await?;
    Ok(looked)
}

/// The members of one host that answer.
async fn look_at(session: &Session<'_>, host: &Host) -> Result<Vec<Found>, Problem> {
    let answered = shown(session, host, ask(session, host).await);
    let mut found = Vec::new();
    let mut silent = None;
    for process in answered? {
        match member(session, host, &process).await {
            Ok(one) => found.push(one),
            Err(problem) => silent = Some(problem),
        }
    }
    match silent {
        Some(problem) if found.is_empty() => Err(problem),
        _ => Ok(found),
    }
}

fn shown<T>(session: &Session<'_>, host: &Host, answer: Result<T, Problem>) -> Result<T, Problem> {
    session.voice.talk(Talk::Answered {
        host: host.name.clone(),
        failed: answer.as_ref().err().map(|problem| problem.what.clone()),
    });
    answer
}

async fn ask(session: &Session<'_>, host: &Host) -> Result<Vec<Process>, Problem> {
    let command = Command::read(TITLE, SCRIPT, session.look_deadline());
    let output = session.transport.run(&host.name, command).await;
    let output = output.map_err(|unreachable| unreachable_problem(&unreachable))?;
    let frames = Frames::parse(&output.stdout).map_err(|error| Problem::of(&error))?;
    let found = processes(&frames);
    if found.is_empty() {
        let what = format!("host `{}` runs no etcd", host.name);
        return Err(Problem::new(what).hint("name a host where the cluster's member is running"));
    }
    Ok(found)
}

/// Tries the ways to a process's member until it answers.
async fn member(session: &Session<'_>, host: &Host, process: &Process) -> Result<Found, Problem> {
    let mut because = Vec::new();
    for url in process.client_urls() {
        for way in process.ways(&url) {
            let tried = Host {
                client_url: url.clone(),
                tls: way.clone().or_else(|| host.tls.clone()),
                bin_dir: process.bin_dir().unwrap_or_else(|| host.bin_dir.clone()),
                ..host.clone()
            };
            match observe_host(&*session.transport, &tried, session.look_deadline()).await {
                Answer::Member(view) => {
                    return Ok(Found {
                        address: host.address.clone(),
                        seat: seat(process, &tried, &view),
                        view: *view,
                    });
                }
                Answer::Silent { because: why } => because.push(format!("{url}: {why}")),
            }
        }
    }
    let what = format!("the etcd of host `{}` does not answer", host.name);
    let hint = "give client certificates as `-e tls.cert=…`, `-e tls.key=…` and `-e tls.cacert=…` (paths on the host)";
    because.dedup();
    Err(because
        .into_iter()
        .fold(Problem::new(what), Problem::because)
        .hint(hint))
}

fn seat(process: &Process, host: &Host, view: &MemberView) -> Seat {
    let known = |value: &Option<String>, what: &str| {
        value
            .is_none()
            .then(|| format!("{what} was not found out; the default may be wrong"))
    };
    let unit = Some(process.unit.clone()).filter(|unit| !unit.is_empty());
    let (data_dir, bin_dir) = (process.data_dir(), process.bin_dir());
    let mut notes: Vec<String> = [
        known(&unit, "unit: the process runs in no systemd unit; it"),
        known(&data_dir, "data_dir"),
        known(&bin_dir, "bin_dir"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if host.client_url.starts_with("https:")
        && host.tls.as_ref().is_none_or(|tls| tls.cert.is_none())
    {
        notes.push(
            "tls: the member asks for no client certificate, so none was looked for".to_owned(),
        );
    }
    if let Err(why) = &view.health {
        notes.push(format!("this member is not healthy: {why}"));
    }
    Seat {
        id: Some(view.id),
        unit,
        data_dir,
        bin_dir,
        client_url: Some(host.client_url.clone()),
        tls: host.tls.clone(),
        version: Some(view.version.to_string()),
        is_known: true,
        notes,
        ..Seat::default()
    }
}

/// The clusters of the members that were found, with a seat for each member that they list.
fn clusters(found: &[Found], name: Option<&str>) -> Vec<Discovered> {
    let mut clusters: Vec<Discovered> = Vec::new();
    for one in found {
        if clusters
            .iter()
            .any(|cluster| cluster.id == one.view.cluster_id)
        {
            continue;
        }
        let name = match clusters.len() {
            0 => name.unwrap_or("etcd").to_owned(),
            more => format!("{}-{}", name.unwrap_or("etcd"), more + 1),
        };
        let mut cluster = Discovered {
            name,
            id: one.view.cluster_id,
            seats: Vec::new(),
            notes: Vec::new(),
        };
        for member in &one.view.members {
            place(&mut cluster, member, found);
        }
        if one.view.members.is_empty() {
            cluster.notes.push("the member list could not be read: is authentication on? give `-e auth.user=…` and `-e auth.password_file=…`".to_owned());
        }
        cluster.seats.sort_by(|a, b| a.name.cmp(&b.name));
        clusters.push(cluster);
    }
    clusters
}

/// Gives a member a seat: at the address by which it was found, else at that of its peer URL.
fn place(cluster: &mut Discovered, member: &Member, found: &[Found]) {
    let own = found.iter().find(|one| one.view.id == member.id);
    let address = own.map(|one| one.address.clone());
    let address = address.or_else(|| member.peer_urls.first().and_then(|url| host_of(url)));
    let (Some(address), false) = (address, member.name.is_empty()) else {
        let urls = member.peer_urls.join(", ");
        cluster.notes.push(format!(
            "member {} at {urls} is left out: it was added and never started, or has no address",
            member.id
        ));
        return;
    };
    let taken = cluster.seats.iter().any(|seat| seat.name == member.name);
    cluster.seats.push(Seat {
        name: if taken {
            format!("{}-{}", member.name, member.id)
        } else {
            member.name.clone()
        },
        member: member.name.clone(),
        address,
        id: Some(member.id),
        ..Seat::default()
    });
}

/// Addresses of members that have not been looked at.
fn addresses(clusters: &[Discovered], seen: &[String]) -> Vec<String> {
    let seats = clusters.iter().flat_map(|cluster| &cluster.seats);
    let all = seats.map(|seat| seat.address.clone());
    all.filter(|address| !seen.contains(address)).collect()
}

/// Puts what was found into the seats.
fn fill(cluster: &mut Discovered, found: &mut Vec<Found>, problems: &BTreeMap<String, Problem>) {
    for seat in &mut cluster.seats {
        if let Some(at) = found.iter().position(|one| Some(one.view.id) == seat.id) {
            let one = found.remove(at).seat;
            let (name, member, address) =
                (seat.name.clone(), seat.member.clone(), seat.address.clone());
            *seat = Seat {
                name,
                member,
                address,
                ..one
            };
        } else {
            let why = problems
                .get(&seat.address)
                .map_or("another process answers there", |problem| &problem.what);
            seat.notes
                .push(format!("nothing was found out about this host: {why}"));
        }
    }
}
