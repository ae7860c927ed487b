//! The first start of a member whose flags must differ once: a drop-in that is written before it and removed behind.
//!
//! A cluster of one is made by `--force-new-cluster`; a member that joins needs `initial-cluster-state` `existing` and
//! an `initial-cluster` that lists exactly the members so far, whatever its unit, environment or configuration file
//! say. The drop-in repeats the command line with these flags behind it: of two equal flags etcd takes the last. A
//! configuration file makes etcd ignore all flags, so a changed copy of it stands in.

use crate::facts::FileFacts;
use crate::plan::files::Rendered;
use crate::plan::options::{Options, variable};
use crate::plan::seats::Seat;

/// Flags that decide how a member without data begins.
const BEGINNING: [&str; 7] = [
    "initial-cluster",
    "initial-cluster-state",
    "initial-cluster-token",
    "force-new-cluster",
    "discovery",
    "discovery-srv",
    "config-file",
];

/// What the copy of a configuration file is called, behind its name.
const COPY: &str = ".runner-restore";

/// Where the drop-in of a host lies.
pub fn place(seat: &Seat) -> String {
    format!("{}.d/zz-runner-restore.conf", seat.host.unit_path())
}

/// A file of the first start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// Where.
    pub dest: String,
    /// Its text.
    pub text: String,
    /// `USER:GROUP`.
    pub owner: String,
    /// The mode.
    pub mode: u32,
}

/// The files that give a member these flags for one start, the drop-in last.
///
/// # Errors
/// Why they cannot be made, in words.
pub fn files(
    seat: &Seat,
    rendered: &[Rendered],
    flags: &[(&str, &str)],
) -> Result<Vec<Once>, String> {
    let options = Options::of(seat, rendered);
    if let Some(word) = options.unknown.first() {
        return Err(format!(
            "its command line has `{word}`, whose value is not known here"
        ));
    }
    let mut words = vec![options.exec.clone()];
    let forced = |word: &&String| {
        !word
            .trim_start_matches('-')
            .starts_with("force-new-cluster")
    };
    words.extend(options.args.iter().filter(forced).cloned());
    let mut made = Vec::new();
    if let Some(path) = options.config_file() {
        // A restore that was broken off may have left its own copy in effect.
        let path = path.strip_suffix(COPY).unwrap_or(path);
        let copy = copy(seat, rendered, path, flags)?;
        words.extend(["--config-file".to_owned(), copy.dest.clone()]);
        made.push(copy);
    } else {
        words.extend(
            flags
                .iter()
                .map(|(name, value)| format!("--{name}={value}")),
        );
    }
    made.push(drop_in(seat, &words));
    Ok(made)
}

fn drop_in(seat: &Seat, words: &[String]) -> Once {
    let unset: Vec<String> = BEGINNING.iter().map(|flag| variable(flag)).collect();
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    Once {
        dest: place(seat),
        text: format!(
            "# For one start of a restore by runner, which removes it behind that.\n[Service]\n\
             UnsetEnvironment={}\nExecStart=\nExecStart={}\n",
            unset.join(" "),
            words.join(" ")
        ),
        owner: "root:root".to_owned(),
        mode: 0o644,
    }
}

/// A word as systemd reads it back: quoted, and nothing in it expanded.
fn quoted(word: &str) -> String {
    let escaped = word
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('%', "%%")
        .replace('$', "$$");
    format!("\"{escaped}\"")
}

/// The configuration file with other values.
fn copy(
    seat: &Seat,
    rendered: &[Rendered],
    path: &str,
    flags: &[(&str, &str)],
) -> Result<Once, String> {
    let ours = rendered.iter().find(|file| file.dest == path);
    let there: Option<&FileFacts> = seat.facts.files.get(path);
    let (text, owner, mode) = match (ours, there) {
        (Some(file), _) => (&file.text, &file.owner, file.mode),
        (
            None,
            Some(FileFacts {
                text: Some(text),
                owner,
                mode,
            }),
        ) => (text, owner, *mode),
        _ => return Err(format!("its configuration file `{path}` is not known here")),
    };
    Ok(Once {
        dest: format!("{path}{COPY}"),
        text: changed(text, flags),
        owner: owner.clone(),
        mode,
    })
}

fn changed(text: &str, flags: &[(&str, &str)]) -> String {
    let decides = |line: &&str| {
        let key = line.split(':').next().unwrap_or_default();
        BEGINNING.contains(&key.trim_matches(['\'', '"']))
    };
    let kept = text.lines().filter(|line| !decides(line));
    let own = flags.iter().map(|(name, value)| match *value {
        "true" => format!("{name}: true"),
        value => format!("{name}: \"{value}\""),
    });
    let lines: Vec<String> = kept.map(str::to_owned).chain(own).collect();
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_command_line_comes_back_from_systemd_as_it_was() {
        assert_eq!(
            quoted("--x=50% of $HOME \"a\\b\""),
            "\"--x=50%% of $$HOME \\\"a\\\\b\\\"\""
        );
    }

    #[test]
    fn a_configuration_file_begins_otherwise_and_keeps_everything_else() {
        let text = "name: a\ninitial-cluster: a=http://x\n'initial-cluster-state': new\nlisten:\n  initial-cluster: y\n";
        let flags = [
            ("force-new-cluster", "true"),
            ("initial-cluster", "a=b,c=d"),
        ];
        assert_eq!(
            changed(text, &flags),
            "name: a\nlisten:\n  initial-cluster: y\nforce-new-cluster: true\ninitial-cluster: \"a=b,c=d\"\n"
        );
    }
}
