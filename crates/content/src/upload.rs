//! Blobs that somebody else sends, bit by bit, before anybody knows what they are: `tmp/upload-<id>`. How much is there is the
//! file's length, so an upload can go on after its writer has died; the digest is asked for at the end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use conex_oci::{Digest, Hasher};
use rustix::fs::FlockOperation;

use crate::{Content, Error, Result};

/// Bytes hashed at a time.
const CHUNK: usize = 256 << 10;

/// An upload, locked for as long as this lives. It stays when it is dropped.
#[must_use = "a blob exists only after commit()"]
pub struct Upload {
    file: File,
    path: PathBuf,
    length: u64,
    /// Of all bytes, as long as this handle has seen them all.
    hasher: Option<Hasher>,
    blobs: PathBuf,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upload({} with {} bytes)", self.path.display(), self.length)
    }
}

impl Content {
    /// Begins an upload under an id that nobody can guess (128 bits).
    pub fn upload(&self) -> Result<(String, Upload)> {
        let mut bytes = [0; 16];
        let random = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
        random.map_err(|source| Error::Write { path: "/dev/urandom".into(), source })?;
        let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = self.upload_path(&id);
        let failed = |source| Error::Write { path: path.clone(), source };
        let options = || {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true).mode(0o600);
            options
        };
        let file = options().open(&path).map_err(failed)?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
        let blobs = self.blobs_directory();
        Ok((id, Upload { file, path, length: 0, hasher: Some(Hasher::new()), blobs }))
    }

    /// Goes on with an upload; nothing when there is none of that id, or somebody else is writing it.
    pub fn continue_upload(&self, id: &str) -> Result<Option<Upload>> {
        if id.len() != 32 || !id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Ok(None);
        }
        let path = self.upload_path(id);
        let failed = |source| Error::Write { path: path.clone(), source };
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(None);
        }
        let metadata = file.metadata().map_err(failed)?;
        if metadata.nlink() == 0 {
            return Ok(None);
        }
        let length = metadata.len();
        let hasher = (length == 0).then(Hasher::new);
        Ok(Some(Upload { file, path, length, hasher, blobs: self.blobs_directory() }))
    }

    fn upload_path(&self, id: &str) -> PathBuf {
        self.temporary_directory().join(format!("upload-{id}"))
    }
}

impl Upload {
    /// Bytes so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Adds bytes at the end.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.length)?;
        self.length += bytes.len() as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        Ok(())
    }

    /// Verifies, syncs and publishes the blob, which the caller has leased, and gives back its size. One that is something
    /// else stays, so that who sends it can say what it is.
    pub fn commit(mut self, expected: &Digest) -> Result<u64> {
        let failed = |source| Error::Write { path: self.path.clone(), source };
        let got = match self.hasher.take() {
            Some(hasher) => hasher.finish(),
            None => self.hash().map_err(failed)?,
        };
        if got != *expected {
            let length = self.length;
            return Err(Error::Mismatch {
                expected: *expected,
                expected_size: length,
                got,
                got_size: length,
            });
        }
        let target = self.blobs.join(got.hex());
        self.file.sync_data().map_err(failed)?;
        fs::rename(&self.path, &target).map_err(|source| Error::Write { path: target, source })?;
        Ok(self.length)
    }

    /// Removes it.
    pub fn cancel(self) -> Result<()> {
        fs::remove_file(&self.path).map_err(|source| Error::Remove { path: self.path.clone(), source })
    }

    fn hash(&self) -> io::Result<Digest> {
        let (mut hasher, mut buffer, mut position) = (Hasher::new(), vec![0; CHUNK], 0);
        while position < self.length {
            let room = usize::try_from(self.length - position).map_or(CHUNK, |left| left.min(CHUNK));
            self.file.read_exact_at(&mut buffer[..room], position)?;
            hasher.update(&buffer[..room]);
            position += room as u64;
        }
        Ok(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_outlives_its_writer() {
        let root = tempfile::tempdir().unwrap();
        let content = Content::open(root.path()).unwrap();
        let (id, mut first) = content.upload().unwrap();
        first.append(b"hel").unwrap();
        assert!(content.continue_upload(&id).unwrap().is_none(), "somebody is writing it");
        drop(first);
        let mut second = content.continue_upload(&id).unwrap().unwrap();
        assert_eq!(second.length(), 3);
        second.append(b"lo").unwrap();
        let (right, wrong) = (Digest::of(b"hello"), Digest::of(b"hallo"));
        assert!(matches!(second.commit(&wrong), Err(Error::Mismatch { .. })));
        let third = content.continue_upload(&id).unwrap().unwrap();
        assert_eq!(third.commit(&right).unwrap(), 5);
        assert_eq!(content.read_unsized(&right).unwrap(), b"hello");
        assert!(content.continue_upload(&id).unwrap().is_none());
        for id in ["", "../../etc/passwd", &"g".repeat(32), &"A".repeat(32)] {
            assert!(content.continue_upload(id).unwrap().is_none());
        }
        let (id, upload) = content.upload().unwrap();
        upload.cancel().unwrap();
        assert!(content.continue_upload(&id).unwrap().is_none());
        // One that nobody goes on with is cleared with other halves.
        let (_, kept) = content.upload().unwrap();
        drop(content.upload().unwrap());
        content.clear_partials(true).unwrap();
        assert_eq!(fs::read_dir(root.path().join("tmp")).unwrap().count(), 1);
        drop(kept);
    }
}
