//! Locks on hosts of the model: held for as long as the transport's future lives and the host can be reached.

use std::sync::Mutex;
use std::time::Duration;

use runner::transport::{Command, Input, Output, Sink};
use tokio::time::sleep;

use super::model::State;
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
    let other = state.lock().unwrap().hosts[host].lock.clone();
    if let Some(other) = other.filter(|other| *other != mine) {
        for line in format!("taken\n{other}").lines() {
            let _ = tell.send(out(line)).await;
        }
        return Some(Output::default());
    }
    state.lock().unwrap().host(host).lock = Some(mine);
    let _guard = Guard { state, host };
    let _ = tell.send(out("held")).await;
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
