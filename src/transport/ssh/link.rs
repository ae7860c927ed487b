//! One host: connects when first needed, limits channels, notices losses, connects again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ahead::{Ahead, Ready};
use super::channel::{self, Answer, Channel, NoAnswer, NotOpened};
use super::counted::{Aside, Counted, is_pulsed};
use super::master::Master;
use super::remote::{KILL_AFTER, Remote, Wrapper};
use super::shared::Shared;
use super::way::Way;
use super::words::Target;
use crate::inventory::Escalation;
use crate::secret::Secret;
use crate::transport::{Command, Output, Sink, Stage, Unreachable};
use connect::pause;

mod connect;
mod verdict;

/// Channels of one connection. sshd's `MaxSessions` is 10 by default; two are left to others.
const CHANNELS: usize = 8;
/// Attempts until a dropped handshake is an error. The pauses in between add up to three to six seconds.
const ATTEMPTS: u32 = 6;
/// How long the host may be late with its answer after the deadline and the kill.
const SLACK: Duration = Duration::from_secs(5);
/// How long a channel counts as in use after its answer came, if a left-over process on the host keeps it open.
const LINGER: Duration = Duration::from_secs(5);
/// Channels that must be free for one to be opened ahead of need: this one and two for whoever comes.
const SPARE: usize = 3;
/// How often a vanished connection is made anew for one command.
const LOSSES: u32 = 2;

/// The way to one host.
pub(super) struct Link {
    target: Target,
    way: Way,
    escalation: Escalation,
    master: tokio::sync::Mutex<Option<Arc<Master>>>,
    channels: Arc<Semaphore>,
    /// Shrinks if sshd allows fewer sessions than we would use.
    capacity: Arc<AtomicUsize>,
    /// Set once sudo has said no to the password: it is not tried again, because hosts lock accounts after a few.
    is_denied: AtomicBool,
    ahead: Ahead,
    shared: Arc<Shared>,
}

/// A channel with its script's shell waiting for the script.
pub(super) struct Opened {
    pub(super) since: Instant,
    master: Arc<Master>,
    permit: OwnedSemaphorePermit,
    channel: Channel,
}

/// What came of a script.
struct Said {
    master: Arc<Master>,
    /// Nothing, if not even the host's own limit has brought an answer.
    answer: Option<Result<Answer, NoAnswer>>,
    /// Whether it took all the time that it had.
    is_over: bool,
}

impl Said {
    /// Whether the script's shell was gone before it could take a script.
    fn is_of_nobody(&self) -> bool {
        matches!(self.answer, Some(Err(NoAnswer::Cut { started: false, .. })))
    }
}

impl Link {
    /// Connects nothing yet.
    pub(super) fn new(target: Target, escalation: Escalation, shared: Arc<Shared>) -> Self {
        let channels = Arc::new(Semaphore::new(CHANNELS));
        let capacity = Arc::new(AtomicUsize::new(CHANNELS));
        Self {
            way: shared.posts.way(&target.ssh),
            target,
            escalation,
            master: tokio::sync::Mutex::new(None),
            channels,
            capacity,
            is_denied: AtomicBool::new(false),
            ahead: Ahead::default(),
            shared,
        }
    }

    /// Runs a command, connecting if there is no connection.
    pub(super) async fn run(self: &Arc<Self>, command: &Command) -> Result<Output, Unreachable> {
        let password = self.shared.password.as_ref();
        let wrapper = Wrapper::of(command, self.escalation, password.is_some());
        let password = password.filter(|_| wrapper == Wrapper::Asking);
        if password.is_some() && self.is_denied.load(Ordering::Relaxed) {
            return Err(self.denied("it is not sent a second time"));
        }
        let fork = self
            .shared
            .forks
            .acquire()
            .await
            .expect("the semaphore is never closed");
        if let Some(ready) = self.ready(command, wrapper).await {
            let remote = self.remote(command, None, ready.mark)?;
            self.open_ahead(wrapper, &remote);
            let said = self.talk(command, &remote, wrapper, ready.opened).await;
            if !said.is_of_nobody() {
                return self.judge(command, said).await;
            }
        }
        let mark =
            super::random_mark().map_err(|error| self.garbled(command, &error.to_string(), ""))?;
        let remote = self.remote(command, password, mark)?;
        let opened = self
            .open(&command.title, &wrapper.line(&remote.mark))
            .await?;
        self.open_ahead(wrapper, &remote);
        let _fork = Some(fork).filter(|_| !is_pulsed(command));
        let said = self.talk(command, &remote, wrapper, opened).await;
        self.judge(command, said).await
    }

    /// Expects that scripts follow each other, or no more.
    pub(super) fn expect(self: &Arc<Self>, more: bool) {
        if more {
            self.ahead.begin();
            self.open_shell_of_root();
        } else {
            self.ahead.end();
        }
    }

    /// Forgets the shells that were opened until now, and opens another if scripts follow.
    pub(super) fn renew(self: &Arc<Self>) {
        self.ahead.renew();
        self.open_shell_of_root();
    }

    fn open_shell_of_root(self: &Arc<Self>) {
        let password = self.shared.password.is_some();
        self.open_shell(Wrapper::of_root(self.escalation, password));
    }

    /// The shell that waits for such a command. What may last as long as the run, or brings a file here, has its own.
    async fn ready(&self, command: &Command, wrapper: Wrapper) -> Option<Ready> {
        if is_pulsed(command) || !matches!(command.output, Sink::Capture) {
            return None;
        }
        let ready = self.ahead.take(wrapper).await?;
        let now = self.master.lock().await;
        let is_current = now
            .as_ref()
            .is_some_and(|now| Arc::ptr_eq(now, &ready.opened.master));
        is_current.then_some(ready)
    }

