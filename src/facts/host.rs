//! The machine around a member, from the frames of the gathering script. Pure.

use std::collections::BTreeMap;

use crate::etcd::{Version, wire};
use crate::inventory::Host;

use super::answer::answer;
use super::parse::{Frame, Frames, ParseError};
use super::unit::unit;
use super::v2;
use super::{Arch, BinaryFacts, DataFacts, DiskFacts, FileFacts, HostFacts, SnapFacts};

/// The most bytes of a file that are kept as text.
const TEXT_LIMIT: u64 = 256 * 1024;

/// Works out the facts of `host`; `arrived_ms` is our clock, in milliseconds since 1970, when the output arrived.
///
/// # Errors
/// [`ParseError`] at the first frame that is missing or is not what its tool prints.
pub fn host_facts(frames: &Frames, host: &Host, arrived_ms: i64) -> Result<HostFacts, ParseError> {
    root(frames.need("user")?)?;
    let digests = digests(frames.need("sha256")?)?;
    let data = data(frames.need("data")?)?;
    Ok(HostFacts {
        hostname: frames.need("host")?.text(),
        arch: arch(frames.need("arch")?)?,
        clock_skew_ms: clock_ms(frames.need("clock")?)? - arrived_ms,
        tools: frames
            .need("tools")?
            .text()
            .lines()
            .map(str::to_owned)
            .collect(),
        has_locks: !frames.need("locks")?.text().is_empty(),
        unit: unit(frames)?,
        data: DataFacts {
            v2_keys: v2::keys(frames, data.snap.map_or(0, |snap| snap.index)),
            v2_users: v2::has_users(&frames.text("v2.users")),
            old_requests: v2::old_requests(frames, data.snap.is_some()),
            ..data
        },
        disks: disks(frames, host)?,
        binaries: binaries(frames, &digests)?,
        staged: staged(frames, &digests)?,
        files: files(frames)?,
        answer: answer(frames, host)?,
    })
}

/// Anyone else would see half of it: no environment of the process, nothing in the data folder.
fn root(frame: &Frame) -> Result<(), ParseError> {
    if frame.text() == "0" {
        Ok(())
    } else {
        Err(frame.unexpected("root's user id, 0"))
    }
}

fn arch(frame: &Frame) -> Result<Arch, ParseError> {
    match frame.text().as_str() {
        "x86_64" => Ok(Arch::Amd64),
        "aarch64" => Ok(Arch::Arm64),
        "ppc64le" => Ok(Arch::Ppc64le),
        "s390x" => Ok(Arch::S390x),
        _ => Err(frame.unexpected("a processor that etcd has releases for")),
    }
}

/// `SECONDS NANOSECONDS`; where `date` knows no nanoseconds, the middle of the second.
fn clock_ms(frame: &Frame) -> Result<i64, ParseError> {
    let text = frame.text();
    let (seconds, nanos) = text.split_once(' ').unwrap_or((&text, ""));
    let seconds: i64 = seconds
        .parse()
        .map_err(|_| frame.unexpected("a time in seconds"))?;
    let millis = nanos.parse::<i64>().map_or(500, |nanos| nanos / 1_000_000);
    Ok(seconds * 1000 + millis)
}

fn data(frame: &Frame) -> Result<DataFacts, ParseError> {
    let mut facts = DataFacts::default();
    for (key, value) in frame.text().lines().filter_map(|line| line.split_once('=')) {
        let number = || {
            value
                .parse::<u64>()
                .map_err(|_| frame.unexpected("sizes in bytes"))
        };
        match key {
            "in_use" => value.clone_into(&mut facts.in_use),
            "exists" => facts.exists = true,
            "mode" => facts.mode = mode(value, frame)?,
            "owner" => value.clone_into(&mut facts.owner),
            "db" => facts.db_bytes = number()?,
            "wal" => facts.wal_bytes = number()?,
            "snap" => facts.snap = snap(value),
            _ => return Err(frame.unexpected("facts of a data folder")),
        }
    }
    Ok(facts)
}

fn mode(text: &str, frame: &Frame) -> Result<u32, ParseError> {
    u32::from_str_radix(text, 8).map_err(|_| frame.unexpected("a mode in octal"))
}

/// `TERM-INDEX.snap SIZE`, term and index as 16 hexadecimal digits.
fn snap(text: &str) -> Option<SnapFacts> {
    let (name, bytes) = text.split_once(' ')?;
    let (_, index) = name.strip_suffix(".snap")?.split_once('-')?;
    Some(SnapFacts {
        index: u64::from_str_radix(index, 16).ok()?,
        bytes: bytes.parse().ok()?,
    })
}

