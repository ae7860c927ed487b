//! Options: what the target refuses, ignores or takes differently.

use std::collections::BTreeMap;

use crate::etcd::Minor;
use crate::plan::options::{Options, variable, yaml_keys};
use crate::plan::rules::Gone;
use crate::plan::seats::Seat;
use crate::plan::upgrade::{Request, Work};
use crate::plan::{Finding, Severity};

const RULE: &str = "etcd: server/etcdmain/config.go";

pub(super) fn findings(request: &Request, work: &Work) -> Vec<Finding> {
    work.seats
        .iter()
        .flat_map(|seat| {
            let files = work.files_of(seat);
            let options = Options::of(seat, files);
            let file = config(seat, work, &options);
            let mut findings = gone(request, seat, &options, file.as_ref());
            findings.extend(shadowed(request, seat, &options));
            findings.extend(v2(seat, &options, file.as_ref()));
            findings.extend(unseen(seat, &options, file.is_some()));
            findings
        })
        .collect()
}

/// The keys of the configuration file in effect, if it is known here: rendered, or read on the host.
fn config(seat: &Seat, work: &Work, options: &Options) -> Option<BTreeMap<String, String>> {
    let path = options.config_file()?;
    let rendered = work.files_of(seat).iter().find(|file| file.dest == path);
    let text = match rendered {
        Some(file) => file.text.as_str(),
        None => seat.facts.files.get(path)?.text.as_deref()?,
    };
    Some(yaml_keys(text))
}

fn gone(
    request: &Request,
    seat: &Seat,
    options: &Options,
    file: Option<&BTreeMap<String, String>>,
) -> Vec<Finding> {
    let Some(version) = seat.version() else {
        return Vec::new();
    };
    let rules = request.rules.gone(version.minor(), request.target.minor());
    rules
        .flat_map(|gone| {
            let flag = options
                .flags
                .get(&gone.flag)
                .map(|value| on_line(seat, gone, value));
            let env = options.environment.get(&variable(&gone.flag));
            let env = env.filter(|_| options.config_file().is_none());
            let env =
                env.map(|value| silent(seat, gone, "ENV_DROPPED", &variable(&gone.flag), value));
            let key = file.and_then(|file| file.get(&gone.flag));
            let key = key.map(|value| silent(seat, gone, "CONFIG_DROPPED", &gone.flag, value));
            [flag, env, key].into_iter().flatten().flatten()
        })
        .collect()
}

fn applies(gone: &Gone, value: &str) -> bool {
    gone.value.as_deref().is_none_or(|gone| gone == value)
}

fn on_line(seat: &Seat, gone: &Gone, value: &str) -> Option<Finding> {
    applies(gone, value).then(|| {
        let shown = gone.value.as_ref().map(|value| format!("={value}"));
        refused(
            seat,
            gone,
            &format!("--{}{}", gone.flag, shown.unwrap_or_default()),
        )
    })
}

fn refused(seat: &Seat, gone: &Gone, what: &str) -> Finding {
    Finding::block(
        "FLAG_REMOVED",
        &seat.host.name,
        format!(
            "`{what}` is set, and etcd does not start with it from {} on",
            gone.since
        ),
    )
    .hint(format!("replace it by {}", gone.instead))
    .source(RULE)
}

/// A whole option is ignored where it stands outside of the command line; a value that went away is refused.
fn silent(seat: &Seat, gone: &Gone, code: &str, name: &str, value: &str) -> Option<Finding> {
    if !applies(gone, value) {
        return None;
    }
    if gone.value.is_some() {
        return Some(refused(seat, gone, &format!("{name}={value}")));
    }
    let severity = if gone.protects {
        Severity::Block
    } else {
        Severity::Warn
    };
    Some(
        Finding::new(
            severity,
            code,
            &seat.host.name,
            format!(
                "`{name}` is set, and etcd ignores it from {} on, with no error",
                gone.since
            ),
        )
        .hint(format!("replace it by {}", gone.instead))
        .source(RULE),
    )
}

/// From 3.4 on etcd does not start when a flag hides a variable, unless a configuration file replaces both.
fn shadowed(request: &Request, seat: &Seat, options: &Options) -> Vec<Finding> {
    if request.target.minor() < Minor::new(3, 4) || options.config_file().is_some() {
        return Vec::new();
    }
    options
        .flags
        .keys()
        .filter(|flag| options.environment.contains_key(&variable(flag)))
        .map(|flag| {
            Finding::block(
                "ENV_SHADOW",
                &seat.host.name,
                format!(
                    "`--{flag}` and `{}` are both set, one of 2 is allowed from 3.4 on",
                    variable(flag)
                ),
            )
            .hint("drop one of them from the unit or its environment file")
            .source("etcd #11298")
        })
        .collect()
}

fn v2(seat: &Seat, options: &Options, file: Option<&BTreeMap<String, String>>) -> Option<Finding> {
    let value = match file {
        Some(keys) => keys.get("enable-v2").map(String::as_str),
        None => options.get("enable-v2"),
    };
    matches!(value?, "true" | "1" | "t" | "T" | "TRUE" | "True").then(|| {
        Finding::acknowledge(
            "V2_DATA",
            &seat.host.name,
            "`enable-v2` is on: keys of the v2 store, if there are any, are in 0 of the backups taken here",
        )
        .hint("take a copy of the v2 keys yourself, or acknowledge that there are none worth keeping")
        .source("etcd.io/docs/v3.5/op-guide/recovery")
    })
}

fn unseen(seat: &Seat, options: &Options, seen: bool) -> Vec<Finding> {
    let words = (!options.unknown.is_empty()).then(|| {
        let reason = format!(
            "`{}` is filled in by systemd and is not checked here",
            options.unknown.join(" ")
        );
        Finding::note("ARGS_UNKNOWN", &seat.host.name, reason)
    });
    let file = options.config_file().filter(|_| !seen).map(|path| {
        let reason =
            format!("etcd reads `{path}`, which no template makes: its keys are not checked");
        Finding::note("CONFIG_UNSEEN", &seat.host.name, reason)
    });
    words.into_iter().chain(file).collect()
}
