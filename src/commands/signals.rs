//! SIGINT, SIGTERM and SIGHUP: all ask the run to stop at a safe point. SIGTSTP must not stop it anywhere else.

use std::sync::{Arc, OnceLock};

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::engine::Interrupt;
use crate::event::Kind;
use crate::journal::Recorder;
use crate::report::Voice;

/// Watches signals for as long as the runtime lives.
pub struct Signals {
    /// What the engine asks.
    pub interrupt: Interrupt,
    recorder: Arc<OnceLock<Arc<Recorder>>>,
    times: watch::Receiver<u32>,
}

impl Signals {
    /// Installs the handlers.
    ///
    /// # Errors
    /// The system refuses them.
    pub fn watch() -> std::io::Result<Self> {
        let interrupt = Interrupt::new();
        let recorder: Arc<OnceLock<Arc<Recorder>>> = Arc::default();
        let (sender, times) = watch::channel(0);
        let mut int = signal(SignalKind::interrupt())?;
        let mut term = signal(SignalKind::terminate())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let (raised, place) = (interrupt.clone(), Arc::clone(&recorder));
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = int.recv() => {}
                    _ = term.recv() => {}
                    _ = hang_up.recv() => {}
                }
                let times = raised.raise();
                if let Some(recorder) = place.get() {
                    // A journal that cannot be written stops the run by itself, at the next step.
                    let _ = recorder.record(Kind::Interrupted { times });
                }
                sender.send_replace(times);
            }
        });
        Ok(Self {
            interrupt,
            recorder,
            times,
        })
    }

    /// From now on interrupts are journaled, and Ctrl-Z is answered instead of obeyed: a run that sleeps while a
    /// member is down leaves it down.
    ///
    /// # Errors
    /// The system refuses the handler.
    pub fn journaled(&self, recorder: Arc<Recorder>, voice: Voice) -> std::io::Result<()> {
        let _ = self.recorder.set(recorder);
        let mut suspend = signal(SignalKind::from_raw(Signal::TSTP.as_raw()))?;
        tokio::spawn(async move {
            while suspend.recv().await.is_some() {
                voice.say("a run that may have a member in hand does not sleep: Ctrl-C stops it at a safe point");
            }
        });
        Ok(())
    }

    /// Waits for the first signal.
    pub async fn first(&self) {
        let mut times = self.times.clone();
        if times.wait_for(|times| *times > 0).await.is_err() {
            // The watching task ends with the runtime alone, and then nobody waits.
            std::future::pending::<()>().await;
        }
    }
}
