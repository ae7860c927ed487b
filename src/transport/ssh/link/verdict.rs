//! What an answer of a host means, or that there is none.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::channel::{Answer, NoAnswer};
use super::super::escalation;
use super::super::master::Master;
use super::Link;
use crate::transport::{Command, Output, Stage, TIMED_OUT, Unreachable};

impl Link {
    /// Tells the script's answer from a refusal of sudo or doas.
    pub(super) fn risen(&self, answer: Answer, is_over: bool) -> Result<Output, Unreachable> {
        if answer.was_started {
            return Ok(output(answer, is_over));
        }
        let said = String::from_utf8_lossy(&answer.stderr);
        if answer.questions > 1 {
            self.is_denied.store(true, Ordering::Relaxed);
            return Err(self.denied(&said));
        }
        let user = self.target.ssh.user.as_deref();
        let password = self.shared.password.is_some();
        let (who, hint) = escalation::refusal(self.escalation, user, password, &said);
        Err(self
            .target
            .unreachable(Stage::Become(who.to_owned()), &said, hint))
    }

    /// sudo does not take the password.
    pub(super) fn denied(&self, said: &str) -> Unreachable {
        self.target
            .unreachable(Stage::Password, said, escalation::WRONG_PASSWORD)
    }

    /// Finds out why there is no answer.
    pub(super) async fn unanswered(
        &self,
        command: &Command,
        master: &Arc<Master>,
        reason: NoAnswer,
    ) -> Unreachable {
        match reason {
            NoAnswer::Local(path, error) => {
                let stage = Stage::LocalFile(path.display().to_string());
                self.target.unreachable(
                    stage,
                    &error.to_string(),
                    "look at the file and its folder on this machine",
                )
            }
            NoAnswer::TooMuch => self.garbled(
                command,
                "it printed more than 8 MiB",
                "this is a bug in runner, or the host prints what it should not",
            ),
            NoAnswer::Cut {
                begun: false,
                words,
                ..
            } if master.is_alive().await => {
                let hint = "the login user's shell must be able to run `/bin/sh -c …`: see its entry in /etc/passwd, its rc files, and `ForceCommand` in sshd's configuration";
                self.garbled(command, &String::from_utf8_lossy(&words), hint)
            }
            NoAnswer::Cut { .. } => {
                if !master.is_alive().await {
                    self.forget(master).await;
                }
                self.lost(&command.title, master)
            }
        }
    }

    pub(super) fn garbled(&self, command: &Command, said: &str, hint: &str) -> Unreachable {
        self.target
            .unreachable(Stage::Garbled(command.title.clone()), said, hint)
    }

    pub(super) fn lost(&self, title: &str, master: &Master) -> Unreachable {
        let hint = "what the command did until then is unknown: see that the host and its network are up, then run `runner status`";
        self.target
            .unreachable(Stage::Lost(title.to_owned()), &master.words(), hint)
    }

    /// The host did not even answer after it should have killed the script: the connection is not trusted any more.
    pub(super) async fn late(&self, command: &Command, master: &Arc<Master>) -> Unreachable {
        self.forget(master).await;
        let stage = Stage::Deadline {
            title: command.title.clone(),
            after: command.deadline,
        };
        let hint =
            "the host hangs or its network does: look at it, or give more time with `--timeout`";
        self.target.unreachable(stage, &master.words(), hint)
    }
}

/// The script's answer; a script that had to be ended has the status that `timeout` gives.
fn output(answer: Answer, is_over: bool) -> Output {
    let was_killed = matches!(answer.status, 137 | 143);
    let status = if is_over && was_killed {
        TIMED_OUT
    } else {
        answer.status
    };
    Output {
        status,
        stdout: answer.stdout,
        stderr: answer.stderr,
    }
}