    /// Opens a channel for the next command while this one runs, unless this one's stays.
    fn open_ahead(self: &Arc<Self>, wrapper: Wrapper, running: &Remote) {
        if !running.stays {
            self.open_shell(wrapper);
        }
    }

    /// Opens a channel ahead of need, if there are plenty. A password waits for nobody.
    fn open_shell(self: &Arc<Self>, wrapper: Wrapper) {
        let Wrapper::Silent(_) = wrapper else {
            return;
        };
        self.ahead.open(wrapper, || {
            let link = Arc::clone(self);
            async move { link.get_ready(wrapper).await }
        });
    }

    async fn get_ready(&self, wrapper: Wrapper) -> Option<Ready> {
        if self.channels.available_permits() < SPARE {
            return None;
        }
        let permit = Arc::clone(&self.channels).try_acquire_owned().ok()?;
        let master = self.master.lock().await.clone()?;
        let mark = super::random_mark().ok()?;
        let since = Instant::now();
        match channel::open(&master.session, &wrapper.line(&mark)).await {
            Ok(channel) => Some(Ready {
                opened: Opened {
                    since,
                    master,
                    permit,
                    channel,
                },
                mark,
            }),
            Err(NotOpened::Refused(_)) => {
                if self.shrink() {
                    permit.forget();
                }
                None
            }
            Err(NotOpened::Gone) => None,
        }
    }

    fn remote(
        &self,
        command: &Command,
        password: Option<&Secret>,
        mark: String,
    ) -> Result<Remote, Unreachable> {
        let stay = self.ahead.is_wanted() && matches!(command.output, Sink::Capture);
        Remote::new(command, password, mark, stay)
            .map_err(|said| self.garbled(command, &said, "correct the setting that it comes from"))
    }

    /// Opens a channel. Nothing has been run when this fails, so it may connect anew and try again.
    async fn open(&self, title: &str, line: &str) -> Result<Opened, Unreachable> {
        let mut losses = 0;
        let mut refusals = 0;
        loop {
            let permit = Arc::clone(&self.channels)
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            let master = self.master().await?;
            let since = Instant::now();
            match channel::open(&master.session, line).await {
                Ok(channel) => {
                    return Ok(Opened {
                        since,
                        master,
                        permit,
                        channel,
                    });
                }
                Err(NotOpened::Gone) if losses == LOSSES => return Err(self.lost(title, &master)),
                Err(NotOpened::Gone) => {
                    losses += 1;
                    self.forget(&master).await;
                }
                Err(NotOpened::Refused(_)) if self.shrink() => permit.forget(),
                Err(NotOpened::Refused(said)) if refusals == ATTEMPTS => {
                    let hint = "sshd opens no session: see `MaxSessions` in its configuration, and its log";
                    return Err(self.target.unreachable(Stage::NoSession, &said, hint));
                }
                Err(NotOpened::Refused(_)) => {
                    tokio::time::sleep(pause(refusals) / 4).await;
                    refusals += 1;
                }
            }
        }
    }

    /// A command that may last as long as the run takes its channel out of those that are shared, so that nobody waits
    /// for its end.
    fn count(&self, command: &Command, permit: OwnedSemaphorePermit) -> Counted {
        if is_pulsed(command) && self.shrink() {
            permit.forget();
            return Box::new(Aside {
                channels: Arc::clone(&self.channels),
                capacity: Arc::clone(&self.capacity),
            });
        }
        Box::new(permit)
    }

    /// Gives up one channel for good, unless it is the last.
    fn shrink(&self) -> bool {
        let less = |n: usize| (n > 1).then(|| n - 1);
        self.capacity
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }

    /// Sends the script and waits for its answer. A shell that stays waits for the next script, if there are channels to
    /// spare beside it.
    async fn talk(
        &self,
        command: &Command,
        remote: &Remote,
        wrapper: Wrapper,
        opened: Opened,
    ) -> Said {
        let Opened {
            since,
            master,
            permit,
            mut channel,
        } = opened;
        let asked = Instant::now();
        let limit = command.deadline.saturating_add(KILL_AFTER + SLACK);
        let answer = |channel| async {
            let host = &self.target.host;
            let answer = channel::converse(channel, host, remote, command);
            tokio::time::timeout(limit, answer).await.ok()
        };
        let answer = if remote.stays {
            let answer = answer(&mut channel).await;
            let is_free = matches!(&answer, Some(Ok(answer)) if answer.was_started);
            if is_free && self.channels.available_permits() + 1 >= SPARE {
                let opened = Opened {
                    since,
                    master: Arc::clone(&master),
                    permit,
                    channel,
                };
                let mark = remote.mark.clone();
                self.ahead.put(wrapper, Ready { opened, mark });
            } else {
                release(channel, Box::new(permit));
            }
            answer
        } else {
            let counted = self.count(command, permit);
            let answer = answer(&mut channel).await;
            release(channel, counted);
            answer
        };
        Said {
            master,
            answer,
            is_over: asked.elapsed() >= command.deadline,
        }
    }

    async fn judge(&self, command: &Command, said: Said) -> Result<Output, Unreachable> {
        match said.answer {
            Some(Ok(answer)) => self.risen(answer, said.is_over),
            Some(Err(reason)) => Err(self.unanswered(command, &said.master, reason).await),
            None => Err(self.late(command, &said.master).await),
        }
    }
}

/// Keeps the channel counted until sshd closed it too.
fn release(channel: Channel, counted: Counted) {
    tokio::spawn(async move {
        let _ = tokio::time::timeout(LINGER, channel.close()).await;
        drop(counted);
    });
}
