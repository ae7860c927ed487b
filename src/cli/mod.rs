//! The command line: types and help, no behaviour.

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueHint};

use crate::etcd::Version;
use crate::plan::OnFailure;

mod duration;
mod examples;
mod fleet;
mod global;
mod restore;

pub use duration::{DurationError, parse_duration};
pub use fleet::Many;
pub use global::{Choice, Format, Global, Progress};
pub use restore::Restore;

/// Upgrades etcd clusters over SSH, member by member.
///
/// It looks at the hosts, makes a plan, shows it, carries it out one member at a time, and keeps a journal of what it
/// did. Nothing is installed on the hosts: it needs ssh, systemd and the POSIX tools.
#[derive(Debug, Parser)]
#[command(
    name = "runner",
    version,
    long_about = None,
    max_term_width = 100,
    after_help = examples::RUNNER,
    disable_help_subcommand = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take clusters to another etcd version, member by member
    #[command(after_help = examples::UPGRADE)]
    Upgrade(Upgrade),
    /// Show the plan that `upgrade` would follow
    #[command(after_help = examples::PLAN)]
    Plan(Plan),
    /// Reach every host, run the preflight, list its findings
    #[command(after_help = examples::CHECK)]
    Check(Check),
    /// Show version, role, health, alarms, size and lag of members
    #[command(after_help = examples::STATUS)]
    Status,
    /// Take a backup of each cluster, verify it, bring it here, prune old ones
    #[command(after_help = examples::BACKUP)]
    Backup,
    /// Put the previous release back while a cluster is still mixed
    #[command(after_help = examples::ROLLBACK)]
    Rollback(Rollback),
    /// Take a finished cluster one minor back, by etcd's own procedure; from 3.6 on
    #[command(after_help = examples::DOWNGRADE)]
    Downgrade(Downgrade),
    /// Rebuild a cluster from a backup, with the release that the backup belongs to
    #[command(after_help = examples::RESTORE)]
    Restore(Restore),
    /// Run a command on the selected hosts, with live output
    #[command(after_help = examples::EXEC)]
    Exec(Exec),
    /// Write the inventory of a running cluster, from one of its hosts
    #[command(after_help = examples::DISCOVER)]
    Discover(Discover),
    /// Run the same upgrade on a lab of real hosts on this machine
    #[command(after_help = examples::REHEARSE)]
    Rehearse(Rehearse),
    /// Show what the inventory comes to, and where that came from
    #[command(after_help = examples::INVENTORY, arg_required_else_help = true)]
    Inventory {
        /// What to show.
        #[command(subcommand)]
        command: Inventory,
    },
    /// Show past runs from their journals
    #[command(after_help = examples::RUNS, arg_required_else_help = true)]
    Runs {
        /// What to show.
        #[command(subcommand)]
        command: Runs,
    },
    /// Print a completion script for a shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one page a command
    #[command(after_help = examples::MAN)]
    Man {
        /// Write `runner.1`, `runner-upgrade.1`, … into this folder
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        dir: Option<std::path::PathBuf>,
    },
}

/// Arguments of `upgrade`.
#[derive(Debug, Args)]
pub struct Upgrade {
    /// What to plan.
    #[command(flatten)]
    pub target: Target,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// What to plan.
    #[command(flatten)]
    pub target: Target,
    /// Exit with 10 instead of 0 when there is something to do
    #[arg(long)]
    pub detailed_exitcode: bool,
}

/// Arguments of `rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// How carefully.
    #[command(flatten)]
    pub care: Care,
}

/// Arguments of `downgrade`.
#[derive(Debug, Args)]
pub struct Downgrade {
    /// The release to go to, of the minor before (default: the newest one that can be had)
    #[arg(long, value_name = "VERSION")]
    pub to: Option<Version>,
    /// How carefully.
    #[command(flatten)]
    pub care: Care,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Check for an upgrade to this version (default: the inventory's `version`)
    #[arg(long, value_name = "VERSION")]
    pub to: Option<Version>,
    /// Do not fail because of findings with this code (repeatable)
    #[arg(long, value_name = "CODE")]
    pub acknowledge: Vec<String>,
}

/// What `upgrade` and `plan` have in common.
#[derive(Clone, Debug, Default, Args)]
pub struct Target {
    /// The version to go to (default: the inventory's `version`)
    #[arg(long, value_name = "VERSION")]
    pub to: Option<Version>,
    /// How carefully.
    #[command(flatten)]
    pub care: Care,
    /// Take up an interrupted run: a member may be down, and is worked on first
    #[arg(long)]
    pub resume: bool,
    /// How several clusters are gone through.
    #[command(flatten)]
    pub many: Many,
}

/// What all commands that stop members have in common.
#[derive(Clone, Debug, Default, Args)]
pub struct Care {
    /// How long members must stay well, at least, before the run goes on, such as `30s`, `2m` or `1h30m`
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub settle: Option<std::time::Duration>,
    /// What to do when a member fails: put back what was done, or leave everything as it is
    #[arg(
        long,
        value_name = "undo|stop",
        value_enum,
        default_value = "undo",
        hide_possible_values = true
    )]
    pub on_failure: Failing,
    /// Go on in spite of findings with this code (repeatable)
    #[arg(long, value_name = "CODE")]
    pub acknowledge: Vec<String>,
}

