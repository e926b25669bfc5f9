//! Skeleton.
use crate::{Header, Result};
use std::io::{Read, Write};

/// Writes a tar stream; [`finish`](Writer::finish) must be called, or the end of the archive is missing.
#[must_use = "the end of the archive is only written by finish()"]
pub struct Writer<W> {
    _sink: W,
}

impl<W: Write> Writer<W> {
    /// Starts an archive.
    pub fn new(sink: W) -> Self {
        Self { _sink: sink }
    }

    /// Adds an entry, with exactly `header.size()` bytes of contents.
    pub fn append(&mut self, _header: &Header, _contents: impl Read) -> Result<()> {
        todo!()
    }

    /// Adds a regular file of mode 0644 with `contents`, owned by root, dated 1970.
    pub fn append_bytes(&mut self, _path: &str, _contents: &[u8]) -> Result<()> {
        todo!()
    }

    /// Adds a directory of mode 0755, owned by root, dated 1970.
    pub fn append_directory(&mut self, _path: &str) -> Result<()> {
        todo!()
    }

    /// Writes the end of the archive, flushes, and gives the sink back.
    pub fn finish(self) -> Result<W> {
        todo!()
    }
}
