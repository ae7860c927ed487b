//! Options: what the target refuses, ignores or takes differently.

use std::collections::BTreeMap;

use crate::etcd::Version;
use crate::etcd::catalogue::{Catalogue, Conflict, DroppedEnv, Effect, Refusal, RefusedFlag};
use crate::plan::files::{self, Rendered};
use crate::plan::options::{Options, yaml_keys, yaml_kinds};
use crate::plan::seats::Seat;
use crate::plan::upgrade::{Request, Work};
use crate::plan::{Finding, Severity};

/// A release on the way, and what the member will be started with there.
struct Start<'a> {
    version: &'a Version,
    options: Options,
    /// The configuration file in effect, if its text is known: rendered, or read on the host.
    config: Option<String>,
}

pub(super) fn findings(request: &Request, work: &Work) -> Vec<Finding> {
    work.seats
        .iter()
        .flat_map(|seat| {
            let starts: Vec<Start> = work
                .path
                .iter()
                .map(|version| start(request, work, seat, version))
                .collect();
            let mut findings = way(request, seat, &starts);
            findings.extend(types(request, seat, &starts));
            findings.extend(urls(request, seat, &starts));
            findings.extend(starts.first().iter().flat_map(|first| unseen(seat, first)));
            findings
        })
        .collect()
}

/// Files of templates are rendered anew for each release, so that each is judged by its own.
fn start<'a>(request: &Request, work: &Work, seat: &Seat, version: &'a Version) -> Start<'a> {
    let later = (*version != work.to).then(|| {
        let (facts, cluster) = (request.facts, &request.cluster.name);
        files::render(seat, facts, cluster, version, request.rules)
    });
    let rendered = match &later {
        Some(Ok(rendered)) => rendered.as_slice(),
        // What cannot be rendered has a finding of its own.
        Some(Err(_)) | None => work.files_of(seat),
    };
    let options = Options::of(seat, rendered);
    let config = config_text(seat, rendered, &options).map(str::to_owned);
    Start {
        version,
        options,
        config,
    }
}

/// The text of the configuration file in effect: rendered, or read on the host.
fn config_text<'a>(seat: &'a Seat, rendered: &'a [Rendered], options: &Options) -> Option<&'a str> {
    let path = options.config_file()?;
    match rendered.iter().find(|file| file.dest == path) {
        Some(file) => Some(&file.text),
        None => seat.facts.files.get(path)?.text.as_deref(),
    }
}

/// Keys of the configuration file whose type a release on the way refuses.
fn types(request: &Request, seat: &Seat, starts: &[Start]) -> Vec<Finding> {
    let mut told: BTreeMap<&str, Finding> = BTreeMap::new();
    for start in starts {
        let (version, kinds) = (
            start.version,
            yaml_kinds(start.config.as_deref().unwrap_or_default()),
        );
        for rule in request.rules.refused_yaml_types(version) {
            if kinds.get(&rule.key) != Some(&rule.refuses.as_str()) {
                continue;
            }
            let reason = format!(
                "`{}` is a {}, and {version} does not start with that",
                rule.key, rule.refuses
            );
            told.entry(&rule.key).or_insert_with(|| {
                Finding::block("CONFIG_TYPE", &seat.host.name, reason)
                    .hint(&rule.instead)
                    .source(&rule.source)
            });
        }
    }
    told.into_values().collect()
}

/// Addresses that a release on the way does not start with.
fn urls(request: &Request, seat: &Seat, starts: &[Start]) -> Vec<Finding> {
    let mut told: BTreeMap<String, Finding> = BTreeMap::new();
    for start in starts {
        let version = start.version;
        for rule in request.rules.refused_hosts(version) {
            for key in &rule.keys {
                let Some(value) = start.setting(key) else {
                    continue;
                };
                let Some(url) = value.split(',').find(|url| rule.refuses(url)) else {
                    continue;
                };
                let reason = format!(
                    "`{key}` has `{url}`, and {version} does not start with it: {}",
                    rule.what
                );
                told.entry(key.clone()).or_insert_with(|| {
                    Finding::block("URL_HOST", &seat.host.name, reason)
                        .hint(&rule.instead)
                        .source(&rule.source)
                });
            }
        }
    }
    told.into_values().collect()
}

/// What each release on the way says to the options; the same thing is told once.
fn way(request: &Request, seat: &Seat, starts: &[Start]) -> Vec<Finding> {
    let mut told = BTreeMap::new();
    for start in starts {
        for (what, finding) in one(request.rules, seat, start) {
            told.entry(what).or_insert(finding);
        }
    }
    told.into_values().collect()
}

