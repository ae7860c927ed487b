//! Several simulated clusters behind one transport, worked on by the rules for fleets, on a paused clock.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use runner::engine::act::{release, unit};
use runner::engine::wait::AWAIT_TITLE;
use runner::engine::{Engine, Interrupt};
use runner::facts::observe;
use runner::fleet::{self, Clock, Fleet, Part, Rules};
use runner::inventory::Cluster;
use runner::journal::{Journal, Recorder};
use runner::plan::{Action, Plan};
use runner::transport::{Command, Output, Transport, Unreachable};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::engine_rig::{Rig, new, old};
use crate::sim::model::Behaviour;
use crate::sim::{SimCluster, inventory};

/// A command that was run, by cluster.
#[derive(Clone, Debug)]
struct Ran {
    cluster: String,
    title: String,
    at: Instant,
}

/// Hosts are called `<cluster>/<host>`.
#[derive(Clone, Default)]
struct Clusters {
    sims: BTreeMap<String, SimCluster>,
    ran: Arc<Mutex<Vec<Ran>>>,
}

#[async_trait]
impl Transport for Clusters {
    async fn run(&self, host: &str, command: Command) -> Result<Output, Unreachable> {
        let (cluster, host) = host.split_once('/').unwrap();
        self.ran.lock().unwrap().push(Ran {
            cluster: cluster.to_owned(),
            title: command.title.clone(),
            at: Instant::now(),
        });
        self.sims[cluster].run(host, command).await
    }
}

impl Clusters {
    fn first(&self, cluster: &str, title: &str) -> Option<Instant> {
        let ran = self.ran.lock().unwrap();
        let found = ran
            .iter()
            .find(|ran| ran.cluster == cluster && ran.title == title);
        found.map(|ran| ran.at)
    }

    fn last(&self, cluster: &str) -> Instant {
        let ran = self.ran.lock().unwrap();
        ran.iter().rfind(|ran| ran.cluster == cluster).unwrap().at
    }

    /// The most clusters that were between the first stop of a member and the last script of this title at one time.
    fn most_at_once(&self, until: &str) -> usize {
        let ran = self.ran.lock().unwrap();
        let spans: Vec<(Instant, Instant)> = self
            .sims
            .keys()
            .filter_map(|name| {
                let mut own = ran.iter().filter(|ran| ran.cluster == *name);
                let begin = own.find(|ran| ran.title == unit::STOP_TITLE)?.at;
                let end = own.rfind(|ran| ran.title == until);
                Some((begin, end.map_or(begin, |ran| ran.at)))
            })
            .collect();
        let open = |at: Instant| spans.iter().filter(|(a, b)| *a <= at && at < *b).count();
        spans
            .iter()
            .map(|(begin, _)| open(*begin))
            .max()
            .unwrap_or(0)
    }

    fn stops(&self, cluster: &str) -> usize {
        self.sims[cluster].state().stops.len()
    }
}

struct Bed {
    clusters: Clusters,
    interrupt: Interrupt,
    settle: u64,
    /// Binaries and the state folder.
    rig: Rig,
    journal: TempDir,
}

impl Bed {
    fn new(names: &[&str]) -> Self {
        let sim = |name: &&str| ((*name).to_owned(), SimCluster::new(3, &old()));
        Self {
            clusters: Clusters {
                sims: names.iter().map(sim).collect(),
                ..Clusters::default()
            },
            interrupt: Interrupt::new(),
            settle: 0,
            rig: Rig::new(1),
            journal: TempDir::new().unwrap(),
        }
    }

    fn sim(&self, name: &str) -> &SimCluster {
        &self.clusters.sims[name]
    }

    async fn run(&self, rules: &Rules) -> Fleet {
        let journal = Journal::create(self.journal.path(), "run").unwrap();
        let engine = Engine {
            transport: Arc::new(self.clusters.clone()),
            recorder: Arc::new(Recorder::new(journal)),
            interrupt: self.interrupt.clone(),
            ..self.rig.engine_with(self.spare_journal())
        };
        let names = self.clusters.sims.keys();
        let parts: Vec<Part> = names.map(|name| Part::Due(name.clone())).collect();
        fleet::run(&parts, rules, &self.interrupt, |name, gate| {
            let (engine, plan) = (engine.clone(), self.plan(&name));
            async move { engine.run_through(&cluster(&name), &plan, &gate).await }
        })
        .await
    }

