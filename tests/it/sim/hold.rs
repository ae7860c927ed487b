//! Locks on hosts of the model: held for as long as the transport's future lives and the host can be reached.

use std::sync::Mutex;
use std::time::Duration;

use runner::transport::{Command, Input, Output, Sink};
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

/// Holds the lock of a host until nobody holds the command any more; `briefly`: only for a moment. `None` if the host
/// was cut off meanwhile.
pub async fn hold(
    state: &Mutex<State>,
    host: &str,
    command: &Command,
    briefly: bool,
) -> Option<Output> {
    let (Input::Pulsed(held), Sink::Lines(tell)) = (&command.input, &command.output) else {
        panic!("a lock that is not held")
    };
    let mut held = held.clone();
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
    loop {
        tokio::select! {
            _ = held.changed() => break,
            () = sleep(Duration::from_secs(1)) => if state.lock().unwrap().hosts[host].is_gone() {
                return None;
            },
        }
    }
    Some(Output::default())
}
