//! A real etcd cluster on hosts of the lab, installed the way operators have it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::dirs::{make, write};
use super::faults::quoted;
use super::shape::{ClusterShape, MemberShape};
use super::tls::{self, Authority};
use super::writer::client::{Access, Client};
use super::{Lab, LabError};
use crate::etcd::Version;
use crate::etcd::catalogue::Catalogue;
use crate::etcd::dialect::Dialect;

/// The port between members.
const PEER_PORT: u16 = 2380;

/// How long a cluster may take to form: elections wait a second each, and hosts may share few cores.
const PATIENCE: Duration = Duration::from_secs(120);

/// How the binaries lie on a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// `<install_dir>/<version>/` holds them, `bin_dir` has links to them.
    #[default]
    Links,
    /// `bin_dir` has the files themselves.
    PlainFiles,
}

/// What to install and how.
#[derive(Clone, Debug)]
pub struct Install<'a> {
    /// The release.
    pub version: &'a Version,
    /// A folder with its binaries.
    pub binaries: &'a Path,
    /// How they lie on the hosts.
    pub layout: Layout,
    /// Further flags for every member, such as `--enable-v2=true`.
    pub flags: &'a [String],
}

/// Installs the release on every member's host, starts the cluster and waits until each member answers a
/// linearizable read and the cluster version is that of the release. Returns each member's endpoint, in order.
///
/// # Errors
/// When a binary is missing, a host fails, or the cluster does not form in time.
pub fn start(lab: &Lab, shape: &ClusterShape, how: &Install<'_>) -> Result<Vec<String>, LabError> {
    let initial = initial_cluster(lab, shape)?;
    let mut access = access(lab, shape)?;
    side_by_side(&shape.members, |member| {
        place_binaries(&lab.host(&member.host)?.root(), member, how)?;
        let keys = tls::place(lab, member)?;
        let unit = unit(lab, shape, member, &initial, how)?;
        let place = format!("etc/systemd/system/{}", member.unit);
        write(&lab.host(&member.host)?.root().join(place), &unit, 0o644)?;
        lab.sh(&member.host, &start_script(member, &keys)).map(drop)
    })?;
    let endpoints = endpoints(lab, shape)?;
    let login = access.login.take();
    await_each(lab, &endpoints, &access, Client::formed)?;
    if login.is_some() {
        refuse_old_users(how.version)?;
        access.login = login;
        let client = Client::new(&endpoints[0], &access, PATIENCE);
        let enabled = lab.network().inside(|| client.enable_auth())?;
        enabled.map_err(|error| LabError::Hosts(vec![error]))?;
        await_health_as(lab, &endpoints, &access)?;
    }
    Ok(endpoints)
}

/// Each member's client URL inside the lab's network.
///
/// # Errors
/// When a member's host is not in the lab.
pub fn endpoints(lab: &Lab, shape: &ClusterShape) -> Result<Vec<String>, LabError> {
    let endpoint = |member: &MemberShape| {
        let address = lab.host(&member.host)?.address;
        Ok(format!(
            "{}://{address}:{}",
            member.scheme(),
            member.client_port
        ))
    };
    shape.members.iter().map(endpoint).collect()
}

/// What a client of a cluster needs to be let in.
///
/// # Errors
/// When the lab's certificates cannot be made or read.
pub fn access(lab: &Lab, shape: &ClusterShape) -> Result<Access, LabError> {
    let first = shape.members.first();
    let mut access = Access::default();
    if first.is_some_and(|member| member.tls.is_some()) {
        let client = Authority::of(lab)?.gateway_client()?;
        let config = Access::tls_of(&client.ca, &client.cert, &client.key);
        access.tls = Some(config.map_err(|error| LabError::Hosts(vec![error]))?);
    }
    let auth = first.and_then(|member| member.auth.as_ref());
    access.login = auth.map(|auth| (auth.user.clone(), auth.password.clone()));
    Ok(access)
}

/// Waits until every endpoint answers a linearizable read and names a cluster version.
///
/// # Errors
/// [`LabError::TooLate`] with the last answer.
pub fn await_health(lab: &Lab, endpoints: &[String]) -> Result<(), LabError> {
    await_health_as(lab, endpoints, &Access::default())
}

/// As [`await_health`], of members that let not everybody in.
///
/// # Errors
/// As [`await_health`].
pub fn await_health_as(lab: &Lab, endpoints: &[String], access: &Access) -> Result<(), LabError> {
    await_each(lab, endpoints, access, Client::well)
}

fn await_each(
    lab: &Lab,
    endpoints: &[String],
    access: &Access,
    well: impl Fn(&Client) -> Result<(), String> + Sync,
) -> Result<(), LabError> {
    let wait = || {
        for endpoint in endpoints {
            let client = Client::new(endpoint, access, Duration::from_secs(2));
            let what = format!("the member at {endpoint} was not healthy");
            lab.cancel.wait(&what, PATIENCE, || well(&client))?;
        }
        Ok(())
    };
    lab.network().inside(wait)?
}

