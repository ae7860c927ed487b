//! The record that makes every entry of a copied log a committed one.
//!
//! How far a log is committed is written without a sync: it is on disk only with the next entry, and etcd's `backup`
//! lowers it further, by entries that it leaves out. `--force-new-cluster` drops what is behind it, which would be
//! the newest writes that clients were told of; and a commit index below the snapshot's ends in a panic. Each entry
//! was synced before anyone was told of it, so all of them are taken for committed: at worst one more than was told.

use super::{Chain, Damage, STATE, crc32c};

/// A record and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The offset in the last file.
    pub at: usize,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Makes the record for log files in the order of their names.
///
/// # Errors
/// [`Damage`] of the first record that does not fit.
pub fn seal(files: &[&[u8]]) -> Result<Seal, Damage> {
    let mut chain = Chain::default();
    for file in files {
        chain.file(file)?;
    }
    let log = chain.log()?;
    let term = chain.term.max(chain.state.0);
    let vote = if chain.state.0 == term {
        chain.state.1
    } else {
        0
    };
    let mut state = Vec::new();
    for (field, value) in [(1, term), (2, vote), (3, log.last)] {
        number(&mut state, field << 3, value);
    }
    let mut record = Vec::new();
    number(&mut record, 1 << 3, STATE);
    number(&mut record, 2 << 3, u64::from(crc32c(chain.crc, &state)));
    number(&mut record, 3 << 3 | 2, state.len() as u64);
    record.extend_from_slice(&state);
    // Without padding, which releases before 3.0 do not know and later ones do not ask for.
    let mut bytes = (record.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(&record);
    Ok(Seal {
        at: chain.end,
        bytes,
    })
}

fn number(bytes: &mut Vec<u8>, key: u64, value: u64) {
    for mut rest in [key, value] {
        while rest > 0x7f {
            bytes.push(u8::try_from(rest & 0x7f | 0x80).expect("seven bits and a mark"));
            rest >>= 7;
        }
        bytes.push(u8::try_from(rest).expect("seven bits"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::log;
    use super::*;

    #[test]
    fn a_sealed_log_is_whole_and_committed_to_its_last_entry() {
        let root = env!("CARGO_MANIFEST_DIR");
        let path = format!("{root}/tests/fixtures/etcd-3.3.25/backup.wal");
        let mut file = std::fs::read(path).unwrap();
        let before = log(&[&file]).unwrap();
        let seal = seal(&[&file]).unwrap();
        file.resize(file.len().max(seal.at + seal.bytes.len()), 0);
        file[seal.at..seal.at + seal.bytes.len()].copy_from_slice(&seal.bytes);
        assert_eq!(log(&[&file]), Ok(before));
        let mut chain = Chain::default();
        chain.file(&file).unwrap();
        assert_eq!(chain.state.2, before.last);
        assert_eq!(chain.end, seal.at + seal.bytes.len());
    }
}
