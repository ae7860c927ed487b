//! What commands that talk to hosts share: selected clusters, the transport, reporters and signals.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::context::{Context, runtime};
use super::signals::Signals;
use super::{lock, out};
use crate::engine::Packs;
use crate::engine::lock::Locks;
use crate::error::{Failure, Problem, Result};
use crate::exit::Exit;
use crate::fleet::Shard;
use crate::inventory::{self, Errors, Loaded, Selected, select};
use crate::report::outlet::Patience;
use crate::report::text::count;
use crate::report::{Show, Voice};
use crate::transport::ssh::{Settings, Ssh};

/// Gathering hashes two etcd releases, which takes a second or two on a slow disk; a minute is generous.
const LOOK: Duration = Duration::from_secs(60);

/// Clusters, and the ways to hosts and people.
pub struct Session<'a> {
    /// Flags and folders.
    pub context: &'a Context,
    /// Clusters with at least one selected host.
    pub selected: Vec<Selected>,
    /// The way to hosts.
    pub transport: Arc<Ssh>,
    /// Ctrl-C and its kin.
    pub signals: Signals,
    /// The way to people.
    pub voice: Voice,
    /// The locks that this run holds on hosts; let go when the session is closed.
    pub locks: Arc<Locks>,
    /// Binaries packed for slow links, once for all clusters.
    pub packs: Arc<Packs>,
    show: Show,
}

/// Reads the inventory, opens a session, acts, and closes it whatever came of it.
///
/// # Errors
/// An invalid inventory, before anything is contacted; and whatever `act` comes to.
pub fn with(context: &Context, act: impl AsyncFnOnce(&Session) -> Result<Exit>) -> Result<Exit> {
    with_shard(context, None, act)
}

/// As [`with`], for the clusters of one part of the fleet.
///
/// # Errors
/// As [`with`].
pub fn with_shard(
    context: &Context,
    shard: Option<Shard>,
    act: impl AsyncFnOnce(&Session) -> Result<Exit>,
) -> Result<Exit> {
    let mut selected = selection(context)?;
    if let Some(shard) = shard {
        let all = selected.len();
        selected.retain(|one| shard.holds(&one.cluster.name));
        let (here, all) = (selected.len(), count(all, "cluster"));
        if !context.json() && !context.global.quiet {
            out::talk(&format!("shard {shard}: {here} of {all}\n"));
        }
    }
    let runtime = runtime()?;
    let ended = runtime.block_on(within(context, selected, act));
    // Waits for no question that nobody answers and no download that an interrupt has left behind.
    runtime.shutdown_background();
    ended
}

/// As [`with`], inside a runtime and with clusters that are selected already.
///
/// # Errors
/// Whatever `act` comes to.
pub async fn within(
    context: &Context,
    selected: Vec<Selected>,
    act: impl AsyncFnOnce(&Session) -> Result<Exit>,
) -> Result<Exit> {
    let session = Session::open(context, selected)?;
    let ended = act(&session).await;
    session.close().await;
    ended
}

impl<'a> Session<'a> {
    fn open(context: &'a Context, selected: Vec<Selected>) -> Result<Self> {
        let settings = Settings {
            forks: usize::from(context.global.forks),
            become_password: context.become_password()?,
            ..Settings::default()
        };
        let hosts = selected.iter().flat_map(|one| &one.cluster.hosts);
        let transport = Ssh::new(hosts, settings)
            .map_err(|error| Failure::new(Exit::Usage, Problem::of(&error)))?;
        let signals = Signals::watch().map_err(|error| deaf(&error))?;
        let show = Show::start(context.out.reporters(&context.global));
        Ok(Self {
            context,
            selected,
            transport: Arc::new(transport),
            signals,
            voice: show.voice(),
            packs: Arc::new(Packs::new(context.state_dir.clone())),
            locks: Arc::new(Locks::new(lock::holder(&context.run))),
            show,
        })
    }

    /// The most that one look at a host may take.
    pub fn look_deadline(&self) -> Duration {
        self.context.global.timeout.unwrap_or(LOOK)
    }

    /// Does what changes nothing, and leaves it at the first interrupt.
    ///
    /// # Errors
    /// The interrupt.
    pub async fn or_interrupt<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            done = work => Ok(done),
            () = self.signals.first() => {
                let what = "interrupted before anything was changed";
                Err(Failure::new(Exit::Interrupted, what).changed("nothing"))
            }
        }
    }

    /// Waits until everything said so far is shown.
    pub fn flush(&self) {
        self.show.flush();
    }

    /// Shows what is left; bars stay as they are, and data can follow.
    pub fn quiet(&self) {
        self.show.finish(Patience::SOON);
    }

    /// Lets hosts go before it waits for whoever reads.
    async fn close(&self) {
        self.quiet();
        self.locks.release().await;
        self.transport.close().await;
        self.show.finish(Patience::LAST);
    }
}

/// Without signals an interrupt would leave a member down, so nothing is begun.
pub fn deaf(error: &std::io::Error) -> Failure {
    let problem = Problem::new("signals cannot be watched").because(error.to_string());
    Failure::new(Exit::Bug, problem)
}

/// Loads the inventory that the flags name.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(context: &Context) -> Result<Loaded> {
    let files = context.inventory_files()?;
    inventory::load(&files, &context.global.sets()).map_err(|errors| invalid(&errors))
}

/// The clusters and hosts that the flags select.
///
/// # Errors
/// An invalid inventory, or patterns that match nothing.
pub fn selection(context: &Context) -> Result<Vec<Selected>> {
    select(&load(context)?.inventory, &context.global.limit)
        .map_err(|error| Failure::new(Exit::Usage, Problem::of(&error)))
}

/// Everything that is wrong with an inventory.
pub fn invalid(errors: &Errors) -> Failure {
    Failure::several(
        Exit::Usage,
        errors.0.iter().map(|clash| {
            Problem::new(format!("{}: {}", clash.place, clash.problem))
                .hint(clash.problem.hint().unwrap_or_default())
        }),
    )
}