    fn spare_journal(&self) -> Journal {
        Journal::create(self.journal.path(), "spare").unwrap()
    }

    fn plan(&self, name: &str) -> Plan {
        let planned = inventory::plan(&self.sim(name).state(), &new(), "run");
        let mut plan = planned.plan.unwrap();
        name.clone_into(&mut plan.cluster);
        let waves = plan.hops.iter_mut().flat_map(|hop| &mut hop.waves);
        for lane in waves.flat_map(|wave| &mut wave.lanes) {
            lane.host = format!("{name}/{}", lane.host);
            for step in &mut lane.steps {
                step.deadline_s += self.settle;
                if let Action::Settle { least_s, .. } = &mut step.action {
                    *least_s = self.settle;
                }
            }
        }
        plan
    }
}

fn cluster(name: &str) -> Cluster {
    let mut cluster = inventory::cluster(3);
    name.clone_into(&mut cluster.name);
    for host in &mut cluster.hosts {
        host.name = format!("{name}/{}", host.name);
    }
    cluster
}

fn statuses(fleet: &Fleet) -> Vec<(&str, u8)> {
    let all = fleet.endings.iter();
    all.map(|ending| (ending.cluster.as_str(), ending.status))
        .collect()
}

fn at_once(number: usize) -> Rules {
    Rules {
        at_once: NonZeroUsize::new(number).unwrap(),
        ..Rules::default()
    }
}

/// A window whose clock runs with tokio's, from that time of the day on.
fn window(window: &str, from: &str) -> Rules {
    let from: jiff::civil::DateTime = format!("2026-11-20T{from}").parse().unwrap();
    let from = from.to_zoned(jiff::tz::TimeZone::UTC).unwrap();
    let began = Instant::now();
    let clock = move || {
        let gone = jiff::SignedDuration::try_from(began.elapsed()).unwrap();
        from.saturating_add(gone)
    };
    Rules {
        window: Some(window.parse().unwrap()),
        clock: Clock::new(clock),
        ..Rules::default()
    }
}

#[tokio::test(start_paused = true)]
async fn clusters_go_one_after_another_while_the_next_one_is_staged_already() {
    let bed = Bed::new(&["a", "b", "c"]);
    let fleet = bed.run(&Rules::default()).await;
    assert_eq!(statuses(&fleet), [("a", 0), ("b", 0), ("c", 0)]);
    let ran = &bed.clusters;
    assert_eq!(ran.most_at_once(observe::TITLE), 1);
    let staged = ran.first("b", release::LOOK_TITLE).unwrap();
    assert!(
        ran.first("a", unit::STOP_TITLE).unwrap() > ran.first("a", release::LOOK_TITLE).unwrap()
    );
    assert!(staged < ran.last("a"), "b is staged while a is worked on");
    let c_staged = ran.first("c", release::LOOK_TITLE).unwrap();
    assert!(c_staged >= ran.last("a"), "two clusters ahead is too far");
    assert_eq!(fleet.summary(), "3 of 3 clusters done");
}

