//! `runner inventory`: what the inventory comes to.

use super::context::Context;
use super::inventory;
use super::out;
use super::session::{load, selection};
use crate::cli::Inventory;
use crate::error::{Failure, Problem, Result};
use crate::exit::Exit;

/// Runs the command.
///
/// # Errors
/// An invalid inventory, or a host that is not in it.
pub fn run(context: &Context, command: &Inventory) -> Result<Exit> {
    match command {
        Inventory::List => list(context)?,
        Inventory::Show { host } => show(context, host)?,
    }
    Ok(Exit::Done)
}

fn list(context: &Context) -> Result<()> {
    let selected = selection(context)?;
    if context.json() {
        out::object(&inventory::list_json(&selected));
    } else {
        out::data(&inventory::list(&selected));
    }
    Ok(())
}

fn show(context: &Context, host: &str) -> Result<()> {
    let loaded = load(context)?;
    let unknown = |error| Failure::new(Exit::Usage, Problem::of(&error));
    if context.json() {
        let object = inventory::show_json(&loaded, host).map_err(unknown)?;
        out::object(&object);
    } else {
        out::data(&inventory::show(&loaded, host).map_err(unknown)?);
    }
    Ok(())
}
