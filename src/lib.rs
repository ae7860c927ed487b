//! `runner` upgrades etcd clusters on bare-metal fleets over SSH, member by member.
//!
//! It **looks, decides, shows, does and remembers, in that order, in modules that cannot do each other's work.**
//!
//! ```text
//! inventory ─┐
//!            ├─► facts ─────► plan ───────► engine ───────► events ───► report
//! releases ──┘   look         decide        do              data        show
//!                (SSH, reads  (pure)        (SSH, writes)   (journal    (bars, lines,
//!                 only)                                      first)      JSON)
//! ```
//!
//! * **look**: [`facts`] reads hosts, all at once, and changes nothing: no temporary file, not one byte.
//! * **decide**: [`plan`] is a function of inventory, facts, releases and target. Same input, same plan, to the byte.
//!   It knows no clock, no chance, no files and no network.
//! * **do**: [`engine`] carries a plan out. It makes no choice that the plan has not made, except to stop.
//! * **data**: an [`event`] is what happened. It is in the [`journal`], on disk, before the act that it announces and
//!   before anyone sees it.
//! * **show**: [`report`] turns events into bars, lines or JSON, on a thread of its own. It can never hold up the
//!   engine: a terminal that stands still costs memory and nothing else.
//!
//! # Where to begin
//!
//! Three files explain the program: [`plan`] (what will be done), [`event`] (what happened) and [`engine::lane`] (how
//! the one becomes the other). `upgrade` as a whole is `commands/upgrade.rs`: look, decide, show, ask, do.
//!
//! # The way of an upgrade
//!
//! 1. [`inventory`] is read and layered; everything wrong with it is said in one go, before anything is contacted.
//! 2. One read-only script a host brings the facts ([`facts::gather`]).
//! 3. [`releases`] finds, verifies and unpacks what is needed, on this machine.
//! 4. [`plan::upgrade`] makes a [`plan::Planned`]: findings, and a plan unless one of them blocks.
//! 5. The plan is shown, as text and diffs ([`plan::render`]), and a person says yes.
//! 6. [`engine::Engine::run`] does the first hop: stages releases everywhere, takes a backup, then works on one member
//!    at a time. Before each stop it looks at the cluster again ([`engine::guard`]). Beside the next member's turn it
//!    reads what the units have logged during the last one ([`engine::log`], by the rules of [`etcd::log`]).
//! 7. A plan of several hops is made again at each boundary, from fresh facts, and shown again.
//!
//! # The main types
//!
//! ```text
//! Plan   { cluster, from, to, hops, on_failure, … }     plan of one cluster
//! Hop    { from, to, waves, point_of_no_return, rules } the unit of execution; later hops are a forecast
//! Wave   { purpose, lanes }                             waves one after the other, the snapshot beside the staging
//! Lane   { host, member, steps }                        lanes of a wave side by side
//! Step   { id, action, undo, disruptive, deadline_s }   steps of a lane in order
//! Action  what a step does, all data in it              Undo  how it is taken back, computed ahead
//! Outcome how a step ended                              Event { run, index, at, kind }
//! ```
//!
//! **No wave has two lanes with a disruptive step.** That shape is the safety argument; [`plan::lint`] holds it, and
//! the engine asks `lint` before it starts. A [`plan::restore`] is the one exception, and says so: it makes a new
//! cluster, so all members stop together. There `lint` holds other rules (everything that can fail is done before,
//! data are moved and never deleted), an interrupt behind the first stop waits, and the undo is that of the whole hop.
//!
//! # Who may use whom
//!
//! | module | of ours | of the world |
//! | --- | --- | --- |
//! | [`etcd`] | nothing | semver, serde |
//! | [`inventory`] | `etcd` | serde, toml; reads its files |
//! | [`transport`] | `inventory` | tokio; `openssh` in `transport/ssh` alone |
//! | [`facts`] | `etcd`, `inventory`, `transport`; types and parsing without the latter | serde |
//! | [`releases`] | `etcd`, `inventory`, architecture of `facts` | files, HTTP |
//! | [`template`] | nothing | minijinja |
//! | [`plan`] | `etcd`, `inventory`, `facts`, `template` | serde; no clock, files, runtime |
//! | [`event`] | `etcd`, `plan` (types) | serde |
//! | [`journal`] | `event`, `plan` | files |
//! | [`engine`] | `plan`, `event`, `journal`, `transport`, `facts`, … | tokio |
//! | [`report`] | `event`, `plan` (types) | indicatif in `report/progress.rs` alone |
//! | [`lab`] | `inventory`, `releases`, `transport`, … | processes, namespaces |
//! | [`commands`] | all of these | runtime, environment, stdio |
//!
//! `tests/it/layering.rs` holds the table against the sources, with the purity of `etcd`, `plan`, `event`, `template`
//! and of the types and parsers of `facts`. Clippy holds the rest: `.clippy.toml` forbids the types of `openssh` and
//! `indicatif` elsewhere, and printing is denied outside the few places that write to people.
//!
//! # Choices, with their reasons
//!
//! * **The plan is the dry run.** `plan` stops after step 5 above; there is no `if dry_run` that an author could forget.
//! * **Actions are data, not closures.** They can be printed, compared, serialised and matched without a hole, and
//!   their undo is known before anything begins. What cannot be undone says so ([`plan::Undo::Impossible`]).
//! * **The engine decides one thing: to stop.** Facts age; so the guard looks again and asks the very predicate that
//!   the planner used ([`etcd::quorum`]).
//! * **Putting a member back is the undo of its own steps, newest first**, by the same code that does steps.
//! * **Releases lie side by side, and a link is switched by one rename.** Staged everywhere, live nowhere before that
//!   member's turn: a host that reboots half-way comes up with the old release.
//! * **One trait, [`transport::Transport`].** It is the one seam where tests plug in (the simulator). What is a closed
//!   set is an enum.
//! * **Few round trips.** One POSIX script a phase and host, sent on stdin, arguments as positional parameters,
//!   secrets never in a command line. Waiting is done on the host, not across the network. A shell that has run a script
//!   waits for the next, and one is started ahead of need: which script that will be comes on stdin. Before a member is
//!   touched, root is gained anew, for an old shell would not notice that this is no longer possible.
//! * **Frames carry their length.** Scripts print `@NAME STATUS LENGTH` and exactly so many bytes, so nothing that a
//!   host prints can pass for our own words.
//! * **Scripts are idempotent.** A connection that broke is made again and the script asked again; so no state of "did
//!   it happen?" has to be kept.
//! * **Interrupts have safe points.** The first finishes the member in hand; the second abandons waiting and tells
//!   every member's state.
//! * **Bars are lines that [`report`] lays out itself.** indicatif only redraws them: so a screen is a pure function of
//!   events, width and moment, and tests compare it as text.
//!
//! # Errors
//!
//! Each module has one error type with variants named for what is wrong. A variant's words never repeat its source's;
//! [`error::Failure`] walks the chain and prints `error:`, `because:`, `changed:`, `left:` and `hint:`. Every command
//! that may change hosts says `changed:`, since "what state are we in?" is the first question of anyone on call. How a
//! command ends is one of [`exit::Exit`].
//!
//! # Tests
//!
//! | layer | where | how |
//! | --- | --- | --- |
//! | unit | beside the code | recorded output of real etcd in `tests/fixtures`, properties with proptest |
//! | scenarios | `tests/it/scenarios/*.toml` | inventory, facts and target in; plan or refusal out, as snapshots |
//! | simulation | `tests/it/sim`, `tests/it/*sweep.rs` | the engine on a model of hosts; every command fails once, in each way |
//! | hostile input | `tests/it/hostile` | properties of every parser of foreign text; `RUNNER_FUZZ_SECONDS` for longer |
//! | reporters | `tests/it/reporters` | streams of events; screens at 200, 80 and 40 columns, lines, JSON |
//! | command line | `tests/it/cli.rs`, `tests/it/readme.rs` | help, exit status, streams; README against the code |
//! | layering | `tests/it/layering.rs` | the table above, purity, size of files |
//! | end to end | `tests/e2e` | sshd, systemd and etcd in the [`lab`]; a client writes all the while |
//! | chaos | `tests/e2e/chaos` | kills, power cuts and worse in every phase; a sample, or all with `RUNNER_CHAOS=all` |

pub mod cli;
pub mod commands;
pub mod engine;
pub mod error;
pub mod etcd;
pub mod event;
pub mod exit;
pub mod facts;
pub mod fleet;
pub mod inventory;
pub mod journal;
pub mod lab;
pub mod plan;
pub mod releases;
pub mod report;
pub mod secret;
pub mod template;
pub mod transport;