/// Users are made by API 3.
fn refuse_old_users(version: &Version) -> Result<(), LabError> {
    if Dialect::of(version) == Dialect::V3 {
        return Ok(());
    }
    let why = format!("the lab switches authentication on from 3.0 on, not on {version}");
    Err(LabError::Unsupported(why))
}

fn place_binaries(root: &Path, member: &MemberShape, how: &Install<'_>) -> Result<(), LabError> {
    let bin = root.join(member.bin_dir.trim_start_matches('/'));
    let side = format!("{}/{}", member.install_dir, how.version);
    make(&bin)?;
    for name in binaries(how.binaries)? {
        let target = match how.layout {
            Layout::PlainFiles => bin.join(&name),
            Layout::Links => {
                let link = bin.join(&name);
                let points_to = format!("{side}/{name}");
                symlink(&points_to, &link).map_err(LabError::io("link", &link))?;
                let folder = root.join(side.trim_start_matches('/'));
                make(&folder)?;
                folder.join(&name)
            }
        };
        let source = how.binaries.join(&name);
        fs::copy(&source, &target).map_err(LabError::io("copy", &source))?;
    }
    Ok(())
}

/// The binaries of a release: two that every one has, and a third since 3.5.
fn binaries(folder: &Path) -> Result<Vec<String>, LabError> {
    let mut names = vec!["etcd".to_owned(), "etcdctl".to_owned()];
    if let Some(binary) = names.iter().find(|name| !folder.join(name).is_file()) {
        return Err(LabError::NoBinary {
            folder: folder.to_owned(),
            binary: binary.clone(),
        });
    }
    if folder.join("etcdutl").is_file() {
        names.push("etcdutl".to_owned());
    }
    Ok(names)
}

fn initial_cluster(lab: &Lab, shape: &ClusterShape) -> Result<String, LabError> {
    let pair = |member: &MemberShape| {
        let address = lab.host(&member.host)?.address;
        let (name, scheme) = (&member.member, member.scheme());
        Ok(format!("{name}={scheme}://{address}:{PEER_PORT}"))
    };
    let pairs: Result<Vec<_>, LabError> = shape.members.iter().map(pair).collect();
    Ok(pairs?.join(","))
}

fn unit(
    lab: &Lab,
    shape: &ClusterShape,
    member: &MemberShape,
    initial: &str,
    how: &Install<'_>,
) -> Result<String, LabError> {
    let address = lab.host(&member.host)?.address;
    let (port, scheme) = (member.client_port, member.scheme());
    let mut flags = vec![
        format!("--name={}", member.member),
        format!("--data-dir={}", member.data_dir),
        format!("--listen-peer-urls={scheme}://{address}:{PEER_PORT}"),
        format!("--initial-advertise-peer-urls={scheme}://{address}:{PEER_PORT}"),
        format!("--listen-client-urls={scheme}://{address}:{port},{scheme}://127.0.0.1:{port}"),
        format!("--advertise-client-urls={scheme}://{address}:{port}"),
        format!("--initial-cluster={initial}"),
        format!("--initial-cluster-token={}", shape.name),
        "--initial-cluster-state=new".to_owned(),
    ];
    flags.extend(tls::flags(member));
    flags.extend_from_slice(how.flags);
    let kind = Catalogue::embedded().unit_type(how.version);
    Ok(format!(
        "[Unit]\nDescription=etcd\nAfter=network.target\n\n[Service]\nType={kind}\nUser=etcd\n\
         ExecStart={}/etcd \\\n  {}\nRestart=on-failure\nRestartSec=1\nLimitNOFILE=65536\n\n\
         [Install]\nWantedBy=multi-user.target\n",
        member.bin_dir,
        flags.join(" \\\n  ")
    ))
}

/// Makes the user and the data folder, enables the unit and queues its start: with `Type=notify` a start
/// ends only when a quorum is up, so no host may wait for its own.
fn start_script(member: &MemberShape, keys: &[String]) -> String {
    const SCRIPT: &str = r#"set -e
        id etcd >/dev/null 2>&1 || useradd --system --home-dir "$data" --no-create-home --shell /usr/sbin/nologin etcd
        install -d -m 0700 -o etcd -g etcd "$data"
        [ $# = 0 ] || chown etcd:etcd -- "$@"
        systemctl daemon-reload
        systemctl --quiet enable "$unit"
        systemctl --no-block start "$unit""#;
    let (data, unit) = (quoted(&member.data_dir), quoted(&member.unit));
    let keys: Vec<String> = keys.iter().map(|key| quoted(key)).collect();
    format!(
        "data={data}; unit={unit}; set -- {}; {SCRIPT}",
        keys.join(" ")
    )
}

fn side_by_side(
    members: &[MemberShape],
    work: impl Fn(&MemberShape) -> Result<(), LabError> + Sync,
) -> Result<(), LabError> {
    let results: Vec<_> = thread::scope(|scope| {
        let work = &work;
        let begin = |member| scope.spawn(move || work(member));
        let threads: Vec<_> = members.iter().map(begin).collect();
        threads
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect()
    });
    let unwound = results.into_iter();
    let mut results = unwound.map(|r| r.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
    results.find(Result::is_err).unwrap_or(Ok(()))
}