/// The spelling of `--on-failure`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Failing {
    /// Put the failed member back.
    #[default]
    Undo,
    /// Leave everything as it is.
    Stop,
}

impl From<Failing> for OnFailure {
    fn from(failing: Failing) -> Self {
        match failing {
            Failing::Undo => Self::Undo,
            Failing::Stop => Self::Stop,
        }
    }
}

/// Arguments of `exec`.
#[derive(Debug, Args)]
pub struct Exec {
    /// The command after `--`: one word is a text for the host's /bin/sh, several are a program and its arguments
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Arguments of `discover`.
#[derive(Debug, Args)]
pub struct Discover {
    /// A host of the cluster: a name, an address or an alias of your ssh configuration
    #[arg(required = true, value_name = "HOST")]
    pub hosts: Vec<String>,
    /// What the cluster is to be called [default: etcd]
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Write to this file, which must not exist, instead of stdout
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub write: Option<std::path::PathBuf>,
}

/// Arguments of `rehearse`.
#[derive(Debug, Args)]
pub struct Rehearse {
    /// How many members each cluster has (default: as many as the inventory says; without one, 3)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=60))]
    pub members: Option<u8>,
    /// The version that the lab's clusters start with [default: 3.4.23]
    #[arg(long, value_name = "VERSION")]
    pub from: Option<Version>,
    /// The version to go to (default: the inventory's `version`; without one, 3.5.16)
    #[arg(long, value_name = "VERSION")]
    pub to: Option<Version>,
    /// A folder with releases to use, instead of fetching them
    #[arg(long, value_name = "DIR", env = "RUNNER_RELEASES", value_hint = ValueHint::DirPath)]
    pub releases: Option<std::path::PathBuf>,
    /// Go on in spite of findings with this code (repeatable)
    #[arg(long, value_name = "CODE")]
    pub acknowledge: Vec<String>,
    /// Leave the lab running, and say how to reach it
    #[arg(long, conflicts_with = "destroy")]
    pub keep: bool,
    /// Destroy a lab that was kept, and do nothing else
    #[arg(long)]
    pub destroy: bool,
}

/// Commands of `inventory`.
#[derive(Debug, Subcommand)]
pub enum Inventory {
    /// List clusters and their hosts
    #[command(after_help = examples::INVENTORY_LIST)]
    List,
    /// Show a host's settings after layering, and where each came from
    #[command(after_help = examples::INVENTORY_SHOW)]
    Show {
        /// The host's name in the inventory
        host: String,
    },
}

/// Commands of `runs`.
#[derive(Debug, Subcommand)]
pub enum Runs {
    /// List past runs, newest first
    #[command(after_help = examples::RUNS_LIST)]
    List,
    /// Show what a run did, from its journal
    #[command(after_help = examples::RUNS_SHOW)]
    Show {
        /// The run's id, or its beginning
        id: String,
    },
}

/// Builds the command as users see it: commands that talk to no host do not list the flags for hosts.
pub fn command() -> clap::Command {
    let host_flags: Vec<clap::Arg> = Global::augment_args(clap::Command::new(""))
        .get_arguments()
        .filter(|arg| arg.get_help_heading() == Some(global::HOSTS))
        .map(|arg| arg.clone().global(false).hide(true))
        .collect();
    ["completions", "man", "runs"]
        .iter()
        .fold(Cli::command(), |command, name| {
            command.mut_subcommand(name, |sub| {
                let nested: Vec<String> = sub
                    .get_subcommands()
                    .map(|sub| sub.get_name().to_owned())
                    .collect();
                let sub = nested.iter().fold(sub, |sub, name| {
                    sub.mut_subcommand(name, |sub| sub.args(host_flags.clone()))
                });
                sub.args(host_flags.clone())
            })
        })
}

impl Cli {
    /// Reads this process's arguments; prints help or the usage error and exits where there is nothing to run.
    pub fn from_process() -> Self {
        let matches = command().get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        command().debug_assert();
    }

    #[test]
    fn common_flags_stand_before_or_after_the_command() {
        for line in [
            ["runner", "-i", "a.toml", "status"],
            ["runner", "status", "-i", "a.toml"],
        ] {
            let cli = Cli::try_parse_from(line).unwrap();
            assert_eq!(cli.global.inventory, [std::path::PathBuf::from("a.toml")]);
        }
    }

    #[test]
    fn flags_become_sets_that_an_explicit_set_overrides() {
        let cli = Cli::try_parse_from([
            "runner",
            "status",
            "-e",
            "user=root",
            "-u",
            "ops",
            "-b",
            "--private-key",
            "k",
        ])
        .unwrap();
        assert_eq!(
            cli.global.sets(),
            ["user=ops", "identity_file=k", "become=sudo", "user=root"]
        );
    }
}