fn disks(frames: &Frames, host: &Host) -> Result<BTreeMap<String, DiskFacts>, ParseError> {
    [
        ("disk.data_dir", &host.data_dir),
        ("disk.install_dir", &host.install_dir),
        ("disk.backup_dir", &host.backup_dir),
        ("disk.bin_dir", &host.bin_dir),
    ]
    .into_iter()
    .map(|(name, path)| {
        let frame = frames.need(name)?;
        let text = frame.text();
        let facts = text.lines().last().and_then(disk);
        let facts = facts.ok_or_else(|| frame.unexpected("what `df -Pk` prints"))?;
        Ok((path.clone(), facts))
    })
    .collect()
}

/// `FILESYSTEM BLOCKS USED AVAILABLE CAPACITY MOUNT`; the first and the last may hold blanks.
fn disk(line: &str) -> Option<DiskFacts> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
    let capacity = (4..words.len()).find(|at| {
        let fits = words[*at] == "-" || words[*at].ends_with('%');
        fits && (1..4).all(|back| number(at - back).is_some())
    })?;
    Some(DiskFacts {
        mount: words[capacity + 1..].join(" "),
        free_bytes: number(capacity - 1)? * 1024,
    })
}

/// `DIGEST PATH` lines of sha256sum or openssl, by path.
fn digests(frame: &Frame) -> Result<BTreeMap<String, String>, ParseError> {
    let text = frame.text();
    text.lines()
        .map(|line| {
            let (digest, path) = line.split_at_checked(64).unwrap_or((line, ""));
            let path = path.strip_prefix(" *").or_else(|| path.strip_prefix("  "));
            let hex = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
            path.filter(|_| hex)
                .map(|path| (path.to_owned(), digest.to_owned()))
                .ok_or_else(|| frame.unexpected("digests and paths"))
        })
        .collect()
}

fn digest(of: &Frame, digests: &BTreeMap<String, String>) -> Result<String, ParseError> {
    digests
        .get(&of.text())
        .cloned()
        .ok_or_else(|| of.unexpected("a file that was hashed"))
}

