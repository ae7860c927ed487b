use std::collections::BTreeSet;
use std::fs;

use proptest::prelude::*;
use tar::{Builder, Header};

use super::*;

/// A tar entry as bytes decide it, not as a well-behaved writer would.
#[derive(Clone, Debug)]
struct Fake {
    name: Vec<u8>,
    kind: u8,
    content: Vec<u8>,
}

fn fake(name: &str, kind: u8, content: &str) -> Fake {
    Fake {
        name: name.as_bytes().to_vec(),
        kind,
        content: content.as_bytes().to_vec(),
    }
}

fn tar_of(fakes: &[Fake]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for fake in fakes {
        let mut header = Header::new_gnu();
        let length = fake.name.len().min(100);
        header.as_mut_bytes()[..length].copy_from_slice(&fake.name[..length]);
        header.set_entry_type(EntryType::new(fake.kind));
        header.set_size(fake.content.len() as u64);
        header.set_mode(0o6755);
        if fake.kind == b'1' || fake.kind == b'2' {
            header.as_mut_bytes()[157..168].copy_from_slice(b"/etc/passwd");
        }
        header.set_cksum();
        builder.append(&header, fake.content.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Takes an archive into `<root>/into` and returns what is there, and that nothing is beside it.
fn taken(bytes: &[u8], layout: Layout, limits: Limits) -> Result<BTreeSet<String>, ReleaseError> {
    let root = tempfile::tempdir().unwrap();
    let into = root.path().join("into");
    fs::create_dir(&into).unwrap();
    let result = take(bytes, Path::new("x.tar"), &into, layout, limits);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    for entry in fs::read_dir(&into).unwrap() {
        let entry = entry.unwrap();
        assert!(entry.file_type().unwrap().is_file());
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&entry.metadata().unwrap().permissions());
        assert_eq!(mode & 0o7000, 0, "no set-id bits");
    }
    result?;
    let names = fs::read_dir(&into).unwrap();
    Ok(names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect())
}

fn take_tarball(fakes: &[Fake]) -> Result<BTreeSet<String>, ReleaseError> {
    taken(&tar_of(fakes), Layout::Tarball, Limits::RELEASE)
}

#[test]
fn binaries_are_taken_and_everything_else_is_left() {
    let names = take_tarball(&[
        fake("etcd-v3.5.16-linux-amd64/", b'5', ""),
        fake("etcd-v3.5.16-linux-amd64/README.md", b'0', "read"),
        fake("etcd-v3.5.16-linux-amd64/etcd", b'0', "e"),
        fake("etcd-v3.5.16-linux-amd64/etcdctl", b'0', "c"),
        fake("etcd-v3.5.16-linux-amd64/Documentation/etcdutl", b'0', "no"),
        fake("etcd-v3.5.16-linux-amd64/../../escape", b'0', "no"),
        fake("/absolute", b'0', "no"),
        fake("device", b'3', ""),
    ]);
    let wanted = ["etcd", "etcdctl"].map(str::to_owned);
    assert_eq!(names.unwrap(), BTreeSet::from(wanted));
}

#[test]
fn a_packages_other_files_named_etcd_are_no_binaries() {
    let bytes = tar_of(&[
        fake("./usr/bin/etcd", b'0', "e"),
        fake("./etc/default/etcd", b'0', "no"),
        fake("./etc/etcd", b'0', "no"),
        fake("./usr/share/bug/etcd", b'0', "no"),
    ]);
    let names = taken(&bytes, Layout::Package, Limits::RELEASE).unwrap();
    assert_eq!(names, BTreeSet::from(["etcd".to_owned()]));
}

#[test]
fn a_binary_that_is_a_link_or_device_or_lies_outside_is_refused() {
    for entry in [
        fake("etcd", b'2', ""),
        fake("x/etcd", b'1', ""),
        fake("bin/etcdctl", b'3', ""),
        fake("bin/etcdctl", b'6', ""),
        fake("../bin/etcd", b'0', "e"),
        fake("../etcd", b'0', "e"),
        fake("/etcd", b'0', "e"),
        fake("/usr/bin/etcd", b'0', "e"),
        fake("x/../bin/etcd", b'0', "e"),
        fake("etcd", b'S', "e"),
    ] {
        let error = take_tarball(std::slice::from_ref(&entry)).unwrap_err();
        assert!(
            matches!(error, ReleaseError::UnsafeEntry { .. }),
            "{entry:?}: {error}"
        );
    }
}

#[test]
fn a_second_binary_of_the_same_name_is_refused() {
    let error = take_tarball(&[fake("etcd", b'0', "a"), fake("x/etcd", b'0', "b")]).unwrap_err();
    assert!(matches!(error, ReleaseError::Twice { .. }), "{error}");
}

#[test]
fn an_archive_beyond_its_limits_is_refused() {
    let limits = Limits {
        bytes: 4096,
        entries: 10,
    };
    let large = tar_of(&[fake("etcd", b'0', &"x".repeat(8192))]);
    let error = taken(&large, Layout::Tarball, limits).unwrap_err();
    assert!(matches!(error, ReleaseError::TooLarge { .. }), "{error}");
    let limits = Limits {
        bytes: 1 << 20,
        entries: 10,
    };
    let many = tar_of(&vec![fake("x", b'0', ""); 11]);
    let error = taken(&many, Layout::Tarball, limits).unwrap_err();
    assert!(error.to_string().contains("10 entries"), "{error}");
}

#[test]
fn what_is_behind_the_end_mark_counts_too() {
    let mut bytes = tar_of(&[fake("etcd", b'0', "e")]);
    bytes.extend(vec![0; 8192]);
    let limits = Limits {
        bytes: 4096,
        entries: 10,
    };
    let error = taken(&bytes, Layout::Tarball, limits).unwrap_err();
    assert!(matches!(error, ReleaseError::TooLarge { .. }), "{error}");
}

#[test]
fn a_stream_cut_in_a_binary_is_damaged() {
    let bytes = tar_of(&[fake("etcd", b'0', &"x".repeat(4096))]);
    let error = taken(&bytes[..2048], Layout::Tarball, Limits::RELEASE).unwrap_err();
    assert!(matches!(error, ReleaseError::Damaged { .. }), "{error}");
}

fn any_fake() -> impl Strategy<Value = Fake> {
    let part = prop_oneof![
        Just(".."),
        Just("."),
        Just("bin"),
        Just("etcd"),
        Just("etcdctl"),
        Just("x"),
        Just(""),
        Just("\u{e9}"),
        Just("etcd\0x")
    ];
    let name = proptest::collection::vec(part, 0..6).prop_map(|parts| parts.join("/"));
    let content = proptest::collection::vec(any::<u8>(), 0..64);
    (name, any::<u8>(), content).prop_map(|(name, kind, content)| Fake {
        name: name.into_bytes(),
        kind,
        content,
    })
}

proptest! {
    #[test]
    fn no_archive_writes_anything_but_plain_files_of_the_three_names(
        fakes in proptest::collection::vec(any_fake(), 0..8),
        package in any::<bool>(),
    ) {
        let layout = if package { Layout::Package } else { Layout::Tarball };
        if let Ok(names) = taken(&tar_of(&fakes), layout, Limits::RELEASE) {
            let known = ["etcd", "etcdctl", "etcdutl"];
            prop_assert!(names.iter().all(|name| known.contains(&name.as_str())));
        }
    }

    #[test]
    fn no_bytes_at_all_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let _ = taken(&bytes, Layout::Tarball, Limits::RELEASE);
    }
}
