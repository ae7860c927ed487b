//! An engine over a simulated cluster, with a journal on disk.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use runner::engine::lock::{Holder, Locks};
use runner::engine::{Engine, Interrupt, Packs};
use runner::etcd::Version;
use runner::etcd::catalogue::Catalogue;
use runner::event::{Ending, Event};
use runner::journal::{self, Journal, Recorder};
use runner::plan::path::{Available, path};
use runner::plan::{Finding, Plan, Planned};
use tempfile::TempDir;

use crate::sim::facts::facts;
use crate::sim::model::{binaries, content, sha256};
use crate::sim::{SimCluster, inventory};

/// A cluster, its releases on this machine and a state folder.
pub struct Rig {
    pub sim: SimCluster,
    pub interrupt: Interrupt,
    pub dir: TempDir,
    /// The target.
    pub to: Version,
    /// Codes of findings that may be there.
    pub acknowledged: BTreeSet<String>,
    /// Releases on this machine besides the target.
    passed: Vec<Version>,
    members: usize,
    runs: u32,
    keeps_journals: bool,
}

pub fn old() -> Version {
    "3.4.23".parse().unwrap()
}

pub fn new() -> Version {
    "3.5.16".parse().unwrap()
}

/// Who a run of a test says to be.
pub fn holder(run: &str) -> Holder {
    Holder {
        run: run.to_owned(),
        who: "ada".to_owned(),
        from: "ops-1".to_owned(),
        since: "2026-11-20T12:01:02Z".parse().unwrap(),
    }
}

impl Rig {
    pub fn new(members: usize) -> Self {
        // In memory where there is such a folder: a sweep writes many journals.
        let shm = Path::new("/dev/shm");
        let dir = if shm.is_dir() {
            TempDir::new_in(shm)
        } else {
            TempDir::new()
        };
        Self {
            sim: SimCluster::new(members, &old()),
            interrupt: Interrupt::new(),
            dir: dir.unwrap(),
            to: new(),
            acknowledged: BTreeSet::new(),
            passed: Vec::new(),
            members,
            runs: 0,
            keeps_journals: true,
        }
    }

    /// One that goes from one release to another, by whatever lies between.
    pub fn between(members: usize, from: &str, to: &str) -> Self {
        let (from, to): (Version, Version) = (from.parse().unwrap(), to.parse().unwrap());
        let rules = Catalogue::embedded();
        Self {
            sim: SimCluster::new(members, &from),
            passed: path(&from, &to, &Available::Any, rules).unwrap(),
            to,
            ..Self::forgetful(members)
        }
    }

    /// One that was upgraded and goes down again.
    pub fn down(members: usize, from: &str, to: &str) -> Self {
        let (from, to): (Version, Version) = (from.parse().unwrap(), to.parse().unwrap());
        Self {
            sim: SimCluster::new(members, &from),
            passed: vec![from],
            to,
            ..Self::forgetful(members)
        }
    }

    /// One whose journals are kept.
    pub fn remembering(self) -> Self {
        Self {
            keeps_journals: true,
            ..self
        }
    }

    /// One whose journals are written and forgotten: nobody reads the thousands of a sweep.
    pub fn forgetful(members: usize) -> Self {
        Self {
            keeps_journals: false,
            ..Self::new(members)
        }
    }

    /// An engine with a fresh journal.
    pub fn engine(&mut self) -> Engine {
        let run = self.next_run();
        let journal = if self.keeps_journals {
            Journal::create(self.dir.path(), &run).unwrap()
        } else {
            let nowhere = File::options().append(true).open("/dev/null").unwrap();
            Journal::over(nowhere, "/dev/null".into(), &run)
        };
        self.engine_with(journal)
    }

    pub fn engine_with(&self, journal: Journal) -> Engine {
        Engine {
            transport: Arc::new(self.sim.clone()),
            recorder: Arc::new(Recorder::new(journal)),
            interrupt: self.interrupt.clone(),
            seen: facts(&self.sim.state()).observation(),
            binaries: self.binaries(),
            packs: Arc::new(Packs::new(self.dir.path().to_owned())),
            state_dir: self.dir.path().to_owned(),
            locks: Arc::new(Locks::new(holder(&format!("run-{}", self.runs)))),
        }
    }

    /// How many runs there were.
    pub fn runs(&self) -> u32 {
        self.runs
    }

    fn next_run(&mut self) -> String {
        self.runs += 1;
        format!("20261120T1201{:02}Z-4f2a", self.runs)
    }

    fn binaries(&self) -> BTreeMap<String, std::path::PathBuf> {
        let releases = self.passed.iter().chain([&self.to]);
        releases
            .flat_map(|version| self.binaries_of(version))
            .collect()
    }

    fn binaries_of(&self, version: &Version) -> BTreeMap<String, std::path::PathBuf> {
        let place = |name: &&str| {
            let path = self.dir.path().join(format!("{name}-{version}"));
            fs::write(&path, content(name, version)).unwrap();
            (sha256(name, version), path)
        };
        binaries(version).iter().map(place).collect()
    }

    /// What the planner says of the simulation as it is now.
    pub fn planned(&self) -> Planned {
        let run = format!("20261120T1201{:02}Z-4f2a", self.runs + 1);
        inventory::plan(&self.sim.state(), &self.to, &run)
    }

    /// The plan from what the simulation is now.
    pub fn plan(&self) -> Plan {
        let planned = self.planned();
        planned
            .plan
            .unwrap_or_else(|| panic!("{:#?}", planned.findings))
    }

    /// Runs an upgrade from what the simulation is now, as `runner upgrade --yes` would: hop after hop.
    pub async fn upgrade(&mut self) -> Ending {
        self.upgrade_or_else("upgrade").await
    }

    /// The same, with words for a preflight that refuses.
    pub async fn upgrade_or_else(&mut self, context: &str) -> Ending {
        loop {
            // As commands do, who look only once no host is about to act by itself.
            self.sim.rescued().await;
            let Planned { plan, findings } = self.planned();
            let refuses = |finding: &&Finding| finding.refuses(&self.acknowledged);
            let refusing: Vec<&Finding> = findings.iter().filter(refuses).collect();
            assert!(
                refusing.is_empty(),
                "{context}: the preflight refuses: {refusing:#?}"
            );
            let Some(plan) = plan else {
                return nothing_to_do();
            };
            let ending = self.execute(&plan).await;
            if ending.status != 0 || plan.hops.len() < 2 {
                return ending;
            }
        }
    }

    pub async fn execute(&mut self, plan: &Plan) -> Ending {
        let engine = self.engine();
        let ending = engine.run(&inventory::cluster(self.members), plan).await;
        engine.locks.release().await;
        ending
    }

    /// The events of the newest run.
    pub fn events(&self) -> Vec<Event> {
        let runs = journal::list(self.dir.path()).unwrap();
        journal::read(&runs.last().unwrap().path).unwrap().events
    }
}

fn nothing_to_do() -> Ending {
    Ending {
        cluster: "prod".to_owned(),
        status: 0,
        summary: "nothing to do".to_owned(),
        causes: Vec::new(),
        members: Vec::new(),
        changed: false,
        hint: String::new(),
        left: Vec::new(),
    }
}
