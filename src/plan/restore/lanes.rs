//! The waves of a restore, each step with its undo.

use crate::etcd::{MemberId, dialect};
use crate::plan::deadlines as limit;
use crate::plan::lane::Lanes as Common;
use crate::plan::previous::previous;
use crate::plan::rebuild::{self, Folder};
use crate::plan::seats::{self, Seat};
use crate::plan::upgrade::{Request, Work};
use crate::plan::{Action, Lane, MemberRef, Purpose, Rebuild, Step, Undo, Wave};

use super::{Backup, File, Source, first_start};

mod joining;

/// What `--force-new-cluster` lists a member with (etcd: server/etcdserver/raft.go, `CreateConfigChangeEnts`).
const FORCED: &str = "http://localhost:2380";

/// Makes the waves.
pub(super) struct Lanes<'a> {
    request: &'a Request<'a>,
    work: &'a Work<'a>,
    source: &'a Source<'a>,
    backup: &'a Backup,
    common: Common<'a>,
}

/// A member as the new cluster will have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// Its name.
    pub name: String,
    /// Its peer URLs.
    pub urls: Vec<String>,
}

impl<'a> Lanes<'a> {
    pub fn new(
        request: &'a Request<'a>,
        work: &'a Work<'a>,
        source: &'a Source<'a>,
        backup: &'a Backup,
    ) -> Self {
        Self {
            request,
            work,
            source,
            backup,
            common: Common::new(request, work),
        }
    }

    pub fn waves(&self) -> Vec<Wave> {
        let seats = &self.work.seats;
        let all = |steps: &dyn Fn(&Seat) -> Vec<Step>| -> Vec<Lane> {
            seats
                .iter()
                .map(|seat| lane(self.request, seat, steps(seat)))
                .collect()
        };
        let mut waves = vec![
            wave(Purpose::Stage, all(&|seat| self.release(seat))),
            wave(Purpose::Backup, self.fetch()),
            wave(Purpose::Stage, all(&|seat| self.prepare(seat))),
            wave(Purpose::Rebuild, all(&|seat| vec![self.stop(seat)])),
            wave(Purpose::Rebuild, all(&|seat| self.exchange(seat))),
        ];
        if self.backup.store.is_some() {
            waves.extend(self.one_by_one());
        } else {
            waves.push(wave(Purpose::Rebuild, all(&|seat| self.start(seat))));
        }
        waves.extend(self.end());
        waves.retain(|wave| !wave.lanes.is_empty());
        for wave in &mut waves {
            wave.lanes.retain(|lane| !lane.steps.is_empty());
        }
        waves.retain(|wave| !wave.lanes.is_empty());
        waves
    }

    /// Nothing where the release is installed already.
    fn release(&self, seat: &Seat) -> Vec<Step> {
        if seat.installed() == Some(&self.work.to) {
            return Vec::new();
        }
        self.common.stage_steps(seat)
    }

    /// Brings here what only a host has, to send it to the others.
    fn fetch(&self) -> Vec<Lane> {
        let files = [&self.backup.snapshot, &self.backup.store]
            .into_iter()
            .flatten();
        let mut lanes: Vec<Lane> = Vec::new();
        for file in files.filter(|file| !file.here) {
            let Some((host, path)) = &file.on else {
                continue;
            };
            let Some(seat) = self.work.seats.iter().find(|seat| seat.host.name == *host) else {
                continue;
            };
            let fetch = Action::FetchBackup {
                path: path.clone(),
                file: file.name.clone(),
            };
            let step = self.common.plain(fetch, limit::transfer(file.bytes));
            match lanes.iter_mut().find(|lane| lane.host == *host) {
                Some(lane) => lane.steps.push(step),
                None => lanes.push(lane(self.request, seat, vec![step])),
            }
        }
        lanes
    }

    fn prepare(&self, seat: &Seat) -> Vec<Step> {
        let seed = self.work.seats.first().map(|seat| &seat.host.name);
        match (&self.backup.store, &self.backup.snapshot) {
            (Some(_), _) if Some(&seat.host.name) != seed => Vec::new(),
            (Some(store), snapshot) => {
                let mut steps = vec![self.place(seat, store)];
                steps.extend(snapshot.iter().map(|file| self.place(seat, file)));
                steps.push(self.compose(seat, store, snapshot.as_ref()));
                steps
            }
            (None, Some(file)) => vec![self.place(seat, file), self.restore(seat, file)],
            (None, None) => Vec::new(),
        }
    }

    fn place(&self, seat: &Seat, file: &File) -> Step {
        let place = Rebuild::Place {
            dir: self.dir(seat),
            file: file.name.clone(),
            sha256: file.sha256.clone(),
            bytes: file.bytes,
            sealed: self.backup.store.as_ref() == Some(file),
        };
        self.common
            .plain(Action::Rebuild(place), limit::transfer(file.bytes))
    }

