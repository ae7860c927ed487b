//! Binaries made smaller for slow links: each once a run, in a file without a name that goes with the run.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use flate2::Compression;
use flate2::bufread::GzEncoder;

use crate::transport::growing::{Growing, Writer};

/// How much is sent to find out how fast a link is: 50 ms at the limit, many times a host's start of a script, so
/// that what lies in buffers by then does not count.
const PROBE: u64 = 512 << 10;

/// How much the second look at a doubtful link sends: 200 ms at the limit, so that a host that is slow to start a script
/// does not count.
const SECOND_PROBE: u64 = 2 << 20;

/// Bytes a millisecond below which a link is slow. gzip packs and unpacks 30 MB a second and more, and what it makes of
/// etcd's binaries is 0.36 of their size: below this rate the sending saves more time than the packing takes.
const SLOW: u64 = 10_000;

/// Bytes a millisecond from which a slow link may be a quick one beside a busy processor, here or there.
const DOUBTFUL: u64 = 4_000;

/// [`SLOW`] beside a crowd, where a probe might have come twice as fast, and to pack as well would take longer still.
const CROWDED: u64 = 5_000;

/// The same for a second probe, which tells the slowest links all the same, where packing saves most.
const CROWDED_AGAIN: u64 = 3_000;

/// Reads a probe from stdin and prints `rate=` with the bytes a millisecond at which it came. Prints nothing if a release
/// had better not come packed whatever the rate: without gzip, and where nobody can tell, as a `date` that knows no
/// nanoseconds prints a letter.
macro_rules! probe {
    () => {
        r#"
probe() {
  begun=$(date +%s%N)
  bytes=$(wc -c)
  took=$(date +%s%N)
  case $begun$took in *[!0-9]*) return 0 ;; esac
  [ "$bytes" -gt 0 ] || return 0
  ! command -v gzip >/dev/null || echo "rate=$((bytes * 1000 / ((took - begun) / 1000 + 1)))"
}
"#
    };
}
pub(crate) use probe;

/// What probes tell of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// A release is there sooner as it is.
    Quick,
    /// It is there sooner packed, unless the probe came at a busy moment: worth another one.
    Doubtful,
    /// It is there sooner packed.
    Slow,
}

impl Link {
    /// From the rate that a probe printed, if it did; which probe it was; and whether this machine was crowded.
    pub fn of(rate: Option<u64>, is_second: bool, crowded: bool) -> Self {
        let (slow, doubtful) = match (crowded, is_second) {
            (false, false) => (DOUBTFUL, SLOW),
            (false, true) => (SLOW, SLOW),
            (true, false) => (0, CROWDED),
            (true, true) => (CROWDED_AGAIN, CROWDED_AGAIN),
        };
        match rate {
            Some(rate) if rate < slow => Self::Slow,
            Some(rate) if rate < doubtful => Self::Doubtful,
            _ => Self::Quick,
        }
    }
}

/// Whether more than twice as many processes want to run here as there are processors, as when many hosts are served at
/// once.
pub fn is_crowded() -> bool {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::fs::read_to_string("/proc/loadavg").is_ok_and(|said| running(&said) > 2 * processors)
}

/// What `/proc/loadavg` says after its three averages: how many of all processes run or want to.
fn running(said: &str) -> usize {
    let word = said.split([' ', '/']).nth(3);
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// The beginning of a file, as much as a probe sends; more for a second one.
///
/// # Errors
/// The file cannot be read.
pub fn sample(path: &Path, is_second: bool) -> io::Result<Vec<u8>> {
    let most = if is_second { SECOND_PROBE } else { PROBE };
    let mut bytes = Vec::new();
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Packed binaries of a run, by the SHA-256 of what they hold.
#[derive(Debug)]
pub struct Packs {
    folder: PathBuf,
    begun: Mutex<BTreeMap<String, (File, Growing)>>,
}

impl Packs {
    /// None yet. Files will take their room on the disk of `folder`.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            begun: Mutex::default(),
        }
    }

    /// The packed form of a file, which may be read while it is made.
    ///
    /// # Errors
    /// There can be no file in the folder. That it cannot be packed to its end, its readers are told.
    pub fn packed(&self, sha256: &str, source: &Path) -> io::Result<Growing> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, growing)) = begun.get(sha256) {
            return Ok(growing.clone());
        }
        let file = tempfile::tempfile_in(&self.folder)?;
        let own = file.try_clone()?;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let (growing, writer) = Growing::new(path.into());
        begun.insert(sha256.to_owned(), (file, growing.clone()));
        let source = source.to_owned();
        tokio::task::spawn_blocking(move || {
            let result = pack(&source, own, &writer);
            writer.end(&result);
        });
        Ok(growing)
    }
}

