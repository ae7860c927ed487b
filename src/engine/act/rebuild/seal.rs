//! A packed copy of a v2 store whose log is sealed: every entry in it counts as committed (see [`wal::seal`]).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use tar::{Archive, Builder, Header};

use crate::etcd::wal;

/// Writes the sealed copy of `from` to `to`. The same copy gives the same bytes.
///
/// # Errors
/// Files cannot be read or written, or the log is damaged.
pub fn sealed(from: &Path, to: &Path) -> io::Result<()> {
    let mut files: Vec<(Header, Vec<u8>)> = Vec::new();
    for entry in Archive::new(MultiGzDecoder::new(File::open(from)?)).entries()? {
        let mut entry = entry?;
        let header = entry.header().clone();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        files.push((header, bytes));
    }
    seal(&mut files)?;
    let mut packed = Builder::new(GzEncoder::new(File::create(to)?, Compression::fast()));
    for (header, bytes) in &mut files {
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        packed.append(header, bytes.as_slice())?;
    }
    packed.into_inner()?.finish()?.sync_all()
}

fn seal(files: &mut [(Header, Vec<u8>)]) -> io::Result<()> {
    let mut logs = Vec::new();
    for (at, (header, _)) in files.iter().enumerate() {
        let path = header.path()?.into_owned();
        if path.extension().is_some_and(|end| end == "wal") {
            logs.push((path, at));
        }
    }
    logs.sort();
    let bytes: Vec<&[u8]> = logs.iter().map(|(_, at)| files[*at].1.as_slice()).collect();
    let seal = wal::seal(&bytes).map_err(io::Error::other)?;
    let Some((_, last)) = logs.last() else {
        return Err(io::Error::other("there is no log in it"));
    };
    let log = &mut files[*last].1;
    let end = seal.at + seal.bytes.len();
    log.resize(log.len().max(end), 0);
    log[seal.at..end].copy_from_slice(&seal.bytes);
    Ok(())
}
