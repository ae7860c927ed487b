//! `runner rehearse`, from the command line: the lab calls the same upgrade that `runner upgrade` is.

use std::sync::Arc;
use std::time::Instant;

use super::context::{Context, runtime};
use super::decide::Goal;
use super::rehearse::{self, Args, Call, Upgraded};
use super::session::{load, selection, within};
use super::upgrade::upgrade;
use crate::cli::{Global, Rehearse};
use crate::error::Result;
use crate::exit::Exit;
use crate::lab::Dirs;

/// Boots a lab and upgrades the clusters in it, or destroys labs that were kept.
///
/// # Errors
/// An invalid inventory.
pub fn run(context: &Context, args: Rehearse) -> Result<Exit> {
    let dirs = Dirs::of_user();
    if args.destroy {
        return Ok(rehearse::destroy(&dirs));
    }
    let inventory = match context.global.inventory.as_slice() {
        [] => None,
        _ => Some(load(context)?.inventory),
    };
    let acknowledge = args.acknowledge.clone();
    let args = Args {
        inventory,
        members: args.members.map(usize::from),
        from: args.from,
        to: args.to,
        releases: args.releases,
        keep: args.keep,
        quiet: context.global.quiet,
        json: context.json(),
        dirs,
    };
    let runtime = runtime()?;
    Ok(runtime.block_on(rehearse::run(args, async |call: Call| {
        upgraded(context, call, &acknowledge).await
    })))
}

async fn upgraded(context: &Context, call: Call, acknowledge: &[String]) -> Upgraded {
    let began = Instant::now();
    let ended = inside(context, &call, acknowledge).await;
    let exit = ended.unwrap_or_else(|failure| {
        context.out.failure(&failure);
        failure.exit
    });
    Upgraded {
        exit,
        took: began.elapsed(),
    }
}

/// The flags for output and care are the caller's; where and what to upgrade is the lab's.
async fn inside(context: &Context, call: &Call, acknowledge: &[String]) -> Result<Exit> {
    let global = Global {
        inventory: vec![call.inventory.clone()],
        limit: Vec::new(),
        set: Vec::new(),
        user: None,
        private_key: None,
        escalate: false,
        ssh_config: None,
        yes: true,
        ..context.global.clone()
    };
    let context = Context::new(global, context.out, Arc::clone(&context.place))?;
    let goal = Goal::to(Some(call.target.clone()), acknowledge).locking();
    let selected = selection(&context)?;
    within(&context, selected, async |session| {
        upgrade(session, &goal).await
    })
    .await
}
