//! Scenarios: `scenarios/NAME.toml`, a healthy cluster with what is different about it, and under it the plan or
//! the refusal as a person reads it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::Path;

use runner::etcd::{Alarm, AlarmKind, Member};
use runner::facts::{Answer, FileFacts, SnapFacts, V2Keys};
use runner::inventory::{Auth, FanOut, FileTemplate, TemplateSource, Templates};
use runner::plan::finding::ACKNOWLEDGEABLE;
use runner::plan::path::Available;
use runner::plan::render::{self, Style};
use runner::plan::rollback::{self, Past};
use runner::plan::upgrade::Request;
use runner::plan::{Finding, Planned, Severity, downgrade, lint, seats};
use serde::Deserialize;

use crate::world::{World, binaries, id, version};

const MIB: u64 = 1024 * 1024;

/// A scenario's file.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a line of a scenario that a person reads"
)]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// What it is about; shown above the plan.
    about: String,
    members: usize,
    version: String,
    target: String,
    /// Releases that can be had; any if left out.
    available: Option<Vec<String>>,
    /// Hosts that `--limit` leaves; all if left out.
    limit: Option<Vec<String>>,
    /// The number of the member that leads; 1 if left out.
    leader: Option<usize>,
    /// Whether an interrupted run is taken up.
    #[serde(default)]
    resume: bool,
    /// Whether the cluster is to be taken back; the target is then the lowest release that runs.
    #[serde(default)]
    rollback: bool,
    /// Whether the cluster is to be taken one minor back.
    #[serde(default)]
    downgrade: bool,
    /// The cluster version that the members see.
    cluster_version: Option<String>,
    /// Whether etcd's authentication is on.
    #[serde(default)]
    auth: bool,
    /// Whether the shipped templates are used.
    #[serde(default)]
    templates: bool,
    /// Whether hosts give a release to each other.
    #[serde(default)]
    fan_out: bool,
    /// Members of the list that no host has: name (empty if it never started) by number.
    #[serde(default)]
    strangers: BTreeMap<String, String>,
    #[serde(default)]
    all: Different,
    #[serde(default)]
    host: BTreeMap<String, Different>,
}

/// What is different about a host.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Different {
    version: Option<String>,
    installed: Option<String>,
    staged: Vec<String>,
    silent: Option<String>,
    unhealthy: Option<String>,
    alarm: Option<String>,
    downgrade: Option<String>,
    answers_as: Option<usize>,
    learner: bool,
    exec: Option<String>,
    args: Option<Vec<String>>,
    environment: BTreeMap<String, String>,
    active: Option<String>,
    enabled: Option<String>,
    stop_s: Option<u64>,
    db_mib: Option<u64>,
    v2_mib: Option<u64>,
    v2_keys: Option<bool>,
    free_mib: BTreeMap<String, u64>,
    data_dir: Option<String>,
    skew_ms: Option<i64>,
    behind: Option<u64>,
    files: BTreeMap<String, String>,
    vars: serde_json::Map<String, serde_json::Value>,
    unknown: bool,
}

impl Scenario {
    fn world(&self) -> World {
        let mut world = World::healthy(self.members, &self.version, &self.target);
        if let Some(list) = &self.available {
            let list = list.iter().map(|text| version(text)).collect();
            world.available = Available::Listed(list);
        }
        if let Some(limit) = &self.limit {
            world.chosen = limit.iter().cloned().collect();
        }
        world.resume = self.resume || self.rollback || self.downgrade;
        if self.fan_out {
            world.cluster.releases.fan_out = FanOut::Peer;
        }
        self.cluster(&mut world);
        for name in world.chosen_names() {
            self.all.apply(&mut world, &name);
        }
        for (name, different) in &self.host {
            different.apply(&mut world, name);
        }
        for view in world.views() {
            let said = self.cluster_version.as_deref().map(version);
            view.cluster_version = said.or(view.cluster_version.take());
        }
        world
    }

    fn planned(&self, world: &World) -> Planned {
        if self.downgrade {
            return down(world);
        }
        if !self.rollback {
            return world.plan();
        }
        let target = rollback::release(&world.cluster, &world.facts).unwrap_or(&world.target);
        let request = Request {
            target,
            ..world.request()
        };
        rollback::plan(&request, &Past::default())
    }