    fn dir(&self, seat: &Seat) -> String {
        let cluster = crate::plan::backup::safe(&self.request.cluster.name);
        format!("{}/{cluster}", seat.host.backup_dir)
    }

    fn restore(&self, seat: &Seat, file: &File) -> Step {
        let peers = self.peers();
        let own = self.peer(seat);
        let tools = self.tools(seat);
        let prepare = Rebuild::Prepare {
            tool: format!(
                "{}/{}",
                self.folder_of_tools(seat),
                dialect::restores_with(&self.work.to, tools)
            ),
            snapshot: format!("{}/{}", self.dir(seat), file.name),
            folder: self.folder(seat),
            name: own.name.clone(),
            cluster: listed(&peers),
            token: format!("{}-{}", self.request.cluster.name, self.request.run_id),
            urls: own.urls.join(","),
            flags: self.flags(),
        };
        self.made(seat, prepare, file.bytes)
    }

    fn compose(&self, seat: &Seat, store: &File, snapshot: Option<&File>) -> Step {
        let path = |file: &File| format!("{}/{}", self.dir(seat), file.name);
        let compose = Rebuild::Compose {
            tool: format!("{}/etcdctl", self.folder_of_tools(seat)),
            archive: rebuild::sealed(&path(store)),
            snapshot: snapshot.map(path),
            folder: self.folder(seat),
        };
        let bytes = store.bytes + snapshot.map_or(0, |file| file.bytes);
        self.made(seat, compose, bytes)
    }

    fn made(&self, seat: &Seat, action: Rebuild, bytes: u64) -> Step {
        let folder = self.folder(seat);
        let undo = Undo::Actions(vec![Action::Rebuild(Rebuild::Discard { folder })]);
        // Read twice, written twice, and one log of 64 MB is made beside it.
        self.common.step(
            Action::Rebuild(action),
            undo,
            limit::copy(4 * bytes + (64 << 20)),
        )
    }

    fn flags(&self) -> Vec<String> {
        let bump = self.source.bump.map(|by| format!("--bump-revision={by}"));
        let mark = self
            .source
            .mark_compacted
            .then(|| "--mark-compacted".to_owned());
        bump.into_iter().chain(mark).collect()
    }

    /// Whether the release has etcdutl on this host.
    fn tools(&self, seat: &Seat) -> bool {
        let name = "etcdutl";
        if seat.installed() == Some(&self.work.to) {
            return seat.facts.binaries.contains_key(name);
        }
        let key = (self.work.to.clone(), seat.facts.arch);
        let kept = super::kept(seat, &self.work.to).is_some_and(|files| files.contains_key(name));
        let fetched = self
            .request
            .releases
            .get(&key)
            .is_some_and(|files| files.contains_key(name));
        kept || fetched
    }

    fn folder_of_tools(&self, seat: &Seat) -> String {
        if seat.installed() == Some(&self.work.to) {
            seat.host.bin_dir.clone()
        } else {
            format!("{}/{}", seat.host.install_dir, self.work.to)
        }
    }

    fn folder(&self, seat: &Seat) -> Folder {
        let data = &seat.facts.data;
        let user = match seat.facts.unit.user.as_str() {
            "" => "root",
            user => user,
        };
        let known = !data.owner.is_empty();
        Folder {
            dir: seat.host.data_dir.trim_end_matches('/').to_owned(),
            owner: if known {
                data.owner.clone()
            } else {
                format!("{user}:")
            },
            mode: if known { data.mode & 0o777 } else { 0o700 },
            tag: self.request.run_id.to_owned(),
            had: data.exists,
        }
    }

    /// The undo starts what ran, and waits for it where the cluster was well.
    fn stop(&self, seat: &Seat) -> Step {
        let unit = seat.host.unit.clone();
        let ran = seat.facts.unit.active_state == "active" || seat.view.is_some();
        let mut undo = Vec::new();
        if ran {
            undo.push(Action::StartUnit { unit: unit.clone() });
        }
        let well = self
            .work
            .seats
            .iter()
            .all(|seat| seat.view.is_some_and(|view| view.health.is_ok()));
        if let Some(version) = seat.version().filter(|_| well) {
            undo.push(Action::Settle {
                version: version.clone(),
                least_s: 0,
            });
        }
        let deadline = limit::stop(&seat.facts.unit);
        self.common
            .step(Action::StopUnit { unit }, Undo::Actions(undo), deadline)
    }

