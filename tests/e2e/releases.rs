//! Releases in every form through the real command: each works, or is refused before a host is touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::common::Cluster;
use crate::common::run::{
    Ran, assert_untouched, command, files, installed, inventory, outcome, running,
};
use crate::releases_server::{Reply, Server};

const V: &str = "3.5.16";

/// The bytes of a file that say which processor it is for.
const MACHINE: std::ops::Range<usize> = 18..20;

struct Bench {
    cluster: Cluster,
    folder: tempfile::TempDir,
}

impl Bench {
    fn binaries(&self) -> PathBuf {
        self.cluster.lab.folder().join("releases").join(V)
    }

    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// The official archive's name and its content.
    fn tarball(&self) -> PathBuf {
        let arch = arch();
        let top = format!("etcd-v{V}-linux-{arch}");
        let tarball = self.folder("tarballs").join(format!("{top}.tar.gz"));
        if !tarball.exists() {
            let packed = self.folder("packed").join(&top);
            copy(&self.binaries(), &packed);
            let mut tar = Command::new("tar");
            tar.args(["-I", "gzip -1", "-cf"])
                .arg(&tarball)
                .arg("-C")
                .arg(self.folder("packed"));
            run(tar.arg(top));
        }
        tarball
    }

    /// A pair of packages, made by Debian's own tool.
    fn debs(&self) -> [PathBuf; 2] {
        let pair = [
            ("etcd-server", vec!["etcd", "etcdutl"]),
            ("etcd-client", vec!["etcdctl"]),
        ];
        pair.map(|(package, names)| {
            let root = self.folder(package);
            let bin = root.join("usr/bin");
            fs::create_dir_all(&bin).unwrap();
            fs::create_dir_all(root.join("DEBIAN")).unwrap();
            for name in names {
                fs::copy(self.binaries().join(name), bin.join(name)).unwrap();
            }
            let control = format!(
                "Package: {package}\nVersion: {V}-4+b1\nArchitecture: {}\nMaintainer: a <a@b.invalid>\nDescription: a\n",
                arch()
            );
            fs::write(root.join("DEBIAN/control"), control).unwrap();
            let deb = self.folder("debs").join(format!("{package}_{V}-4+b1_{}.deb", arch()));
            let mut build = Command::new("dpkg-deb");
            run(build.args(["-Zxz", "-z0", "--root-owner-group", "--build"]).arg(&root).arg(&deb));
            deb
        })
    }

    /// Runs the command with another source, and with a cache that nothing else has filled.
    fn run(&self, source: &str, sums: Option<&str>, args: &[&str]) -> Ran {
        let sums = sums.map(|sums| format!("sha256sums = \"{sums}\"\n"));
        let other = inventory(&self.cluster, "other-source", |text| {
            let lines = text.lines().map(|line| {
                if line.starts_with("source = ") {
                    format!(
                        "source = \"{source}\"\n{}",
                        sums.as_deref().unwrap_or_default()
                    )
                } else {
                    format!("{line}\n")
                }
            });
            lines.collect()
        });
        let cache = tempfile::tempdir_in(self.folder.path()).unwrap();
        let mut command = command(&self.cluster, &other, args);
        command.env("XDG_CACHE_HOME", cache.path());
        outcome(command).plainly()
    }

    #[track_caller]
    fn works(&self, source: &str, sums: Option<&str>) {
        self.run(source, sums, &["plan", "--detailed-exitcode"])
            .ends_with(10);
    }

    #[track_caller]
    fn refused(&self, source: &str, sums: Option<&str>, why: &[&str]) {
        let ran = self.run(source, sums, &["upgrade", "--yes"]);
        let ran = ran.ends_with(3).says("changed: nothing").says("hint: ");
        why.iter().fold(ran, |ran, why| ran.says(why));
    }
}

#[test]
fn every_form_of_a_release_works_or_is_refused_before_a_host_is_touched() {
    let bench = Bench {
        cluster: Cluster::start(1, "3.4.23", V),
        folder: tempfile::tempdir().unwrap(),
    };
    bench.cluster.offer("3.5.30");
    let before = files(&bench.cluster);
    local_forms(&bench);
    damaged(&bench);
    foreign(&bench);
    let server = Server::start();
    let (url, sums) = served(&bench, &server);
    assert_untouched(&before, &files(&bench.cluster));

    bench
        .run(&url, Some(&sums), &["upgrade", "--yes"])
        .ends_with(0);
    assert_eq!(running(&bench.cluster, "etcd-1").0, V);
    assert_eq!(installed(&bench.cluster, "etcd-1"), V);
}

