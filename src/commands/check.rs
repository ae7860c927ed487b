//! `runner check`: is every host reachable, and every cluster fit for an upgrade?

use super::context::Context;
use super::decide::{Decision, Goal, accepted};
use super::out;
use super::plan::{decide_all, together};
use super::session::{Session, with};
use super::telling::Telling;
use crate::cli::Check;
use crate::error::Result;
use crate::exit::Exit;
use crate::inventory::Selected;
use crate::plan::render::{self, Style};
use crate::report::text::{Paint, count};

/// Lists the findings of every selected cluster.
///
/// # Errors
/// Findings refuse, a host cannot be asked, a release cannot be had.
pub fn run(context: &Context, args: &Check) -> Result<Exit> {
    let goal = Goal::to(args.to.clone(), &args.acknowledge);
    with(context, async |session: &Session| {
        let telling = Telling::unkept(session);
        let checked = check(session, &telling, &goal).await;
        if let Err(failure) = &checked {
            telling.end_with(failure);
        }
        session.quiet();
        checked.map(|()| Exit::Done)
    })
}

async fn check(session: &Session<'_>, telling: &Telling<'_>, goal: &Goal) -> Result<()> {
    let decisions = decide_all(session, telling, goal).await?;
    session.flush();
    let mut refused = Vec::new();
    for (selected, decision) in &decisions {
        if !session.context.json() {
            let paint = session.context.out.stdout;
            out::data(&text(selected, decision, paint));
        }
        refused.extend(accepted(&selected.cluster.name, &decision.planned, goal).err());
    }
    match together(refused) {
        Some(failure) => Err(failure),
        None => telling.end(Exit::Done.code(), "no finding refuses", Vec::new()),
    }
}

fn text(selected: &Selected, decision: &Decision, paint: Paint) -> String {
    let style = Style {
        colour: paint == Paint::ON,
    };
    let findings = &decision.planned.findings;
    let hosts = count(selected.cluster.hosts.len(), "host");
    let found = match findings.len() {
        0 => "no findings".to_owned(),
        number => count(number, "finding"),
    };
    let name = &selected.cluster.name;
    let head = format!(
        "cluster {name} to {}: {hosts} reached, {found}",
        decision.target
    );
    format!(
        "{}\n{}",
        paint.bold(&head),
        render::findings(findings, style)
    )
}
