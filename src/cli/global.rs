//! Flags that are spelt the same on every command.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};

use super::parse_duration;

/// The heading of flags that matter only where hosts are talked to.
pub(super) const HOSTS: &str = "Inventory and hosts";
const OUTPUT: &str = "Output";

/// Flags that every command takes.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line, and clap wants one field each"
)]
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = HOSTS)]
pub struct Global {
    /// An inventory file (repeatable; files merge) [default: inventory.toml]
    #[arg(short, long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = HOSTS)]
    pub inventory: Vec<PathBuf>,
    /// Only these clusters or hosts: names or globs, comma separated, `!` excludes
    #[arg(short, long, global = true, value_name = "PATTERN", help_heading = HOSTS)]
    pub limit: Vec<String>,
    /// How many hosts are talked to at once
    #[arg(short, long, global = true, value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(u16).range(1..), help_heading = HOSTS)]
    pub forks: u16,
    /// Set an inventory value for every host (repeatable)
    #[arg(short = 'e', long = "set", global = true, value_name = "KEY=VALUE", help_heading = HOSTS)]
    pub set: Vec<String>,
    /// The login user
    #[arg(short, long, global = true, value_name = "USER", help_heading = HOSTS)]
    pub user: Option<String>,
    /// The ssh private key to log in with
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = HOSTS)]
    pub private_key: Option<PathBuf>,
    /// Gain root by sudo
    #[arg(short = 'b', long = "become", global = true, help_heading = HOSTS)]
    pub escalate: bool,
    /// Ask once for the password that sudo wants
    #[arg(short = 'K', long, global = true, conflicts_with = "become_password_file", help_heading = HOSTS)]
    pub ask_become_pass: bool,
    /// A file with the password that sudo wants, in one line
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = HOSTS)]
    pub become_password_file: Option<PathBuf>,
    /// An ssh configuration file to use instead of your own
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = HOSTS)]
    pub ssh_config: Option<PathBuf>,
    /// The most that one remote step may take, such as `90s`, `5m` or `1h30m`
    #[arg(long, global = true, value_name = "DURATION", value_parser = parse_duration, help_heading = HOSTS)]
    pub timeout: Option<Duration>,
    /// Change nothing: `upgrade --check` is `plan`
    #[arg(short = 'C', long, global = true, help_heading = HOSTS)]
    pub check: bool,
    /// Show what would change in files, as a unified diff
    #[arg(short = 'D', long, global = true, help_heading = HOSTS)]
    pub diff: bool,
    /// Do not ask before changing hosts
    #[arg(short, long, global = true, help_heading = HOSTS)]
    pub yes: bool,
    /// Say more (repeatable)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet", help_heading = OUTPUT)]
    pub verbose: u8,
    /// Say only what went wrong and how it ended
    #[arg(short, long, global = true, help_heading = OUTPUT)]
    pub quiet: bool,
    /// For people, or one JSON object a line on stdout
    #[arg(long, global = true, value_enum, value_name = "human|json", default_value = "human",
          hide_possible_values = true, help_heading = OUTPUT)]
    pub output: Format,
    /// How progress is shown; `auto` means bars on a terminal and lines elsewhere
    #[arg(long, global = true, value_enum, value_name = "auto|bars|lines|none", default_value = "auto",
          hide_possible_values = true, help_heading = OUTPUT)]
    pub progress: Progress,
    /// Whether output is coloured; `auto` means on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, value_name = "auto|always|never", default_value = "auto",
          hide_possible_values = true, help_heading = OUTPUT)]
    pub color: Choice,
    /// Where journals are kept [default: $XDG_STATE_HOME/runner or ~/.local/state/runner]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = OUTPUT)]
    pub state_dir: Option<PathBuf>,
}

/// The spelling of `--output`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// The spelling of `--progress`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// Bars on a terminal, lines elsewhere.
    #[default]
    Auto,
    /// One line a host, drawn again and again.
    Bars,
    /// One line an event.
    Lines,
    /// Nothing but the ending.
    None,
}

/// The spelling of `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Global {
    /// The inventory's highest layer: flags first, so that an explicit `-e` wins over them.
    pub fn sets(&self) -> Vec<String> {
        let flags = [
            self.user.as_ref().map(|user| format!("user={user}")),
            self.private_key
                .as_ref()
                .map(|file| format!("identity_file={}", file.display())),
            self.escalate.then(|| "become=sudo".to_owned()),
            self.ssh_config
                .as_ref()
                .map(|file| format!("ssh_config={}", file.display())),
        ];
        flags
            .into_iter()
            .flatten()
            .chain(self.set.iter().cloned())
            .collect()
    }
}