    fn cluster(&self, world: &mut World) {
        let leader = id(self.leader.unwrap_or(1));
        for view in world.views() {
            view.leader = Some(leader);
            let strangers = self
                .strangers
                .iter()
                .map(|(number, name)| stranger(number, name));
            view.members.extend(strangers);
        }
        for host in &mut world.cluster.hosts {
            host.auth = self.auth.then(auth);
            if self.templates {
                host.templates = templates();
            }
        }
    }
}

/// To the target, or why not.
fn down(world: &World) -> Planned {
    let request = world.request();
    let wanted = Some(request.target);
    match downgrade::target(&world.facts, wanted, &world.available, request.rules) {
        Ok(_) => downgrade::plan(&request),
        Err(why) => downgrade::no_target(&request, *why),
    }
}

fn stranger(number: &str, name: &str) -> Member {
    Member {
        id: id(number.parse().unwrap()),
        name: name.to_owned(),
        peer_urls: vec![format!("http://10.0.0.1{number}:2380")],
        client_urls: Vec::new(),
        learner: false,
    }
}

fn auth() -> Auth {
    Auth {
        user: "root".into(),
        password_file: "password".into(),
        password: runner::secret::Secret::new("never shown"),
    }
}

fn templates() -> Templates {
    let source = |path: &str, text: &str| TemplateSource {
        path: path.into(),
        text: text.to_owned(),
    };
    Templates {
        unit: Some(source(
            "etcd.service.j2",
            include_str!("../../templates/etcd.service.j2"),
        )),
        files: vec![FileTemplate {
            source: source(
                "etcd.conf.yml.j2",
                include_str!("../../templates/etcd.conf.yml.j2"),
            ),
            dest: "/etc/etcd/etcd.conf.yml".into(),
            mode: 0o640,
            owner: "etcd:etcd".into(),
        }],
    }
}

impl World {
    fn chosen_names(&self) -> Vec<String> {
        self.cluster
            .hosts
            .iter()
            .map(|host| host.name.clone())
            .collect()
    }
}

impl Different {
    fn apply(&self, world: &mut World, name: &str) {
        if let Some(release) = &self.version {
            world.runs(name, release);
        }
        self.member(world, name);
        self.unit(world, name);
        self.data(world, name);
        world.inventory(name).vars.extend(self.vars.clone());
        if self.unknown {
            world.facts.hosts.remove(name);
        }
    }

    fn member(&self, world: &mut World, name: &str) {
        if let Some(number) = self.answers_as {
            world.view(name).id = id(number);
        }
        if let Some(why) = &self.unhealthy {
            world.view(name).health = Err(why.clone());
        }
        if self.learner {
            world.view(name).learner = true;
            let own = world.view(name).id;
            for member in world.views().flat_map(|view| &mut view.members) {
                member.learner |= member.id == own;
            }
        }
        if let Some(behind) = self.behind {
            let applied = world.view(name).raft_applied;
            for view in world.views() {
                view.raft_index += behind;
                view.raft_applied += behind;
            }
            world.view(name).raft_applied = applied;
        }
        if let Some(kind) = &self.alarm {
            let member = world.view(name).id;
            let kind = match kind.as_str() {
                "NOSPACE" => AlarmKind::NoSpace,
                "CORRUPT" => AlarmKind::Corrupt,
                other => AlarmKind::Other(other.to_owned()),
            };
            for view in world.views() {
                view.alarms.push(Alarm {
                    member,
                    kind: kind.clone(),
                });
            }
        }
        if let Some(target) = &self.downgrade {
            world.view(name).downgrade = Some(target.parse().expect("a version"));
        }
        if let Some(because) = &self.silent {
            world.host(name).answer = Answer::Silent {
                because: because.clone(),
            };
        }
    }

    fn unit(&self, world: &mut World, name: &str) {
        let host = world.host(name);
        if let Some(release) = &self.installed {
            host.binaries = binaries(release);
        }
        for release in &self.staged {
            let files = binaries(release).into_iter();
            let files = files.map(|(name, binary)| (name, binary.sha256)).collect();
            host.staged.insert(version(release), files);
        }
        let unit = &mut host.unit;
        if let Some(exec) = &self.exec {
            unit.exec.clone_from(exec);
        }
        unit.argv.extend(self.args.clone().unwrap_or_default());
        unit.environment.extend(self.environment.clone());
        if let Some(state) = &self.active {
            unit.active_state.clone_from(state);
            unit.sub_state = "dead".into();
        }
        if let Some(enabled) = &self.enabled {
            unit.enabled.clone_from(enabled);
        }
        unit.timeout_stop_s = self.stop_s.or(unit.timeout_stop_s);
    }

