//! `runner rehearse`: the same upgrade on real hosts of this machine, under a writing client.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;

use super::out;
use crate::etcd::Version;
use crate::exit::Exit;
use crate::inventory::Inventory;
use crate::lab::cluster::{self, Install, Layout};
use crate::lab::releases::{self, Places};
use crate::lab::writer::Writer;
use crate::lab::{self, Cancel, Dirs, Lab, LabError, Shape, Wanted};

mod kept;
mod said;
mod way;

use said::{Said, signs_of_life, talk, words};

/// The release that a rehearsed cluster starts with, unless told otherwise.
const FROM: &str = "3.4.23";

/// The release that it is taken to, unless told otherwise.
const TO: &str = "3.5.16";

/// How many members the lab's own cluster has, unless told otherwise.
const MEMBERS: usize = 3;

/// What to rehearse.
#[derive(Clone, Debug)]
pub struct Args {
    /// The inventory whose clusters are brought up; without one, the lab's own cluster.
    pub inventory: Option<Inventory>,
    /// How many members each cluster has; without it, as many as the inventory says.
    pub members: Option<usize>,
    /// The release to start with.
    pub from: Option<Version>,
    /// The release to go to; without it, the inventory's `version`.
    pub to: Option<Version>,
    /// A folder with a folder of binaries for each version.
    pub releases: Option<PathBuf>,
    /// Leave the lab running.
    pub keep: bool,
    /// Tell nothing but errors and what the client saw.
    pub quiet: bool,
    /// Whether stdout carries JSON, so that words for people go to stderr.
    pub json: bool,
    /// Where the lab keeps things.
    pub dirs: Dirs,
}

/// What the upgrade is called with.
#[derive(Clone, Debug)]
pub struct Call {
    /// The lab's inventory.
    pub inventory: PathBuf,
    /// The release to go to.
    pub target: Version,
}

/// How the upgrade ended.
#[derive(Clone, Copy, Debug)]
pub struct Upgraded {
    /// Its exit status.
    pub exit: Exit,
    /// How long it took.
    pub took: Duration,
}

/// A lab with running clusters and a client that writes to each that is to be upgraded.
struct Stage {
    lab: Lab,
    writers: Vec<(String, Writer)>,
    /// The releases that its inventory's source has.
    releases: BTreeSet<Version>,
}

/// What is brought up.
#[derive(Clone, Debug)]
struct Script {
    shape: Shape,
    from: Version,
    to: Version,
}

/// Brings the clusters up, calls `upgrade` while clients write, and tells what the clients saw.
///
/// Ends with 0 only if the upgrade did and nothing acknowledged was lost; else with the upgrade's status,
/// or 6. An interrupt before the upgrade ends it with 130; during the upgrade Ctrl-C is the upgrade's,
/// SIGTERM abandons it. The lab is destroyed in every case, unless it is kept.
pub async fn run<F>(args: Args, upgrade: F) -> Exit
where
    F: AsyncFnOnce(Call) -> Upgraded,
{
    let outcome = rehearse(args, upgrade).await;
    outcome.unwrap_or_else(|error| refuse(&error))
}

/// Destroys kept labs, and those of runs that crashed: `rehearse --destroy`.
pub fn destroy(dirs: &Dirs) -> Exit {
    let destroyed = lab::destroy_kept(dirs).and_then(|mut ids| {
        ids.extend(lab::sweep(dirs)?);
        Ok(ids)
    });
    match destroyed {
        Ok(ids) if ids.is_empty() => talk("no lab was kept"),
        Ok(ids) => talk(&format!("destroyed: {}", ids.join(", "))),
        Err(error) => return refuse(&error),
    }
    Exit::Done
}

async fn rehearse<F>(args: Args, upgrade: F) -> Result<Exit, LabError>
where
    F: AsyncFnOnce(Call) -> Upgraded,
{
    let script = Script::of(&args)?;
    let args = Arc::new(args);
    let stage = bring_up(args.clone(), script.clone()).await?;
    let call = Call {
        inventory: stage.lab.inventory(),
        target: script.to.clone(),
    };
    let mut terminate = terminations()?;
    let upgraded = tokio::select! {
        upgraded = upgrade(call) => Some(upgraded),
        _ = terminate.recv() => None,
    };
    blocking(move || take_down(stage, &args, &script, upgraded)).await
}

