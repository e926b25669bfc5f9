//! Skeleton.
use crate::{Header, Limits, Result};
use std::io::{self, Read};

/// A tar stream, read entry by entry in bounded memory.
pub struct Reader<R> {
    _inner: R,
}

impl<R: Read> Reader<R> {
    /// Starts at the first header of `inner`.
    pub fn new(inner: R, _limits: Limits) -> Self {
        Self { _inner: inner }
    }

    /// The next entry, or `None` at the end of the archive. What was not read of the entry before is passed over.
    #[expect(
        clippy::should_implement_trait,
        reason = "an entry borrows the reader, which Iterator cannot say"
    )]
    pub fn next(&mut self) -> Result<Option<Entry<'_, R>>> {
        todo!()
    }
}

/// One entry: its header, and its contents through [`Read`] (holes as zeros) or [`Entry::chunk`] (data only).
pub struct Entry<'a, R> {
    _reader: &'a mut Reader<R>,
}

/// A run of an entry's data, and where in the file it stands.
#[derive(Debug)]
pub struct Chunk<'a> {
    /// Where in the file.
    pub offset: u64,
    /// The bytes.
    pub data: &'a [u8],
}

impl<R: Read> Entry<'_, R> {
    /// What the entry is.
    pub fn header(&self) -> &Header {
        todo!()
    }

    /// The next run of data, or `None` when all is read. Holes are passed over.
    pub fn chunk(&mut self) -> Result<Option<Chunk<'_>>> {
        todo!()
    }
}

impl<R: Read> Read for Entry<'_, R> {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        todo!()
    }
}
