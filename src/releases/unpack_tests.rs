use std::fs;
use std::io::Write as _;

use proptest::prelude::*;

use super::*;

fn tar_with(names: &[&str]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for name in names {
        let content: Vec<u8> = (0..50_000_u32)
            .map(|n| n.wrapping_mul(n).to_be_bytes()[2])
            .collect();
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        builder
            .append_data(&mut header, name, content.as_slice())
            .unwrap();
    }
    builder.into_inner().unwrap()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn deb(data_name: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in [
        ("debian-binary", b"2.0\n".as_slice()),
        ("control.tar.xz", b"odd"),
        (data_name, data),
    ] {
        writeln!(
            bytes,
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`",
            0,
            0,
            0,
            100_644,
            content.len()
        )
        .unwrap();
        bytes.extend(content);
        bytes.extend(vec![b'\n'; content.len() % 2]);
    }
    bytes
}

fn unpacked(bytes: &[u8]) -> Result<Vec<String>, ReleaseError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("archive");
    let into = folder.path().join("into");
    fs::write(&file, bytes).unwrap();
    fs::create_dir(&into).unwrap();
    unpack(&file, &into, Limits::RELEASE)?;
    let names = fs::read_dir(&into).unwrap();
    let mut names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    Ok(names)
}

fn every_format() -> Vec<(&'static str, Vec<u8>)> {
    let top = tar_with(&["x/etcd", "x/etcdctl"]);
    let package = tar_with(&["./usr/bin/etcd", "./usr/bin/etcdctl"]);
    vec![
        ("tar", top.clone()),
        ("gz", gz(&top)),
        ("xz", xz(&top)),
        ("zst", zstd(&top)),
        ("deb gz", deb("data.tar.gz", &gz(&package))),
        ("deb xz", deb("data.tar.xz/", &xz(&package))),
        ("deb zst", deb("data.tar.zst", &zstd(&package))),
        ("deb tar", deb("data.tar", &package)),
    ]
}

#[test]
fn every_format_is_told_by_its_content() {
    for (format, bytes) in every_format() {
        assert_eq!(unpacked(&bytes).unwrap(), ["etcd", "etcdctl"], "{format}");
    }
}

#[test]
fn an_archive_that_is_cut_anywhere_is_refused() {
    for (format, bytes) in every_format() {
        // a tar ends with a mark and padding, a package may end with a byte of padding
        let tail = if format.ends_with("tar") { 1600 } else { 2 };
        for keep in [bytes.len() - tail, bytes.len() / 2, 600, 70, 9, 3, 0] {
            let result = unpacked(&bytes[..keep]);
            assert!(
                result.is_err(),
                "{format} cut at {keep} of {}: {result:?}",
                bytes.len()
            );
        }
    }
}

#[test]
fn a_flipped_bit_in_compressed_data_is_noticed() {
    for (format, mut bytes) in every_format() {
        if format.ends_with("tar") {
            continue; // has check sums for heads only; the list of digests is for the rest
        }
        let at = bytes.len() * 2 / 3;
        bytes[at] ^= 0x10;
        assert!(unpacked(&bytes).is_err(), "{format}");
    }
}

#[test]
fn something_else_under_the_name_of_an_archive_says_what_it_is() {
    let error = unpacked(b"<!DOCTYPE html><html>").unwrap_err().to_string();
    assert!(error.contains("<!DOCTYPE html>"), "{error}");
    let error = unpacked(b"").unwrap_err().to_string();
    assert!(error.contains("empty"), "{error}");
    let error = unpacked(b"\x7fELF\x02\xff\xfe").unwrap_err().to_string();
    assert!(error.contains("7f 45 4c 46"), "{error}");
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bomb");
    let mut tar = tar_with(&["x/other"]);
    tar.truncate(tar.len() - 1024);
    tar.extend(vec![0; 8 << 20]);
    fs::write(&file, gz(&tar)).unwrap();
    let limits = Limits {
        bytes: 1 << 20,
        entries: 10,
    };
    let error = unpack(&file, folder.path(), limits).unwrap_err();
    assert!(matches!(error, ReleaseError::TooLarge { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn damage_never_makes_it_panic(which in 0..8_usize, at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let (_, mut bytes) = every_format().swap_remove(which);
        let at = at.index(bytes.len());
        bytes[at] = to;
        let _ = unpacked(&bytes);
    }
}
