//! What can be wrong with an inventory, each with its place and its fix.

use std::fmt;

use super::source::Place;
use crate::etcd::version::VersionError;

/// Everything that is wrong, in the order of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(pub Vec<Clash>);

/// One thing that is wrong and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// Where.
    pub place: Place,
    /// What.
    pub problem: Problem,
}

/// What is wrong with one setting, host or file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No inventory file was named.
    #[error("no inventory was named")]
    NoFile,
    /// A file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// A text is not TOML, in the parser's words.
    #[error("not valid TOML: {0}")]
    Syntax(String),
    /// A number is beyond what can be held.
    #[error("the number is too large")]
    HugeNumber,
    /// No file has a cluster.
    #[error("no cluster is defined")]
    NoClusters,
    /// A cluster has no host.
    #[error("cluster `{0}` has no hosts")]
    ClusterEmpty(String),
    /// A key is not known here.
    #[error("unknown key `{key}` {table}")]
    UnknownKey {
        /// The key.
        key: String,
        /// The table that it stands in, with its preposition.
        table: String,
        /// What to do about it.
        fix: Option<String>,
    },
    /// A value is of another type than the setting.
    #[error("`{key}` is {found}, needs {wanted}")]
    WrongType {
        /// The key.
        key: String,
        /// What it needs.
        wanted: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A key that must be there is not.
    #[error("{table} has no `{key}`")]
    Missing {
        /// The key.
        key: &'static str,
        /// The table that lacks it.
        table: String,
    },
    /// An `-e` is not `KEY=VALUE`.
    #[error("`{0}` is not `KEY=VALUE`")]
    NotASetting(String),
    /// A range runs backwards.
    #[error("range `{0}` runs backwards")]
    RangeBackwards(String),
    /// A range stands for too many texts.
    #[error("`{range}` stands for more than {most} hosts")]
    RangeTooLarge {
        /// The text.
        range: String,
        /// The most.
        most: usize,
    },
    /// A value's range has another length than that of its host's name.
    #[error("`{value}` stands for {values} values, `{hosts}` for {count} hosts")]
    RangeMismatch {
        /// The value.
        value: String,
        /// How many it stands for.
        values: usize,
        /// The host's key.
        hosts: String,
        /// How many hosts that stands for.
        count: usize,
    },
    /// A host is defined twice in its cluster, with different values.
    #[error("`{key}` of host `{host}` differs from {other}")]
    HostDisagrees {
        /// The host.
        host: String,
        /// The setting.
        key: String,
        /// The other value's place.
        other: Box<Place>,
    },
    /// A host is in two clusters.
    #[error("host `{host}` is already in cluster `{cluster}` at {other}")]
    HostTaken {
        /// The host.
        host: String,
        /// The other cluster.
        cluster: String,
        /// The other definition.
        other: Box<Place>,
    },
    /// Two hosts of a cluster have the same address and port.
    #[error("address `{address}` port {port} of `{host}` is taken by `{by}` at {other}")]
    AddressTaken {
        /// The address.
        address: String,
        /// The port, 22 if left out.
        port: u16,
        /// The later host.
        host: String,
        /// The earlier host.
        by: String,
        /// The earlier address.
        other: Box<Place>,
    },
    /// Two hosts of a cluster have the same member name.
    #[error("member name `{member}` of `{host}` is taken by `{by}` at {other}")]
    MemberTaken {
        /// The name.
        member: String,
        /// The later host.
        host: String,
        /// The earlier host.
        by: String,
        /// The earlier host's place.
        other: Box<Place>,
    },
    /// A text is empty.
    #[error("`{0}` is empty")]
    Empty(String),
    /// A text holds a control character.
    #[error("`{0}` holds a control character")]
    ControlCharacter(String),
    /// A text starts with a dash, which a command would take for an option.
    #[error("`{key}` starts with a dash: `{text}`")]
    LeadingDash {
        /// The key.
        key: String,
        /// The text.
        text: String,
    },
    /// A text holds a character that has no place there.
    #[error("`{key}` holds `{character}`: `{text}`")]
    ForbiddenCharacter {
        /// The key.
        key: String,
        /// The first such character.
        character: char,
        /// The text.
        text: String,
    },
    /// A version is none.
    #[error(transparent)]
    NotAVersion(#[from] VersionError),
    /// A number is out of its bounds.
    #[error("`{key}` is {number}, needs {least} to {most}")]
    OutOfBounds {
        /// The key.
        key: String,
        /// The number.
        number: i64,
        /// The least.
        least: i64,
        /// The most.
        most: i64,
    },
    /// An address carries a port, a user or a scheme.
    #[error("`{address}` is more than an address: it carries a {what}")]
    MoreThanAnAddress {
        /// The address.
        address: String,
        /// What it carries.
        what: &'static str,
    },
    /// A path on a host is not absolute.
    #[error("`{key}` is not an absolute path: `{path}`")]
    NotAbsolute {
        /// The key.
        key: String,
        /// The path.
        path: String,
    },
    /// A path climbs by `..`.
    #[error("`{key}` climbs with `..`: `{path}`")]
    PathClimbs {
        /// The key.
        key: String,
        /// The path.
        path: String,
    },
    /// A folder is the whole file system.
    #[error("`{0}` is the root folder")]
    RootFolder(String),
    /// A local path starts with `~/` and there is no home folder.
    #[error("`{0}` starts in the home folder, and `HOME` is not set")]
    NoHome(String),
    /// Two folders of a host are the same.
    #[error("`{key}` and `{other_key}` (at {other}) are the same folder `{path}` on `{host}`")]
    SameFolder {
        /// One setting.
        key: &'static str,
        /// The other setting.
        other_key: &'static str,
        /// The other setting's place.
        other: Box<Place>,
        /// The folder.
        path: String,
        /// The host.
        host: String,
    },
    /// A folder lies inside etcd's data folder.
    #[error("`{key}` `{path}` is inside `data_dir` `{data_dir}` (at {other}) on `{host}`")]
    InsideData {
        /// The setting.
        key: &'static str,
        /// Its folder.
        path: String,
        /// etcd's data folder.
        data_dir: String,
        /// Its place.
        other: Box<Place>,
        /// The host.
        host: String,
    },
    /// A unit is not the name of a systemd service.
    #[error("`{0}` is not the name of a systemd service")]
    NotAUnit(String),
    /// A mode is not in octal digits.
    #[error("`{0}` is not a file mode")]
    NotAMode(String),
    /// An owner is not `USER:GROUP`.
    #[error("`{0}` is not `USER:GROUP`")]
    NotAnOwner(String),
    /// A text is none of the choices.
    #[error("`{key}` is `{text}`, needs {choices}")]
    NotAChoice {
        /// The key.
        key: &'static str,
        /// The text.
        text: String,
        /// The choices.
        choices: &'static str,
        /// What to do about it.
        fix: Option<String>,
    },
    /// A URL is unusable.
    #[error("`{key}` {why}: `{url}`")]
    NotAUrl {
        /// The key.
        key: String,
        /// What is wrong with it.
        why: &'static str,
        /// The text.
        url: String,
    },
    /// A URL carries a password.
    #[error("`{0}` carries a user or a password")]
    UrlWithPassword(String),
    /// A placeholder is not known.
    #[error("`{key}` has the placeholder `{{{placeholder}}}`, knows {known}")]
    UnknownPlaceholder {
        /// The key.
        key: String,
        /// The placeholder.
        placeholder: String,
        /// Those that are filled in.
        known: &'static str,
    },
    /// One of two settings that go together is missing.
    #[error("`{there}` is set for `{host}`, `{missing}` is not")]
    HalfOfTwo {
        /// The one that is there.
        there: &'static str,
        /// The one that is not.
        missing: &'static str,
        /// The host.
        host: String,
    },
    /// A variable's name cannot be used in a template.
    #[error("`{0}` cannot be the name of a variable")]
    NotAVariable(String),
    /// A variable is not finite.
    #[error("`vars.{0}` is not a finite number")]
    NotFinite(String),
    /// A template cannot be read.
    #[error("template `{path}` cannot be read: {why}")]
    TemplateUnreadable {
        /// Its file.
        path: String,
        /// The system's words.
        why: String,
    },
    /// Two templates, or one and the unit, are rendered to the same file.
    #[error("`{dest}` is already the destination of {other}")]
    DestinationTaken {
        /// The file on the host.
        dest: String,
        /// What else is rendered to it.
        other: String,
    },
    /// A password file cannot be read.
    #[error("password file `{path}` cannot be read: {why}")]
    PasswordUnreadable {
        /// The file.
        path: String,
        /// The system's words.
        why: String,
    },
    /// A password file holds no password.
    #[error("password file `{0}` is empty")]
    PasswordEmpty(String),
    /// A password file holds more than one line.
    #[error("password file `{0}` holds more than one line")]
    PasswordLines(String),
}

impl std::error::Error for Errors {}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("the inventory has a problem")?,
            count => write!(f, "the inventory has {count} problems")?,
        }
        self.0.iter().try_for_each(|clash| write!(f, "\n{clash}"))
    }
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = self.problem.to_string();
        write!(f, "{}: {}", self.place, printable(&problem))?;
        match self.problem.hint() {
            Some(hint) => write!(f, "\n  hint: {}", printable(&hint)),
            None => Ok(()),
        }
    }
}

/// The text with its control characters escaped: a TOML text can hold any, a terminal must see none.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}