    fn exchange(&self, seat: &Seat) -> Vec<Step> {
        let folder = self.folder(seat);
        let seed = self.work.seats.first().map(|seat| &seat.host.name);
        let fresh = self.backup.store.is_none() || seed == Some(&seat.host.name);
        let undo = Undo::Actions(vec![Action::Rebuild(Rebuild::PutBack {
            folder: folder.clone(),
        })]);
        let exchange = Action::Rebuild(Rebuild::Exchange { folder, fresh });
        let mut steps = vec![self.common.step(exchange, undo, limit::SHORT_S)];
        let once = first_start::place(seat);
        if seat.facts.unit.drop_ins.contains(&once) {
            let remove = Action::RemoveFile { dest: once };
            steps.push(self.common.plain(remove, limit::SHORT_S));
            steps.push(self.common.plain(Action::ReloadUnits, limit::RELOAD_S));
        }
        if seat.installed() != Some(&self.work.to) {
            steps.push(self.common.switch(seat, previous(seat, self.work).as_ref()));
        }
        steps.extend(self.common.write(seat));
        steps
    }

    fn start_unit(&self, seat: &Seat) -> Step {
        let unit = seat.host.unit.clone();
        let undo = Undo::Actions(vec![Action::StopUnit { unit: unit.clone() }]);
        self.common
            .step(Action::StartUnit { unit }, undo, limit::SHORT_S)
    }

    fn start(&self, seat: &Seat) -> Vec<Step> {
        let least = self.request.settle_least_s;
        let settle = Action::Settle {
            version: self.work.to.clone(),
            least_s: least,
        };
        let mut settle = self
            .common
            .plain(settle, limit::settle(self.bytes(), least));
        settle.deadline_s = settle.deadline_s.max(least + limit::SHORT_S);
        vec![self.start_unit(seat), settle]
    }

    fn bytes(&self) -> u64 {
        self.backup.snapshot.as_ref().map_or(0, |file| file.bytes)
    }

    fn end(&self) -> Vec<Wave> {
        let Some(seat) = self.work.seats.first() else {
            return Vec::new();
        };
        let bump = self.source.bump.unwrap_or(0);
        let revision = self.backup.snapshot.as_ref().and(self.backup.revision);
        let prove = Action::Rebuild(Rebuild::Prove {
            revision: revision.map_or(0, |revision| revision + bump),
        });
        let await_it = Action::AwaitClusterVersion {
            minor: self.work.to.minor(),
        };
        let one = |purpose, step| wave(purpose, vec![lane(self.request, seat, vec![step])]);
        vec![
            one(Purpose::Rebuild, self.common.plain(prove, limit::RELOAD_S)),
            one(
                Purpose::Finish,
                self.common.plain(await_it, limit::CLUSTER_VERSION_S),
            ),
        ]
    }

    fn peers(&self) -> Vec<Peer> {
        self.work.seats.iter().map(|seat| self.peer(seat)).collect()
    }

    fn peer(&self, seat: &Seat) -> Peer {
        peer(self.request, self.backup, seat, self.work)
            .expect("the preflight refuses a member whose peer URLs are not known")
    }
}

/// Name and peer URLs: as the members list them now, else as the unit gives them, else as the backup lists them. What a
/// restore that was broken off may have listed comes last.
pub(super) fn peer(request: &Request, backup: &Backup, seat: &Seat, work: &Work) -> Option<Peer> {
    let name = seat.name().to_owned();
    let listed = |forced: bool| {
        let mut members = seats::views(request.facts).flat_map(|view| &view.members);
        let is = |urls: &[String]| !urls.is_empty() && (urls == [FORCED]) == forced;
        let member = members.find(|member| member.name == name && is(&member.peer_urls))?;
        Some(member.peer_urls.clone())
    };
    let unit = || {
        let options = crate::plan::options::Options::of(seat, work.files_of(seat));
        let urls = options.get("initial-advertise-peer-urls")?;
        Some(urls.split(',').map(str::to_owned).collect())
    };
    let then = || {
        let member = backup.members.iter().find(|member| member.name == name)?;
        Some(member.peer_urls.clone())
    };
    let told = listed(false).or_else(unit).or_else(then);
    let urls: Vec<String> = told.or_else(|| listed(true))?;
    (!urls.is_empty()).then_some(Peer { name, urls })
}

/// As `--initial-cluster` has them.
fn listed(peers: &[Peer]) -> String {
    let pairs = peers
        .iter()
        .flat_map(|peer| peer.urls.iter().map(|url| format!("{}={url}", peer.name)));
    pairs.collect::<Vec<_>>().join(",")
}

fn wave(purpose: Purpose, lanes: Vec<Lane>) -> Wave {
    Wave { purpose, lanes }
}

fn lane(request: &Request, seat: &Seat, steps: Vec<Step>) -> Lane {
    let unknown = || MemberRef {
        id: MemberId::UNKNOWN,
        name: seat.name().to_owned(),
    };
    Lane {
        host: seat.host.name.clone(),
        member: seat.member(request.facts).unwrap_or_else(unknown),
        steps,
    }
}
