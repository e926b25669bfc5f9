//! A layer's tar stream, written as one EROFS image in one pass.
//!
//! The stream itself is the greater part of the image: it is written as it comes, and the image's files point into it.
//! What the entries say is gathered in memory meanwhile, and laid out behind it when the stream has ended:
//!
//! ```text
//! 0     our record: where the tar stream is        } written last
//! 1024  the superblock                             }
//! 4096  the tar stream, byte for byte
//!       what of sparse files does not stand on block boundaries
//!       inodes, directories, attributes
//! ```

mod acl;
mod builder;
mod link;
mod resolve;
mod sparse;
mod store;
mod tee;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use conex_archive::{Limits, UnpackStats, apply};

use self::builder::Builder;
use self::store::{Compared, Store, Written};
use self::tee::Tee;
use crate::emit::{Emission, Plan, emit};
use crate::error::{Error, Result};
use crate::format::{
    BLOCK_BITS, FEATURE_CHUNKED_FILE, FIRST_PAGE, Header, ImageKind, SUPERBLOCK_OFFSET, Superblock,
};

/// Where the tar stream starts: on a page, so that the pages of its files and of the image are the same where they can be.
const TAR_START: u64 = FIRST_PAGE as u64;
/// What comes after the stream starts on a page too.
const PAGE: u64 = 4096;

/// The bounds of what is written, a layer or a merge of them.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    /// The bounds of an archive, the same as for unpacking; of a merge only the number of entries, for each layer.
    pub limits: Limits,
    /// Bytes of memory that all names, attributes and inodes may take together while they are gathered. An entry takes
    /// about 200 bytes and its name.
    pub max_metadata: u64,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { limits: Limits::default(), max_metadata: 512 << 20 }
    }
}

/// Writes the tar stream `tar`, read to its very end, as an EROFS image into `file`, which is empty and open for reading and
/// writing. Nothing is synced: until the caller has done that, the image may be gone after a power cut.
///
/// The bytes of the image are a function of those of the stream.
///
/// # Errors
/// What is wrong with the archive or exceeds a limit, as [`conex_archive::unpack`] would have it; what the kernel says to
/// a write. The file is then good for nothing.
pub fn write_layer(tar: impl Read, file: &File, options: &WriteOptions) -> Result<UnpackStats> {
    let mut tee = Tee::new(tar, file, TAR_START);
    let built = build(&mut tee, options);
    let length = tee.finish()?;
    let (builder, stats) = built?;
    finish(builder, &stats, length, &Written(file))?;
    Ok(stats)
}

/// Checks that the image in `file` is what `tar`, its own stream as [`tar_of`] gives it, makes: every byte of it. What is
/// wrong with the stream itself, only its digest says: read it through a [`conex_archive::HashingReader`].
///
/// # Errors
/// [`Error::Differs`] with the first byte that does, and those of [`write_layer`].
pub fn verify_layer(tar: impl Read, file: &File, options: &WriteOptions) -> Result<UnpackStats> {
    let mut tar = Counted { inner: tar, count: 0 };
    let (builder, stats) = build(&mut tar, options)?;
    finish(builder, &stats, tar.count, &Compared(file))?;
    Ok(stats)
}

/// The tar stream that the layer's image in `file` was made of.
///
/// # Errors
/// If the image is not one that [`write_layer`] has written.
pub fn tar_of(file: &File) -> Result<TarStream<'_>> {
    let header = read_header(file)?;
    if header.kind != ImageKind::Layer {
        return Err(Error::Superblock("it is no layer"));
    }
    Ok(TarStream { file, at: header.tar_start, left: header.tar_length })
}

/// What [`write_layer`] has counted when it wrote the image in `file`.
///
/// # Errors
/// If the image is not one that [`write_layer`] has written.
pub fn layer_stats(file: &File) -> Result<UnpackStats> {
    Ok(read_header(file)?.stats)
}

pub(crate) fn read_header(file: &File) -> Result<Header> {
    let mut page = [0; FIRST_PAGE];
    match file.read_exact_at(&mut page, 0) {
        Ok(()) => Header::decode(&page),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(Error::Superblock("it is too short"))
        }
        Err(source) => Err(Error::Read { offset: 0, source }),
    }
}

/// A layer's own tar stream, out of its image.
#[derive(Debug)]
pub struct TarStream<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for TarStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.left.min(buffer.len() as u64) as usize;
        let count = self.file.read_at(&mut buffer[..most], self.at)?;
        if count == 0 && most > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the image is truncated"));
        }
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

fn build(tar: &mut impl Read, options: &WriteOptions) -> Result<(Builder, UnpackStats)> {
    let mut builder = Builder::new(TAR_START, options.max_metadata);
    let applied = apply(tar, &options.limits, &mut builder)?;
    let (bytes, dropped_xattrs) = (builder.bytes, builder.dropped_xattrs);
    let (entries, whiteouts, skipped) = (applied.entries, applied.whiteouts, applied.skipped);
    Ok((builder, UnpackStats { entries, bytes, whiteouts, skipped, dropped_xattrs }))
}

/// Writes all but the stream.
fn finish(mut builder: Builder, stats: &UnpackStats, tar_length: u64, store: &impl Store) -> Result<()> {
    let after_tar = (TAR_START + tar_length).next_multiple_of(PAGE);
    store.skip(TAR_START + tar_length, after_tar)?;
    let after_copies = builder.sparse.copy(&mut builder.tree, after_tar, store)?;
    let start = after_copies.next_multiple_of(PAGE);
    store.skip(after_copies, start)?;
    let plan = Plan::of(&builder.tree)?;
    let emission = emit(&builder.tree, &plan, &[0], start, |bytes, offset| store.write(bytes, offset))?;
    store.set_length(emission.end)?;
    store.write(&first_page(&emission, stats, tar_length)?, 0)
}

fn first_page(emission: &Emission, stats: &UnpackStats, tar_length: u64) -> Result<[u8; FIRST_PAGE]> {
    let mut page = [0; FIRST_PAGE];
    let superblock = Superblock {
        block_bits: BLOCK_BITS,
        features: if emission.has_chunks { FEATURE_CHUNKED_FILE } else { 0 },
        root: emission.root,
        inodes: emission.inodes,
        time: (0, 0),
        blocks: emission.blocks()?,
        meta_block: emission.meta_block,
        xattr_block: emission.xattr_block,
        name: "conex-layer",
        devices: 0,
        device_slot: 0,
    };
    superblock.encode(&mut page[SUPERBLOCK_OFFSET..]);
    let stats = stats.clone();
    Header { kind: ImageKind::Layer, tar_start: TAR_START, tar_length, stats }.seal(&mut page);
    Ok(page)
}
