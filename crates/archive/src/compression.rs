//! Compression by magic bytes: gzip, zstd or none.
//!
//! The media type of a layer is a claim of whoever wrote the manifest; what the bytes are is what the bytes say.

use std::io::{self, BufReader, Chain, Cursor, Read, Write};

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::{Error, Result};

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952), in one or many members.
    Gzip,
    /// Zstandard (RFC 8878), in one or many frames.
    Zstd,
}

impl Compression {
    /// What a stream that starts with `magic` (6 bytes are enough) is compressed with.
    pub fn detect(magic: &[u8]) -> Result<Self> {
        match magic {
            [0x1f, 0x8b, 8, ..] => Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Self::Zstd),
            // A skippable frame, which parallel compressors put in front (RFC 8878, 3.1.2).
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Err(Error::Compression("xz")),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Err(Error::Compression("bzip2")),
            _ => Ok(Self::None),
        }
    }
}

type Rewound<R> = BufReader<Chain<Cursor<Vec<u8>>, R>>;

/// A stream of plain bytes out of one that may be compressed; see [`decompress`].
pub struct Decompressed<R: Read>(Inner<R>);

enum Inner<R: Read> {
    None(Chain<Cursor<Vec<u8>>, R>),
    Gzip(Box<BufReader<MultiGzDecoder<Rewound<R>>>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, Rewound<R>>>),
}

/// The largest zstd window that is accepted, as a power of two: 128 MiB, what `zstd` itself takes unless told more.
const ZSTD_WINDOW_LOG: u32 = 27;
const BUFFER: usize = 128 << 10;
/// The least that is inflated at once. After each call the inflater copies what it gave, up to 32 KiB, into its window:
/// read by 8 KiB it takes a fifth longer. Whoever reads more than this gets it without a copy.
const INFLATED: usize = 64 << 10;

/// Looks at the first bytes of `reader` and undoes the compression that they show.
pub fn decompress<R: Read>(mut reader: R) -> Result<Decompressed<R>> {
    let mut magic = Vec::with_capacity(6);
    reader.by_ref().take(6).read_to_end(&mut magic).map_err(|source| Error::Read { offset: 0, source })?;
    let compression = Compression::detect(&magic)?;
    let rewound = Cursor::new(magic).chain(reader);
    Ok(Decompressed(match compression {
        Compression::None => Inner::None(rewound),
        Compression::Gzip => {
            let inflater = MultiGzDecoder::new(BufReader::with_capacity(BUFFER, rewound));
            Inner::Gzip(Box::new(BufReader::with_capacity(INFLATED, inflater)))
        }
        Compression::Zstd => {
            let start = |source| Error::Read { offset: 0, source };
            let buffered = BufReader::with_capacity(BUFFER, rewound);
            let mut decoder = zstd::stream::read::Decoder::with_buffer(buffered).map_err(start)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(start)?;
            Inner::Zstd(Box::new(decoder))
        }
    }))
}

impl<R: Read> Decompressed<R> {
    /// What the magic bytes said.
    pub fn compression(&self) -> Compression {
        match self.0 {
            Inner::None(_) => Compression::None,
            Inner::Gzip(_) => Compression::Gzip,
            Inner::Zstd(_) => Compression::Zstd,
        }
    }
}

impl<R: Read> Read for Decompressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Inner::None(reader) => reader.read(buffer),
            Inner::Gzip(reader) => reader.read(buffer),
            Inner::Zstd(reader) => reader.read(buffer),
        }
    }
}

/// A sink that compresses; [`finish`](Compressor::finish) must be called, or the stream's end is missing.
#[must_use = "the stream's end is only written by finish()"]
pub struct Compressor<W: Write>(Outer<W>);

enum Outer<W: Write> {
    None(W),
    Gzip(GzEncoder<W>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

impl<W: Write> Compressor<W> {
    /// Starts a stream into `sink`. The same bytes always give the same stream: gzip's time stamp is zero, and
    /// the levels are fixed (gzip 6, zstd 3, the tools' own defaults).
    pub fn new(sink: W, compression: Compression) -> io::Result<Self> {
        Ok(Self(match compression {
            Compression::None => Outer::None(sink),
            Compression::Gzip => Outer::Gzip(GzEncoder::new(sink, flate2::Compression::new(6))),
            Compression::Zstd => Outer::Zstd(zstd::stream::write::Encoder::new(sink, 3)?),
        }))
    }

    /// Writes the end of the stream and gives the sink back, flushed.
    pub fn finish(self) -> io::Result<W> {
        let mut sink = match self.0 {
            Outer::None(sink) => sink,
            Outer::Gzip(encoder) => encoder.finish()?,
            Outer::Zstd(encoder) => encoder.finish()?,
        };
        sink.flush()?;
        Ok(sink)
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Outer::None(sink) => sink.write(bytes),
            Outer::Gzip(encoder) => encoder.write(bytes),
            Outer::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Outer::None(sink) => sink.flush(),
            Outer::Gzip(encoder) => encoder.flush(),
            Outer::Zstd(encoder) => encoder.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut compressor = Compressor::new(Vec::new(), Compression::Gzip).unwrap();
        compressor.write_all(bytes).unwrap();
        compressor.finish().unwrap()
    }

    fn read_by(stream: &[u8], size: usize) -> io::Result<Vec<u8>> {
        let (mut reader, mut bytes, mut buffer) = (decompress(stream).unwrap(), Vec::new(), vec![0; size]);
        loop {
            match reader.read(&mut buffer)? {
                0 => return Ok(bytes),
                count => bytes.extend_from_slice(&buffer[..count]),
            }
        }
    }

    #[test]
    fn members_are_one_stream_however_it_is_read() {
        let plain: Vec<u8> =
            (0..3 * INFLATED as u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
        let parts = [&plain[..1], &[], &plain[1..INFLATED], &plain[INFLATED..]];
        let stream = parts.map(gzip).concat();
        for size in [1, 7, 8 << 10, INFLATED - 1, INFLATED, 4 * INFLATED] {
            assert!(read_by(&stream, size).unwrap() == plain, "read by {size}");
        }
    }

    #[test]
    fn a_stream_that_is_cut_or_goes_on_is_an_error() {
        let first = gzip(b"the first member");
        let stream = [&first[..], &gzip(b", and the second")].concat();
        // Below three bytes nothing says that it is gzip; a whole member is a whole stream.
        for cut in (3..stream.len()).filter(|cut| *cut != first.len()) {
            let error = read_by(&stream[..cut], 100).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "cut at {cut}");
        }
        for tail in [&b"\0"[..], b"garbage, and more than the 10 bytes of a header"] {
            assert!(read_by(&[&stream[..], tail].concat(), 100).is_err());
        }
        for at in [first.len() - 8, first.len() - 1] {
            let mut flipped = stream.clone();
            flipped[at] ^= 1;
            assert!(read_by(&flipped, 100).is_err(), "checksum and length are looked at");
        }
    }
}
