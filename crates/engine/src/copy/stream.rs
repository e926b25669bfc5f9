//! The tar streams of `cp -`: what is copied as an archive, and an archive as what is copied.

use std::fs::File;
use std::io::{self, Read, Write};

use conex_archive::names::Relative;
use conex_archive::{Entry, Header, Kind, Limits, Reader, Writer, decompress};

use super::error::{CopyError, Result, shown};
use super::{Contents, Copied, Sink};

/// Runs of a file's data, holes left out.
pub(super) trait Chunks {
    /// The next run, and where in the file it stands.
    fn chunk(&mut self) -> Result<Option<(u64, &[u8])>>;
}

impl<R: Read> Chunks for Entry<'_, R> {
    fn chunk(&mut self) -> Result<Option<(u64, &[u8])>> {
        Ok(Entry::chunk(self)?.map(|chunk| (chunk.offset, chunk.data)))
    }
}

/// Makes an archive of what it is given.
pub(super) struct Packer<'a> {
    tar: Writer<&'a mut (dyn Write + Send)>,
    top: Vec<u8>,
    copied: Copied,
}

impl<'a> Packer<'a> {
    pub(super) fn new(sink: &'a mut (dyn Write + Send), top: Vec<u8>) -> Self {
        Self { tar: Writer::new(sink), top, copied: Copied::default() }
    }

    fn name(&self, path: &[u8]) -> Vec<u8> {
        if path.is_empty() { self.top.clone() } else { [&self.top[..], b"/", path].concat() }
    }
}

impl Sink for Packer<'_> {
    fn put(&mut self, path: &[u8], mut header: Header, contents: Contents<'_>) -> Result<()> {
        header.path = self.name(path);
        if let Kind::HardLink { target } = &mut header.kind {
            *target = self.name(target);
        }
        let size = header.size();
        match contents {
            Contents::None => self.tar.append(&header, io::empty())?,
            // It may be growing or shrinking; its header has been decided upon.
            Contents::File(file) => self.tar.append(&header, Whole(file).chain(io::repeat(0)).take(size))?,
            Contents::Bytes(bytes) => self.tar.append(&header, bytes)?,
            Contents::Entry(_) => return Err(CopyError::NoContainer),
        }
        self.copied.files += 1;
        self.copied.bytes += size;
        Ok(())
    }

    fn skip(&mut self) {
        self.copied.skipped += 1;
    }

    fn finish(self: Box<Self>) -> Result<Copied> {
        self.tar.finish()?;
        Ok(self.copied)
    }
}

struct Whole<'a>(&'a File);

impl Read for Whole<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&mut &*self.0).read(buffer)
    }
}

/// Hands each entry of an archive to the sink.
pub(super) fn unpack(from: &mut (dyn Read + Send), sink: &mut dyn Sink) -> Result<()> {
    let mut reader = Reader::new(decompress(from)?, Limits::default());
    while let Some(mut entry) = reader.next()? {
        let mut header = entry.header().clone();
        let path = relative(&header.path)?;
        match &mut header.kind {
            Kind::Unknown { .. } => {
                sink.skip();
                continue;
            }
            Kind::HardLink { target } => *target = relative(target)?,
            Kind::Symlink { target } if target.is_empty() || target.contains(&0) => {
                return Err(CopyError::Unfit { path: shown(&path), why: "its link leads nowhere" });
            }
            _ => {}
        }
        let contents = match header.kind {
            Kind::File { .. } => Contents::Entry(&mut entry),
            _ => Contents::None,
        };
        sink.put(&path, header, contents)?;
    }
    // Whoever writes the stream may have more, and should not be broken off.
    reader.drain()?;
    Ok(())
}

fn relative(path: &[u8]) -> Result<Vec<u8>> {
    let relative = Relative::new(path)?;
    Ok(match relative.split() {
        Some((b"", name)) => name.to_vec(),
        Some((parent, name)) => [parent, b"/", name].concat(),
        None => Vec::new(),
    })
}
