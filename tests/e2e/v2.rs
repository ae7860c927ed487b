//! Upgrades of clusters that hold keys of API 2 and of API 3, under a client of each that writes all the while.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use runner::lab::cluster::Layout;
use runner::lab::writer::Writer;
use runner::lab::{Network, Shape, releases};
use serde_json::Value;

use crate::common::run::{runner, running, state_dir};
use crate::common::{self, Cluster};

#[test]
fn from_3_3_to_3_4_no_key_of_either_api_is_lost() {
    let cluster = started(3, "3.3.25", "3.4.23", &["--enable-v2=true"]);
    upgraded(&cluster, "3.4.23", 1);
}

#[test]
fn from_3_3_to_3_5_two_hops_are_one_command() {
    let cluster = started(3, "3.3.25", "3.5.16", &["--enable-v2=true"]);
    add_release(&cluster, "3.4.23");
    upgraded(&cluster, "3.5.16", 2);
}

#[test]
fn from_3_4_to_3_5_with_api_2_on_no_key_of_either_api_is_lost() {
    let cluster = started(3, "3.4.23", "3.5.30", &["--enable-v2=true"]);
    upgraded(&cluster, "3.5.30", 1);
}

#[test]
fn one_member_and_five_members_lose_no_key_either() {
    for members in [1, 5] {
        for (from, to) in [("3.3.25", "3.4.23"), ("3.4.23", "3.5.30")] {
            let cluster = started(members, from, to, &["--enable-v2=true"]);
            upgraded(&cluster, to, 1);
        }
    }
}

#[test]
fn v2_keys_that_the_next_release_would_not_serve_are_asked_about() {
    let cluster = started(1, "3.3.25", "3.4.23", &[]);
    runner(&cluster, &["plan"]).ends_with(0);
    put(&cluster, "a", "1");
    let refused = runner(&cluster, &["upgrade", "--yes"]).ends_with(3);
    assert!(refused.err.contains("V2_OFF"), "{refused:?}");
    assert_eq!(running(&cluster, "etcd-1").0, "3.3.25");
    runner(&cluster, &["upgrade", "--yes", "--acknowledge", "V2_OFF"]).ends_with(0);
    assert_eq!(running(&cluster, "etcd-1").0, "3.4.23");
    assert_eq!(copies(&cluster).len(), 1);
}

#[test]
fn sixty_megabytes_of_v2_data_get_two_minutes_a_member_and_more_is_asked_about() {
    let flags = ["--enable-v2=true", "--snapshot-count=10"];
    let cluster = started(1, "3.3.25", "3.4.23", &flags);
    fill(&cluster, 0, 30);
    let plan = |want| {
        let ran = runner(&cluster, &["plan", "--output", "json"]).ends_with(want);
        ran.objects().swap_remove(0)
    };
    let large = plan(0);
    assert_eq!(severity(&large, "SIZE_WARN"), Some("warn"), "{large}");
    assert_eq!(severity(&large, "V2_DATA"), Some("note"), "{large}");
    let settle = steps(&large)
        .into_iter()
        .find(|step| step["do"] == "settle");
    assert_eq!(settle.unwrap()["least_s"], 120, "{large}");
    fill(&cluster, 30, 60);
    let huge = plan(3);
    assert_eq!(severity(&huge, "SIZE_WARN"), Some("acknowledge"), "{huge}");
    runner(&cluster, &["upgrade", "--yes"])
        .ends_with(3)
        .says("SIZE_WARN");
    let asked = ["upgrade", "--yes", "--acknowledge", "SIZE_WARN"];
    let ran = runner(&cluster, &asked).ends_with(0);
    eprintln!("120 MB: {}", ran.err);
    assert_eq!(running(&cluster, "etcd-1").0, "3.4.23");
    assert_eq!(copies(&cluster).len(), 1);
    let url = cluster.endpoints[0].clone();
    let last = cluster
        .lab
        .network()
        .inside(move || v2_get(&url, "large/59"));
    let last = last.unwrap();
    assert_eq!(last.len(), 1 << 20);
}

fn started(members: usize, from: &str, to: &str, flags: &[&str]) -> Cluster {
    let shape = Shape::of_members(members);
    Cluster::start_as(shape, from, to, Layout::default(), flags)
}

