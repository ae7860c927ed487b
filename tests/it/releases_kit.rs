//! Small releases that really run, and a bench to take them from.
//!
//! The binaries are ELF programs of some 200 bytes that print what etcd, etcdctl and etcdutl of that version print
//! and end. So the head of the file, the run and what it reports are checked as they are for the real ones.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use runner::etcd::Version;
use runner::facts::Arch;
use runner::inventory::ReleaseSource;
use runner::releases::{Progress, Release, ReleaseError, locate_with};

/// The version that most tests are about.
pub(crate) const V: &str = "3.5.16";

/// The architecture of this machine and another one.
pub(crate) fn arches() -> (Arch, Arch) {
    match std::env::consts::ARCH {
        "x86_64" => (Arch::Amd64, Arch::Arm64),
        "aarch64" => (Arch::Arm64, Arch::Amd64),
        other => panic!("these tests have no program for {other}"),
    }
}

pub(crate) fn word(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "amd64",
        Arch::Arm64 => "arm64",
        _ => panic!("these tests have no program for it"),
    }
}

/// A program that writes a text to standard output and exits with status 0, whatever it is given.
pub(crate) fn program(arch: Arch, text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap();
    let (machine, code) = match arch {
        Arch::Amd64 => (62_u16, code_amd64(length)),
        Arch::Arm64 => (183, code_arm64(length)),
        _ => panic!("these tests have no program for it"),
    };
    let (base, start) = (0x0040_0000_u64, 120_u64);
    let size = start + code.len() as u64 + text.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    for half in [2, machine] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1_u32.to_le_bytes());
    for long in [base + start, 64, 0] {
        file.extend(long.to_le_bytes());
    }
    file.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    for word in [1_u32, 5] {
        file.extend(word.to_le_bytes());
    }
    for long in [0, base, base, size, size, 0x1_0000] {
        file.extend(long.to_le_bytes());
    }
    file.extend(code);
    file.extend(text.as_bytes());
    file
}

/// write(1, the text behind the code, length); exit(0).
fn code_amd64(length: u32) -> Vec<u8> {
    let mut code = vec![
        0xb8, 1, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0x48, 0x8d, 0x35, 16, 0, 0, 0, 0xba,
    ];
    code.extend(length.to_le_bytes());
    code.extend([0x0f, 0x05, 0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05]);
    code
}

/// The same for the other processor: mov x0,1; adr x1,.+28; mov x2,length; mov x8,64; svc 0; mov x0,0; mov x8,93; svc 0.
fn code_arm64(length: u32) -> Vec<u8> {
    let mov = |register: u32, value: u32| 0xd280_0000 | (value << 5) | register;
    let text_behind = 0x1000_0000 | ((28 >> 2) << 5) | 1;
    let call = 0xd400_0001;
    [
        mov(0, 1),
        text_behind,
        mov(2, length),
        mov(8, 64),
        call,
        mov(0, 0),
        mov(8, 93),
        call,
    ]
    .into_iter()
    .flat_map(u32::to_le_bytes)
    .collect()
}

/// The binaries of a release, printing what the real ones do.
pub(crate) fn binaries(version: &str, arch: Arch) -> BTreeMap<&'static str, Vec<u8>> {
    let minor = version.rsplit_once('.').unwrap().0;
    let etcd = format!("etcd Version: {version}\nGit SHA: GitNotFound\nGo Version: go1.24.0\n");
    let tool = |name| format!("{name} version: {version}\nAPI version: {minor}\n");
    let mut all = BTreeMap::from([
        ("etcd", program(arch, &etcd)),
        ("etcdctl", program(arch, &tool("etcdctl"))),
    ]);
    if !version.starts_with("3.4.") {
        all.insert("etcdutl", program(arch, &tool("etcdutl")));
    }
    all
}

