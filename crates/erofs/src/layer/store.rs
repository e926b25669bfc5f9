//! Where an image goes: into its file, or, to check it, against its file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::error::{Error, Result};

pub(super) trait Store {
    fn write(&self, bytes: &[u8], offset: u64) -> Result<()>;
    /// Of what has been written, or of the tar stream.
    fn read(&self, bytes: &mut [u8], offset: u64) -> Result<()>;
    /// Nothing is written there: the bytes are zero.
    fn skip(&self, from: u64, to: u64) -> Result<()>;
    /// How long the file is in the end.
    fn set_length(&self, length: u64) -> Result<()>;
}

/// Writes.
pub(super) struct Written<'a>(pub(super) &'a File);

impl Store for Written<'_> {
    fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.0.write_all_at(bytes, offset).map_err(|source| Error::Write { offset, source })
    }

    fn read(&self, bytes: &mut [u8], offset: u64) -> Result<()> {
        self.0.read_exact_at(bytes, offset).map_err(|source| Error::Read { offset, source })
    }

    fn skip(&self, _from: u64, _to: u64) -> Result<()> {
        Ok(())
    }

    fn set_length(&self, length: u64) -> Result<()> {
        self.0.set_len(length).map_err(|source| Error::Write { offset: length, source })
    }
}

static ZEROES: [u8; 64 << 10] = [0; 64 << 10];

/// Compares what would be written with what is there.
pub(super) struct Compared<'a>(pub(super) &'a File);

impl Store for Compared<'_> {
    fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let mut found = vec![0; bytes.len()];
        match self.0.read_exact_at(&mut found, offset) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(Error::Differs { offset });
            }
            Err(source) => return Err(Error::Read { offset, source }),
        }
        match found.iter().zip(bytes).position(|(a, b)| a != b) {
            None => Ok(()),
            Some(at) => Err(Error::Differs { offset: offset + at as u64 }),
        }
    }

    fn read(&self, bytes: &mut [u8], offset: u64) -> Result<()> {
        Written(self.0).read(bytes, offset)
    }

    fn skip(&self, mut from: u64, to: u64) -> Result<()> {
        while from < to {
            let count = (to - from).min(ZEROES.len() as u64);
            self.write(&ZEROES[..count as usize], from)?;
            from += count;
        }
        Ok(())
    }

    fn set_length(&self, length: u64) -> Result<()> {
        let found = self.0.metadata().map_err(|source| Error::Read { offset: 0, source })?.len();
        if found == length { Ok(()) } else { Err(Error::Differs { offset: found.min(length) }) }
    }
}