/// Puts another release beside those that the inventory names.
fn add_release(cluster: &Cluster, text: &str) {
    let version = common::version(text);
    let found = common::releases(&[&version]);
    releases::gather(&found, &cluster.lab.folder().join("releases")).unwrap();
}

/// Upgrades under both clients and looks at what they and the hosts have afterwards.
fn upgraded(cluster: &Cluster, to: &str, hops: usize) {
    let members = cluster.endpoints.len();
    let network = cluster.lab.network();
    let old = V2Writer::start(network, &cluster.endpoints);
    let new = Writer::start(network, &cluster.endpoints).unwrap();
    new.await_more(100).unwrap();
    old.await_more(100);
    runner(cluster, &["upgrade", "--yes"])
        .ends_with(0)
        .plainly();
    new.await_more(100).unwrap();
    old.await_more(100);
    let seen = new.finish().unwrap();
    eprintln!("v3 with {members} members: {seen:?}");
    assert!(seen.is_clean(), "{seen:?}");
    let seen = old.finish();
    eprintln!("v2 with {members} members: {seen:?}");
    assert_eq!(seen.lost, BTreeSet::new(), "{seen:?}");
    assert!(seen.acknowledged > 200, "{seen:?}");
    assert!(seen.longest_gap < Duration::from_secs(20), "{seen:?}");
    let line = format!("{}.0", to.rsplit_once('.').unwrap().0);
    for host in cluster.shape.hosts() {
        let now = running(cluster, &host);
        assert_eq!(now, (to.to_owned(), line.clone()), "{host}");
        let left = cluster.lab.sh(&host, "ls /var/backups/etcd/lab").unwrap();
        assert!(!left.contains(".copy") && !left.contains(".part"), "{left}");
    }
    assert_eq!(copies(cluster).len(), members * hops);
    runner(cluster, &["plan", "--detailed-exitcode"]).ends_with(0);
}

/// Names of the copies of v2 stores that were brought here.
fn copies(cluster: &Cluster) -> Vec<String> {
    let folder = state_dir(cluster).join("backups/lab");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| {
        let name = entry.unwrap().file_name();
        name.to_string_lossy().into_owned()
    });
    names.filter(|name| name.ends_with(".v2.tar.gz")).collect()
}

fn put(cluster: &Cluster, key: &str, value: &str) {
    let url = cluster.endpoints[0].clone();
    let (key, value) = (key.to_owned(), value.to_owned());
    let work = move || v2_put(&agent(10), &url, &key, &value);
    cluster.lab.network().inside(work).unwrap().unwrap();
}

/// Writes values of one megabyte each and waits for a raft snapshot that holds them all, twice: as keys, and as the
/// last changes, which the store remembers with their values.
fn fill(cluster: &Cluster, from: usize, to: usize) {
    let value = "x".repeat(1 << 20);
    for number in from..to {
        put(cluster, &format!("large/{number}"), &value);
    }
    let newest = "ls /var/lib/etcd/member/snap/*.snap | tail -n 1 | xargs stat -c %s";
    let begun = Instant::now();
    loop {
        put(cluster, "small", "1");
        let bytes = cluster.lab.sh("etcd-1", newest).unwrap();
        if bytes.trim().parse().unwrap_or(0) > to << 21 {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(90), "{bytes}");
        thread::sleep(Duration::from_millis(200));
    }
}

fn severity<'a>(object: &'a Value, code: &str) -> Option<&'a str> {
    let findings = object["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["code"] == code)?;
    found["severity"].as_str()
}

fn steps(object: &Value) -> Vec<Value> {
    let waves = object["plan"]["hops"][0]["waves"].as_array().unwrap();
    let lanes = waves
        .iter()
        .flat_map(|wave| wave["lanes"].as_array().unwrap());
    let steps = lanes.flat_map(|lane| lane["steps"].as_array().unwrap());
    steps.map(|step| step["action"].clone()).collect()
}

fn agent(seconds: u64) -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(seconds)))
        .build();
    config.into()
}

