//! From a source to a verified release in the cache, with small releases that really run.

use std::fs;
use std::sync::Mutex;

use runner::inventory::ReleaseSource;
use runner::releases::{
    Available, DEFAULT_SHA256SUMS, Progress, ReleaseError, available, locate_with,
};

use crate::releases_kit::{
    Bench, V, arches, archive, archive_name, assert_whole, binaries, program, put_archive,
    put_debs, sum_line, word,
};

#[test]
fn an_archive_in_a_folder_is_unpacked_once() {
    let bench = Bench::new();
    let path = put_archive(&bench.source(), V, arches().0);
    let first = bench.get("", None).unwrap_err();
    assert!(
        matches!(first, ReleaseError::SourceUnusable { .. }),
        "an empty source is none"
    );
    let first = bench.get(".", Some(DEFAULT_SHA256SUMS)).unwrap();
    assert_whole(&first);
    assert_eq!(bench.unpackings(), 1);
    assert!(first.version_asked && !first.confirmed);
    assert!(sum_line(&fs::read(path).unwrap(), "").starts_with(&first.archives[0].sha256));
    let again = bench.get(".", None).unwrap();
    assert_eq!((bench.unpackings(), &again), (0, &first));
    let name = format!(
        "{V}-{}-{}",
        word(arches().0),
        &first.archives[0].sha256[..12]
    );
    assert_eq!(bench.cached(), [name]);
}

#[test]
fn a_pair_of_packages_is_one_release_however_it_is_given() {
    let bench = Bench::new();
    let [server, client] = put_debs(&bench.source(), V, arches().0);
    let (server, client) = (server.display(), client.display());
    for source in [
        ".".to_owned(),
        format!("{server},{client}"),
        format!("file://{client} {server}"),
        "etcd-*_{version}-*_{arch}.deb".to_owned(),
    ] {
        let release = bench.get(&source, None).unwrap();
        assert_whole(&release);
        assert_eq!(release.archives.len(), 2, "{source}");
    }
    let error = bench.get(&server.to_string(), None).unwrap_err();
    assert!(
        matches!(
            error,
            ReleaseError::MissingBinary {
                binary: "etcdctl",
                ..
            }
        ),
        "{error}"
    );
    assert!(error.hint().contains("etcd-client"));
}

#[test]
fn a_folder_of_binaries_is_copied_and_checked_by_a_list_if_one_is_given() {
    let bench = Bench::new();
    let folder = bench.source().join(format!("v{V}"));
    fs::create_dir(&folder).unwrap();
    let mut list = String::new();
    for (name, content) in binaries(V, arches().0) {
        fs::write(folder.join(name), &content).unwrap();
        list += &sum_line(&content, &format!("v{V}/{name}"));
    }
    fs::write(bench.source().join("sums"), &list).unwrap();
    let release = bench.get(".", Some("sums")).unwrap();
    assert_whole(&release);
    assert!(release.confirmed && release.archives.is_empty());
    fs::write(
        folder.join("etcd"),
        program(arches().0, "etcd Version: 3.5.16\nother"),
    )
    .unwrap();
    let error = bench.get(".", Some("sums")).unwrap_err();
    assert!(matches!(error, ReleaseError::WrongHash { .. }), "{error}");
    let other = bench.get(".", None).unwrap();
    assert_ne!(
        other.binaries["etcd"].sha256,
        release.binaries["etcd"].sha256
    );
    assert_eq!(
        other.binaries["etcdctl"].sha256,
        release.binaries["etcdctl"].sha256
    );
    assert_eq!(bench.cached().len(), 2, "other binaries are another entry");
}

#[test]
fn a_folder_of_etcd_and_etcdctl_alone_is_a_release_of_every_line() {
    for version in ["3.4.23", "3.5.30", "3.6.14", "3.7.1"] {
        let bench = Bench::new();
        let folder = bench.source().join(version);
        fs::create_dir(&folder).unwrap();
        for (name, content) in binaries(version, arches().0) {
            if name != "etcdutl" {
                fs::write(folder.join(name), &content).unwrap();
            }
        }
        let first = bench.get_for(".", None, version, arches().0).unwrap();
        let names: Vec<_> = first.binaries.keys().map(String::as_str).collect();
        assert_eq!(names, ["etcd", "etcdctl"], "{version}");
        let again = bench.get_for(".", None, version, arches().0).unwrap();
        assert_eq!(again, first, "the cache has it");
        assert!(
            !bench
                .told
                .lock()
                .unwrap()
                .contains(&"CacheDamaged".to_owned())
        );
        assert_eq!(bench.cached().len(), 1);
    }
}

#[test]
fn a_list_of_digests_must_name_the_archive_and_agree() {
    let bench = Bench::new();
    let path = put_archive(&bench.source(), V, arches().0);
    let list = bench.source().join("SHA256SUMS");
    let name = archive_name(V, arches().0);
    fs::write(&list, sum_line(b"something else", &name)).unwrap();
    let error = bench.get(".", Some("SHA256SUMS")).unwrap_err();
    assert!(matches!(error, ReleaseError::WrongHash { .. }), "{error}");
    fs::write(&list, sum_line(b"something else", "other.tar.gz")).unwrap();
    let error = bench.get(".", Some("SHA256SUMS")).unwrap_err();
    assert!(matches!(error, ReleaseError::NoSum { .. }), "{error}");
    assert!(bench.cached().is_empty());
    fs::write(&list, sum_line(&fs::read(path).unwrap(), &name)).unwrap();
    assert!(bench.get(".", Some("SHA256SUMS")).unwrap().confirmed);
}