/// Findings of one release by the option they are about. With a configuration file etcd takes nothing from its
/// environment; its command line is parsed all the same.
fn one(rules: &Catalogue, seat: &Seat, start: &Start) -> Vec<(String, Finding)> {
    let (host, version, options) = (&seat.host.name, start.version, &start.options);
    let flags = rules.refused_flags(version, &options.args).into_iter();
    let mut found: Vec<_> = flags
        .map(|flag| (flag.flag.clone(), refused(host, version, &flag)))
        .collect();
    if let Some(keys) = start.keys() {
        let dropped = rules.dropped_keys(version, &keys).into_iter();
        found.extend(dropped.map(|key| {
            (
                key.name.clone(),
                ignored(host, version, "CONFIG_DROPPED", &key),
            )
        }));
    }
    if options.config_file().is_none() {
        let env = &options.environment;
        let dropped = rules.dropped_env(version, env).into_iter();
        found.extend(dropped.map(|var| {
            (
                var.name.clone(),
                ignored(host, version, "ENV_DROPPED", &var),
            )
        }));
        let twice = rules.env_conflicts(version, &options.args, env).into_iter();
        found.extend(twice.map(|both| {
            (
                format!("{} twice", both.env),
                shadowed(host, version, &both),
            )
        }));
    }
    found
}

fn refused(host: &str, version: &Version, flag: &RefusedFlag) -> Finding {
    let why = match flag.refusal {
        Refusal::Gone => format!("gone since {}", flag.since),
        Refusal::TooNew => format!("known from {} on", flag.since),
        Refusal::Value => format!("this value is refused since {}", flag.since),
    };
    let reason = format!(
        "`{}` is set, and {version} does not start with it: {why}",
        flag.flag
    );
    let hint = match flag.refusal {
        Refusal::TooNew => {
            "take it out first, or put the file back that the older release ran with".to_owned()
        }
        Refusal::Gone | Refusal::Value => instead(&flag.replacement),
    };
    Finding::block("FLAG_REMOVED", host, reason)
        .hint(hint)
        .source(&flag.source)
}

/// A setting outside of the command line is dropped in silence, which is worse if it protected something.
fn ignored(host: &str, version: &Version, code: &str, setting: &DroppedEnv) -> Finding {
    let (severity, code, what) = match setting.effect {
        Effect::Fatal => (Severity::Block, "FLAG_REMOVED", "does not start with it"),
        Effect::Dropped if setting.security => (
            Severity::Block,
            code,
            "ignores it, and the protection with it",
        ),
        Effect::Dropped => (Severity::Warn, code, "ignores it, with no error"),
    };
    let reason = format!("`{}` is set, and {version} {what}", setting.name);
    Finding::new(severity, code, host, reason)
        .hint(instead(&setting.replacement))
        .source(&setting.source)
}

fn instead(replacement: &str) -> String {
    match replacement {
        "" => "drop it: nothing takes its place".to_owned(),
        replacement => format!("use instead: {replacement}"),
    }
}

fn shadowed(host: &str, version: &Version, both: &Conflict) -> Finding {
    let reason = format!(
        "`{}` and `{}` are both set, {version} takes 1 of 2",
        both.flag, both.env
    );
    Finding::block("ENV_SHADOW", host, reason)
        .hint("drop one of them from the unit or its environment file")
        .source(&both.source)
}

impl Start<'_> {
    /// The keys of the configuration file.
    fn keys(&self) -> Option<BTreeMap<String, String>> {
        self.config.as_deref().map(yaml_keys)
    }

    /// The value of an option, wherever it stands.
    fn setting(&self, name: &str) -> Option<String> {
        match self.keys() {
            Some(mut keys) => keys.remove(name),
            None => self.options.get(name).map(str::to_owned),
        }
    }
}

/// The value of an option that etcd will be started with after this hop.
pub(super) fn setting(request: &Request, work: &Work, seat: &Seat, name: &str) -> Option<String> {
    start(request, work, seat, &work.to).setting(name)
}

fn unseen(seat: &Seat, start: &Start) -> Vec<Finding> {
    let options = &start.options;
    let words = (!options.unknown.is_empty()).then(|| {
        let reason = format!(
            "`{}` is filled in by systemd and is not checked here",
            options.unknown.join(" ")
        );
        Finding::note("ARGS_UNKNOWN", &seat.host.name, reason)
    });
    let path = options.config_file().filter(|_| start.config.is_none());
    let file = path.map(|path| {
        let reason =
            format!("etcd reads `{path}`, which no template makes: its keys are not checked");
        Finding::note("CONFIG_UNSEEN", &seat.host.name, reason)
    });
    words.into_iter().chain(file).collect()
}
