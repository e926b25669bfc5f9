//! Bytes on their way into the image, gathered into large writes.

use crate::error::Result;

/// Bytes of one write.
const BUFFER: usize = 1 << 20;

pub(super) struct Stream<F> {
    write: F,
    buffer: Vec<u8>,
    /// Where the buffer's first byte belongs.
    start: u64,
}

impl<F: FnMut(&[u8], u64) -> Result<()>> Stream<F> {
    pub(super) fn new(start: u64, write: F) -> Self {
        Self { write, buffer: Vec::new(), start }
    }

    /// Where the next byte belongs.
    pub(super) fn position(&self) -> u64 {
        self.start + self.buffer.len() as u64
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    /// Zeros up to a place ahead, less than a buffer away.
    pub(super) fn pad(&mut self, to: u64) -> Result<()> {
        let count = to.checked_sub(self.position()).expect("the plan goes forward");
        self.buffer.resize(self.buffer.len() + count as usize, 0);
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    pub(super) fn finish(mut self) -> Result<()> {
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        (self.write)(&self.buffer, self.start)?;
        self.start += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
