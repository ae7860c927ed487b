//! `systemctl show` and what the unit's process has in effect. Pure.

use std::collections::BTreeMap;

use super::UnitFacts;
use super::parse::{Frames, ParseError};

/// The unit from the frames `unit`, `process.argv`, `process.env` and `unit.env`.
///
/// # Errors
/// [`ParseError`] if `unit` is missing or is not what `systemctl show` prints.
pub(super) fn unit(frames: &Frames) -> Result<UnitFacts, ParseError> {
    let frame = frames.need("unit")?;
    let shown = properties(&frame.text());
    let of = |key: &str| shown.get(key).cloned().unwrap_or_default();
    if !shown.contains_key("LoadState") {
        return Err(frame.unexpected("what `systemctl show` prints"));
    }
    let (exec, said) = exec_start(&of("ExecStart"));
    Ok(UnitFacts {
        environment: environment(frames, &of("Environment"), &said),
        argv: next_argv(process_argv(frames), said),
        exec,
        load_state: of("LoadState"),
        active_state: of("ActiveState"),
        sub_state: of("SubState"),
        kind: of("Type"),
        fragment: of("FragmentPath"),
        drop_ins: of("DropInPaths")
            .split(' ')
            .filter(|path| !path.is_empty())
            .map(str::to_owned)
            .collect(),
        user: of("User"),
        main_pid: of("MainPID").parse().unwrap_or(0),
        restarts: of("NRestarts").parse().unwrap_or(0),
        timeout_start_s: span_s(&of("TimeoutStartUSec")),
        timeout_stop_s: span_s(&of("TimeoutStopUSec")),
        enabled: of("UnitFileState"),
        needs_reload: of("NeedDaemonReload") == "yes",
    })
}

/// `KEY=VALUE` lines; the first of each key counts.
fn properties(shown: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (key, value) in shown.lines().filter_map(|line| line.split_once('=')) {
        found
            .entry(key.to_owned())
            .or_insert_with(|| value.to_owned());
    }
    found
}

/// `{ path=/usr/bin/etcd ; argv[]=/usr/bin/etcd --name m1 ; ignore_errors=no ; … }`: the executable and the words.
fn exec_start(value: &str) -> (String, Vec<String>) {
    let part = |from: &str, to: &str| {
        let (_, rest) = value.split_once(from)?;
        Some(
            rest.split_once(to)
                .map_or(rest, |(part, _)| part)
                .to_owned(),
        )
    };
    let exec = part("path=", " ; argv[]=").unwrap_or_default();
    let said = part(" ; argv[]=", " ; ignore_errors=").unwrap_or_default();
    (exec, quoted_words(&said))
}

/// The process's words, one a line; newlines inside a word came as the byte 1.
fn process_argv(frames: &Frames) -> Option<Vec<String>> {
    let frame = frames.get("process.argv")?;
    let words = || frame.text().lines().map(restored).collect::<Vec<_>>();
    (frame.status == 0)
        .then(words)
        .filter(|words| !words.is_empty())
}

/// The words that etcd is started with next. The process has them exact, with variables expanded and behind a shell; but
/// once the unit has other words than its process, somebody has changed it, and the next start takes what it says.
fn next_argv(process: Option<Vec<String>>, said: Vec<String>) -> Vec<String> {
    let Some(process) = process else { return said };
    // Blanks inside a word are not told from those between words here.
    if is_direct(&process, &said) && said.join(" ") != process.join(" ") {
        return said;
    }
    process
}

/// Whether the unit starts the process by itself, with the words that it says.
fn is_direct(process: &[String], said: &[String]) -> bool {
    said.first() == process.first() && !said.iter().any(|word| word.contains('$'))
}

/// The `ETCD_*` variables of the next start: the unit's files override its own settings, and those what systemd has. Where
/// a script starts etcd, the process tells what that adds.
fn environment(frames: &Frames, own: &str, said: &[String]) -> BTreeMap<String, String> {
    let pair = |text: &str| {
        let (key, value) = text.split_once('=')?;
        key.starts_with("ETCD_")
            .then(|| (key.to_owned(), value.to_owned()))
    };
    let process = frames.get("process.env");
    let is_direct = process_argv(frames).is_none_or(|process| is_direct(&process, said));
    if let Some(frame) = process.filter(|_| !is_direct) {
        return frame
            .text()
            .lines()
            .filter_map(|line| pair(&restored(line)))
            .collect();
    }
    let of_lines = |name: &str| {
        let text = frames.text(name);
        let found = text.lines().filter_map(|line| {
            let (key, value) = pair(line.trim())?;
            Some((key, quoted_words(value.trim()).join(" ")))
        });
        found.collect::<Vec<_>>()
    };
    let of_unit = quoted_words(own).into_iter().filter_map(|word| pair(&word));
    let all = of_lines("manager.env").into_iter().chain(of_unit);
    all.chain(of_lines("unit.env")).collect()
}

fn restored(line: &str) -> String {
    line.replace('\u{1}', "\n")
}

/// Words as systemd and its environment files quote them: blanks part words, quotes and backslashes keep them.
fn quoted_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(letters.next()),
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (_, Some(open)) if letter == open => quote = None,
            (' ' | '\t', None) => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// A time span of systemd, such as `1min 30s`, in seconds, rounded up; `None` for `infinity`.
