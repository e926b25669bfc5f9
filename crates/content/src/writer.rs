//! Writing blobs: to a temporary file, hashed on the way, verified, synced, renamed.

use std::io::{self, Write};
use std::path::PathBuf;

use conex_oci::{Digest, Hasher};

use crate::temporary::Temporary;
use crate::{Content, Error, Lease, Result};

/// A blob in the making. Dropped without [`commit`](Self::commit) it leaves nothing.
#[must_use = "a blob exists only after commit()"]
#[derive(Debug)]
pub struct BlobWriter {
    temporary: Temporary,
    blobs: PathBuf,
    hasher: Box<Hashing>,
    expected: Option<(Digest, u64)>,
    written: u64,
}

struct Hashing(Hasher);

impl std::fmt::Debug for Hashing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("sha256")
    }
}

impl Content {
    /// Starts a blob. With `expected` (digest, bytes) a write past the size fails at once and `commit` verifies both.
    pub fn writer(&self, expected: Option<(Digest, u64)>) -> Result<BlobWriter> {
        let temporary = Temporary::create(self, "blob")
            .map_err(|source| Error::Write { path: self.temporary_directory(), source })?;
        Ok(BlobWriter {
            temporary,
            blobs: self.blobs_directory(),
            hasher: Box::new(Hashing(Hasher::new())),
            expected,
            written: 0,
        })
    }

    /// A whole blob from memory.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let mut writer = self.writer(None)?;
        writer.write_all(bytes).map_err(|source| writer.failed(source))?;
        writer.commit()
    }
}

impl BlobWriter {
    /// Bytes so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Verifies, syncs and publishes the blob; the digest is that of what was written.
    pub fn commit(self) -> Result<Digest> {
        self.finish(None)
    }

    /// The same, for a blob whose digest was not known before: it is leased before anybody can see it.
    pub fn commit_leased(self, lease: &Lease) -> Result<Digest> {
        self.finish(Some(lease))
    }

    fn finish(self, lease: Option<&Lease>) -> Result<Digest> {
        let got = self.hasher.0.finish();
        if let Some((expected, expected_size)) = self.expected
            && (got, self.written) != (expected, expected_size)
        {
            return Err(Error::Mismatch { expected, expected_size, got, got_size: self.written });
        }
        if let Some(lease) = lease {
            lease.add(&got)?;
        }
        let path = self.blobs.join(got.hex());
        // A blob of that name may be here; it is replaced, since it could have rotted.
        self.temporary.publish(&path).map_err(|source| Error::Write { path, source })?;
        Ok(got)
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Write { path: self.temporary.path.clone(), source }
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some((digest, size)) = self.expected
            && self.written.saturating_add(bytes.len() as u64) > size
        {
            let message = format!("blob {digest} is longer than the {size} bytes it should have");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let taken = self.temporary.file.write(bytes)?;
        self.hasher.0.update(&bytes[..taken]);
        self.written += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn leftovers(content: &Content) -> usize {
        fs::read_dir(content.root().join("tmp")).unwrap().count() + content.blobs().unwrap().len()
    }

    #[test]
    fn forged_short_and_long_blobs_are_refused_and_leave_nothing() {
        let root = tempfile::tempdir().unwrap();
        let content = Content::open(root.path()).unwrap();
        let digest = Digest::of(b"hello");

        let mut forged = content.writer(Some((digest, 5))).unwrap();
        forged.write_all(b"hallo").unwrap();
        assert!(matches!(forged.commit(), Err(Error::Mismatch { got_size: 5, .. })));

        let mut short = content.writer(Some((digest, 5))).unwrap();
        short.write_all(b"hell").unwrap();
        assert!(matches!(short.commit(), Err(Error::Mismatch { got_size: 4, .. })));

        let mut long = content.writer(Some((digest, 5))).unwrap();
        assert!(long.write_all(b"hello, world").is_err());
        drop(long);

        assert_eq!(leftovers(&content), 0);
        let mut good = content.writer(Some((digest, 5))).unwrap();
        good.write_all(b"he").unwrap();
        good.write_all(b"llo").unwrap();
        assert_eq!(good.commit().unwrap(), digest);
        assert_eq!(fs::read(content.path(&digest)).unwrap(), b"hello");
    }

    #[test]
    fn a_rotten_blob_is_replaced() {
        let root = tempfile::tempdir().unwrap();
        let content = Content::open(root.path()).unwrap();
        let digest = content.put(b"hello").unwrap();
        fs::write(content.path(&digest), b"hexxo").unwrap();
        content.put(b"hello").unwrap();
        assert_eq!(fs::read(content.path(&digest)).unwrap(), b"hello");
    }
}
