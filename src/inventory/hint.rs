//! What to do about each problem.

use super::error::Problem;

impl Problem {
    /// What to do about it; `None` where the message itself says so.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownKey { fix, .. } | Self::NotAChoice { fix, .. } => fix.clone(),
            Self::WrongType { key, wanted, .. } => wrong_type(key, wanted),
            Self::RangeMismatch { .. } => Some(
                "give the value a range of the same length, or none to give it to every host"
                    .to_owned(),
            ),
            Self::NotAUnit(unit) => Some(format!("such as `{}.service`", stem(unit))),
            Self::NotAnOwner(owner) => Some(owner_hint(owner)),
            Self::MoreThanAnAddress { what: "scheme", .. } => {
                Some("leave it out: the address is a name or an IP address".to_owned())
            }
            Self::MoreThanAnAddress { what, .. } => Some(format!("set `{what}` instead")),
            Self::UrlWithPassword(key) => Some(url_hint(key).to_owned()),
            Self::Unreadable(said) if said.contains("folder") || said.contains("UTF-8") => {
                Some("`-i` takes a file in TOML".to_owned())
            }
            Self::SameFolder { key, .. } | Self::InsideData { key, .. } => {
                Some(format!("give `{key}` a folder of its own"))
            }
            Self::HalfOfTwo { there, missing, .. } => {
                Some(format!("set `{missing}` too, or remove `{there}`"))
            }
            Self::HostDisagrees { key, .. } => Some(format!("keep one of the two `{key}`")),
            Self::AddressTaken { .. } => Some(
                "each member has a host of its own; ports tell hosts behind one address apart"
                    .to_owned(),
            ),
            Self::Missing { key, .. } => Some(format!("add `{key} = …`")),
            Self::ForbiddenCharacter { key, .. } => forbidden(key),
            other => other.fixed_hint().map(str::to_owned),
        }
    }

    fn fixed_hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoFile => "name one: `-i FILE`; `inventories/example.toml` shows every key",
            Self::Syntax(said) if said.contains("duplicate key") => {
                "a key or table stands once in a file; remove one or rename it"
            }
            Self::NoClusters => "add a table such as `[clusters.prod.hosts.etcd-1]`",
            Self::ClusterEmpty(_) => {
                "add a table `[clusters.NAME.hosts.HOST]`, or remove the cluster"
            }
            Self::NotASetting(_) => "such as `-e version=3.5.30` or `-e vars.log_level=debug`",
            Self::RangeBackwards(_) => "write the smaller end first, such as `[1:3]`",
            Self::HostTaken { .. } => "a host runs one member of one cluster; rename or remove one",
            Self::MemberTaken { .. } => "set `member` to the name that etcd has for each",
            Self::NotAVersion(_) => "three numbers, in quotes",
            Self::NotAbsolute { .. } => "paths on a host start with `/`",
            Self::NoHome(_) => "set `HOME`, or write the whole path",
            Self::NotAMode(_) => "three or four octal digits in quotes, such as \"0640\"",
            Self::NotAVariable(_) => "letters, digits and `_`, not starting with a digit",
            Self::TemplateUnreadable { .. } => {
                "relative paths start at the folder of the inventory file that names them"
            }
            Self::PasswordUnreadable { .. } | Self::PasswordEmpty(_) | Self::PasswordLines(_) => {
                "it holds the password of etcd's user in one line, readable by you alone"
            }
            Self::LeadingDash { .. } => "a command would take it for an option",
            Self::UnknownPlaceholder { .. } => "no other text in braces is filled in",
            _ => return None,
        })
    }
}

fn wrong_type(key: &str, wanted: &str) -> Option<String> {
    let key = key.rsplit('.').next().unwrap_or(key);
    let fix = match (key, wanted) {
        ("version", _) => "three numbers, in quotes: `version = \"3.5.16\"`".to_owned(),
        (_, "a whole number") => "a number, without quotes".to_owned(),
        (_, "`true` or `false`") => "without quotes".to_owned(),
        (_, "a text") => format!("put it in quotes: `{key} = \"…\"`"),
        ("jump", _) => "such as `jump = [\"bastion.example.net\"]`".to_owned(),
        (_, "a table") => format!("write `[…{key}]` and its keys below"),
        _ => return None,
    };
    Some(fix)
}

fn forbidden(key: &str) -> Option<String> {
    match key {
        "host" | "cluster" => Some(
            "letters, digits, `.`, `_` and `-`; a range is `[1:3]`, `[01:12]` or `[a:c]`"
                .to_owned(),
        ),
        "jump" => Some("one jump host an item: `[USER@]HOST[:PORT]`".to_owned()),
        _ => None,
    }
}

fn stem(unit: &str) -> &str {
    let bare = unit.rsplit('/').next().unwrap_or(unit);
    bare.split('.')
        .next()
        .filter(|stem| !stem.is_empty())
        .unwrap_or("etcd")
}

fn owner_hint(owner: &str) -> String {
    if owner.contains(':') || owner.is_empty() {
        "such as \"etcd:etcd\"".to_owned()
    } else {
        format!("such as \"{owner}:{owner}\"")
    }
}

fn url_hint(key: &str) -> &'static str {
    if key == "client_url" {
        "etcd's own users belong in `auth`"
    } else {
        "secrets stay out of the inventory; a folder that you filled needs none"
    }
}