fn span_s(text: &str) -> Option<u64> {
    let mut micros: u64 = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let digits = word.find(|letter: char| !letter.is_ascii_digit())?;
        let (count, unit) = word.split_at(digits);
        let each = match unit {
            "us" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "min" => 60_000_000,
            "h" => 3_600_000_000,
            "d" => 86_400_000_000,
            "w" => 604_800_000_000,
            "month" => 2_629_800_000_000,
            "y" => 31_557_600_000_000,
            _ => return None,
        };
        micros = micros.checked_add(count.parse::<u64>().ok()?.checked_mul(each)?)?;
    }
    (!text.is_empty()).then(|| micros.div_ceil(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::parse::frame;

    const SHOWN: &str = include_str!("../../tests/fixtures/systemd-252/show-running.txt");

    fn read(text: &str) -> UnitFacts {
        unit(&Frames::parse(text.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn a_running_unit_is_described_by_its_process() {
        let argv = "/usr/local/bin/etcd\n--name\nm1\n--initial-cluster-token\na\u{1}b";
        let shown = SHOWN.replace(
            "argv[]=/usr/local/bin/etcd",
            "argv[]=/usr/local/bin/etcd $MORE",
        );
        let text = frame("unit", 0, &shown)
            + &frame("process.argv", 0, argv)
            + &frame("process.env", 0, "ETCD_NAME=m1\nETCD_X=a=b\u{1}c")
            + &frame("unit.env", 0, "ETCD_NAME=other");
        let facts = read(&text);
        assert_eq!(
            (facts.load_state.as_str(), facts.active_state.as_str()),
            ("loaded", "active")
        );
        assert_eq!(
            (facts.kind.as_str(), facts.enabled.as_str()),
            ("notify", "enabled")
        );
        assert_eq!(facts.exec, "/usr/local/bin/etcd");
        assert_eq!(facts.argv[4], "a\nb");
        assert_eq!(facts.environment["ETCD_X"], "a=b\nc");
        assert!(facts.main_pid > 0 && !facts.needs_reload);
        assert_eq!(facts.fragment, "/etc/systemd/system/etcd.service");
    }

    #[test]
    fn words_that_the_unit_has_no_more_are_not_those_of_the_next_start() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let next = |process: &str, said: &str| next_argv(Some(words(process)), words(said));
        assert_eq!(
            next("/etcd --debug", "/etcd --name=m1"),
            ["/etcd", "--name=m1"]
        );
        // Only the process has what a variable or a shell makes of it.
        assert_eq!(next("/etcd --debug", "/etcd $MORE"), ["/etcd", "--debug"]);
        assert_eq!(
            next("/etcd --debug", "/bin/sh -c etcd"),
            ["/etcd", "--debug"]
        );
        let exact = vec!["/etcd".to_owned(), "--name=a b".to_owned()];
        assert_eq!(
            next_argv(Some(exact.clone()), words("/etcd --name=a b")),
            exact
        );
    }

    #[test]
    fn a_variable_that_the_unit_has_no_more_is_not_one_of_the_next_start() {
        let process = |line: &str| {
            let exec = SHOWN.lines().find(|line| line.starts_with("ExecStart="));
            let (_, said) = exec_start(exec.unwrap().strip_prefix("ExecStart=").unwrap());
            frame("unit", 0, SHOWN)
                + &frame("process.argv", 0, &said.join("\n"))
                + &frame("process.env", 0, line)
        };
        let gone = read(&process("ETCD_DEBUG=true\nETCD_NAME=m1"));
        assert!(!gone.environment.contains_key("ETCD_DEBUG"));
        let left = process("ETCD_DEBUG=true")
            + &frame("manager.env", 0, "ETCD_DEBUG=$'true'\nETCD_NAME=m0")
            + &frame("unit.env", 0, "ETCD_NAME=m1");
        let left = read(&left).environment;
        assert!(left.contains_key("ETCD_DEBUG"));
        assert_eq!(left["ETCD_NAME"], "m1");
    }

    #[test]
    fn a_stopped_unit_is_described_by_its_settings_and_files() {
        let stopped = include_str!("../../tests/fixtures/systemd-252/show-stopped.txt");
        let text = frame("unit", 0, stopped)
            + &frame(
                "unit.env",
                0,
                "ETCD_LOG_LEVEL=\"debug\"\nETCD_ELECTION_TIMEOUT='2000'",
            );
        let facts = read(&text);
        assert_eq!(facts.main_pid, 0);
        assert_eq!(facts.environment["ETCD_LOG_LEVEL"], "debug");
        assert_eq!(facts.environment["ETCD_ELECTION_TIMEOUT"], "2000");
        assert_eq!(facts.environment["ETCD_INITIAL_CLUSTER_TOKEN"], "two words");
        assert_eq!(facts.argv[0], "/usr/local/bin/etcd");
        assert_eq!(facts.exec, "/usr/local/bin/etcd");
    }

    #[test]
    fn spans_of_time_are_read_in_every_unit() {
        for (text, seconds) in [
            ("1min 30s", Some(90)),
            ("500ms", Some(1)),
            ("1h 2min", Some(3720)),
            ("0", None),
            ("infinity", None),
            ("", None),
        ] {
            assert_eq!(span_s(text), seconds, "{text}");
        }
    }

    #[test]
    fn a_complaint_in_place_of_properties_is_refused() {
        let text = frame("unit", 1, "Failed to connect to bus: Host is down");
        let error = unit(&Frames::parse(text.as_bytes()).unwrap()).unwrap_err();
        assert!(error.to_string().contains("Host is down"), "{error}");
    }
}
