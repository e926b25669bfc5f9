//! Reads tar streams in bounded memory: ustar, GNU and PAX, as Docker, buildah, umoci, GNU tar and bsdtar write them.
//!
//! Where parsers differ, this one follows Go's `archive/tar`, which the rest of the container world uses: two readers that
//! cut one archive differently are how a checked layer becomes another one (CVE-2025-62518). It never interprets a
//! path; that is for whoever unpacks.

mod block;
mod pax;
mod source;
mod sparse;

use std::io::{self, Read};

use self::block::Block;
use self::pax::Pax;
use self::source::{BLOCK, Source, padding};
use self::sparse::Segment;
use crate::error::shown;
use crate::{Error, Header, Kind, Limits, Result, Time};

/// A tar stream, read entry by entry.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::io::Read;
/// # let mut writer = conex_archive::Writer::new(Vec::new());
/// # writer.append_bytes("manifest.json", b"[]")?;
/// # let bytes = writer.finish()?;
/// let mut reader = conex_archive::Reader::new(&bytes[..], Default::default());
/// while let Some(mut entry) = reader.next()? {
///     let mut contents = Vec::new();
///     entry.by_ref().take(1 << 20).read_to_end(&mut contents)?;
///     assert_eq!((entry.header().path_text().as_ref(), &contents[..]), ("manifest.json", &b"[]"[..]));
/// }
/// # Ok(()) }
/// ```
pub struct Reader<R> {
    source: Source<R>,
    limits: Limits,
    global: Pax,
    entries: u64,
    state: State,
}

enum State {
    /// Before a header; what is left of the entry before has to be passed over: its data, then its padding.
    Between {
        data: u64,
        padding: u64,
    },
    End,
}

