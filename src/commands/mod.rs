//! The imperative shell: reads files, environment and terminal, hands everything to the modules that do the work,
//! and turns what came of it into words and an exit status. One short file a command.

use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::error::Result;
use crate::exit::Exit;

mod admit;
mod back;
mod backup;
mod check;
mod completions;
mod confirm;
mod context;
mod decide;
mod discover;
mod downgrade;
mod exec;
mod hops;
pub mod inventory;
mod lock;
mod look;
mod man;
mod many;
mod out;
mod panics;
mod password;
mod plan;
mod rehearsal;
pub mod rehearse;
mod restore;
mod rollback;
mod runs;
mod session;
mod shelf;
mod show;
mod signals;
mod status;
mod table;
mod telling;
mod upgrade;

use context::Context;
use out::Out;

/// Runs a command and says how it ended.
pub fn run(cli: Cli) -> ExitCode {
    let place = panics::watch();
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let out = Out::new(&cli.global);
        let result = Context::new(cli.global, out, place)
            .and_then(|context| dispatch(&context, cli.command));
        if let Err(failure) = &result {
            out.failure(failure);
        }
        result
    }));
    out::finish();
    ExitCode::from(code(ended))
}

fn code(ended: std::thread::Result<Result<Exit>>) -> u8 {
    match ended {
        Ok(Ok(exit)) => exit.code(),
        Ok(Err(failure)) => failure.exit.code(),
        Err(_) => Exit::Bug.code(),
    }
}

fn dispatch(context: &Context, command: Command) -> Result<Exit> {
    match command {
        Command::Upgrade(args) if context.global.check => plan::run(context, &args.target, false),
        Command::Upgrade(args) => upgrade::run(context, &args.target),
        Command::Plan(args) => plan::run(context, &args.target, args.detailed_exitcode),
        Command::Check(args) => check::run(context, &args),
        Command::Status => status::run(context),
        Command::Backup => backup::run(context),
        Command::Rollback(args) => rollback::run(context, &args),
        Command::Downgrade(args) => downgrade::run(context, &args),
        Command::Restore(args) => restore::run(context, &args),
        Command::Discover(args) => discover::run(context, &args),
        Command::Exec(args) => exec::run(context, &args),
        Command::Rehearse(args) => rehearsal::run(context, args),
        Command::Inventory { command } => show::run(context, &command),
        Command::Runs { command } => runs::run(context, &command),
        Command::Completions { shell } => Ok(completions::run(shell)),
        Command::Man { dir } => man::run(dir.as_deref()),
    }
}
