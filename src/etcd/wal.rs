//! Raft logs and raft snapshot files, as far as it takes to prove that a copy of them is whole.
//!
//! A log is a chain: each record carries the CRC-32C of all data up to it, so a byte that changed, a record that is
//! missing and a file that ends early are all seen. Formats: `wal/decoder.go`, `wal/walpb/record.proto` and
//! `snap/snappb/snap.proto` of etcd, the same from 2.1 to 3.6; padding of records to 8 bytes came with 3.0.

mod seal;

pub use seal::{Seal, seal};

/// What a whole log holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The raft index of the snapshot that it continues; 0 if it begins with the first entry.
    pub snapshot: u64,
    /// How many entries come after that snapshot.
    pub entries: u64,
    /// The index of the last entry; that of the snapshot if there is none.
    pub last: u64,
}

/// What a snapshot file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The raft index in its metadata.
    pub index: u64,
    /// Bytes of the v2 store in it.
    pub bytes: usize,
}

/// Why a log or a snapshot is not whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A record ends behind the end of the file.
    #[error("the record at byte {at} has {wanted} bytes, {left} are left")]
    CutOff {
        /// Where it begins.
        at: usize,
        /// Its length.
        wanted: usize,
        /// What is there.
        left: usize,
    },
    /// The bytes are no record.
    #[error("the bytes at {at} are no record of etcd")]
    NotARecord {
        /// Where.
        at: usize,
    },
    /// A checksum does not fit.
    #[error("the checksum at byte {at} is {found:08x}, the data have {wanted:08x}")]
    Checksum {
        /// Where.
        at: usize,
        /// What stands there.
        found: u32,
        /// What it should be.
        wanted: u32,
    },
    /// Entries are missing between two.
    #[error("entry {found} comes after entry {after}")]
    Gap {
        /// The entry before.
        after: u64,
        /// The entry that comes.
        found: u64,
    },
    /// It has no record at all.
    #[error("it has no record")]
    Empty,
}

const ENTRY: u64 = 2;
const STATE: u64 = 3;
const CRC: u64 = 4;
const SNAPSHOT: u64 = 5;

/// Reads log files in the order of their names.
///
/// # Errors
/// [`Damage`] of the first record that does not fit.
pub fn log(files: &[&[u8]]) -> Result<Log, Damage> {
    let mut chain = Chain::default();
    for file in files {
        chain.file(file)?;
    }
    if chain.records == 0 {
        return Err(Damage::Empty);
    }
    chain.log()
}

/// Reads a `.snap` file.
///
/// # Errors
/// [`Damage`] if its checksum does not fit or it is none.
pub fn snapshot(file: &[u8]) -> Result<Snapshot, Damage> {
    let none = Damage::NotARecord { at: 0 };
    let outer = Message::read(file).ok_or_else(|| none.clone())?;
    let (found, data) = (
        outer.number32(1),
        outer.bytes(2).ok_or_else(|| none.clone())?,
    );
    let wanted = crc32c(0, data);
    if found != wanted {
        return Err(Damage::Checksum {
            at: 0,
            found,
            wanted,
        });
    }
    let inner = Message::read(data).ok_or_else(|| none.clone())?;
    let metadata = inner.bytes(2).and_then(Message::read).ok_or(none)?;
    Ok(Snapshot {
        index: metadata.number(2),
        bytes: inner.bytes(1).map_or(0, <[u8]>::len),
    })
}

#[derive(Default)]
struct Chain {
    crc: u32,
    records: usize,
    snapshot: u64,
    first: Option<u64>,
    last: u64,
    /// The term of the last entry or snapshot.
    term: u64,
    /// Term, vote and commit index as they were last written.
    state: (u64, u64, u64),
    /// Where the last record of the last file ends.
    end: usize,
}

impl Chain {
    fn file(&mut self, file: &[u8]) -> Result<(), Damage> {
        let mut at = 0;
        self.end = 0;
        while let Some(head) = file.get(at..at + 8) {
            let head = u64::from_le_bytes(head.try_into().expect("a range of eight bytes"));
            // Preallocated space is zeros.
            if head == 0 {
                break;
            }
            let (length, padding) = lengths(head);
            let left = file.len() - at - 8;
            let whole = length.checked_add(padding).filter(|whole| *whole <= left);
            let Some(whole) = whole else {
                return Err(Damage::CutOff {
                    at,
                    wanted: length,
                    left,
                });
            };
            self.record(at, &file[at + 8..at + 8 + length])?;
            at += 8 + whole;
            self.end = at;
        }
        Ok(())
    }

