//! Every release in every state, as it answered: the observing script against stand-ins that print what was recorded,
//! and that refuse words which no etcdctl of 3.0 to 3.7 knows, as the real ones do.

use std::fs;

use runner::etcd::dialect::{Dialect, member_list_needs_quorum};
use runner::etcd::{MemberId, Version, wire};
use runner::facts::observe::{Depth, observe_host_to};
use runner::facts::parse::Frames;
use runner::facts::{Answer, MemberView};

use super::stage::{Stage, fixture};
use super::{DEADLINE, SHELLS, answered, silent};

const VERSIONS: [&str; 13] = [
    "2.0.13", "2.1.3", "2.2.5", "2.3.8", "3.0.17", "3.1.20", "3.2.32", "3.3.25", "3.4.23",
    "3.5.16", "3.5.30", "3.6.14", "3.7.1",
];

/// The first member of a recorded cluster.
struct Recorded {
    version: Version,
    frames: Frames,
    state: &'static str,
    /// Where it listened.
    url: String,
    id: MemberId,
}

impl Recorded {
    fn new(version: &str, state: &'static str) -> Self {
        let frames = fs::read(fixture(version, "answers.frames")).unwrap();
        let frames = Frames::parse(&frames).unwrap();
        let told = wire::statuses(&frames.text("healthy.endpoint-status-json"));
        let (url, id) = match told.map(|mut all| all.remove(0)) {
            Ok(first) => (first.endpoint, first.member_id),
            Err(_) => (
                "http://127.0.0.1:26379".to_owned(),
                MemberId(0xdeb0_c850_7381_9695),
            ),
        };
        Self {
            version: version.parse().unwrap(),
            frames,
            state,
            url,
            id,
        }
    }

    fn text(&self, name: &str) -> String {
        self.frames.text(&format!("{}.{name}", self.state))
    }

    fn status(&self, name: &str) -> i32 {
        let name = format!("{}.{name}", self.state);
        self.frames.need(&name).unwrap().status
    }

    /// Recorded of all endpoints at once: what is of the first, as it was printed.
    fn of_first(&self, name: &str) -> String {
        let text = self.text(name);
        if let Some(rows) = text.strip_prefix('[') {
            // Only between rows does an object follow another.
            let rows = rows.trim_end().trim_end_matches(']').replace("},{", "}\n{");
            let first = rows.lines().find(|row| row.contains(&self.url));
            return format!("[{}]", first.unwrap_or_default());
        }
        // The member list names all of them in one line, and is the same from everyone.
        let is_list = text.starts_with('{') && name.strip_suffix(".err").is_none();
        let port = |line: &&str| !line.contains("127.0.0.1:2") || line.contains(&self.url);
        let ours = text.lines().filter(|line| is_list || port(line));
        ours.collect::<Vec<_>>().join("\n")
    }

