//! The jump hosts of the inventory: one login at each, which all hosts behind it share.
//!
//! A master stands at each jump host, as at each host, and whatever lies behind is reached through its control socket. So
//! the jump host's sshd sees one connection of ours however many hosts are behind it, and its `MaxStartups` is no matter
//! of luck. A chain of jump hosts is a chain of masters, each reached through the one before.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::config::Jump;
use super::master::Master;
use super::shared::Shared;
use super::words::{Failure, Target};
use crate::inventory::Ssh;
use crate::transport::Stage;

/// Where a connection goes on from: the last jump host that stands.
#[derive(Clone)]
pub(super) struct Through {
    /// The jump host as the inventory has it.
    pub(super) jump: String,
    /// The control socket of its master.
    pub(super) socket: PathBuf,
    /// What its master says, of all that goes through it.
    pub(super) log: PathBuf,
}

/// Every jump host that is passed by somebody, once for each way of logging in there.
#[derive(Default)]
pub(super) struct Posts(Mutex<Vec<Arc<Post>>>);

/// The jump hosts on the way to a host, in the order in which they are passed; none for most.
pub(super) struct Way(Vec<Arc<Post>>);

/// One jump host.
struct Post {
    /// How it is reached: `jump` has the ones before it and then itself.
    ssh: Ssh,
    standing: tokio::sync::Mutex<Standing>,
    /// How many attempts have ended.
    attempts: AtomicU64,
}

/// What came of the last attempt.
enum Standing {
    Nothing,
    Master(Master),
    /// For those who waited meanwhile: they need not fail the same way one after the other.
    Failed(Failure),
}

impl Posts {
    /// The way to a host that is reached like this.
    pub(super) fn way(&self, ssh: &Ssh) -> Way {
        let prefixes = (1..=ssh.jump.len()).map(|many| Ssh {
            user: None,
            port: None,
            jump: ssh.jump[..many].to_vec(),
            ..ssh.clone()
        });
        Way(prefixes.map(|prefix| self.post(prefix)).collect())
    }

    fn post(&self, ssh: Ssh) -> Arc<Post> {
        let mut posts = self.0.lock().expect("no holder of this lock can panic");
        if let Some(post) = posts.iter().find(|post| post.ssh == ssh) {
            return Arc::clone(post);
        }
        let post = Arc::new(Post {
            ssh,
            standing: tokio::sync::Mutex::new(Standing::Nothing),
            attempts: AtomicU64::new(0),
        });
        posts.push(Arc::clone(&post));
        post
    }
}

impl Way {
    /// Makes all of it stand, and says where to go on from.
    pub(super) async fn stand(&self, shared: &Shared) -> Result<Option<Through>, Failure> {
        let mut through = None;
        for (post, ended) in self.0.iter().zip(self.ended()) {
            through = Some(post.stand(shared, through.as_ref(), ended).await?);
        }
        Ok(through)
    }

    /// How many attempts have ended at each jump host: who sets out now takes the answer of every later one as its own.
    fn ended(&self) -> Vec<u64> {
        let ended = self.0.iter().map(|post| &post.attempts);
        ended.map(|number| number.load(Ordering::Relaxed)).collect()
    }
}

impl Post {
    /// Connects unless it stands. Whoever set out meanwhile, when so many attempts had ended, gets the same answer.
    async fn stand(
        &self,
        shared: &Shared,
        before: Option<&Through>,
        ended: u64,
    ) -> Result<Through, Failure> {
        let mut standing = self.standing.lock().await;
        match &*standing {
            Standing::Master(master) if master.is_alive().await => {
                return Ok(self.through(master));
            }
            Standing::Failed(failure) if self.attempts.load(Ordering::Relaxed) > ended => {
                return Err(failure.clone());
            }
            _ => {}
        }
        let answer = self.connect(shared, before).await;
        self.attempts.fetch_add(1, Ordering::Relaxed);
        match answer {
            Ok(master) => {
                let through = self.through(&master);
                *standing = Standing::Master(master);
                Ok(through)
            }
            Err(failure) => {
                *standing = Standing::Failed(failure.clone());
                Err(failure)
            }
        }
    }

    /// Connects once. Its failure says which jump host it was.
    async fn connect(&self, shared: &Shared, before: Option<&Through>) -> Result<Master, Failure> {
        let target = self.target().map_err(|said| self.no_jump(&said))?;
        let connected = shared.connect(&target, before).await;
        connected.map_err(|failure| failure.on_the_way(self.name()))
    }

    /// The jump host as a host, reached without what is before it.
    fn target(&self) -> Result<Target, String> {
        let Jump { user, host, port } = Jump::parse(self.name())?;
        Ok(Target {
            host: String::new(),
            address: host,
            ssh: Ssh {
                user,
                port,
                ..self.ssh.clone()
            },
        })
    }

    fn through(&self, master: &Master) -> Through {
        Through {
            jump: self.name().to_owned(),
            socket: master.socket.clone(),
            log: master.log.clone(),
        }
    }

    fn name(&self) -> &str {
        self.ssh.jump.last().expect("a way of no jump has no posts")
    }

    fn no_jump(&self, said: &str) -> Failure {
        let target = Target {
            host: String::new(),
            address: self.name().to_owned(),
            ssh: self.ssh.clone(),
        };
        let hint = "correct the setting in the inventory or on the command line";
        Failure {
            unreachable: target.unreachable(Stage::Configuration, said, hint),
            is_dropped: false,
            is_proxied: false,
        }
    }
}
