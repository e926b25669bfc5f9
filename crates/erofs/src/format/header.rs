//! Our own record in the first bytes of an image. EROFS leaves the first KiB of a volume to others.
//!
//! It says where the tar stream stands, so that the layer's diff_id can be checked with one digest over that range and the
//! layer can be had back as it came, and what the layer's listing says of it. It is written last, with the superblock, and
//! its checksum is over both. (EROFS has a checksum of the superblock alone, of which fsck.erofs 1.8 dies where blocks are small.)

use super::crc::crc32c;
use super::{put, u32_at, u64_at};
use crate::error::{Error, Result};

const MAGIC: &[u8; 8] = b"conexfs\0";
const VERSION: u32 = 1;
/// Bytes of the image's first page, which has the record and the superblock.
pub(crate) const FIRST_PAGE: usize = 4096;
/// Where a CRC-32C of the page is, taken with zeros in its place.
const CRC: usize = 92;

/// What an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ImageKind {
    /// One layer, with its tar stream.
    Layer,
    /// Layers merged: metadata only.
    Merged,
}

/// The record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: ImageKind,
    /// Where the tar stream stands in the file.
    pub(crate) tar_start: u64,
    pub(crate) tar_length: u64,
    pub(crate) stats: conex_archive::UnpackStats,
}

impl Header {
    /// Writes the record into the first page, which is otherwise complete.
    pub(crate) fn seal(&self, page: &mut [u8; FIRST_PAGE]) {
        page[..8].copy_from_slice(MAGIC);
        put(page, 8, VERSION.to_le_bytes());
        put(page, 12, u32::from(self.kind == ImageKind::Merged).to_le_bytes());
        let stats = &self.stats;
        let fields = [
            self.tar_start,
            self.tar_length,
            stats.entries,
            stats.bytes,
            stats.whiteouts,
            stats.skipped,
            stats.dropped_xattrs,
        ];
        for (index, field) in fields.into_iter().enumerate() {
            put(page, 16 + 8 * index, field.to_le_bytes());
        }
        let crc = checksum(page);
        put(page, CRC, crc.to_le_bytes());
    }

    pub(crate) fn decode(page: &[u8; FIRST_PAGE]) -> Result<Self> {
        if page[..8] != *MAGIC {
            return Err(Error::Superblock("it was not written by conex"));
        }
        if u32_at(page, 8) != VERSION {
            return Err(Error::Superblock("it was written by another version of conex"));
        }
        if checksum(page) != u32_at(page, CRC) {
            return Err(Error::Superblock("the checksum of its first page is wrong"));
        }
        let kind = match u32_at(page, 12) {
            0 => ImageKind::Layer,
            1 => ImageKind::Merged,
            _ => return Err(Error::Superblock("its header is of an unknown kind")),
        };
        let field = |index: usize| u64_at(page, 16 + 8 * index);
        Ok(Self {
            kind,
            tar_start: field(0),
            tar_length: field(1),
            stats: conex_archive::UnpackStats {
                entries: field(2),
                bytes: field(3),
                whiteouts: field(4),
                skipped: field(5),
                dropped_xattrs: field(6),
            },
        })
    }
}

fn checksum(page: &[u8; FIRST_PAGE]) -> u32 {
    let mut page = *page;
    page[CRC..CRC + 4].fill(0);
    crc32c(&page)
}