fn v2_put(agent: &ureq::Agent, endpoint: &str, key: &str, value: &str) -> Result<(), String> {
    let url = format!("{endpoint}/v2/keys/{key}");
    let put = agent
        .put(url)
        .content_type("application/x-www-form-urlencoded");
    let mut answer = put
        .send(format!("value={value}"))
        .map_err(|error| error.to_string())?;
    let text = answer
        .body_mut()
        .with_config()
        .limit(8 << 20)
        .read_to_string();
    let text = text.map_err(|error| error.to_string())?;
    let told: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    if told["action"] == "set" {
        Ok(())
    } else {
        Err(text)
    }
}

/// The value of a key.
fn v2_get(endpoint: &str, key: &str) -> String {
    let mut answer = agent(20)
        .get(format!("{endpoint}/v2/keys/{key}"))
        .call()
        .unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    let told: Value = serde_json::from_str(&text).unwrap();
    told["node"]["value"].as_str().unwrap().to_owned()
}

/// All keys of a member's folder `runner`, read through its quorum.
fn v2_keys(endpoint: &str) -> BTreeMap<String, String> {
    let url = format!("{endpoint}/v2/keys/runner?recursive=true&quorum=true");
    let mut answer = agent(20).get(url).call().unwrap();
    let text = answer
        .body_mut()
        .with_config()
        .limit(64 << 20)
        .read_to_string();
    let told: Value = serde_json::from_str(&text.unwrap()).unwrap();
    let nodes = told["node"]["nodes"].as_array().unwrap().iter();
    let text = |node: &Value, field: &str| node[field].as_str().unwrap().to_owned();
    nodes
        .map(|node| (text(node, "key"), text(node, "value")))
        .collect()
}

#[derive(Debug)]
struct Seen {
    acknowledged: u64,
    lost: BTreeSet<String>,
    longest_gap: Duration,
}

/// Writes numbered keys of API 2, each again at the next member until it is acknowledged.
struct V2Writer {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    thread: JoinHandle<Seen>,
}

impl V2Writer {
    fn start(network: &Network, endpoints: &[String]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let count = Arc::new(AtomicU64::new(0));
        let (network, endpoints) = (network.clone(), endpoints.to_vec());
        let (stop_there, count_there) = (stop.clone(), count.clone());
        let thread = thread::spawn(move || {
            network.enter().unwrap();
            let longest_gap = write_until(&stop_there, &endpoints, &count_there);
            let acknowledged = count_there.load(Ordering::Acquire);
            Seen {
                acknowledged,
                lost: lost(&endpoints, acknowledged),
                longest_gap,
            }
        });
        Self {
            stop,
            count,
            thread,
        }
    }

    fn await_more(&self, more: u64) {
        let wanted = self.count.load(Ordering::Acquire) + more;
        let begun = Instant::now();
        while self.count.load(Ordering::Acquire) < wanted {
            let elapsed = begun.elapsed();
            assert!(
                elapsed < Duration::from_secs(30),
                "no acknowledged v2 writes"
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn finish(self) -> Seen {
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap()
    }
}

fn write_until(stop: &AtomicBool, endpoints: &[String], count: &AtomicU64) -> Duration {
    let (agent, mut current) = (agent(1), 0);
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    while !stop.load(Ordering::Acquire) {
        let number = count.load(Ordering::Acquire);
        let endpoint = &endpoints[current % endpoints.len()];
        match v2_put(
            &agent,
            endpoint,
            &format!("runner/{number:08}"),
            &number.to_string(),
        ) {
            Ok(()) => {
                longest = longest.max(last.elapsed());
                last = Instant::now();
                count.store(number + 1, Ordering::Release);
            }
            Err(_) => current += 1,
        }
        thread::sleep(Duration::from_millis(5));
    }
    longest.max(last.elapsed())
}

/// Acknowledged writes that a member does not have.
fn lost(endpoints: &[String], acknowledged: u64) -> BTreeSet<String> {
    let lacking = |endpoint: &String| {
        let found = v2_keys(endpoint);
        let wanted =
            (0..acknowledged).map(|number| (format!("/runner/{number:08}"), number.to_string()));
        let gone = wanted.filter(move |(key, value)| found.get(key) != Some(value));
        let endpoint = endpoint.clone();
        gone.map(move |(key, _)| format!("{key} at {endpoint}"))
            .collect::<Vec<_>>()
    };
    endpoints.iter().flat_map(lacking).collect()
}