impl Script {
    fn of(args: &Args) -> Result<Self, LabError> {
        let mut shape = match &args.inventory {
            Some(inventory) => Shape::of_inventory(inventory)?,
            None => Shape::of_members(MEMBERS),
        };
        if let Some(count) = args.members {
            shape.resize(count);
        }
        if shape.hosts().is_empty() {
            let reason = "a rehearsal needs at least one member".to_owned();
            return Err(LabError::Unsupported(reason));
        }
        let clusters = args.inventory.iter().flat_map(|inv| inv.clusters.values());
        let wanted = clusters.filter_map(|cluster| cluster.version.clone()).max();
        let usual = |version: &str| version.parse().expect("a version of ours");
        let to = args.to.clone().or(wanted).unwrap_or_else(|| usual(TO));
        let from = args.from.clone().unwrap_or_else(|| usual(FROM));
        if from > to {
            return Err(backwards(&from, &to, args));
        }
        Ok(Self { shape, from, to })
    }
}

fn backwards(from: &Version, to: &Version, args: &Args) -> LabError {
    let what = match (&args.to, &args.inventory) {
        (Some(_), _) => format!("`--from {from}` is newer than `--to {to}`"),
        (None, Some(_)) => {
            format!("`--from {from}` is newer than {to}, the inventory's `version`")
        }
        (None, None) => {
            format!("`--from {from}` is newer than {to}, to which a rehearsal goes by itself")
        }
    };
    LabError::Unsupported(format!(
        "{what}: name {from} or a newer release with `--to`"
    ))
}

/// Brings everything up on a thread of its own; an interrupt ends that and takes away what there is.
async fn bring_up(args: Arc<Args>, script: Script) -> Result<Stage, LabError> {
    let cancel = Cancel::default();
    let flag = cancel.clone();
    let mut terminate = terminations()?;
    let said = Arc::new(Said::default());
    let heard = (!args.quiet).then(|| Arc::clone(&said));
    let mut setting = spawn_blocking(move || set_stage(&args, &script, &flag, &said));
    let joined = tokio::select! {
        joined = &mut setting => joined,
        () = signs_of_life(heard) => unreachable!("they never end"),
        _ = tokio::signal::ctrl_c() => { cancel.cancel(); setting.await }
        _ = terminate.recv() => { cancel.cancel(); setting.await }
    };
    let stage = joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    // An interrupt that came too late to stop the work still stops the run; dropping destroys.
    cancel.check()?;
    Ok(stage)
}

fn set_stage(
    args: &Args,
    script: &Script,
    cancel: &Cancel,
    said: &Said,
) -> Result<Stage, LabError> {
    let say = |text: &str| {
        if !args.quiet {
            said.say(text);
        }
    };
    lab::ensure_tools(cancel, &say)?;
    let places = {
        let clusters = args.inventory.iter().flat_map(|inv| inv.clusters.values());
        let source = clusters.map(|cluster| &cluster.releases).next();
        Places::new(args.releases.as_deref(), source, &args.dirs)
    };
    let passed = way::way(&places, &script.from, &script.to, cancel)?;
    let wanted: Vec<&Version> = std::iter::once(&script.from).chain(&passed).collect();
    let mut found = places.find(&wanted, cancel, &say)?;
    if args.keep {
        found.append(&mut places.newer(&script.to, cancel, &say)?);
    }
    let mut lab = Lab::boot(&args.dirs, &script.shape.hosts(), cancel, &say)?;
    let folder = lab.folder().join("releases");
    releases::gather(&found, &folder)?;
    lab.write_inventory(&Wanted {
        shape: &script.shape,
        releases: &folder,
        version: Some(&script.to),
    })?;
    let how = Install {
        version: &script.from,
        binaries: &found[&script.from],
        layout: Layout::default(),
        flags: &[],
    };
    let mut clients = Vec::new();
    for shape in &script.shape.clusters {
        let (name, count) = (&shape.name, shape.members.len());
        say(&format!(
            "starting cluster `{name}`: {count} members, etcd {}",
            script.from
        ));
        let endpoints = cluster::start(&lab, shape, &how)?;
        let access = cluster::access(&lab, shape)?;
        // Where nothing is upgraded there is nothing to see.
        if script.from != script.to {
            clients.push((name, endpoints, access));
        }
    }
    // Once all are up, so that none is slowed down by another's client.
    let mut writers = Vec::new();
    for (name, endpoints, access) in clients {
        let writer = Writer::start_as(lab.network(), &endpoints, &access)?;
        writers.push((name.clone(), writer));
    }
    if args.keep {
        lab.keep()?;
    }
    Ok(Stage {
        lab,
        writers,
        releases: found.into_keys().collect(),
    })
}

