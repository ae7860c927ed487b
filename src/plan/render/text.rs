//! The plan and the findings.

use std::fmt::Write;

use crate::etcd::catalogue::Catalogue;
use crate::plan::{
    Action, Finding, Hop, Kind, Lane, OnFailure, Plan, Planned, Purpose, Severity, Step, Wave,
};

use super::{Style, words};

/// The columns that lines are broken at, if they can be broken.
const COLUMNS: usize = 80;
/// What stands left of a step: two blanks, its numbers, a blank.
const STEP_INDENT: usize = 13;

/// Findings and plan; what there is of them.
pub fn planned(planned: &Planned, style: Style) -> String {
    let findings = findings(&planned.findings, style);
    let refused = planned
        .findings
        .iter()
        .any(|finding| finding.severity == Severity::Block);
    let plan = match &planned.plan {
        Some(made) => plan(made, style),
        None if refused => "no plan: a finding blocks\n".to_owned(),
        None => "nothing to do\n".to_owned(),
    };
    if findings.is_empty() {
        plan
    } else {
        format!("{findings}\n{plan}")
    }
}

/// Findings, one paragraph each; what is the same of several subjects is told once.
pub fn findings(findings: &[Finding], style: Style) -> String {
    let mut told: Vec<Finding> = Vec::new();
    for finding in findings {
        match told
            .iter_mut()
            .find(|known| is_same_but_subject(known, finding))
        {
            Some(known) => known.subject = format!("{}, {}", known.subject, finding.subject),
            None => told.push(finding.clone()),
        }
    }
    told.iter()
        .map(|finding| one_finding(finding, style))
        .collect()
}

fn is_same_but_subject(a: &Finding, b: &Finding) -> bool {
    let rest = |finding: &Finding| Finding {
        subject: String::new(),
        ..finding.clone()
    };
    rest(a) == rest(b)
}

fn one_finding(finding: &Finding, style: Style) -> String {
    let severity = match finding.severity {
        Severity::Block => "block",
        Severity::Acknowledge => "acknowledge",
        Severity::Warn => "warn",
        Severity::Note => "note",
    };
    let head = format!("{severity} {}", finding.code);
    let heading = wrapped(&format!("{head}: {}", finding.subject), 0, 4);
    let mut text = heading.replacen(&head, &style.severity(finding.severity, &head), 1);
    text += &wrapped(&finding.reason, 4, 4);
    let mut labelled = |label: &str, what: &str| {
        if !what.is_empty() {
            text += &wrapped(&format!("{label}: {what}"), 4, 6);
        }
    };
    labelled("hint", &finding.hint);
    labelled("source", &finding.source);
    text
}

/// The plan, wave by wave; steps that are the same on several hosts are told once.
pub fn plan(plan: &Plan, style: Style) -> String {
    let verb = match plan.kind {
        Kind::Upgrade => "upgrade",
        Kind::Rollback => "rollback",
        Kind::Downgrade => "downgrade",
        Kind::Backup => "backup",
        Kind::Restore => "restore",
    };
    let steps = plan.step_count();
    let title = match plan.kind {
        Kind::Backup => format!("{verb} of {} at {}: {steps} steps", plan.cluster, plan.from),
        _ => format!(
            "{verb} of {} from {} to {}: {steps} steps",
            plan.cluster, plan.from, plan.to
        ),
    };
    let mut text = format!("{}\n", style.bold(&title));
    for (number, hop) in (1..).zip(&plan.hops) {
        text += "\n";
        if plan.kind == Kind::Backup {
            text += &hop
                .waves
                .chunks(1)
                .map(|wave| one_group(wave, style))
                .collect::<String>();
            continue;
        }
        text += &one_hop(hop, number, plan.hops.len(), style);
    }
    if plan.kind != Kind::Backup {
        text += "\n";
        text += &wrapped(on_failure(plan), 0, 0);
    }
    text
}

fn on_failure(plan: &Plan) -> &'static str {
    match plan.on_failure {
        OnFailure::Undo if plan.kind == Kind::Restore => {
            "if anything fails before the proof: all members get their data, release and files of before and start \
             again"
        }
        OnFailure::Undo => "if a member fails: it is put back on what it ran, and the run stops",
        OnFailure::Stop => "if a member fails: everything stays as it is, and the run stops",
    }
}

