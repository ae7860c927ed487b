//! What each of the engine's scripts does to the model, and what it prints.

use std::io::Read;
use std::sync::Mutex;
use std::time::Duration;

use flate2::read::GzDecoder;
use runner::engine::act::backup::hex;
use runner::engine::act::{backup, backup_v2, check, file, rebuild, release, remedy, unit};
use runner::engine::{lane, log as engine_log, rescue as engine_rescue, wait};
use runner::etcd::Version;
use runner::etcd::dialect::Dialect;
use runner::facts::observe;
use runner::facts::parse::frame;
use runner::transport::{Command, Input, Output, Sink};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

use super::cluster;
use super::eras;
use super::hold;
use super::joining;
use super::model::{Host, Installed, State, sha256};
use super::rescue;
use super::restore;

pub type Answer = Result<String, String>;

/// Runs a command on the model, dispatching on its title.
pub async fn run(state: &Mutex<State>, host: &str, command: &Command) -> Output {
    if let Input::Growing(file) = &command.input {
        file.clone().whole().await.expect("a file to its end");
    }
    let answer = match command.title.as_str() {
        wait::AWAIT_TITLE => await_member(state, host, &command.args).await,
        backup::TAKE_TITLE => {
            sleep(Duration::from_millis(200)).await;
            take(&mut state.lock().unwrap(), host, &command.args)
        }
        rebuild::ADD_TITLE => joining::add(state, host, &command.args).await,
        unit::STOP_TITLE => {
            sleep(Duration::from_millis(100)).await;
            Ok(stop(&mut state.lock().unwrap(), host, &command.args))
        }
        _ => at_once(&mut state.lock().unwrap(), host, command),
    };
    match answer {
        Ok(text) => Output {
            status: 0,
            stdout: text.into_bytes(),
            stderr: Vec::new(),
        },
        Err(text) => Output {
            status: 1,
            stdout: Vec::new(),
            stderr: text.into_bytes(),
        },
    }
}

fn at_once(state: &mut State, host: &str, command: &Command) -> Answer {
    state.tick();
    let args = &command.args;
    match command.title.as_str() {
        observe::TITLE => Ok(see(state, host, &args[6])),
        release::KEEP_TITLE => keep(state, host, args),
        release::LOOK_TITLE => {
            let rate = rate(state);
            Ok(rate + &missing(state, host, args))
        }
        release::UPLOAD_TITLE => upload(state, host, args, &command.input),
        release::SWITCH_TITLE => switch(state, host, args),
        check::FLAGS_TITLE | check::VERIFY_TITLE | backup::DESCRIBE_TITLE | lane::ROOT_TITLE => {
            Ok(String::new())
        }
        unit::RELOAD_TITLE => Ok(reload(state, host)),
        backup::DIGEST_TITLE => Ok(hex(&Sha256::digest(eras::held(&args[0]))) + "\n"),
        backup::FETCH_TITLE => Ok(fetch(args, &command.output)),
        backup::PRUNE_TITLE => Ok(prune(state, host, args)),
        backup_v2::TAKE_TITLE => eras::take_v2(state, host, args),
        remedy::WRITE_TITLE | remedy::SNAPSHOT_TITLE | remedy::DROP_TITLE => {
            eras::remedy(state, host, command)
        }
        title if cluster::knows(title) => cluster::run(state, host, command),
        engine_log::READ_TITLE => Ok(state.journal.read(host, args)),
        engine_rescue::DISARM_TITLE => {
            rescue::disarm(state, host, &args[2]);
            Ok(String::new())
        }
        unit::START_TITLE => Ok(start(state, host)),
        unit::LOOK_TITLE => Ok(look(state, host)),
        file::WRITE_TITLE => write(state, host, args, &command.input),
        file::REMOVE_TITLE => Ok(remove(state, host, &args[0])),
        title if restore::knows(title) => restore::run(state, host, command),
        title => panic!("the simulation does not know the script {title:?}"),
    }
}

fn version(text: &str) -> Version {
    text.parse().expect("a version in the arguments")
}

fn see(state: &State, name: &str, depth: &str) -> String {
    let host = &state.hosts[name];
    let Some(version) = host.answers() else {
        return frame("version", 7, "");
    };
    if depth == "page" {
        return frame("version", 0, &eras::page(state, name, version));
    }
    if eras::spoken(state, name, version) == Dialect::V2 {
        return eras::see_v2(state, name, version);
    }
    let header = json!({"cluster_id": host.data.now, "member_id": host.id().0, "revision": state.index, "raft_term": state.term});
    let status = json!([{"Endpoint": "http://127.0.0.1:2379", "Status": status(state, name, version, &header)}]);
    let healthy = state.healthy(name);
    let mut frames = vec![
        frame("version", 0, &eras::page(state, name, version)),
        frame("etcdctl", 0, "/usr/local/bin/etcdctl"),
        frame("status", 0, &status.to_string()),
        frame("health", i32::from(!healthy), &health(healthy).to_string()),
    ];
    if depth != "member" {
        let lists = (members(state, host, &header), alarms(state, name, &header));
        frames.push(frame("members", 0, &lists.0.to_string()));
        frames.push(frame("alarms", 0, &lists.1.to_string()));
    }
    frames.concat()
}

