//! Folders of this machine as a made-up host, and an engine that runs its scripts there by a real shell.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use async_trait::async_trait;
use runner::engine::lock::Locks;
use runner::engine::{Engine, Interrupt, Packs};
use runner::etcd::{MemberId, Version};
use runner::event::Kind;
use runner::facts::{Arch, Observation};
use runner::inventory::Cluster;
use runner::journal::{self, Journal, Recorder};
use runner::plan::{
    self, Action, FORMAT, Hop, Lane, MemberRef, OnFailure, Outcome, Plan, Purpose, Step, StepId,
    Undo, Wave,
};
use runner::transport::{
    Command, Input, Line, Output, Sink, Stage, Stream, Transport, Unreachable,
};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin};
use tokio::sync::watch;

use crate::engine_rig::holder;
use crate::sim::inventory;

/// Runs scripts by `sh`, with a folder of stand-ins first on the PATH.
pub struct Shell {
    pub tools: PathBuf,
}

#[async_trait]
impl Transport for Shell {
    async fn run(&self, host: &str, command: Command) -> Result<Output, Unreachable> {
        let run = self.sh(&command).await;
        run.map_err(|error| Unreachable {
            host: host.to_owned(),
            stage: Stage::Configuration,
            said: error.to_string(),
            hint: String::new(),
        })
    }
}

impl Shell {
    async fn sh(&self, command: &Command) -> std::io::Result<Output> {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut child = tokio::process::Command::new("sh")
            .args(["-c", &command.script, "sh"])
            .args(&command.args)
            .env("PATH", format!("{}:{path}", self.tools.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().expect("a pipe");
        match &command.input {
            Input::None => {}
            Input::Bytes(bytes) => stdin.write_all(bytes).await?,
            Input::File(file) => stdin.write_all(&fs::read(file)?).await?,
            Input::Growing(file) => {
                file.clone().whole().await?;
                stdin.write_all(&fs::read(file.path())?).await?;
            }
            Input::Held(held) | Input::Pulsed(held) => {
                return hold(child, stdin, held.clone(), command).await;
            }
        }
        drop(stdin);
        let ended = child.wait_with_output().await?;
        if let Sink::File(file) = &command.output {
            fs::write(file, &ended.stdout)?;
        }
        Ok(Output {
            status: ended.status.code().unwrap_or(-1),
            stdout: ended.stdout,
            stderr: ended.stderr,
        })
    }
}

/// Passes on what the script prints, and ends its stdin when nobody holds it any more.
async fn hold(
    mut child: Child,
    stdin: ChildStdin,
    mut held: watch::Receiver<bool>,
    command: &Command,
) -> std::io::Result<Output> {
    let Sink::Lines(tell) = &command.output else {
        panic!("a held script that nobody listens to")
    };
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut stdin = Some(stdin);
    loop {
        tokio::select! {
            line = stdout.next_line() => match line? {
                None => break,
                Some(line) => drop(tell.send(out(&line)).await),
            },
            _ = held.changed(), if stdin.is_some() => stdin = None,
        }
    }
    let ended = child.wait_with_output().await?;
    Ok(Output {
        status: ended.status.code().unwrap_or(-1),
        stdout: Vec::new(),
        stderr: ended.stderr,
    })
}

/// A line of stdout.
pub fn out(text: &str) -> Line {
    Line {
        host: String::new(),
        stream: Stream::Out,
        text: text.as_bytes().to_vec(),
    }
}

/// Folders of one made-up host, and an engine that reaches it.
pub struct Bench {
    dir: TempDir,
    runs: u32,
}

impl Bench {
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        for folder in ["bin", "opt", "tools", "backups", "etc"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        Self { dir, runs: 0 }
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn cluster(&self) -> Cluster {
        // The second is a neighbour, in the same folders but for its releases.
        let mut cluster = inventory::cluster(2);
        cluster.hosts[0].bin_dir = self.path("bin");
        cluster.hosts[0].install_dir = self.path("opt");
        cluster.hosts[1].install_dir = self.path("neighbour");
        cluster
    }

    /// Carries out one action and gives its outcome.
    pub async fn act(&mut self, action: Action) -> Outcome {
        self.act_with(action, BTreeMap::new()).await
    }

    pub async fn act_with(
        &mut self,
        action: Action,
        binaries: BTreeMap<String, PathBuf>,
    ) -> Outcome {
        self.runs += 1;
        let journal = Journal::create(self.dir.path(), &format!("run-{}", self.runs)).unwrap();
        let recorder = Arc::new(Recorder::new(journal));
        let tools = self.dir.path().join("tools");
        let engine = Engine {
            transport: Arc::new(Shell { tools }),
            recorder: recorder.clone(),
            interrupt: Interrupt::new(),
            seen: Observation::default(),
            binaries,
            packs: Arc::new(Packs::new(std::env::temp_dir())),
            state_dir: self.dir.path().join("state"),
            locks: Arc::new(Locks::new(holder("run")).in_folder(self.path("locks"))),
        };
        engine.run(&self.cluster(), &one_step(action)).await;
        engine.locks.release().await;
        let events = journal::read(recorder.path()).unwrap().events;
        let mut ended = events.into_iter().filter_map(|event| match event.kind {
            Kind::StepEnded { outcome, .. } => Some(outcome),
            _ => None,
        });
        ended.next_back().unwrap()
    }
}

pub fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn one_step(action: Action) -> Plan {
    let member = MemberRef {
        id: MemberId(1),
        name: "etcd-1".to_owned(),
    };
    let steps = staged_before(&action).into_iter().chain([action]);
    let step = |(at, action)| Step {
        id: StepId(at),
        action,
        undo: Undo::Nothing,
        disruptive: false,
        deadline_s: 20,
    };
    let lane = Lane {
        host: "etcd-1".to_owned(),
        member,
        steps: (1..).zip(steps).map(step).collect(),
    };
    Plan {
        format: FORMAT,
        kind: plan::Kind::Upgrade,
        cluster: "prod".to_owned(),
        from: version("3.4.23"),
        to: version("3.5.16"),
        hops: vec![Hop {
            from: version("3.4.23"),
            to: version("3.5.16"),
            waves: vec![Wave {
                purpose: Purpose::Stage,
                lanes: vec![lane],
            }],
            point_of_no_return: None,
            rules: Vec::new(),
        }],
        on_failure: OnFailure::Undo,
        basis: String::new(),
    }
}

/// A plan that switches must stage before; here with nothing to send.
fn staged_before(action: &Action) -> Option<Action> {
    let Action::SwitchRelease {
        version,
        install_dir,
        ..
    } = action
    else {
        return None;
    };
    Some(Action::StageRelease {
        version: version.clone(),
        arch: Arch::Amd64,
        files: BTreeMap::new(),
        install_dir: install_dir.clone(),
        from: None,
    })
}

pub fn causes(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed { causes } => causes.join("; "),
        other => panic!("it did not fail: {other:?}"),
    }
}

pub fn is_changed(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Changed { .. } => true,
        Outcome::Unchanged { .. } => false,
        other => panic!("{other:?}"),
    }
}