fn take_down(
    stage: Stage,
    args: &Args,
    script: &Script,
    upgraded: Option<Upgraded>,
) -> Result<Exit, LabError> {
    let mut is_clean = true;
    for (cluster, writer) in stage.writers {
        let seen = writer.finish()?;
        is_clean &= seen.is_clean();
        show(args, &words(&cluster, &seen));
    }
    if let Some(Upgraded { exit, took }) = upgraded {
        let (code, took) = (exit.code(), took.as_secs_f64());
        let (from, to) = (&script.from, &script.to);
        show(
            args,
            &format!("upgrade {from} to {to}: exit status {code} after {took:.1} s\n"),
        );
    }
    if args.keep {
        show(
            args,
            &kept::visit(&stage.lab, kept::next(&script.to, &stage.releases)),
        );
        stage.lab.leave()?;
    } else {
        stage.lab.destroy()?;
    }
    Ok(ending(upgraded, is_clean))
}

fn ending(upgraded: Option<Upgraded>, is_clean: bool) -> Exit {
    match upgraded {
        None => Exit::Interrupted,
        Some(upgraded) if upgraded.exit != Exit::Done => upgraded.exit,
        Some(_) if !is_clean => Exit::NeedsPerson,
        Some(_) => Exit::Done,
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let ended = spawn_blocking(work).await;
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

fn terminations() -> Result<tokio::signal::unix::Signal, LabError> {
    signal(SignalKind::terminate()).map_err(|source| LabError::Io {
        what: "cannot listen for signals".to_owned(),
        source,
    })
}

fn refuse(error: &LabError) -> Exit {
    if matches!(error, LabError::Interrupted) {
        talk("interrupted: the lab was taken away");
        return Exit::Interrupted;
    }
    let mut text = format!("error: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.extend(["\nbecause: ".to_owned(), cause.to_string()]);
        source = cause.source();
    }
    talk(&(text + "\nchanged: nothing outside the lab"));
    Exit::Refused
}

/// Data goes to stdout, unless that carries JSON.
fn show(args: &Args, text: &str) {
    if args.json {
        out::talk(text);
    } else {
        out::data(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upgraded(exit: Exit) -> Upgraded {
        let took = Duration::from_secs(1);
        Upgraded { exit, took }
    }

    #[test]
    fn only_a_finished_upgrade_without_a_lost_write_ends_with_0() {
        assert_eq!(ending(Some(upgraded(Exit::Done)), true), Exit::Done);
        assert_eq!(ending(Some(upgraded(Exit::Done)), false), Exit::NeedsPerson);
        assert_eq!(ending(Some(upgraded(Exit::PutBack)), false), Exit::PutBack);
        assert_eq!(ending(None, true), Exit::Interrupted);
    }

    #[test]
    fn a_way_back_is_refused_and_the_message_says_what_to_pass() {
        let mut args = Args {
            inventory: None,
            members: None,
            from: Some("3.5.30".parse().unwrap()),
            to: None,
            releases: None,
            keep: false,
            quiet: true,
            json: false,
            dirs: Dirs::of_user(),
        };
        let refused = Script::of(&args).unwrap_err().to_string();
        assert!(
            refused.contains("name 3.5.30 or a newer release with `--to`"),
            "{refused}"
        );
        args.to = args.from.clone();
        assert_eq!(Script::of(&args).unwrap().to, "3.5.30".parse().unwrap());
    }
}
