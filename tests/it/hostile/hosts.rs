//! Hosts that lie: whatever their scripts seem to print, looking, planning and working do not fall over.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use proptest::prelude::*;
use runner::etcd::Version;
use runner::facts::ClusterFacts;
use runner::facts::gather::gather;
use runner::facts::observe::observe;
use runner::plan::render::{self, Style};
use runner::report::text::tame;
use runner::transport::{Command, Output, Transport, Unreachable};

use super::damage::{Damage, any_damage, damaged, fixtures, fuzz};
use crate::engine_rig::Rig;
use crate::sim::{SimCluster, inventory};
use crate::world::World;

const DEADLINE: Duration = Duration::from_secs(30);

/// Answers everything with the same bytes.
struct Parrot(Vec<u8>);

#[async_trait]
impl Transport for Parrot {
    async fn run(&self, _: &str, _: Command) -> Result<Output, Unreachable> {
        Ok(Output {
            status: 0,
            stdout: self.0.clone(),
            stderr: Vec::new(),
        })
    }
}

fn paused<T>(work: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build();
    runtime.unwrap().block_on(work)
}

#[test]
fn whatever_hosts_seem_to_say_is_looked_at_planned_with_and_shown_without_harm() {
    let versions = [Version::new(3, 5, 16)];
    fuzz(&damaged(fixtures(&[".observe", ".gather"])), |bytes| {
        let mut world = World::healthy(3, "3.4.23", "3.5.16");
        let parrot = Parrot(bytes);
        let (facts, seen) = paused(async {
            let facts = gather(&parrot, &world.cluster, &versions, 3, DEADLINE, &|_, _| {}).await;
            (facts, observe(&parrot, &world.cluster, DEADLINE).await)
        });
        for (_, answer) in seen.hosts {
            world.host("etcd-2").answer = answer;
        }
        shown(&world);
        let hosts = facts
            .into_iter()
            .filter_map(|(host, facts)| Some((host, facts.ok()?)));
        world.facts = ClusterFacts {
            cluster: "prod".into(),
            hosts: hosts.collect(),
        };
        shown(&world);
    });
}

fn shown(world: &World) {
    let planned = world.plan();
    let text = tame(&render::planned(&planned, Style::default())).into_owned();
    let strange = text
        .chars()
        .find(|c| c.is_control() && !"\n\t".contains(*c));
    assert_eq!(strange, None, "{text:?}");
}

/// A simulated cluster whose answers are damaged on their way.
struct Liar {
    sim: SimCluster,
    damages: Vec<Option<Damage>>,
    next: AtomicUsize,
}

#[async_trait]
impl Transport for Liar {
    async fn run(&self, host: &str, command: Command) -> Result<Output, Unreachable> {
        let mut output = self.sim.run(host, command).await?;
        let at = self.next.fetch_add(1, Ordering::Relaxed);
        if let Some(damage) = &self.damages[at % self.damages.len()] {
            damage.apply(&mut output.stdout);
        }
        Ok(output)
    }
}

#[test]
fn an_engine_whose_hosts_lie_comes_to_an_end_and_tells_of_every_member() {
    let now_and_then = prop::option::weighted(0.15, any_damage());
    fuzz(&prop::collection::vec(now_and_then, 7..60), |damages| {
        let mut rig = Rig::forgetful(3);
        let plan = rig.plan();
        let mut engine = rig.engine();
        engine.transport = Arc::new(Liar {
            sim: rig.sim.clone(),
            damages,
            next: AtomicUsize::new(0),
        });
        let ending = paused(async {
            let ending = engine.run(&inventory::cluster(3), &plan).await;
            engine.locks.release().await;
            ending
        });
        assert_ne!(ending.status, 1, "{ending:?}");
        assert_eq!(ending.members.len(), 3, "{ending:?}");
    });
}