fn one_hop(hop: &Hop, number: usize, of: usize, style: Style) -> String {
    let title = format!("hop {number} of {of}: {} to {}", hop.from, hop.to);
    let mut text = format!("{}\n", style.bold(&title));
    if hop.waves.is_empty() {
        text += "  a forecast: planned again when the hop before is done\n";
    } else if hop.waves.iter().any(|wave| wave.purpose == Purpose::Member) {
        text += &wrapped(&format!("order: {}", order(hop)), 2, 9);
    }
    for rule in &hop.rules {
        text += &wrapped(&format!("rule: {}", rule.text), 2, 8);
        let source = wrapped(&format!("[{}]", rule.source), 8, 8);
        text += &(style.dim(source.trim_end())
            + "
");
    }
    for group in groups(&hop.waves) {
        text += "\n";
        text += &one_group(group, style);
    }
    if let Some(point) = hop.point_of_no_return {
        let formal = Catalogue::embedded().downgrade(hop.to.minor());
        let afterwards = match formal {
            Some(_) => "`runner downgrade`, or the backup",
            None => "only the backup",
        };
        let said = format!(
            "point of no return: step {}, the start of the last member; before it the old release \
             leads back, afterwards {afterwards}",
            point.0
        );
        text += "\n";
        text += &wrapped(&said, 2, 4);
    }
    text
}

fn order(hop: &Hop) -> String {
    let lanes = hop
        .waves
        .iter()
        .filter(|wave| wave.purpose == Purpose::Member)
        .flat_map(|wave| &wave.lanes);
    let hosts: Vec<&str> = lanes.map(|lane| lane.host.as_str()).collect();
    let backup = hop
        .waves
        .iter()
        .find(|wave| wave.purpose == Purpose::Backup);
    let snapshot = |step: &Step| matches!(step.action, Action::TakeBackup { .. });
    let leader = backup
        .and_then(|wave| wave.lanes.first())
        .filter(|lane| lane.steps.iter().any(snapshot))
        .map(|lane| lane.host.as_str());
    match (hosts.last(), leader) {
        (Some(last), Some(leader)) if *last == leader => {
            format!("{} (leads, so last)", hosts.join(", "))
        }
        (_, Some(leader)) => format!("{} ({leader} leads and stays)", hosts.join(", ")),
        _ => hosts.join(", "),
    }
}

/// Waves of one purpose that follow each other and do the same on each host.
fn groups(waves: &[Wave]) -> Vec<&[Wave]> {
    waves
        .chunk_by(|a, b| a.purpose == b.purpose && in_turn(a.purpose) && same(a, b))
        .collect()
}

fn in_turn(purpose: Purpose) -> bool {
    matches!(purpose, Purpose::Member | Purpose::Prepare)
}

fn same(a: &Wave, b: &Wave) -> bool {
    match (a.lanes.as_slice(), b.lanes.as_slice()) {
        ([a], [b]) => alike(a, b),
        _ => false,
    }
}

fn alike(a: &Lane, b: &Lane) -> bool {
    let said = |lane: &Lane| -> Vec<String> {
        lane.steps.iter().map(|step| words(&step.action)).collect()
    };
    said(a) == said(b)
}

fn one_group(waves: &[Wave], style: Style) -> String {
    let lanes: Vec<&Lane> = waves.iter().flat_map(|wave| &wave.lanes).collect();
    let Some(purpose) = waves.first().map(|wave| wave.purpose) else {
        return String::new();
    };
    let mut rest = lanes;
    let mut text = String::new();
    while let Some(&first) = rest.first() {
        let (now, later): (Vec<_>, Vec<_>) = rest.into_iter().partition(|lane| alike(first, lane));
        text += &one_block(purpose, &now, style);
        rest = later;
    }
    text
}

/// Copies of v2 stores are named by their hosts and so make a block each.
fn backed_up(lanes: &[&Lane]) -> &'static str {
    let mut steps = lanes.iter().flat_map(|lane| &lane.steps);
    let leader = steps.any(|step| matches!(step.action, Action::TakeBackup { .. }));
    if leader {
        "back up the leader"
    } else {
        "back up the v2 store"
    }
}

fn one_block(purpose: Purpose, lanes: &[&Lane], style: Style) -> String {
    let hosts: Vec<&str> = lanes.iter().map(|lane| lane.host.as_str()).collect();
    let heading = match purpose {
        Purpose::Stage => format!("stage, switching nothing: {}", hosts.join(", ")),
        Purpose::Backup => format!("{}: {}", backed_up(lanes), hosts.join(", ")),
        Purpose::Prepare => format!("prepare: {}", hosts.join(", then ")),
        Purpose::Member => format!("member by member: {}", hosts.join(", then ")),
        Purpose::Rebuild => format!("all as one, none serves meanwhile: {}", hosts.join(", ")),
        Purpose::Finish => format!("finish: asked through {}", hosts.join(", ")),
    };
    let mut text = style.bold(wrapped(&heading, 2, 4).trim_end()) + "\n";
    let Some(first) = lanes.first() else {
        return text;
    };
    for (at, step) in first.steps.iter().enumerate() {
        let ids: Vec<String> = lanes
            .iter()
            .map(|lane| lane.steps[at].id.0.to_string())
            .collect();
        text += &one_step(step, &ids, purpose != Purpose::Rebuild);
    }
    text
}

fn one_step(step: &Step, ids: &[String], guarded: bool) -> String {
    let mark = if step.disruptive { "!" } else { " " };
    let guard = match &step.action {
        Action::StopUnit { .. } if guarded => " (guard: asks the cluster first)",
        _ => "",
    };
    let said = format!("{mark} {}{guard}", words(&step.action));
    let ids = numbers(ids);
    let mut text = String::new();
    let broken = broken(&said, 0, 2, COLUMNS - STEP_INDENT);
    for (at, line) in broken.lines().enumerate() {
        let left = if at == 0 { ids.as_str() } else { "" };
        let _ = writeln!(text, "  {left:>10} {line}");
    }
    text
}

/// Step numbers; of many the first two and the last.
fn numbers(ids: &[String]) -> String {
    match ids {
        [first, second, .., last] if ids.len() > 3 => format!("{first},{second}…{last}"),
        _ => ids.join(","),
    }
}

/// Breaks at spaces. The first line is indented by `first`, the others by `rest`.
fn wrapped(text: &str, first: usize, rest: usize) -> String {
    broken(text, first, rest, COLUMNS)
}

fn broken(text: &str, first: usize, rest: usize, columns: usize) -> String {
    let (mut lines, mut line) = (String::new(), " ".repeat(first));
    let mut empty = true;
    for word in text.split_whitespace() {
        let long = line.chars().count() + 1 + word.chars().count() > columns;
        if long && !empty {
            lines += line.trim_end();
            lines.push('\n');
            line = " ".repeat(rest);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line += word;
        empty = false;
    }
    lines += line.trim_end();
    lines.push('\n');
    lines
}