#[test]
fn what_is_not_what_its_name_says_is_refused_and_leaves_nothing() {
    let (own, other) = arches();
    let bench = Bench::new();
    let path = bench.source().join(archive_name(V, own));
    let refused = |content: &[u8]| {
        fs::write(&path, content).unwrap();
        let error = bench.get(".", None).unwrap_err();
        assert_eq!(bench.cached(), Vec::<String>::new(), "{error}");
        assert!(!error.hint().is_empty(), "{error}");
        let text = error.to_string();
        assert!(text.contains(&archive_name(V, own)), "{text}");
        error
    };
    assert!(matches!(
        refused(&archive(V, other)),
        ReleaseError::WrongArchitecture { .. }
    ));
    let error = refused(&archive("3.5.30", own));
    assert!(
        error
            .to_string()
            .contains("reports 3.5.30, expected 3.5.16"),
        "{error}"
    );
    let error = refused(&archive("3.4.23", own)).to_string();
    assert!(error.contains("reports 3.4.23, expected 3.5.16"), "{error}");
    let whole = archive(V, own);
    assert!(matches!(
        refused(&whole[..whole.len() - 9]),
        ReleaseError::Damaged { .. }
    ));
    assert!(matches!(
        refused(b"<html>not found</html>"),
        ReleaseError::NotAnArchive { .. }
    ));
}

#[test]
fn a_release_for_another_architecture_is_checked_without_being_run() {
    let other = arches().1;
    let bench = Bench::new();
    put_archive(&bench.source(), V, other);
    let release = bench.get_for(".", None, V, other).unwrap();
    assert_whole(&release);
    assert!(!release.version_asked);
    let error = bench.get(".", None).unwrap_err();
    assert!(matches!(error, ReleaseError::NothingFor { .. }), "{error}");
}

#[test]
fn a_cache_entry_that_was_changed_is_noticed_and_made_anew() {
    let bench = Bench::new();
    put_archive(&bench.source(), V, arches().0);
    let release = bench.get(".", None).unwrap();
    let etcd = &release.binaries["etcd"].path;
    let record = etcd.with_file_name("release.json");
    let whole = fs::read(etcd).unwrap();
    let damages: [&dyn Fn(); 5] = [
        &|| fs::write(etcd, &whole[..whole.len() - 1]).unwrap(),
        &|| fs::write(etcd, [&whole[..whole.len() - 1], b"x"].concat()).unwrap(),
        &|| fs::remove_file(etcd).unwrap(),
        &|| fs::write(&record, "{\"format\": 1").unwrap(),
        &|| fs::remove_file(&record).unwrap(),
    ];
    for damage in damages {
        damage();
        assert_eq!(bench.get(".", None).unwrap(), release);
        assert_eq!(*bench.told.lock().unwrap(), ["CacheDamaged", "Unpacking"]);
        assert_eq!(fs::read(etcd).unwrap(), whole);
    }
}

#[test]
fn what_a_killed_run_left_is_cleared_away_and_other_files_are_not() {
    let bench = Bench::new();
    put_archive(&bench.source(), V, arches().0);
    let cache = bench.root.path().join("cache");
    let left = cache.join(format!(".{V}-{}-Xy12", word(arches().0)));
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("etcd"), "half").unwrap();
    fs::create_dir_all(cache.join(".3.5.1-amd64-Xy12")).unwrap();
    bench.get(".", None).unwrap();
    assert!(!left.exists());
    assert!(cache.join(".3.5.1-amd64-Xy12").exists());
}

#[test]
fn runs_side_by_side_unpack_once() {
    let bench = Bench::new();
    put_archive(&bench.source(), V, arches().0);
    let source = ReleaseSource {
        source: ".".to_owned(),
        sha256sums: None,
        base: bench.source(),
        fan_out: runner::inventory::FanOut::Control,
    };
    let unpacked = Mutex::new(0);
    let watch = |progress: Progress<'_>| {
        if matches!(progress, Progress::Unpacking { .. }) {
            *unpacked.lock().unwrap() += 1;
        }
    };
    let one = || {
        let version = V.parse().unwrap();
        // each thread has a watch of its own, as each run has
        let found = locate_with(
            &source,
            &version,
            arches().0,
            &bench.root.path().join("cache"),
            &watch,
        );
        assert_whole(&found.unwrap());
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(one);
        }
    });
    assert_eq!(*unpacked.lock().unwrap(), 1);
    assert_eq!(bench.cached().len(), 1);
}

#[test]
fn versions_of_local_sources_are_listed_and_those_of_urls_are_not_known() {
    let bench = Bench::new();
    put_archive(&bench.source(), V, arches().0);
    put_archive(&bench.source(), "3.4.23", arches().1);
    let of = |source: &str| {
        let source = ReleaseSource {
            source: source.to_owned(),
            sha256sums: None,
            base: bench.source(),
            fan_out: runner::inventory::FanOut::Control,
        };
        available(&source).unwrap()
    };
    let both = ["3.4.23", V].map(|version| version.parse().unwrap());
    assert_eq!(of("."), Available::Listed(both.into()));
    assert_eq!(of("https://example.net/{version}"), Available::Any);
}