fn pack(source: &Path, mut packed: File, writer: &Writer) -> io::Result<()> {
    let plain = io::BufReader::with_capacity(1 << 17, File::open(source)?);
    let mut gzip = GzEncoder::new(plain, Compression::default());
    let mut piece = vec![0; 1 << 16];
    loop {
        let n = gzip.read(&mut piece)?;
        if n == 0 {
            return Ok(());
        }
        packed.write_all(&piece[..n])?;
        writer.add(n);
    }
}

#[cfg(test)]
mod tests {
    use flate2::read::GzDecoder;

    use super::*;

    #[tokio::test]
    async fn a_packed_file_holds_the_same_is_smaller_and_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("etcd");
        let text = "a line that comes again\n".repeat(100_000);
        std::fs::write(&source, &text).unwrap();
        let packs = Packs::new(folder.path().to_owned());
        let mut packed = packs.packed("digest", &source).unwrap();
        packed.whole().await.unwrap();
        assert!(packed.size().unwrap() < 100_000, "{packed:?}");
        let mut back = String::new();
        let file = File::open(packed.path()).unwrap();
        GzDecoder::new(file).read_to_string(&mut back).unwrap();
        assert!(back == text);
        std::fs::remove_file(&source).unwrap();
        let again = packs.packed("digest", &source).unwrap();
        assert_eq!((again.path(), again.size()), (packed.path(), packed.size()));
        let mut gone = packs.packed("other", &source).unwrap();
        let said = gone.whole().await.unwrap_err().to_string();
        assert!(said.contains("No such file"), "{said}");
        let names = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 0, "the packed file has no name");
    }

    fn probed(script: &str) -> String {
        let begin = concat!("set -eu\n", probe!());
        let mut shell = std::process::Command::new("sh");
        let output = shell.arg("-c").arg(format!("{begin}{script}")).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    }

    fn rate(script: &str) -> u64 {
        let said = probed(script);
        let rate = said.trim().strip_prefix("rate=");
        rate.expect("a rate").parse().unwrap()
    }

    #[test]
    fn a_probe_tells_the_rate_at_which_bytes_come() {
        let trickle = "{ head -c 1000 /dev/zero; sleep 0.1; head -c 1000 /dev/zero; } | probe\n";
        let slow = rate(trickle);
        assert!(slow <= 100, "{slow}");
        assert!(rate("head -c 1000000 /dev/zero | probe\n") > 100);
        assert_eq!(probed("probe < /dev/null\n"), "");
    }

    #[test]
    fn a_link_is_quick_doubtful_or_slow_by_its_rate() {
        let (quick, doubtful, slow) = (Link::Quick, Link::Doubtful, Link::Slow);
        let rates = [Some(10_000), Some(9_999), Some(4_000), Some(3_999), None];
        let links = rates.map(|rate| Link::of(rate, false, false));
        assert_eq!(links, [quick, doubtful, doubtful, slow, quick]);
        let links = rates.map(|rate| Link::of(rate, true, false));
        assert_eq!(links, [quick, slow, slow, slow, quick]);
    }

    #[test]
    fn beside_a_crowd_a_second_probe_alone_tells_a_slow_link() {
        let rates = [Some(5_000), Some(4_999), Some(3_000), Some(2_999), None];
        let (quick, doubtful, slow) = (Link::Quick, Link::Doubtful, Link::Slow);
        let links = rates.map(|rate| Link::of(rate, false, true));
        assert_eq!(links, [quick, doubtful, doubtful, doubtful, quick]);
        let links = rates.map(|rate| Link::of(rate, true, true));
        assert_eq!(links, [quick, quick, quick, slow, quick]);
    }

    #[test]
    fn the_running_processes_are_told_from_the_averages() {
        assert_eq!(running("0.20 0.18 0.12 5/80 11206\n"), 5);
        assert_eq!(running(""), 0);
    }

    #[test]
    fn without_gzip_or_a_fine_clock_there_is_no_rate() {
        let trickle = "{ head -c 1000 /dev/zero; sleep 0.1; } | probe\n";
        let coarse = format!("date() {{ command date +%sN; }}\n{trickle}");
        assert_eq!(probed(&coarse), "");
        let bare = format!("command() {{ [ \"$2\" != gzip ]; }}\n{trickle}");
        assert_eq!(probed(&bare), "");
    }
}
