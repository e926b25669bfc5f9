//! Writing blobs: to a temporary file, hashed on the way, verified, synced, renamed.

use std::io::{self, Write};

use conex_oci::Digest;

use crate::{Content, Result};

/// A blob in the making. Dropped without [`commit`](Self::commit) it leaves nothing.
#[must_use = "a blob exists only after commit()"]
#[derive(Debug)]
pub struct BlobWriter {}

impl Content {
    /// Starts a blob. With `expected` (digest, bytes) a write past the size fails at once and `commit` verifies both.
    pub fn writer(&self, expected: Option<(Digest, u64)>) -> Result<BlobWriter> {
        let _ = expected;
        todo!()
    }

    /// A whole blob from memory.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let _ = bytes;
        todo!()
    }
}

impl BlobWriter {
    /// Bytes so far.
    pub fn written(&self) -> u64 {
        todo!()
    }

    /// Verifies, syncs and publishes the blob; the digest is that of what was written.
    pub fn commit(self) -> Result<Digest> {
        todo!()
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = bytes;
        todo!()
    }
    fn flush(&mut self) -> io::Result<()> {
        todo!()
    }
}