    fn record(&mut self, at: usize, bytes: &[u8]) -> Result<(), Damage> {
        let none = Damage::NotARecord { at };
        let record = Message::read(bytes).ok_or_else(|| none.clone())?;
        let (kind, found) = (record.number(1), record.number32(2));
        let data = record.bytes(3).unwrap_or_default();
        // A file begins with the checksum of the one before; a chain may begin with any.
        let fresh = kind == CRC && self.crc == 0;
        let wanted = if fresh { found } else { crc32c(self.crc, data) };
        if found != wanted {
            return Err(Damage::Checksum { at, found, wanted });
        }
        self.crc = found;
        self.records += 1;
        match kind {
            ENTRY => {
                let entry = Message::read(data).ok_or(none)?;
                self.term = self.term.max(entry.number(2));
                self.entry(entry.number(3))
            }
            STATE => {
                let state = Message::read(data).ok_or(none)?;
                self.state = (state.number(1), state.number(2), state.number(3));
                Ok(())
            }
            SNAPSHOT => {
                let snapshot = Message::read(data).ok_or(none)?;
                self.snapshot = self.snapshot.max(snapshot.number(1));
                self.term = self.term.max(snapshot.number(2));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// An entry may come again with a later term and then replaces those from its index on.
    fn entry(&mut self, index: u64) -> Result<(), Damage> {
        let follows = index.checked_sub(1);
        match (self.first, follows) {
            (Some(first), Some(before)) if before > self.last || index < first => {
                let after = self.last;
                return Err(Damage::Gap {
                    after,
                    found: index,
                });
            }
            (None, _) => self.first = Some(index),
            _ => {}
        }
        self.last = index;
        Ok(())
    }

    /// The snapshot that is recorded last may come behind the entries that follow it, as in a backup.
    fn log(&self) -> Result<Log, Damage> {
        let next = self.snapshot + 1;
        let last = self.last.max(self.snapshot);
        match self.first {
            Some(first) if first > next => Err(Damage::Gap {
                after: self.snapshot,
                found: first,
            }),
            _ => Ok(Log {
                snapshot: self.snapshot,
                entries: last - self.snapshot,
                last,
            }),
        }
    }
}

/// The length of a record and of its padding: the lowest 56 bits, and three of the highest if the sign is set.
fn lengths(head: u64) -> (usize, usize) {
    let length = usize::try_from(head & 0x00ff_ffff_ffff_ffff).unwrap_or(usize::MAX);
    let padding = if head >> 63 == 1 { head >> 56 & 7 } else { 0 };
    (length, usize::try_from(padding).unwrap_or_default())
}

/// A message of protocol buffers: the last value of each field, numbers and bytes.
struct Message<'a>(Vec<(u64, Value<'a>)>);

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Message<'a> {
    fn read(mut bytes: &'a [u8]) -> Option<Self> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes)?;
            let value = match key & 7 {
                0 => Value::Number(varint(&mut bytes)?),
                2 => {
                    let length = usize::try_from(varint(&mut bytes)?).ok()?;
                    let (taken, rest) = bytes.split_at_checked(length)?;
                    bytes = rest;
                    Value::Bytes(taken)
                }
                _ => return None,
            };
            fields.push((key >> 3, value));
        }
        Some(Self(fields))
    }

    fn number(&self, field: u64) -> u64 {
        let found = self.0.iter().rev().find_map(|(key, value)| match value {
            Value::Number(number) if *key == field => Some(*number),
            _ => None,
        });
        found.unwrap_or_default()
    }

    fn number32(&self, field: u64) -> u32 {
        u32::try_from(self.number(field)).unwrap_or_default()
    }

    fn bytes(&self, field: u64) -> Option<&'a [u8]> {
        self.0.iter().rev().find_map(|(key, value)| match value {
            Value::Bytes(bytes) if *key == field => Some(*bytes),
            _ => None,
        })
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Go on with a CRC-32C (Castagnoli).
fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!crc, |crc, byte| {
        TABLE[usize::from(byte ^ crc.to_le_bytes()[0])] ^ (crc >> 8)
    })
}

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0_usize;
    let mut start = 0_u32;
    while at < 256 {
        let mut crc = start;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
        start += 1;
    }
    table
}

#[cfg(test)]
mod tests;