#[tokio::test(start_paused = true)]
async fn several_at_once_are_that_many_and_never_more() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let one = Bed::new(&names);
    let began = Instant::now();
    one.run(&at_once(1)).await;
    let alone = began.elapsed();
    let four = Bed::new(&names);
    let began = Instant::now();
    let fleet = four.run(&at_once(4)).await;
    assert_eq!(fleet.status(), 0, "{fleet:?}");
    assert_eq!(four.clusters.most_at_once(AWAIT_TITLE), 4);
    assert!(
        began.elapsed() * 10 <= alone * 4,
        "{:?} of {alone:?}",
        began.elapsed()
    );
    for name in names {
        assert_eq!(four.sim(name).state().violations, Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_cluster_stops_those_after_it_and_no_member_of_them_is_stopped() {
    let bed = Bed::new(&["a", "b", "c"]);
    let crashes = Behaviour::CrashesAtStart;
    bed.sim("a").state().behaviours.insert(new(), crashes);
    let fleet = bed.run(&Rules::default()).await;
    assert_eq!(statuses(&fleet), [("a", 5), ("b", 130), ("c", 130)]);
    assert_eq!((bed.clusters.stops("b"), bed.clusters.stops("c")), (0, 0));
    assert_eq!(
        fleet.endings[1].summary,
        "stopped at a safe point: 1 failed, 0 may"
    );
    assert!(bed.clusters.first("c", release::LOOK_TITLE).is_none());
    assert_eq!((fleet.status(), fleet.not_begun), (5, vec!["c".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn as_many_clusters_may_fail_as_the_flag_says() {
    let bed = Bed::new(&["a", "b", "c", "d"]);
    for name in ["a", "c"] {
        let crashes = Behaviour::CrashesAtStart;
        bed.sim(name).state().behaviours.insert(new(), crashes);
    }
    let rules = Rules {
        max_failures: 1,
        ..Rules::default()
    };
    let fleet = bed.run(&rules).await;
    let expected = [("a", 5), ("b", 0), ("c", 5), ("d", 130)];
    assert_eq!(statuses(&fleet), expected);
}

#[tokio::test(start_paused = true)]
async fn the_canary_goes_alone_and_nothing_is_staged_beside_it() {
    let bed = Bed::new(&["a", "b", "c"]);
    let rules = Rules {
        canary: Some("b".to_owned()),
        ..at_once(3)
    };
    let fleet = bed.run(&rules).await;
    assert_eq!(fleet.status(), 0);
    let over = bed.clusters.last("b");
    for name in ["a", "c"] {
        assert!(
            bed.clusters.first(name, release::LOOK_TITLE).unwrap() >= over,
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_bad_canary_no_host_of_another_cluster_is_talked_to() {
    let bed = Bed::new(&["a", "b"]);
    let crashes = Behaviour::CrashesAtStart;
    bed.sim("b").state().behaviours.insert(new(), crashes);
    let rules = Rules {
        canary: Some("b".to_owned()),
        max_failures: 5,
        ..Rules::default()
    };
    let fleet = bed.run(&rules).await;
    assert_eq!(statuses(&fleet), [("a", 130), ("b", 5)]);
    assert_eq!(bed.sim("a").ran().len(), 0);
    assert_eq!(
        fleet.endings[0].summary,
        "not begun: the canary `b` did not end well"
    );
}

#[tokio::test(start_paused = true)]
async fn a_member_is_not_begun_that_cannot_be_finished_in_the_window() {
    let mut bed = Bed::new(&["a", "b"]);
    bed.settle = 600;
    // Two members of about ten minutes fit in 25 minutes over midnight, a third does not.
    let fleet = bed.run(&window("22:00-00:15", "23:50")).await;
    assert_eq!(statuses(&fleet), [("a", 130), ("b", 130)]);
    assert_eq!((bed.clusters.stops("a"), bed.clusters.stops("b")), (2, 0));
    let said = &fleet.endings[0].summary;
    assert!(
        said.starts_with("stopped at a safe point: a member takes 10m "),
        "{said}"
    );
    assert!(
        said.contains("the window 22:00-00:15 closes in 4m "),
        "{said}"
    );
    let mixed = bed.sim("a").state();
    assert!(
        ["etcd-1", "etcd-2", "etcd-3"]
            .iter()
            .all(|host| mixed.healthy(host))
    );
    assert_eq!(fleet.status(), 130);
}

#[tokio::test(start_paused = true)]
async fn a_first_member_whose_settle_alone_is_longer_than_the_window_is_not_begun() {
    let mut bed = Bed::new(&["a"]);
    bed.settle = 600;
    let fleet = bed.run(&window("09:00-09:05", "09:00")).await;
    assert_eq!((fleet.status(), bed.clusters.stops("a")), (130, 0));
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_ends_waiting_for_a_turn_too() {
    let bed = Bed::new(&["a", "b", "c"]);
    let interrupt = bed.interrupt.clone();
    bed.sim("a").before_each(move |_, command, _| {
        if command.title == unit::STOP_TITLE && !interrupt.is_raised() {
            interrupt.raise();
        }
    });
    let began = Instant::now();
    let fleet = bed.run(&Rules::default()).await;
    assert_eq!(statuses(&fleet), [("a", 130), ("b", 130), ("c", 130)]);
    assert_eq!((bed.clusters.stops("a"), bed.clusters.stops("b")), (1, 0));
    assert!(began.elapsed() < Duration::from_secs(60));
}
