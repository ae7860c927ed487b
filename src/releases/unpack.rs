//! Archives told by their content: compressed tar streams, and Debian packages around them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};
use ruzstd::decoding::StreamingDecoder;

use super::error::{self, ReleaseError};
use super::tarball::{self, Layout, Limits};

/// More memory than `xz -9` asks for.
const XZ_MEMORY: u64 = 128 << 20;

/// Takes etcd's binaries out of an archive into a folder, reading the archive to its last byte.
pub(super) fn unpack(file: &Path, into: &Path, limits: Limits) -> Result<(), ReleaseError> {
    let opened = File::open(file).map_err(|cause| ReleaseError::io("open", file, cause))?;
    let mut reader = BufReader::with_capacity(64 * 1024, opened);
    let head = peek(&mut reader, file)?;
    if !head.starts_with(b"!<arch>\n") {
        return take(reader, &head, file, into, Layout::Tarball, limits);
    }
    let size = data_member(&mut reader).map_err(|cause| damaged(file, cause))?;
    let mut data = reader.take(size);
    let head = peek(&mut data, file)?;
    take(data, &head, file, into, Layout::Package, limits)
}

fn damaged(file: &Path, cause: io::Error) -> ReleaseError {
    ReleaseError::Damaged {
        file: file.to_owned(),
        cause,
    }
}

fn peek(reader: &mut impl BufRead, file: &Path) -> Result<Vec<u8>, ReleaseError> {
    let head = reader
        .fill_buf()
        .map_err(|cause| ReleaseError::io("read", file, cause))?;
    Ok(head[..head.len().min(512)].to_vec())
}

fn take(
    reader: impl BufRead,
    head: &[u8],
    file: &Path,
    into: &Path,
    layout: Layout,
    limits: Limits,
) -> Result<(), ReleaseError> {
    match head {
        [0x1f, 0x8b, ..] => tarball::take(MultiGzDecoder::new(reader), file, into, layout, limits),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)
                .map_err(|cause| damaged(file, cause.into()))?;
            let xz = XzDecoder::new_stream(reader, stream);
            tarball::take(xz, file, into, layout, limits)
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let zstd = Zstd::new(reader).map_err(|cause| damaged(file, cause))?;
            tarball::take(zstd, file, into, layout, limits)
        }
        _ if head.len() > 262 && &head[257..262] == b"ustar" => {
            tarball::take(reader, file, into, layout, limits)
        }
        _ => Err(ReleaseError::NotAnArchive {
            file: file.to_owned(),
            found: error::first_bytes(head),
        }),
    }
}

/// Moves to the content of `data.tar*` in a Debian package (deb(5), ar(5)) and returns its size.
fn data_member(reader: &mut (impl Read + Seek)) -> io::Result<u64> {
    let length = reader.seek(SeekFrom::End(0))?;
    let mut at = reader.seek(SeekFrom::Start(8))?;
    loop {
        let mut header = [0; 60];
        reader.read_exact(&mut header)?;
        at += 60;
        let (name, size) = member(&header)?;
        let end = at.checked_add(size).filter(|end| *end <= length);
        let Some(end) = end else {
            let text = format!(
                "member `{name}` ends at byte {}, the file at {length}",
                at.saturating_add(size)
            );
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        };
        if name.starts_with("data.tar") {
            return Ok(size);
        }
        at = reader.seek(SeekFrom::Start(end + end % 2))?;
    }
}

/// Name and size of a member of an ar file.
fn member(header: &[u8; 60]) -> io::Result<(String, u64)> {
    let text =
        |range: std::ops::Range<usize>| String::from_utf8_lossy(&header[range]).trim().to_owned();
    let size = text(48..58)
        .parse()
        .ok()
        .filter(|_| header.ends_with(b"`\n"));
    let name = text(0..16).trim_end_matches('/').to_owned();
    size.map(|size| (name, size)).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "the head of a member is not one",
        )
    })
}

/// A zstd stream of one frame, as dpkg and zstd write it, whose check sum is compared at its end.
struct Zstd<R: Read> {
    decoder: StreamingDecoder<R, ruzstd::decoding::FrameDecoder>,
}

impl<R: Read> Zstd<R> {
    fn new(reader: R) -> io::Result<Self> {
        let decoder = StreamingDecoder::new(reader).map_err(io::Error::other)?;
        Ok(Self { decoder })
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(buffer)?;
        if read > 0 || buffer.is_empty() {
            return Ok(read);
        }
        let said = self.decoder.decoder.get_checksum_from_data();
        if said.is_none() || said == self.decoder.decoder.get_calculated_checksum() {
            return Ok(0);
        }
        let text = "the check sum does not hold";
        Err(io::Error::new(io::ErrorKind::InvalidData, text))
    }
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