    fn data(&self, world: &mut World, name: &str) {
        let host = world.host(name);
        host.clock_skew_ms = self.skew_ms.unwrap_or(host.clock_skew_ms);
        if let Some(mib) = self.db_mib {
            host.data.db_bytes = mib * MIB;
        }
        if let Some(mib) = self.v2_mib {
            host.data.snap = Some(SnapFacts {
                index: 1000,
                bytes: mib * MIB,
            });
        }
        match self.v2_keys {
            Some(true) => host.data.v2_keys = V2Keys::Present,
            Some(false) => host.data.v2_keys = V2Keys::Absent,
            None => {}
        }
        for (mount, mib) in &self.free_mib {
            for disk in host.disks.values_mut().filter(|disk| disk.mount == *mount) {
                disk.free_bytes = mib * MIB;
            }
        }
        if let Some(dir) = &self.data_dir {
            host.data.in_use.clone_from(dir);
            host.unit
                .argv
                .retain(|word| !word.starts_with("--data-dir"));
        }
        for (path, text) in &self.files {
            let (mode, owner) = if path.ends_with(".service") {
                (0o644, "root:root")
            } else {
                (0o640, "etcd:etcd")
            };
            let file = FileFacts {
                text: Some(text.clone()),
                mode,
                owner: owner.into(),
            };
            host.files.insert(path.clone(), file);
        }
    }
}

/// What a person sees, and what must hold whatever is seen.
fn screen(scenario: &Scenario, world: &World, planned: &Planned) -> String {
    let mut screen = format!("{}\n\n", scenario.about);
    let text = render::planned(planned, Style::default());
    fits(&text);
    let coloured = render::planned(planned, Style { colour: true });
    assert_eq!(text, without_colour(&coloured));
    screen += &text;
    if let Some(plan) = &planned.plan {
        assert_eq!(lint::lint(plan), Ok(()));
        if let Some(leader) = seats::leader(&world.facts) {
            assert_eq!(lint::leader_last(plan, leader), Ok(()));
        }
        let diffs = render::diffs(plan, Style::default());
        if !diffs.is_empty() {
            screen.push('\n');
            screen += &diffs;
        }
    }
    for finding in &planned.findings {
        is_documented(finding);
    }
    let blocks = |planned: &Planned| {
        planned
            .findings
            .iter()
            .any(|finding| finding.severity == Severity::Block)
    };
    assert!(
        !(planned.plan.is_some() && blocks(planned)),
        "a plan in spite of a refusal"
    );
    screen
}

/// Every line that can be broken ends within 80 columns.
fn fits(text: &str) {
    for line in text.lines().filter(|line| line.chars().count() > 80) {
        assert!(!line.trim().contains(' '), "too long: {line}");
    }
}

fn without_colour(text: &str) -> String {
    let mut plain = String::new();
    for (at, part) in text.split("\u{1b}[").enumerate() {
        let rest = part.split_once('m').map_or(part, |(_, rest)| rest);
        plain += if at == 0 { part } else { rest };
    }
    plain
}

/// Every code stands in the table of the preflight's page, and can be acknowledged if it asks for that.
pub fn is_documented(finding: &Finding) {
    let code = &finding.code;
    let page = include_str!("../../src/plan/preflight/mod.rs");
    assert!(
        page.contains(&format!("`{code}`")),
        "{code} is not on the preflight's page"
    );
    let known = ACKNOWLEDGEABLE.iter().any(|(known, _)| known == code);
    let asks = finding.severity == Severity::Acknowledge;
    assert!(known || !asks, "{code} cannot be acknowledged");
}

#[test]
fn every_scenario_prints_the_plan_or_refusal_under_review() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/scenarios");
    let mut seen = 0;
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for path in files {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let scenario: Scenario =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let world = scenario.world();
        let planned = scenario.planned(&world);
        let again = scenario.planned(&world);
        assert_eq!(planned, again, "{name}: same input, other plan");
        let screen = screen(&scenario, &world, &planned);
        insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!(format!("scenario_{name}"), screen);
        });
        seen += 1;
    }
    assert!(seen >= 15, "only {seen} scenarios were found");
}