fn tar_gz(files: &BTreeMap<&str, Vec<u8>>, folder: &str) -> Vec<u8> {
    let compressed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut builder = tar::Builder::new(compressed);
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        let name = format!("{folder}/{name}");
        builder
            .append_data(&mut header, name, content.as_slice())
            .unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

/// The name that etcd gives an archive.
pub(crate) fn archive_name(version: &str, arch: Arch) -> String {
    format!("etcd-v{version}-linux-{}.tar.gz", word(arch))
}

/// An archive as etcd releases it.
pub(crate) fn archive(version: &str, arch: Arch) -> Vec<u8> {
    tar_gz(
        &binaries(version, arch),
        &format!("etcd-v{version}-linux-{}", word(arch)),
    )
}

/// Writes an archive into a folder.
pub(crate) fn put_archive(folder: &Path, version: &str, arch: Arch) -> PathBuf {
    let path = folder.join(archive_name(version, arch));
    std::fs::write(&path, archive(version, arch)).unwrap();
    path
}

/// Writes a pair of Debian packages into a folder.
pub(crate) fn put_debs(folder: &Path, version: &str, arch: Arch) -> [PathBuf; 2] {
    let (server, client): (BTreeMap<_, _>, BTreeMap<_, _>) = binaries(version, arch)
        .into_iter()
        .partition(|(name, _)| *name == "etcd");
    [("server", server), ("client", client)].map(|(half, files)| {
        let path = folder.join(format!("etcd-{half}_{version}-4_{}.deb", word(arch)));
        std::fs::write(&path, deb(&tar_gz(&files, "./usr/bin"))).unwrap();
        path
    })
}

fn deb(data: &[u8]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in [
        ("debian-binary", b"2.0\n".as_slice()),
        ("data.tar.gz", data),
    ] {
        let (zero, mode, size) = (0, 100_644, content.len());
        writeln!(
            bytes,
            "{name:<16}{zero:<12}{zero:<6}{zero:<6}{mode:<8}{size:<10}`"
        )
        .unwrap();
        bytes.extend(content);
        bytes.extend(vec![b'\n'; size % 2]);
    }
    bytes
}

/// A line of a list of digests.
pub(crate) fn sum_line(bytes: &[u8], name: &str) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(bytes);
    let hex: Vec<_> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}  {name}\n", hex.concat())
}

/// A folder for sources, a cache beside it, and what the last call told.
pub(crate) struct Bench {
    pub(crate) root: tempfile::TempDir,
    pub(crate) told: Mutex<Vec<String>>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("source")).unwrap();
        Self {
            root,
            told: Mutex::default(),
        }
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.root.path().join("source")
    }

    pub(crate) fn get(&self, source: &str, sums: Option<&str>) -> Result<Release, ReleaseError> {
        self.get_for(source, sums, V, arches().0)
    }

    pub(crate) fn get_for(
        &self,
        source: &str,
        sums: Option<&str>,
        version: &str,
        arch: Arch,
    ) -> Result<Release, ReleaseError> {
        let source = ReleaseSource {
            source: source.to_owned(),
            sha256sums: sums.map(str::to_owned),
            base: self.source(),
            fan_out: runner::inventory::FanOut::Control,
        };
        self.told.lock().unwrap().clear();
        let watch = |progress: Progress<'_>| {
            let text = format!("{progress:?}");
            let name = text.split(' ').next().unwrap_or_default().to_owned();
            self.told.lock().unwrap().push(name);
        };
        let version = version.parse().unwrap();
        locate_with(
            &source,
            &version,
            arch,
            &self.root.path().join("cache"),
            &watch,
        )
    }

    pub(crate) fn unpackings(&self) -> usize {
        self.told
            .lock()
            .unwrap()
            .iter()
            .filter(|told| *told == "Unpacking")
            .count()
    }

    /// Everything in the cache but locks.
    pub(crate) fn cached(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.root.path().join("cache")) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names
            .filter(|name| Path::new(name).extension().is_none_or(|e| e != "lock"))
            .collect();
        names.sort();
        names
    }
}

/// Fails unless the release is [`V`] and each binary is what its source has.
pub(crate) fn assert_whole(release: &Release) {
    assert_eq!(release.version, V.parse::<Version>().unwrap());
    let names: Vec<_> = release.binaries.keys().map(String::as_str).collect();
    assert_eq!(names, ["etcd", "etcdctl", "etcdutl"]);
    for (name, content) in binaries(V, release.arch) {
        let binary = &release.binaries[name];
        assert_eq!(fs::read(&binary.path).unwrap(), content);
        assert_eq!(binary.bytes, content.len() as u64);
        assert!(sum_line(&content, name).starts_with(&binary.sha256));
    }
}
