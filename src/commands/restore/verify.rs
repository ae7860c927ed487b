//! Reads the chosen backup through before anything else is thought of: here, or on the host that has it.

use std::fs::File as Opened;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::choose::Chosen;
use crate::commands::session::Session;
use crate::engine::act::backup::hex;
use crate::engine::act::backup_v2;
use crate::error::{Failure, Problem, Result};
use crate::exit::Exit;
use crate::facts::backups::{self, BackupsError, Verified};
use crate::plan::restore::File;

/// The length of the SHA-256 behind a snapshot's database.
const TRAILER: usize = 32;

/// Verifies both files and notes what they are.
///
/// # Errors
/// A host that has one does not answer, or an interrupt.
pub(super) async fn verify(session: &Session<'_>, mut chosen: Chosen) -> Result<Chosen> {
    let Some(mut backup) = chosen.backup.take() else {
        return Ok(chosen);
    };
    for file in [&mut backup.snapshot, &mut backup.store]
        .into_iter()
        .flatten()
    {
        one(session, &mut chosen, file).await?;
    }
    chosen.backup = Some(backup);
    Ok(chosen)
}

async fn one(session: &Session<'_>, chosen: &mut Chosen, file: &mut File) -> Result<()> {
    let (bytes, sha256) = chosen
        .described
        .get(&file.name)
        .cloned()
        .unwrap_or_default();
    let local = chosen.local.get(&file.name).cloned();
    if let Some(path) = local {
        let read = path.clone();
        let read = tokio::task::spawn_blocking(move || here(&read));
        let read = session.or_interrupt(read).await?;
        match read.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(found) => {
                file.damage = found.damage(bytes, sha256.as_deref());
                note(file, &found);
                chosen.here.insert(found.sha256, path);
            }
            Err(damage) => file.damage = Some(damage),
        }
        // A copy on a host may be whole where the one here is not.
        if file.damage.is_none() || file.on.is_none() {
            return Ok(());
        }
        file.here = false;
    }
    there(session, file, bytes, sha256.as_deref()).await
}

fn note(file: &mut File, found: &Verified) {
    file.bytes = found.bytes;
    file.sha256.clone_from(&found.sha256);
}

async fn there(
    session: &Session<'_>,
    file: &mut File,
    bytes: Option<u64>,
    sha256: Option<&str>,
) -> Result<()> {
    let Some((host, path)) = file.on.clone() else {
        return Ok(());
    };
    let deadline = session
        .look_deadline()
        .max(std::time::Duration::from_secs(600));
    let asked = backups::verify(&*session.transport, &host, &path, deadline);
    match session.or_interrupt(asked).await? {
        Ok(found) => {
            file.damage = found.damage(bytes, sha256);
            note(file, &found);
            Ok(())
        }
        Err(error @ BackupsError::Absent { .. }) => {
            file.damage = Some(error.to_string());
            Ok(())
        }
        Err(error) => Err(Failure::new(Exit::Unreachable, Problem::of(&error))),
    }
}

/// Reads a file here through; a copy of a v2 store is proven as it was when it was taken.
fn here(path: &Path) -> std::result::Result<Verified, String> {
    if path.to_string_lossy().ends_with(".v2.tar.gz") {
        backup_v2::whole(path)?;
    }
    digests(path).map_err(|error| error.to_string())
}

fn digests(path: &Path) -> io::Result<Verified> {
    let mut file = Opened::open(path)?;
    let bytes = file.metadata()?.len();
    let (mut all, mut database) = (Sha256::new(), Sha256::new());
    let (mut buffer, mut tail): (Vec<u8>, Vec<u8>) = (vec![0; 1 << 20], Vec::new());
    loop {
        let got = file.read(&mut buffer)?;
        if got == 0 {
            break;
        }
        all.update(&buffer[..got]);
        tail.extend_from_slice(&buffer[..got]);
        let done = tail.len().saturating_sub(TRAILER);
        database.update(&tail[..done]);
        tail.drain(..done);
    }
    let is_snapshot = !path.to_string_lossy().ends_with(".v2.tar.gz");
    Ok(Verified {
        bytes,
        sha256: hex(&all.finalize()),
        database: is_snapshot.then(|| hex(&database.finalize())),
        trailer: is_snapshot.then(|| hex(&tail)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_read_with_the_digest_behind_its_database() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let mut bytes = vec![7; 3 << 20];
        let digest = Sha256::digest(&bytes);
        bytes.extend_from_slice(&digest);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(here(&path).unwrap().damage(None, None), None);
        bytes[1 << 20] = 8;
        std::fs::write(&path, &bytes).unwrap();
        assert!(here(&path).unwrap().damage(None, None).is_some());
    }
}
