//! SIGINT, SIGTERM and SIGHUP: all ask the run to stop at a safe point. SIGTSTP must not stop it anywhere else.

use std::sync::{Arc, OnceLock};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::engine::Interrupt;
use crate::event::Kind;
use crate::journal::Recorder;
use crate::report::Voice;
use crate::report::outlet::outlets;

/// The signals that ask a run to stop.
struct All([Signal; 3]);

impl All {
    fn new() -> std::io::Result<Self> {
        let kinds = [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ];
        let [int, term, hang_up] = kinds.map(signal);
        Ok(Self([int?, term?, hang_up?]))
    }

    /// Waits for the next of them.
    async fn recv(&mut self) {
        let [int, term, hang_up] = &mut self.0;
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
}

/// From now on, when all work is done, a signal only ends the wait for whoever reads what was written: the status that
/// the command has earned stays.
pub fn hurrying() {
    let watch = || -> std::io::Result<()> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build()?;
        let mut all = {
            let _inside = runtime.enter();
            All::new()?
        };
        let listen = move || loop {
            runtime.block_on(all.recv());
            outlets().leave();
        };
        let thread = std::thread::Builder::new().name("signals".to_owned());
        thread.spawn(listen).map(drop)
    };
    // Without it the wait is as long as it may be.
    let _ = watch();
}

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
        let mut all = All::new()?;
        let (raised, place) = (interrupt.clone(), Arc::clone(&recorder));
        tokio::spawn(async move {
            loop {
                all.recv().await;
                let times = raised.raise();
                outlets().hurry();
                if let Some(recorder) = place.get() {
                    if recorder.is_ended() {
                        outlets().leave();
                    }
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
        let mut suspend = signal(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?;
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