fn status(state: &State, name: &str, version: &Version, header: &Value) -> Value {
    let host = &state.hosts[name];
    let mut status = json!({"header": header, "version": version.to_string(), "dbSize": 20480,
        "raftIndex": host.applied, "raftTerm": state.term, "raftAppliedIndex": host.applied, "dbSizeInUse": 16384});
    match state.leader_of(host) {
        Some(leader) => status["leader"] = json!(leader.0),
        None => status["errors"] = json!(["etcdserver: no leader"]),
    }
    if state.alarm {
        status["errors"] = json!([format!("memberID:{} alarm:NOSPACE ", host.id().0)]);
    }
    cluster::tell(state, host, version, &mut status);
    status
}

fn health(healthy: bool) -> Value {
    let endpoint = "http://127.0.0.1:2379";
    if healthy {
        return json!([{"endpoint": endpoint, "health": true, "took": "2ms"}]);
    }
    json!([{"endpoint": endpoint, "health": false, "took": "5s", "error": "context deadline exceeded"}])
}

fn members(state: &State, host: &Host, header: &Value) -> Value {
    let cluster = host.data.now;
    let member = |(name, url): (&String, &String)| {
        json!({"ID": state.hosts[name].data.id_in(cluster).0, "name": state.listed_name(cluster, name),
            "peerURLs": [url], "clientURLs": [format!("http://{name}:2379")]})
    };
    let members: Vec<Value> = state.peers(cluster).iter().map(member).collect();
    json!({"header": header, "members": members})
}

fn alarms(state: &State, name: &str, header: &Value) -> Value {
    if state.alarm {
        let id = state.hosts[name].id().0;
        return json!({"header": header, "alarms": [{"memberID": id, "alarm": 1}]});
    }
    json!({"header": header})
}

fn keep(state: &mut State, name: &str, args: &[String]) -> Answer {
    let release = version(&args[2]);
    let host = state.host(name);
    let mut copied = String::new();
    for pair in args[3..].chunks(2) {
        let there = match host.bin.get(&pair[0]) {
            Some(Installed::Plain(v) | Installed::Link(v)) => v.clone(),
            None => return Err(format!("{} is not there", pair[0])),
        };
        let kept = host.staged.entry(release.clone()).or_default();
        if kept.contains(&pair[0]) {
            continue;
        }
        if sha256(&pair[0], &there) != pair[1] {
            return Err(format!("{} has another digest", pair[0]));
        }
        kept.insert(pair[0].clone());
        copied = copied + &pair[0] + "\n";
    }
    Ok(copied)
}

/// What a probe prints of the link to a host.
fn rate(state: &mut State) -> String {
    if state.slow {
        return "rate=1\n".to_owned();
    }
    let is_busy = state.busy > 0;
    state.busy = state.busy.saturating_sub(1);
    let rate = if is_busy { 9_000 } else { 90_000 };
    format!("rate={rate}\n")
}

fn missing(state: &State, name: &str, args: &[String]) -> String {
    let staged = state.hosts[name].staged.get(&version(&args[1]));
    let lacks = |pair: &&[String]| !staged.is_some_and(|names| names.contains(&pair[0]));
    let pairs = args[2..].chunks(2);
    let names = pairs.filter(lacks).map(|pair| pair[0].as_str());
    names.collect::<Vec<_>>().join("\n")
}

fn upload(state: &mut State, name: &str, args: &[String], input: &Input) -> Answer {
    if args[4] == "neighbour" {
        return hold::take_over(state, name, args);
    }
    let path = match input {
        Input::File(path) => path,
        Input::Growing(file) => file.path(),
        _ => panic!("an upload without a file"),
    };
    let sent = std::fs::read(path).expect("a binary to upload");
    let mut text = String::new();
    let read = match args[4].as_str() {
        "gzip" => GzDecoder::new(&*sent).read_to_string(&mut text),
        _ => (&*sent).read_to_string(&mut text),
    };
    read.expect("a binary of the model is text");
    if file::digest(&text) != args[3] {
        return Err(format!("`{}` arrived with another digest", args[2]));
    }
    state.packed += usize::from(args[4] == "gzip");
    let staged = &mut state.host(name).staged;
    staged
        .entry(version(&args[1]))
        .or_default()
        .insert(args[2].clone());
    Ok(String::new())
}

pub fn switch(state: &mut State, name: &str, args: &[String]) -> Answer {
    let release = version(&args[1]);
    let at = args.iter().position(|arg| arg == "--").expect("a divider");
    if state.hosts[name].process.is_some() {
        state
            .violations
            .push(format!("{name} was switched while it ran"));
    }
    let host = state.host(name);
    let mut done = String::new();
    for file in &args[3..at] {
        if !host
            .staged
            .get(&release)
            .is_some_and(|names| names.contains(file))
        {
            return Err(format!("`{file}` of {release} is not staged"));
        }
        let link = Installed::Link(release.clone());
        if host.bin.insert(file.clone(), link.clone()) != Some(link) {
            done = done + "switched " + file + "\n";
        }
    }
    for file in &args[at + 1..] {
        if host.bin.remove(file).is_some() {
            done = done + "removed " + file + "\n";
        }
    }
    Ok(done)
}

