//! Where an image is read from: a file, or bytes in memory; and a small cache in between, as metadata is read in pieces of a few
//! bytes that stand close together.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::error::{Error, Result, damaged};

/// Something that can be read at any place.
pub trait ReadAt {
    /// Reads some bytes from `offset` on; none at the end.
    ///
    /// # Errors
    /// What the device below says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Bytes that there are.
    ///
    /// # Errors
    /// What the device below says.
    fn length(&self) -> io::Result<u64>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let start = usize::try_from(offset).map_or(self.len(), |offset| offset.min(self.len()));
        let count = buffer.len().min(self.len() - start);
        buffer[..count].copy_from_slice(&self[start..start + count]);
        Ok(count)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_at(buffer, offset)
    }

    fn length(&self) -> io::Result<u64> {
        (**self).length()
    }
}

/// Bytes of a page of the cache, and how many there are: 4 MiB in all.
const PAGE: usize = 64 << 10;
const PAGES: usize = 64;

/// A page's number, and its bytes.
type Page = (u64, Box<[u8]>);

/// A source with its length and a cache.
pub(super) struct Pages<S> {
    source: S,
    length: u64,
    /// Each at the place that its number has among so many.
    pages: RefCell<Vec<Option<Page>>>,
}

impl<S: ReadAt> Pages<S> {
    pub(super) fn new(source: S) -> Result<Self> {
        let length = source.length().map_err(|source| Error::Read { offset: 0, source })?;
        Ok(Self { source, length, pages: RefCell::new((0..PAGES).map(|_| None).collect()) })
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Fills `buffer` with metadata from `offset` on, by way of the cache.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.check(offset, buffer.len() as u64)?;
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let (number, within) = (at / PAGE as u64, (at % PAGE as u64) as usize);
            let mut pages = self.pages.borrow_mut();
            let slot = &mut pages[(number % PAGES as u64) as usize];
            if slot.as_ref().is_none_or(|(cached, _)| *cached != number) {
                let start = number * PAGE as u64;
                let mut page = vec![0; (self.length - start).min(PAGE as u64) as usize];
                self.read_past(&mut page, start)?;
                *slot = Some((number, page.into()));
            }
            let Some((_, page)) = slot else { unreachable!("it has just been read") };
            let count = (buffer.len() - done).min(page.len() - within);
            buffer[done..done + count].copy_from_slice(&page[within..within + count]);
            done += count;
        }
        Ok(())
    }

    /// Fills `buffer` from `offset` on, past the cache.
    pub(super) fn read_past(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.check(offset, buffer.len() as u64)?;
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            match self.source.read_at(&mut buffer[done..], at) {
                Ok(0) => return Err(damaged(at, "it is shorter than it was when it was opened")),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::Read { offset: at, source }),
            }
        }
        Ok(())
    }

    /// Whether all of it is within the image.
    pub(super) fn check(&self, offset: u64, length: u64) -> Result<()> {
        match offset.checked_add(length) {
            Some(end) if end <= self.length => Ok(()),
            _ => Err(damaged(offset, "what is there leads beyond the end of the image")),
        }
    }
}