/// What the extension headers before an entry said.
#[derive(Default)]
struct Extensions {
    pax: Option<Pax>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl<R: Read> Reader<R> {
    /// Starts at the first header of `inner`.
    pub fn new(inner: R, limits: Limits) -> Self {
        let source = Source::new(inner, limits.max_bytes);
        let state = State::Between { data: 0, padding: 0 };
        Self { source, limits, global: Pax::default(), entries: 0, state }
    }

    /// The next entry, or `None` at the end of the archive. What was not read of the entry before is passed over.
    #[expect(
        clippy::should_implement_trait,
        reason = "an entry borrows the reader, which Iterator cannot say"
    )]
    pub fn next(&mut self) -> Result<Option<Entry<'_, R>>> {
        let State::Between { data, padding } = self.state else { return Ok(None) };
        self.source.skip(data, "a file")?;
        self.source.skip_padding(padding)?;
        self.state = State::Between { data: 0, padding: 0 };
        let mut extensions = Extensions::default();
        loop {
            let offset = self.source.position();
            let Some(raw) = self.header(offset)? else {
                if extensions.pax.is_some() || extensions.name.is_some() || extensions.link.is_some() {
                    return Err(Error::Truncated {
                        offset,
                        what: "an extended header that no entry follows",
                    });
                }
                self.state = State::End;
                return Ok(None);
            };
            let block = Block::verify(&raw).map_err(|reason| Error::Header { offset, reason })?;
            match block.type_byte() {
                // 'X' is what Solaris called 'x'.
                b'x' | b'X' => {
                    let mut pax = Pax::default();
                    self.records(&block, offset, &mut pax)?;
                    extensions.pax = Some(pax);
                }
                b'g' => {
                    let mut global = std::mem::take(&mut self.global);
                    self.records(&block, offset, &mut global)?;
                    if global.names_one_entry() {
                        let reason = "a global header names what only one entry can own".to_owned();
                        return Err(Error::Pax { offset, reason });
                    }
                    self.global = global;
                }
                b'L' => extensions.name = Some(self.long_name(&block, offset)?),
                b'K' => extensions.link = Some(self.long_name(&block, offset)?),
                _ => {
                    let (header, segments) = self.entry(&block, offset, extensions)?;
                    let data = self.source.position();
                    return Ok(Some(Entry { reader: self, header, segments, data, next: 0, at: 0 }));
                }
            }
        }
    }

    /// Reads what follows the end of the archive, to the end of the stream.
    pub fn drain(&mut self) -> Result<()> {
        self.source.drain()
    }

    /// The next header block; `None` at the end: two blocks of zeros, or (as many writers leave them out) the stream's.
    fn header(&mut self, offset: u64) -> Result<Option<[u8; BLOCK]>> {
        let Some(raw) = self.source.block("a header")? else { return Ok(None) };
        if raw != [0; BLOCK] {
            return Ok(Some(raw));
        }
        match self.source.block("the end of the archive")? {
            None => Ok(None),
            Some(second) if second == [0; BLOCK] => Ok(None),
            Some(_) => Err(Error::Header { offset, reason: "a lone block of zeros stands before it" }),
        }
    }

    /// The data of an extension header, and its padding.
    fn extension(&mut self, block: &Block<'_>, offset: u64) -> Result<Vec<u8>> {
        let size = block.size().map_err(|reason| Error::Header { offset, reason })?;
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        if length > self.limits.max_pax {
            let limit = self.limits.max_pax as u64;
            return Err(Error::Limit { what: "the size of an extended header", limit, path: None });
        }
        let bytes = self.source.exact(length, "an extended header")?;
        self.source.skip(padding(size), "an extended header")?;
        Ok(bytes)
    }

    fn records(&mut self, block: &Block<'_>, offset: u64, into: &mut Pax) -> Result<()> {
        let bytes = self.extension(block, offset)?;
        into.parse(&bytes).map_err(|reason| Error::Pax { offset: self.source.position(), reason })
    }

    fn long_name(&mut self, block: &Block<'_>, offset: u64) -> Result<Vec<u8>> {
        let mut name = self.extension(block, offset)?;
        if let Some(end) = name.iter().position(|&byte| byte == 0) {
            name.truncate(end);
        }
        Ok(name)
    }

    /// Puts an entry together from its header and what came before it, and finds where its data is.
    fn entry(
        &mut self,
        block: &Block<'_>,
        offset: u64,
        extensions: Extensions,
    ) -> Result<(Header, Vec<Segment>)> {
        let bad = |reason| Error::Header { offset, reason };
        self.entries += 1;
        if self.entries > self.limits.max_entries {
            let limit = self.limits.max_entries;
            return Err(Error::Limit { what: "the number of its entries", limit, path: None });
        }
        let mut pax = extensions.pax.unwrap_or_default();
        let mut path = pax.path.take().unwrap_or_else(|| block.name());
        let mut link = pax.link.take().unwrap_or_else(|| block.link());
        path = extensions.name.unwrap_or(path);
        link = extensions.link.unwrap_or(link);
        let stored = match pax.size {
            Some(size) => size,
            None => block.size().map_err(bad)?,
        };
        let (mut data, mut segments) = (0, Vec::new());
        let kind = match block.type_byte() {
            b'0' | b'7' | 0 if pax.sparse.is_set() => {
                if let Some(name) = pax.sparse.name.take() {
                    path = name;
                }
                let size;
                (size, data, segments) = self.sparse(&pax, stored, &path)?;
                Kind::File { size }
            }
            0 if path.ends_with(b"/") => Kind::Directory,
            b'0' | b'7' | 0 => {
                data = stored;
                segments.push((0, stored));
                Kind::File { size: stored }
            }
            b'S' => {
                segments = sparse::old_gnu(&mut self.source, block, &self.limits, &path)?;
                let size = block.real_size().map_err(bad)?;
                sparse::check(&segments, size, stored, self.source.position())?;
                data = stored;
                Kind::File { size }
            }
            b'1' => Kind::HardLink { target: link },
            b'2' => Kind::Symlink { target: link },
            b'3' => {
                let (major, minor) = block.device().map_err(bad)?;
                Kind::CharDevice { major, minor }
            }
            b'4' => {
                let (major, minor) = block.device().map_err(bad)?;
                Kind::BlockDevice { major, minor }
            }
            b'5' => Kind::Directory,
            // GNU's incremental dumps: a directory, with a list of names as its data.
            b'D' => {
                data = stored;
                Kind::Directory
            }
            b'6' => Kind::Fifo,
            type_byte => {
                data = stored;
                Kind::Unknown { type_byte, size: stored }
            }
        };
        let mtime = match pax.mtime.or(self.global.mtime) {
            Some(mtime) => mtime,
            None => Time { seconds: block.mtime().map_err(bad)?, nanoseconds: 0 },
        };
        let uid = pax.uid.or(self.global.uid).map_or_else(|| block.uid(), Ok).map_err(bad)?;
        let gid = pax.gid.or(self.global.gid).map_or_else(|| block.gid(), Ok).map_err(bad)?;
        let header =
            Header { path, kind, mode: block.mode().map_err(bad)?, uid, gid, mtime, xattrs: pax.xattrs };
        self.check(&header)?;
        self.state = State::Between { data, padding: padding(data) };
        Ok((header, segments))
    }

    /// A sparse file in one of GNU's PAX formats: its size, the length of its data, its segments.
    fn sparse(&mut self, pax: &Pax, stored: u64, path: &[u8]) -> Result<(u64, u64, Vec<Segment>)> {
        let size = sparse::real_size(pax, self.source.position())?;
        let (segments, map) = match (pax.sparse.version, &pax.sparse.map) {
            ((0, _), Some(map)) => {
                (sparse::from_records(map, self.source.position(), &self.limits, path)?, 0)
            }
            ((1, 0), _) => sparse::from_data(&mut self.source, stored, &self.limits, path)?,
            _ => {
                let offset = self.source.position();
                return Err(Error::Sparse { offset, reason: "it is of an unknown version" });
            }
        };
        // from_data has seen to it that the map is no longer than the data.
        let data = stored - map;
        sparse::check(&segments, size, data, self.source.position())?;
        Ok((size, data, segments))
    }

    fn check(&self, header: &Header) -> Result<()> {
        let exceeds = |what, limit| Err(Error::Limit { what, limit, path: Some(shown(&header.path)) });
        let target = match &header.kind {
            Kind::HardLink { target } | Kind::Symlink { target } => target.len(),
            _ => 0,
        };
        if header.path.len().max(target) > self.limits.max_name {
            return exceeds("the length of a path", self.limits.max_name as u64);
        }
        if header.size() > self.limits.max_file {
            return exceeds("the size of a file", self.limits.max_file);
        }
        Ok(())
    }
}