fn take(state: &mut State, name: &str, args: &[String]) -> Answer {
    state.tick();
    if state.hosts[name].answers().is_none() {
        return Err("context deadline exceeded".to_owned());
    }
    let path = format!("{}/{}", args[6], args[7]);
    state.host(name).backups.insert(path.clone());
    state.verified += 1;
    let sum = file::digest(&path);
    Ok(format!(
        "bytes=20512\nsha256={sum}\nrevision={0}\nleast={0}\n",
        state.index
    ))
}

fn fetch(args: &[String], output: &Sink) -> String {
    let Sink::File(path) = output else {
        panic!("a fetch without a file")
    };
    std::fs::write(path, eras::held(&args[0])).expect("room for the backup");
    String::new()
}

fn prune(state: &mut State, name: &str, args: &[String]) -> String {
    let keep: usize = args[2].parse().expect("a number");
    let backups = &mut state.host(name).backups;
    let mut gone = String::new();
    for kind in [".db", ".v2.tar.gz"] {
        let ours: Vec<String> = backups
            .iter()
            .filter(|path| path.ends_with(kind))
            .cloned()
            .collect();
        for path in &ours[..ours.len().saturating_sub(keep)] {
            backups.remove(path);
            gone = gone + path + "\n";
        }
    }
    gone
}

fn stop(state: &mut State, name: &str, args: &[String]) -> String {
    state.tick();
    if args.len() > 1 {
        rescue::arm(state, name, &args[1..]);
    } else if state.hosts[name].rescue.is_none() && !state.restoring {
        // A restore arms none: old and new members must not come up beside each other.
        let what = format!("{name} was stopped with nothing to bring it up again");
        state.violations.push(what);
    }
    let same = match state.hosts[name].unit.active {
        "inactive" | "failed" => "same\n",
        _ => "",
    };
    state.stop(name);
    format!("{same}{}", properties(state, name))
}

fn reload(state: &mut State, name: &str) -> String {
    state.host(name).reload();
    String::new()
}

fn start(state: &mut State, name: &str) -> String {
    if let Some(rescue) = &mut state.host(name).rescue {
        rescue.is_started = true;
    }
    if state.hosts[name].unit.active == "active" {
        return "same\n".to_owned();
    }
    state.start(name);
    String::new()
}

fn properties(state: &State, name: &str) -> String {
    let host = &state.hosts[name];
    let unit = &host.unit;
    let pid = host.process.as_ref().map_or(0, |_| 4242 + unit.restarts);
    format!(
        "ActiveState={}\nSubState={}\nResult=x\nMainPID={pid}\nExecMainStatus={}\nNRestarts={}\nJob=\n",
        unit.active, unit.sub, unit.status, unit.restarts
    )
}

fn log(state: &State, name: &str) -> String {
    state.hosts[name].log.join("\n")
}

fn look(state: &State, name: &str) -> String {
    let installed = state.hosts[name]
        .installed()
        .map(|v| format!("/opt/etcd/{v}/etcd"));
    let installed = installed.unwrap_or_default();
    format!(
        "{}installed={installed}\n\n{}",
        properties(state, name),
        log(state, name)
    )
}

async fn await_member(state: &Mutex<State>, name: &str, args: &[String]) -> Answer {
    let expected = version(&args[7]);
    let end = Instant::now() + Duration::from_secs(args[8].parse().expect("seconds"));
    loop {
        {
            let mut state = state.lock().unwrap();
            state.tick();
            let down = matches!(
                state.hosts[name].unit.active,
                "failed" | "inactive" | "activating"
            );
            let word = match state.hosts[name].answers() {
                Some(version) if *version == expected => "ready",
                _ if down => "down",
                _ if Instant::now() >= end => "late",
                _ => "",
            };
            if !word.is_empty() {
                return Ok(format!(
                    "{word}\nsaid=\n{}\n{}",
                    properties(&state, name),
                    log(&state, name)
                ));
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
}

fn write(state: &mut State, name: &str, args: &[String], input: &Input) -> Answer {
    let Input::Bytes(bytes) = input else {
        panic!("a file without content")
    };
    let text = String::from_utf8(bytes.clone()).expect("text");
    let host = state.host(name);
    let now = host
        .files
        .get(&args[0])
        .map_or(file::ABSENT.to_owned(), |old| file::digest(old));
    if now == args[4] {
        return Ok("same\n".to_owned());
    }
    if now != args[3] {
        return Err(format!("`{}` has changed since the plan was made", args[0]));
    }
    host.files.insert(args[0].clone(), text);
    Ok(String::new())
}

fn remove(state: &mut State, name: &str, path: &str) -> String {
    match state.host(name).files.remove(path) {
        Some(_) => String::new(),
        None => "same\n".to_owned(),
    }
}