fn local_forms(bench: &Bench) {
    let tarball = bench.tarball();
    bench.works(&text(tarball.parent().unwrap()), None);
    bench.works(&text(&tarball), None);
    let [server, client] = bench.debs();
    bench.works(&format!("{}, {}", text(&server), text(&client)), None);
    bench.refused(&text(&server), None, &["has no `etcdctl`"]);
    let nothing = text(&bench.folder("nothing"));
    bench.refused(
        &nothing,
        None,
        &["TARGET_MISSING", "has no release, not 3.5.16"],
    );
}

/// A truncated archive, and one whose list of digests names another content or does not name it.
fn damaged(bench: &Bench) {
    let whole = fs::read(bench.tarball()).unwrap();
    let name = bench.tarball().file_name().unwrap().to_owned();
    let short = bench.folder("short").join(&name);
    fs::write(&short, &whole[..whole.len() / 2]).unwrap();
    bench.refused(&text(&short), None, &["is truncated or damaged"]);

    let list = |content: &str, file: &str| {
        let path = bench.folder("sums").join("SHA256SUMS");
        fs::write(&path, format!("{content}  {file}\n")).unwrap();
        text(&path)
    };
    let (source, name) = (text(&bench.tarball()), name.to_str().unwrap().to_owned());
    bench.works(&source, Some(&list(&hex(&whole), &name)));
    let wrong = list(&hex(b"else"), &name);
    bench.refused(
        &source,
        Some(&wrong),
        &["has SHA-256", &hex(&whole), &hex(b"else")],
    );
    let silent = list(&hex(&whole), "etcd-v3.5.15-linux-amd64.tar.gz");
    bench.refused(&source, Some(&silent), &["has no line for", &name]);
}

/// Binaries for another processor, and binaries that are not what their folder is called.
fn foreign(bench: &Bench) {
    let folder = bench.folder("foreign");
    copy(&bench.binaries(), &folder.join(V));
    let etcd = folder.join(V).join("etcd");
    let mut bytes = fs::read(&etcd).unwrap();
    let other: u16 = if arch() == "amd64" { 183 } else { 62 };
    bytes[MACHINE].copy_from_slice(&other.to_le_bytes());
    fs::write(&etcd, bytes).unwrap();
    bench.refused(
        &text(&folder),
        None,
        &["`etcd`", "is for a", &format!("expected {}", arch())],
    );

    let liar = bench.folder("liar");
    copy(&bench.binaries().with_file_name("3.5.30"), &liar.join(V));
    bench.refused(&text(&liar), None, &["reports 3.5.30", "expected 3.5.16"]);
}

/// A server with the archive and its list; returns the source and the list that work.
fn served(bench: &Bench, server: &Server) -> (String, String) {
    let whole = fs::read(bench.tarball()).unwrap();
    let name = format!("etcd-v{V}-linux-{}.tar.gz", arch());
    let pattern = server.url("/v{version}/etcd-v{version}-linux-{arch}.tar.gz");
    let list = server.url("/v{version}/SHA256SUMS");
    bench.refused(&pattern, None, &["HTTP 404", "no etcd 3.5.16"]);
    server.serve(
        &format!("/v{V}/{name}"),
        Reply {
            status: 200,
            body: whole.clone(),
            sent: whole.len() / 2,
        },
    );
    bench.refused(&pattern, None, &[&name]);
    server.serve(&format!("/v{V}/{name}"), Reply::ok(whole.clone()));
    bench.refused(&pattern, Some(&list), &["SHA256SUMS"]);
    let line = |digest: String| Reply::ok(format!("{digest}  {name}\n").into_bytes());
    server.serve(&format!("/v{V}/SHA256SUMS"), line(hex(b"else")));
    bench.refused(&pattern, Some(&list), &["has SHA-256", &hex(&whole)]);
    server.serve(&format!("/v{V}/SHA256SUMS"), line(hex(&whole)));
    assert!(server.asked().contains(&format!("/v{V}/{name}")));
    (pattern, list)
}

fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap().flatten() {
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn hex(bytes: &[u8]) -> String {
    runner::engine::act::backup::hex(&Sha256::digest(bytes))
}
