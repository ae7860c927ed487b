//! The options that a member's etcd will get: from its command line, its environment, or its configuration file.

use std::collections::BTreeMap;
use std::iter::Peekable;

use super::files::Rendered;
use super::seats::Seat;

/// What etcd will be started with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Words behind the executable.
    pub args: Vec<String>,
    /// Flags by name without dashes; a switch alone has the value `true`.
    pub flags: BTreeMap<String, String>,
    /// `ETCD_*` variables.
    pub environment: BTreeMap<String, String>,
    /// Words with a variable of systemd in them, whose value is not known here.
    pub unknown: Vec<String>,
    /// The executable.
    pub exec: String,
}

impl Options {
    /// What the member runs with now, or what its rendered unit will give it.
    pub fn of(seat: &Seat, files: &[Rendered]) -> Self {
        let unit = &seat.facts.unit;
        match files.iter().find(|file| file.unit) {
            Some(rendered) => Self::from_unit(&rendered.text),
            None => Self::new(
                unit.exec.clone(),
                unit.argv.iter().skip(1).cloned().collect(),
                unit.environment.clone(),
            ),
        }
    }

    fn new(exec: String, words: Vec<String>, environment: BTreeMap<String, String>) -> Self {
        let (unknown, args): (Vec<_>, Vec<_>) =
            words.into_iter().partition(|word| word.contains('$'));
        Self {
            flags: flags(&args),
            args,
            environment,
            unknown,
            exec,
        }
    }

    fn from_unit(text: &str) -> Self {
        let joined = text.replace("\\\n", " ");
        let mut words: Vec<String> = setting(&joined, "ExecStart=")
            .last()
            .map(split)
            .unwrap_or_default();
        let environment = setting(&joined, "Environment=")
            .flat_map(split)
            .filter_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                name.starts_with("ETCD_")
                    .then(|| (name.to_owned(), value.to_owned()))
            })
            .collect();
        if words.is_empty() {
            return Self::default();
        }
        let exec = words.remove(0);
        let exec = exec
            .trim_start_matches(['-', '@', ':', '+', '!'])
            .to_owned();
        Self::new(exec, words, environment)
    }

    /// The value in effect: a flag wins over the environment.
    pub fn get(&self, flag: &str) -> Option<&str> {
        self.flags
            .get(flag)
            .or_else(|| self.environment.get(&variable(flag)))
            .map(String::as_str)
    }

    /// The configuration file, if etcd is started with one; then it takes nothing else.
    pub fn config_file(&self) -> Option<&str> {
        self.get("config-file").filter(|path| !path.is_empty())
    }
}

/// The environment variable that stands for a flag.
pub fn variable(flag: &str) -> String {
    format!("ETCD_{}", flag.to_uppercase().replace('-', "_"))
}

/// Keys of etcd's YAML file with the scalars behind them; one below another is `parent.key`. A scan for known names,
/// not a parser: etcd's file has two levels and no blocks of text.
pub fn yaml_keys(text: &str) -> BTreeMap<String, String> {
    let clean = |text: &str| text.trim().trim_matches(['\'', '"']).to_owned();
    let (mut keys, mut parent) = (BTreeMap::new(), String::new());
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        if line.trim_start().starts_with('#') {
            continue;
        }
        let name = if line.starts_with([' ', '\t']) {
            format!("{parent}.{}", clean(key))
        } else {
            parent = clean(key);
            parent.clone()
        };
        keys.insert(name, clean(value.split(" #").next().unwrap_or_default()));
    }
    keys
}

/// The kinds of the scalars behind etcd's keys, as YAML reads them: `number` or `string`. Lists have none.
pub fn yaml_kinds(text: &str) -> BTreeMap<String, &'static str> {
    let kind = |line: &str| {
        let (key, value) = line.split_once(':')?;
        let value = value.split(" #").next()?.trim();
        let plain = !value.is_empty() && !value.starts_with(['[', '-']);
        let kind = match value.parse::<f64>() {
            Ok(_) => "number",
            Err(_) => "string",
        };
        plain.then(|| (key.trim().to_owned(), kind))
    };
    let top = text
        .lines()
        .filter(|line| !line.starts_with([' ', '\t', '#']));
    top.filter_map(kind).collect()
}

