//! The stream under a tar reader: one buffer, a position for messages, and the bound on the whole.

use std::io::{self, Read};

use crate::{Error, Result};

pub(super) const BLOCK: usize = 512;
const BUFFER: usize = 128 << 10;

pub(super) struct Source<R> {
    inner: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Bytes handed out.
    position: u64,
    /// Bytes read from `inner`, and how many there may be.
    taken: u64,
    limit: u64,
}

impl<R: Read> Source<R> {
    pub(super) fn new(inner: R, limit: u64) -> Self {
        Self { inner, buffer: vec![0; BUFFER].into(), start: 0, end: 0, position: 0, taken: 0, limit }
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Reads until `wanted` bytes are buffered (at most the buffer's size) or the stream ends; says how many there are.
    fn fill(&mut self, wanted: usize) -> Result<usize> {
        if self.end - self.start < wanted && self.buffer.len() - self.start < wanted {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        while self.end - self.start < wanted {
            if self.start == self.end {
                self.start = 0;
                self.end = 0;
            }
            match self.inner.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(count) => {
                    self.end += count;
                    self.taken += count as u64;
                    if self.taken > self.limit {
                        return Err(Error::Limit {
                            what: "its uncompressed size",
                            limit: self.limit,
                            path: None,
                        });
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::Read { offset: self.taken, source }),
            }
        }
        Ok(self.end - self.start)
    }

    fn advance(&mut self, count: usize) {
        self.start += count;
        self.position += count as u64;
    }

    fn truncated(&self, what: &'static str) -> Error {
        Error::Truncated { offset: self.taken, what }
    }

    /// The next block, or `None` where the stream ends cleanly.
    pub(super) fn block(&mut self, what: &'static str) -> Result<Option<[u8; BLOCK]>> {
        match self.fill(BLOCK)? {
            0 => Ok(None),
            count if count < BLOCK => Err(self.truncated(what)),
            _ => {
                let mut block = [0; BLOCK];
                block.copy_from_slice(&self.buffer[self.start..self.start + BLOCK]);
                self.advance(BLOCK);
                Ok(Some(block))
            }
        }
    }

    /// Some of the next bytes, at least one and at most `most`, without a copy.
    pub(super) fn some(&mut self, most: u64, what: &'static str) -> Result<&[u8]> {
        let there = self.fill(1)?;
        if there == 0 {
            return Err(self.truncated(what));
        }
        let count = usize::try_from(most).map_or(there, |most| most.min(there));
        self.advance(count);
        Ok(&self.buffer[self.start - count..self.start])
    }

    /// Exactly the next `count` bytes. The caller has bounded `count`; memory grows only with what really comes.
    pub(super) fn exact(&mut self, count: usize, what: &'static str) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(count.min(BUFFER));
        while bytes.len() < count {
            let left = (count - bytes.len()) as u64;
            bytes.extend_from_slice(self.some(left, what)?);
        }
        Ok(bytes)
    }

    pub(super) fn skip(&mut self, mut count: u64, what: &'static str) -> Result<()> {
        while count > 0 {
            count -= self.some(count, what)?.len() as u64;
        }
        Ok(())
    }

    /// Passes over a last file's padding, which some writers leave out at the stream's end (umoci 0.4 does).
    pub(super) fn skip_padding(&mut self, count: u64) -> Result<()> {
        if count > 0 && self.fill(1)? == 0 {
            return Ok(());
        }
        self.skip(count, "the padding of a file")
    }

    /// Reads what is left of the stream.
    pub(super) fn drain(&mut self) -> Result<()> {
        while self.fill(1)? > 0 {
            self.advance(self.end - self.start);
        }
        Ok(())
    }
}

/// Bytes from the end of `size` bytes of data to the next block.
pub(super) fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}
