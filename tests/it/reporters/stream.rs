//! Event streams as the engine sends them, for reporters to show.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use runner::etcd::{MemberId, Version};
use runner::event::{Ending, Event, FORMAT, Kind, MemberState};
use runner::facts::Arch;
use runner::plan::{
    self, Action, Finding, Hop, Lane, MemberRef, OnFailure, Outcome, Plan, Purpose, Severity, Step,
    StepId, Undo, Wave,
};

/// The hosts, with the ids that a lab cluster gave its members.
pub const HOSTS: [(&str, u64); 3] = [
    ("etcd-1", 0x8e9e_05c5_2164_694d),
    ("etcd-2", 0x91bc_3c39_8fb3_c146),
    ("etcd-3", 0xfd42_2379_fda5_0e48),
];

/// A stream under construction.
pub struct Stream {
    pub events: Vec<Event>,
    now: Timestamp,
}

impl Stream {
    pub fn new() -> Self {
        Self {
            events: Vec::new(),
            now: "2026-11-20T12:01:02Z".parse().expect("a timestamp"),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    pub fn wait(&mut self, millis: i64) -> &mut Self {
        self.now += SignedDuration::from_millis(millis);
        self
    }

    pub fn push(&mut self, kind: Kind) -> &mut Self {
        self.events.push(Event {
            format: FORMAT,
            run: "20261120T120102Z-4f2a".to_owned(),
            index: self.events.len() as u64,
            at: self.now,
            kind,
        });
        self
    }

    pub fn planned(&mut self) -> &mut Self {
        self.push(Kind::Plan {
            cluster: "prod".to_owned(),
            plan: Some(plan()),
            findings: vec![finding()],
            others: Vec::new(),
        })
    }

    pub fn started(&mut self, host: &str, step: u32, what: &str) -> &mut Self {
        self.push(Kind::StepStarted {
            cluster: "prod".to_owned(),
            host: host.to_owned(),
            step: StepId(step),
            what: what.to_owned(),
            undo: false,
        })
    }

    pub fn progress(
        &mut self,
        host: &str,
        step: u32,
        what: &str,
        bytes: Option<(u64, u64)>,
    ) -> &mut Self {
        self.push(Kind::StepProgress {
            cluster: "prod".to_owned(),
            host: host.to_owned(),
            step: StepId(step),
            what: what.to_owned(),
            bytes,
        })
    }

    pub fn ended(&mut self, host: &str, step: u32, took_ms: u64, outcome: Outcome) -> &mut Self {
        self.push(Kind::StepEnded {
            cluster: "prod".to_owned(),
            host: host.to_owned(),
            step: StepId(step),
            outcome,
            took_ms,
            undo: false,
        })
    }

    pub fn step(
        &mut self,
        host: &str,
        step: u32,
        what: &str,
        took_ms: u64,
        changed: &str,
    ) -> &mut Self {
        self.started(host, step, what);
        self.wait(i64::try_from(took_ms).expect("a short time"));
        let outcome = Outcome::Changed {
            what: changed.to_owned(),
        };
        self.ended(host, step, took_ms, outcome)
    }

    /// Staging on three hosts side by side, then the backup.
    pub fn prepared(&mut self) -> &mut Self {
        self.planned();
        for (number, (host, _)) in (1..).zip(HOSTS) {
            self.started(host, number, "stage etcd 3.5.16");
            self.progress(host, number, "upload etcd", Some((9 << 20, 23 << 20)));
        }
        self.wait(2_300);
        for (number, (host, _)) in (1..).zip(HOSTS) {
            let what = "3 binaries in /opt/etcd/3.5.16".to_owned();
            self.ended(host, number, 2_300, Outcome::Changed { what });
        }
        self.step("etcd-3", 4, "take a backup", 800, "20.1 MiB, revision 4711")
    }

    /// One member's turn.
    pub fn member(&mut self, host: &str, first: u32) -> &mut Self {
        self.push(Kind::Guarded {
            cluster: "prod".to_owned(),
            host: host.to_owned(),
            step: StepId(first),
            refused: None,
        });
        self.step(host, first, "stop etcd.service", 600, "");
        self.step(host, first + 1, "switch to etcd 3.5.16", 100, "");
        self.step(host, first + 2, "start etcd.service", 900, "");
        self.step(
            host,
            first + 3,
            "settle at 3.5.16",
            3_200,
            "healthy, term 7",
        )
    }

    /// The second member is being started, and that takes long.
    pub fn second_member_starts(&mut self) -> &mut Self {
        self.prepared().member("etcd-1", 5);
        self.step("etcd-2", 9, "stop etcd.service", 600, "");
        self.step("etcd-2", 10, "switch to etcd 3.5.16", 100, "");
        self.started("etcd-2", 11, "start etcd.service");
        self.progress("etcd-2", 11, "unit is activating, process 4711 runs", None)
    }

    /// The second member fails and is put back.
    pub fn put_back(&mut self) -> &mut Self {
        let causes = vec![
            "unit `etcd.service` is failed, exit status 2".to_owned(),
            "\"flag provided but not defined: -enable-v2\u{1b}[0m\"".to_owned(),
        ];
        self.second_member_starts().wait(4_000);
        self.ended(
            "etcd-2",
            11,
            4_000,
            Outcome::Failed {
                causes: causes.clone(),
            },
        );
        self.push(Kind::UndoStarted {
            cluster: "prod".to_owned(),
            host: "etcd-2".to_owned(),
            because: causes.clone(),
        });
        self.undone("etcd-2", 10, "switch to etcd 3.4.23", 100);
        self.undone("etcd-2", 9, "start etcd.service", 1_400);
        let states = [
            "runs 3.5.16 and is healthy",
            "was put back on 3.4.23 and is healthy",
            "runs 3.4.23 and is healthy",
        ];
        let mut ending = ending(
            5,
            "step 11 of 16 failed: `etcd.service` did not start within 1m 30s",
            &states,
        );
        ending.causes = causes;
        "remove `--enable-v2` from the unit, then run `runner upgrade` again"
            .clone_into(&mut ending.hint);
        self.close(ending)
    }

    fn undone(&mut self, host: &str, step: u32, what: &str, took_ms: u64) -> &mut Self {
        self.push(Kind::StepStarted {
            cluster: "prod".to_owned(),
            host: host.to_owned(),
            step: StepId(step),
            what: what.to_owned(),
            undo: true,
        });
        self.wait(i64::try_from(took_ms).expect("a short time"));
        self.push(Kind::StepEnded {
            cluster: "prod".to_owned(),
            host: host.to_owned(),
            step: StepId(step),
            outcome: Outcome::Changed {
                what: String::new(),
            },
            took_ms,
            undo: true,
        })
    }

    /// All goes well.
    pub fn done(&mut self) -> &mut Self {
        self.second_member_starts().wait(900);
        self.ended(
            "etcd-2",
            11,
            900,
            Outcome::Changed {
                what: String::new(),
            },
        );
        self.step("etcd-2", 12, "settle at 3.5.16", 3_100, "healthy, term 7");
        self.member("etcd-3", 13);
        let states = ["runs 3.5.16 and is healthy"; 3];
        let mut ending = ending(0, "all 3 members run 3.5.16, cluster version 3.5", &states);
        ending.left =
            vec!["backup etcd-3:/var/backups/etcd/prod-20261120T120102Z.db (20.1 MiB)".to_owned()];
        self.close(ending)
    }

    fn close(&mut self, ending: Ending) -> &mut Self {
        self.push(Kind::ClusterEnded {
            ending: ending.clone(),
        });
        self.push(Kind::Ended {
            status: ending.status,
            summary: ending.summary.clone(),
            clusters: vec![ending],
            took_ms: 21_400,
        })
    }
}

pub fn ending(status: u8, summary: &str, said: &[&str]) -> Ending {
    let members = HOSTS
        .iter()
        .zip(said)
        .map(|((host, id), state)| MemberState {
            host: (*host).to_owned(),
            member: (*host).to_owned(),
            id: Some(MemberId(*id)),
            state: (*state).to_owned(),
        });
    Ending {
        cluster: "prod".to_owned(),
        status,
        summary: summary.to_owned(),
        causes: Vec::new(),
        members: members.collect(),
        changed: true,
        hint: String::new(),
        left: Vec::new(),
    }
}

fn finding() -> Finding {
    Finding {
        code: "NO_TLS".to_owned(),
        severity: Severity::Warn,
        subject: "prod".to_owned(),
        reason: "3 of 3 members talk without TLS".to_owned(),
        hint: String::new(),
        source: String::new(),
    }
}

fn version(text: &str) -> Version {
    text.parse().expect("a version")
}

/// Three hosts: stage everywhere, back up, then member by member.
pub fn plan() -> Plan {
    let mut next = 0;
    let stage = HOSTS
        .iter()
        .map(|host| lane(*host, vec![step(&mut next, stage_release())]))
        .collect();
    let backup = vec![lane(HOSTS[2], vec![step(&mut next, take_backup())])];
    let mut waves = vec![
        Wave {
            purpose: Purpose::Stage,
            lanes: stage,
        },
        Wave {
            purpose: Purpose::Backup,
            lanes: backup,
        },
    ];
    for host in HOSTS {
        let steps = member_actions()
            .into_iter()
            .map(|action| step(&mut next, action))
            .collect();
        waves.push(Wave {
            purpose: Purpose::Member,
            lanes: vec![lane(host, steps)],
        });
    }
    let hop = Hop {
        from: version("3.4.23"),
        to: version("3.5.16"),
        waves,
        point_of_no_return: Some(StepId(15)),
        rules: Vec::new(),
    };
    Plan {
        format: plan::FORMAT,
        kind: plan::Kind::Upgrade,
        cluster: "prod".to_owned(),
        from: version("3.4.23"),
        to: version("3.5.16"),
        hops: vec![hop],
        on_failure: OnFailure::Undo,
        basis: "0".repeat(64),
    }
}

fn lane((host, id): (&str, u64), steps: Vec<Step>) -> Lane {
    let member = MemberRef {
        id: MemberId(id),
        name: host.to_owned(),
    };
    Lane {
        host: host.to_owned(),
        member,
        steps,
    }
}

fn step(next: &mut u32, action: Action) -> Step {
    *next += 1;
    let disruptive = matches!(action, Action::StopUnit { .. });
    Step {
        id: StepId(*next),
        action,
        undo: Undo::Nothing,
        disruptive,
        deadline_s: 90,
    }
}

fn stage_release() -> Action {
    Action::StageRelease {
        version: version("3.5.16"),
        arch: Arch::Amd64,
        files: BTreeMap::new(),
        install_dir: "/opt/etcd".to_owned(),
        from: None,
    }
}

fn take_backup() -> Action {
    Action::TakeBackup {
        dir: "/var/backups/etcd".to_owned(),
        file: "prod.db".to_owned(),
    }
}

fn member_actions() -> Vec<Action> {
    let unit = "etcd.service".to_owned();
    vec![
        Action::StopUnit { unit: unit.clone() },
        Action::SwitchRelease {
            version: version("3.5.16"),
            install_dir: "/opt/etcd".to_owned(),
            bin_dir: "/usr/local/bin".to_owned(),
            files: vec!["etcdctl".to_owned(), "etcd".to_owned()],
            remove: Vec::new(),
        },
        Action::StartUnit { unit },
        Action::Settle {
            version: version("3.5.16"),
            least_s: 0,
        },
    ]
}