fn binaries(
    frames: &Frames,
    digests: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, BinaryFacts>, ParseError> {
    let found = frames
        .iter()
        .filter_map(|frame| Some((frame.name.strip_prefix("binary/")?, frame)));
    found
        .map(|(name, frame)| {
            let facts = BinaryFacts {
                target: frame.text(),
                sha256: digest(frame, digests)?,
                version: wire::tool_version(&frames.text(&format!("version/{name}"))),
            };
            Ok((name.to_owned(), facts))
        })
        .collect()
}

fn staged(
    frames: &Frames,
    digests: &BTreeMap<String, String>,
) -> Result<BTreeMap<Version, BTreeMap<String, String>>, ParseError> {
    let mut found: BTreeMap<Version, BTreeMap<String, String>> = BTreeMap::new();
    for frame in frames.iter() {
        let Some(path) = frame.name.strip_prefix("staged/") else {
            continue;
        };
        let split = path
            .split_once('/')
            .and_then(|(version, name)| Some((version.parse().ok()?, name)));
        let (version, name) = split.ok_or_else(|| frame.unexpected("a staged binary"))?;
        let sha256 = digest(frame, digests)?;
        found
            .entry(version)
            .or_default()
            .insert(name.to_owned(), sha256);
    }
    Ok(found)
}

/// Pairs of `file.meta` (`MODE OWNER SIZE PATH`) and `file.text`.
fn files(frames: &Frames) -> Result<BTreeMap<String, FileFacts>, ParseError> {
    let mut found = BTreeMap::new();
    let mut pending = None;
    for frame in frames.iter() {
        match frame.name.as_str() {
            "file.meta" => pending = Some(meta(frame)?),
            "file.text" => {
                let (path, mut facts, size) = pending
                    .take()
                    .ok_or_else(|| ParseError::Missing("file.meta".to_owned()))?;
                let whole = size <= TEXT_LIMIT && frame.body.len() as u64 == size;
                facts.text = String::from_utf8(frame.body.clone()).ok().filter(|_| whole);
                found.insert(path, facts);
            }
            _ => {}
        }
    }
    Ok(found)
}

fn meta(frame: &Frame) -> Result<(String, FileFacts, u64), ParseError> {
    let text = frame.text();
    let wrong = || frame.unexpected("mode, owner, size and path");
    let words: Vec<&str> = text.splitn(4, ' ').collect();
    let &[octal, owner, size, path] = words.as_slice() else {
        return Err(wrong());
    };
    let facts = FileFacts {
        text: None,
        mode: mode(octal, frame)?,
        owner: owner.to_owned(),
    };
    Ok((path.to_owned(), facts, size.parse().map_err(|_| wrong())?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::parse::frame;
    use crate::facts::sample;

    #[test]
    fn a_real_host_is_described_whole() {
        let frames = Frames::parse(sample::recorded("3.4.23", "single.gather").as_bytes()).unwrap();
        let facts = host_facts(&frames, &sample::host("http://127.0.0.1:2379"), 0).unwrap();
        assert_eq!(
            (facts.arch, facts.unit.user.as_str()),
            (Arch::Amd64, "nobody")
        );
        assert_eq!(facts.unit.timeout_stop_s, Some(120));
        assert_eq!(
            facts.unit.environment["ETCD_INITIAL_CLUSTER_TOKEN"],
            "two words"
        );
        assert!(!facts.unit.environment.contains_key("OTHER_SECRET"));
        assert_eq!(facts.data.in_use, "/var/lib/etcd");
        assert_eq!((facts.data.mode, facts.data.exists), (0o700, true));
        assert_eq!(
            (facts.data.db_bytes, facts.data.wal_bytes),
            (20_480, 128_000_000)
        );
        assert_eq!(facts.disks.len(), 4);
        assert_eq!(facts.disks["/opt/etcd"].mount, "/");
        let old = Version::new(3, 4, 23);
        assert_eq!(facts.binaries["etcd"].version, Some(old.clone()));
        assert_eq!(facts.staged[&old]["etcd"], facts.binaries["etcd"].sha256);
        assert_eq!(facts.staged[&Version::new(3, 5, 16)].len(), 3);
        let unit = &facts.files["/etc/systemd/system/etcd.service"];
        assert!(
            unit.text
                .as_deref()
                .unwrap()
                .ends_with("multi-user.target\n")
        );
        assert_eq!((unit.mode, unit.owner.as_str()), (0o644, "root:root"));
        assert_eq!(facts.answer.view().unwrap().health, Ok(()));
    }

    #[test]
    fn an_output_that_ends_early_never_passes_for_facts() {
        let whole = sample::recorded("3.4.23", "single.gather");
        let host = sample::host("http://127.0.0.1:2379");
        for (end, _) in whole.char_indices() {
            let read = Frames::parse(&whole.as_bytes()[..end]);
            let facts = read.and_then(|frames| host_facts(&frames, &host, 0));
            assert!(facts.is_err(), "cut at byte {end}");
        }
    }

    fn one(name: &str, body: &str) -> Frame {
        let frames = Frames::parse(frame(name, 0, body).as_bytes()).unwrap();
        frames.get(name).unwrap().clone()
    }

    #[test]
    fn free_space_is_read_past_blanks_in_names() {
        let plain = disk("/dev/vda 264212084 21046384 74239504 23% /").unwrap();
        assert_eq!(
            (plain.mount.as_str(), plain.free_bytes),
            ("/", 74_239_504 * 1024)
        );
        let share = disk("//nas/my share 100 40 60 40% /mnt/back up").unwrap();
        assert_eq!(
            (share.mount.as_str(), share.free_bytes),
            ("/mnt/back up", 61_440)
        );
        let odd = disk("none 0 0 0 - /run/user").unwrap();
        assert_eq!((odd.mount.as_str(), odd.free_bytes), ("/run/user", 0));
        assert_eq!(disk("df: /x: No such file or directory"), None);
    }

    #[test]
    fn digests_are_read_as_sha256sum_and_as_openssl_print_them() {
        let digest = "c054131938a55a4a9826c1d566348d5695fe0e4d9ce655dfe936ab18a84e2983";
        for mark in ["  ", " *"] {
            let read = digests(&one("sha256", &format!("{digest}{mark}/opt/etcd/a b"))).unwrap();
            assert_eq!(read["/opt/etcd/a b"], digest);
        }
        assert!(digests(&one("sha256", "sha256sum: no such file")).is_err());
    }

    #[test]
    fn a_clock_without_nanoseconds_counts_as_the_middle_of_its_second() {
        assert_eq!(
            clock_ms(&one("clock", "1795178219 531881315")),
            Ok(1_795_178_219_531)
        );
        assert_eq!(
            clock_ms(&one("clock", "1795178219 %N")),
            Ok(1_795_178_219_500)
        );
        assert!(clock_ms(&one("clock", "")).is_err());
    }

    #[test]
    fn the_newest_snapshot_gives_its_raft_index() {
        let found = snap("0000000000000002-00000000000186a1.snap 9017").unwrap();
        assert_eq!((found.index, found.bytes), (100_001, 9017));
    }

    #[test]
    fn a_processor_without_releases_is_refused_by_its_name() {
        let error = arch(&one("arch", "riscv64")).unwrap_err();
        assert!(error.to_string().contains("riscv64"), "{error}");
    }
}