fn flags(args: &[String]) -> BTreeMap<String, String> {
    let mut flags = BTreeMap::new();
    let mut words = args.iter().peekable();
    while let Some(word) = words.next() {
        let Some(name) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
            continue;
        };
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => (name, value_behind(&mut words)),
        };
        flags.insert(name.to_owned(), value);
    }
    flags
}

/// The next word, unless it is a flag itself: then this one is a switch. etcd takes no word without a flag.
fn value_behind<'a>(words: &mut Peekable<impl Iterator<Item = &'a String>>) -> String {
    words
        .next_if(|word| !word.starts_with('-'))
        .map_or_else(|| "true".to_owned(), Clone::clone)
}

fn setting<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines()
        .filter_map(move |line| line.trim().strip_prefix(name))
        .filter(|value| !value.trim().is_empty())
}

/// Splits as systemd does: at white space, with quotes around whole words or parts of them.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut open, mut begun) = (Vec::new(), String::new(), None, false);
    for c in line.chars() {
        match (open, c) {
            (Some(quote), c) if c == quote => open = None,
            (None, '"' | '\'') => (open, begun) = (Some(c), true),
            (None, c) if c.is_whitespace() => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            (_, c) => {
                word.push(c);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn flags_are_read_in_all_their_spellings() {
        let flags = flags(&args(&[
            "--name=a",
            "-data-dir",
            "/d",
            "--enable-v2",
            "--debug=false",
        ]));
        let want = [
            ("name", "a"),
            ("data-dir", "/d"),
            ("enable-v2", "true"),
            ("debug", "false"),
        ];
        assert_eq!(flags.len(), want.len());
        for (name, value) in want {
            assert_eq!(flags[name], value, "{name}");
        }
    }

    #[test]
    fn a_rendered_unit_tells_its_command_line_and_environment() {
        let unit = "[Service]\nExecStart=\nEnvironment=\"ETCD_NAME=a b\" HOME=/x\n\
                    ExecStart=-/usr/bin/etcd --name 'x y' \\\n  --debug $MORE\n";
        let options = Options::from_unit(unit);
        assert_eq!(options.exec, "/usr/bin/etcd");
        assert_eq!(options.args, args(&["--name", "x y", "--debug"]));
        assert_eq!(options.unknown, args(&["$MORE"]));
        assert_eq!(options.get("name"), Some("x y"));
        assert_eq!(options.environment["ETCD_NAME"], "a b");
        assert_eq!(options.environment.len(), 1);
    }

    #[test]
    fn the_environment_stands_in_for_a_flag() {
        let environment = BTreeMap::from([("ETCD_ENABLE_V2".to_owned(), "true".to_owned())]);
        let options = Options::new("etcd".into(), Vec::new(), environment);
        assert_eq!(options.get("enable-v2"), Some("true"));
        assert_eq!(options.config_file(), None);
    }

    #[test]
    fn a_scalar_in_quotes_is_a_string_and_a_list_is_nothing() {
        let kinds = yaml_kinds("a: 1 # x\nb: '1'\nc: [x]\nd: stderr\ne:\n  - 1\n");
        assert_eq!(
            (kinds["a"], kinds["b"], kinds["d"]),
            ("number", "string", "string")
        );
        assert_eq!(kinds.len(), 3);
    }

    #[test]
    fn keys_of_a_configuration_file_are_found_at_both_levels() {
        let keys =
            yaml_keys("# debug: x\nname: 'a'\nclient-transport-security:\n  ca-file: /x # y\n");
        assert_eq!(keys["name"], "a");
        assert_eq!(keys["client-transport-security.ca-file"], "/x");
        assert!(!keys.contains_key("debug"));
    }
}
