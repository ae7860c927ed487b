//! Scripts that are held, for as long as the transport's future lives and the host can be reached: locks, and a
//! neighbour that hands a release on.

use std::sync::Mutex;
use std::time::Duration;

use runner::engine::act::release::HAND_ON_TITLE;
use runner::engine::lock::HOLD_TITLE;
use runner::transport::{Command, Input, Output, Sink};
use tokio::sync::watch;
use tokio::time::sleep;

use super::model::State;
use super::rescue::is_rescue;
use crate::engine_bench::out;

/// A lock in the model, let go when dropped.
struct Guard<'a> {
    state: &'a Mutex<State>,
    host: &'a str,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.state.lock().unwrap().host(self.host).lock = None;
    }
}

/// Asks a rescue to be quick, if the lock's words and its run are such; says whether they are.
fn hurries(
    state: &Mutex<State>,
    host: &str,
    is: impl Fn(Option<&str>, Option<&str>) -> bool,
) -> bool {
    let mut state = state.lock().unwrap();
    state.tick();
    let host = state.host(host);
    let by = host.rescue.as_ref().map(|rescue| rescue.run.as_str());
    if !is(host.lock.as_deref(), by) {
        return false;
    }
    if let Some(rescue) = &mut host.rescue {
        rescue.wanted = true;
    }
    true
}

/// Runs a command that is held, if it is such a one; see [`hold`].
pub async fn held(
    state: &Mutex<State>,
    host: &str,
    command: &Command,
    briefly: bool,
) -> Option<Option<Output>> {
    match command.title.as_str() {
        HOLD_TITLE => Some(hold(state, host, command, briefly).await),
        HAND_ON_TITLE => Some(hand_on(state, host, command, briefly).await),
        _ => None,
    }
}

/// The port of a host that hands a release on: its number.
async fn hand_on(
    state: &Mutex<State>,
    host: &str,
    command: &Command,
    briefly: bool,
) -> Option<Output> {
    let (Input::Held(held), Sink::Lines(tell)) = (&command.input, &command.output) else {
        panic!("a neighbour that is not held")
    };
    let port = host.trim_start_matches("etcd-");
    let _ = tell.send(out(port)).await;
    if briefly {
        return Some(Output::default());
    }
    until_released(state, host, held.clone()).await
}

/// Gives a host a binary of its neighbour's, if that can be reached and has it.
pub fn take_over(state: &mut State, name: &str, args: &[String]) -> Result<String, String> {
    let neighbour = &state.hosts[&format!("etcd-{}", args[6])];
    let release = args[1].parse().expect("a version in the arguments");
    let staged = neighbour.staged.get(&release);
    if neighbour.is_gone() || !staged.is_some_and(|names| names.contains(&args[2])) {
        return Err("no connection".to_owned());
    }
    let own = state.host(name).staged.entry(release).or_default();
    own.insert(args[2].clone());
    Ok(String::new())
}

/// `None` if the host was cut off meanwhile.
async fn until_released(
    state: &Mutex<State>,
    host: &str,
    mut held: watch::Receiver<bool>,
) -> Option<Output> {
    loop {
        tokio::select! {
            _ = held.changed() => return Some(Output::default()),
            () = sleep(Duration::from_secs(1)) => if state.lock().unwrap().hosts[host].is_gone() {
                return None;
            },
        }
    }
}

/// Holds the lock of a host until nobody holds the command any more; `briefly`: only for a moment. `None` if the host
/// was cut off meanwhile.
async fn hold(
    state: &Mutex<State>,
    host: &str,
    command: &Command,
    briefly: bool,
) -> Option<Output> {
    let (Input::Pulsed(held), Sink::Lines(tell)) = (&command.input, &command.output) else {
        panic!("a lock that is not held")
    };
    let held = held.clone();
    let mine = format!("{}\n{}\n", command.args[2], command.args[3]);
    let mut late = false;
    while hurries(state, host, |words, _| words.is_some_and(is_rescue)) {
        late = true;
        let _ = tell.send(out("waiting")).await;
        sleep(Duration::from_secs(1)).await;
    }
    let other = state.lock().unwrap().hosts[host].lock.clone();
    if let Some(other) = other.filter(|other| *other != mine) {
        for line in format!("taken\n{other}").lines() {
            let _ = tell.send(out(line)).await;
        }
        return Some(Output::default());
    }
    state.lock().unwrap().host(host).lock = Some(mine);
    let _guard = Guard { state, host };
    let run = command.args[2].as_str();
    let theirs = |_: Option<&str>, by: Option<&str>| by.is_some_and(|by| by != run);
    while hurries(state, host, theirs) {
        late = true;
        let _ = tell.send(out("waiting")).await;
        sleep(Duration::from_secs(1)).await;
    }
    let is_armed = state.lock().unwrap().hosts[host].rescue.is_some();
    let how = match (late, is_armed) {
        (true, _) => "held late",
        (_, true) => "held armed",
        _ => "held",
    };
    let _ = tell.send(out(how)).await;
    if briefly {
        return Some(Output::default());
    }
    until_released(state, host, held).await
}