    fn stage(&self) -> Stage {
        let stage = Stage::of_2_x(&self.version.to_string());
        let say = |name: &str, text: &str| {
            let path = stage.path("etc").join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let page = |name: &str| match self.status(name) {
            0 => "echo 'curl: (7) Failed to connect' >&2; exit 7".to_owned(),
            _ => format!("cat '{}'", say(name, &self.text(name))),
        };
        let mut pages = vec![format!("*/version) {} ;;", page("http-version"))];
        if Dialect::of(&self.version) == Dialect::V2 {
            pages.push(format!("*/v2/members) {} ;;", page("http-v2-members")));
            pages.push(format!(
                "*/v2/stats/self) {} ;;",
                page("http-v2-stats-self")
            ));
            pages.extend(by_quorum(self.state == "quorum-lost").map(str::to_owned));
        } else {
            let answers = [
                ("endpoint status", "endpoint-status-json"),
                ("endpoint health", "endpoint-health-json"),
                ("member list", "member-list-json"),
                ("alarm list", "alarm-list-json"),
            ];
            let arm = |(words, name): (&str, &str)| {
                let out = say(name, &self.of_first(name));
                let err = say(
                    &format!("{name}.err"),
                    &self.of_first(&format!("{name}.err")),
                );
                let status = self.status(name);
                format!("' {words}') cat '{out}'; cat '{err}' >&2; exit {status} ;;\n")
            };
            stage.script(
                "bin/etcdctl",
                &format!("{ETCDCTL}{}{HELP}", answers.map(arm).concat()),
            );
        }
        stage.tool(
            "curl",
            &format!(
                "for url; do :; done\ncase $url in\n{}\n*) echo \"what? $*\" >&2; exit 9 ;;\nesac",
                pages.join("\n")
            ),
        );
        stage
    }

    /// What every shell makes of it.
    async fn seen(&self) -> Answer {
        let stage = self.stage();
        let mut host = stage.host();
        host.client_url.clone_from(&self.url);
        let mut all = Vec::new();
        for shell in SHELLS {
            let shell = stage.shell(shell);
            all.push(observe_host_to(&shell, &host, Depth::Cluster, DEADLINE).await);
        }
        assert!(all.iter().all(|one| *one == all[0]), "{}", self.version);
        all.remove(0)
    }
}

/// Pages that were not recorded, in the words of etcd-upgrades 3.1 and of the code of all 2.x lines.
fn by_quorum(is_lost: bool) -> [&'static str; 3] {
    let head = "*/v2/keys/) printf 'X-Etcd-Cluster-Id: c11f1b527d62d98d\\r\\nX-Raft-Index: 73\\r\\nX-Raft-Term: 2\\r\\n' ;;";
    if is_lost {
        [
            head,
            "*quorum=true) echo '{\"errorCode\":300,\"message\":\"Raft Internal Error\",\"cause\":\"etcdserver: request timed out\",\"index\":0}' ;;",
            "*/v2/members/leader) echo '{\"message\":\"During election\"}' ;;",
        ]
    } else {
        [
            head,
            "*quorum=true) echo '{\"errorCode\":100,\"message\":\"Key not found\",\"cause\":\"/_runner\",\"index\":7}' ;;",
            "*/v2/members/leader) echo '{\"id\":\"deb0c85073819695\",\"name\":\"m1\",\"peerURLs\":[],\"clientURLs\":[]}' ;;",
        ]
    }
}

/// The flags that etcdctl 3.0 lists in its help, which all later ones know too.
const ETCDCTL: &str = r#"[ "$ETCDCTL_API" = 3 ] || { echo "Incorrect Usage."; exit 0; }
words=
while [ $# -gt 0 ]; do
  case $1 in
  --endpoints=http://127.0.0.1:2[67]379) asked=yes ;;
  --dial-timeout=* | --command-timeout=* | --cacert=* | --cert=* | --key=*) ;;
  -w) [ "$2" = json ] || exit 4; shift ;;
  -*) printf 'Error: unknown flag: %s\n' "$1" >&2; exit 1 ;;
  *) words="$words $1" ;;
  esac
  shift
done
[ -n "$asked" ] || exit 9
case $words in
"#;

/// An unknown subcommand of a known group prints the help and ends with 0.
const HELP: &str = "*) printf 'NAME:\\n\\tendpoint - Endpoint related commands\\n' ;;\nesac";

fn line(version: &Version) -> Option<Version> {
    let minor = version.minor();
    (*version >= Version::new(2, 1, 0)).then(|| Version::new(minor.major, minor.minor, 0))
}

fn is_seen_whole(recorded: &Recorded, view: &MemberView) {
    let version = &recorded.version;
    assert_eq!(view.version, *version);
    assert_eq!(view.cluster_version, line(version), "{version}");
    assert_eq!(view.id, recorded.id, "{version}");
    assert!(view.raft_index > 30 && view.raft_term >= 2, "{version}");
    assert_eq!(view.alarms, [], "{version}");
}

#[tokio::test]
async fn a_healthy_member_of_every_release_is_seen_whole_and_so_is_one_whose_peer_is_down() {
    for version in VERSIONS {
        for state in ["healthy", "one-down"] {
            let recorded = Recorded::new(version, state);
            let view = answered(recorded.seen().await);
            is_seen_whole(&recorded, &view);
            assert_eq!(view.health, Ok(()), "{version} {state}");
            assert_eq!(view.members.len(), 3, "{version} {state}");
            let told = wire::statuses(&recorded.of_first("endpoint-status-json"));
            let leader = told.map_or(Some(view.id), |list| list[0].leader);
            assert_eq!(view.leader, leader, "{version} {state}");
            assert!(view.leader.is_some());
        }
    }
}

#[tokio::test]
async fn without_quorum_no_release_passes_for_healthy() {
    for version in VERSIONS {
        let recorded = Recorded::new(version, "quorum-lost");
        let view = answered(recorded.seen().await);
        is_seen_whole(&recorded, &view);
        assert_eq!(view.leader, None, "{version}");
        let why = view.health.unwrap_err();
        assert!(why.contains("leader"), "{version}: {why}");
        let lists = !member_list_needs_quorum(&recorded.version);
        assert_eq!(view.members.len(), if lists { 3 } else { 0 }, "{version}");
    }
}

#[tokio::test]
async fn a_stopped_member_of_every_release_is_told_as_such() {
    for version in VERSIONS {
        let recorded = Recorded::new(version, "all-down");
        let wanted = format!("connection refused: nothing listens at `{}`", recorded.url);
        assert_eq!(silent(recorded.seen().await), wanted, "{version}");
    }
}