/// One entry: its header, and its contents through [`Read`] (holes as zeros) or [`Entry::chunk`] (data only).
pub struct Entry<'a, R> {
    reader: &'a mut Reader<R>,
    header: Header,
    segments: Vec<Segment>,
    /// Where in the stream the data of the first segment starts.
    data: u64,
    /// The segment that the next byte of data belongs to, or stands before.
    next: usize,
    /// Where in the file the next byte is, data or hole.
    at: u64,
}

/// A run of an entry's data, and where in the file it stands.
#[derive(Debug)]
pub struct Chunk<'a> {
    /// Bytes from the start of the file.
    pub offset: u64,
    /// The bytes; never none.
    pub data: &'a [u8],
}

/// Where a run of a file's data stands in the archive; what lies between two of them is a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Bytes from the start of the file.
    pub offset: u64,
    /// Bytes; never none.
    pub length: u64,
    /// Bytes from the start of the uncompressed stream; a multiple of 512 for the first of a file.
    pub position: u64,
}

impl<R: Read> Entry<'_, R> {
    /// What the entry is.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The runs of the file's data, in order, as they stand in the stream. For whoever keeps the stream.
    pub fn extents(&self) -> impl Iterator<Item = Extent> + '_ {
        let mut position = self.data;
        let extents = self.segments.iter().map(move |&(offset, length)| {
            let extent = Extent { offset, length, position };
            position += length;
            extent
        });
        extents.filter(|extent| extent.length > 0)
    }

    /// Whether the archive itself has holes in the file.
    pub fn is_sparse(&self) -> bool {
        matches!(self.header.kind, Kind::File { size } if self.segments != [(0, size)])
    }

    /// The next run of data, or `None` when all is read. Holes are passed over.
    pub fn chunk(&mut self) -> Result<Option<Chunk<'_>>> {
        let Some((start, end)) = self.segment() else { return Ok(None) };
        let offset = self.at.max(start);
        let data = self.data(end - offset)?;
        Ok(Some(Chunk { offset, data }))
    }

    /// The segment in front, as start and end, with finished ones passed over.
    fn segment(&mut self) -> Option<(u64, u64)> {
        while let Some(&(start, length)) = self.segments.get(self.next) {
            if length > 0 && self.at < start + length {
                return Some((start, start + length));
            }
            self.next += 1;
        }
        None
    }

    /// Some bytes out of the segment in front.
    fn data(&mut self, most: u64) -> Result<&[u8]> {
        let start = self.segments[self.next].0;
        let State::Between { data: left, .. } = &mut self.reader.state else { return Ok(&[]) };
        let data = self.reader.source.some(most, "a file")?;
        *left -= data.len() as u64;
        self.at = self.at.max(start) + data.len() as u64;
        Ok(data)
    }
}

impl<R: Read> Read for Entry<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len() as u64;
        match self.segment() {
            _ if room == 0 => Ok(0),
            Some((start, end)) if start <= self.at => {
                let data = self.data(room.min(end - self.at))?;
                buffer[..data.len()].copy_from_slice(data);
                Ok(data.len())
            }
            hole => {
                let end = hole.map_or(self.header.size(), |(start, _)| start);
                let count = room.min(end.saturating_sub(self.at));
                buffer[..count as usize].fill(0);
                self.at += count;
                Ok(count as usize)
            }
        }
    }
}
