//! Keeps what is read: the tar stream goes into the image's file while it is taken apart.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use crate::error::{Error, Result};

/// Zeros in whole pieces of this many bytes are left out: a bomb of zeros takes no disk, as when unpacked.
const PIECE: usize = 16 << 10;
const ZEROS: [u8; PIECE] = [0; PIECE];

pub(super) struct Tee<'a, R> {
    inner: R,
    file: &'a File,
    start: u64,
    length: u64,
    /// A write that failed, which the reader of this stream can only see as a read that did.
    failed: Option<(u64, io::Error)>,
}

impl<'a, R: Read> Tee<'a, R> {
    pub(super) fn new(inner: R, file: &'a File, start: u64) -> Self {
        Self { inner, file, start, length: 0, failed: None }
    }

    /// Bytes that came through.
    pub(super) fn finish(self) -> Result<u64> {
        match self.failed {
            None => Ok(self.length),
            Some((offset, source)) => Err(Error::Write { offset, source }),
        }
    }

    /// Writes the bytes in as few calls as the zeros in them allow.
    fn write(&self, bytes: &[u8], offset: u64) -> std::result::Result<(), (u64, io::Error)> {
        let (mut from, mut to) = (0, 0);
        let flush = |from: usize, to: usize| {
            let at = offset + from as u64;
            self.file.write_all_at(&bytes[from..to], at).map_err(|error| (at, error))
        };
        for piece in bytes.chunks(PIECE) {
            let end = to + piece.len();
            if piece == ZEROS {
                flush(from, to)?;
                from = end;
            }
            to = end;
        }
        flush(from, to)
    }
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if let Err(failed) = self.write(&buffer[..count], self.start + self.length) {
            self.failed = Some(failed);
            return Err(io::Error::other("the image cannot be written"));
        }
        self.length += count as u64;
        Ok(count)
    }
}
