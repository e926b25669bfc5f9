//! The superblock at byte 1024, and the table of other devices.

use super::crc::crc32c;
use super::{put, u16_at, u32_at, u64_at};
use crate::error::{Error, Result};

pub(crate) const SUPERBLOCK_OFFSET: usize = 1024;
/// Bytes of the superblock, without extensions.
pub(crate) const SUPERBLOCK: usize = 128;
/// Bytes of a device's slot.
pub(crate) const DEVICE_SLOT: usize = 128;

const MAGIC: u32 = 0xE0F5_E1E2;
/// The superblock's block has a checksum.
const COMPAT_CHECKSUM: u32 = 0x1;
/// The times of inodes are those of the last change of contents.
const COMPAT_MTIME: u32 = 0x2;
/// Compressed data is padded in front: says nothing of files that are not compressed, and mkfs.erofs may set it.
const FEATURE_ZERO_PADDING: u32 = 0x1;
pub(crate) const FEATURE_CHUNKED_FILE: u32 = 0x4;
pub(crate) const FEATURE_DEVICE_TABLE: u32 = 0x8;
const KNOWN: u32 = FEATURE_ZERO_PADDING | FEATURE_CHUNKED_FILE | FEATURE_DEVICE_TABLE;

/// What this crate needs of a superblock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Superblock {
    pub(crate) block_bits: u8,
    pub(crate) features: u32,
    pub(crate) root: u64,
    pub(crate) inodes: u64,
    /// The time of all compact inodes.
    pub(crate) time: (i64, u32),
    pub(crate) blocks: u32,
    pub(crate) meta_block: u32,
    pub(crate) xattr_block: u32,
    /// At most 15 bytes.
    pub(crate) name: &'static str,
    pub(crate) devices: u16,
    /// Where the table of devices is, in slots from the start of the image.
    pub(crate) device_slot: u16,
}

impl Superblock {
    /// Writes it into zeros that start at [`SUPERBLOCK_OFFSET`], without a checksum of its own.
    pub(crate) fn encode(&self, block: &mut [u8]) {
        put(block, 0, MAGIC.to_le_bytes());
        put(block, 8, COMPAT_MTIME.to_le_bytes());
        block[12] = self.block_bits;
        put(block, 14, u16::try_from(self.root).expect("the root's inode stands first").to_le_bytes());
        put(block, 16, self.inodes.to_le_bytes());
        put(block, 24, self.time.0.to_le_bytes());
        put(block, 32, self.time.1.to_le_bytes());
        put(block, 36, self.blocks.to_le_bytes());
        put(block, 40, self.meta_block.to_le_bytes());
        put(block, 44, self.xattr_block.to_le_bytes());
        block[64..64 + self.name.len()].copy_from_slice(self.name.as_bytes());
        put(block, 80, self.features.to_le_bytes());
        put(block, 86, self.devices.to_le_bytes());
        put(block, 88, self.device_slot.to_le_bytes());
    }

    /// Reads it. `after` is what follows the superblock, to the end of its block: the checksum covers it.
    ///
    /// # Errors
    /// What is no superblock, and what has features that this crate does not know.
    pub(crate) fn decode(
        bytes: &[u8; SUPERBLOCK],
        after: impl FnOnce(usize) -> Result<Vec<u8>>,
    ) -> Result<Self> {
        if u32_at(bytes, 0) != MAGIC {
            return Err(Error::Superblock("it has no EROFS superblock"));
        }
        let block_bits = bytes[12];
        if !(9..=16).contains(&block_bits) {
            return Err(Error::Superblock("its blocks are of a size that no kernel takes"));
        }
        if bytes[90] != 0 {
            return Err(Error::Superblock("its directories have blocks of their own size"));
        }
        if u32_at(bytes, 8) & COMPAT_CHECKSUM != 0 {
            let block = 1_usize << block_bits;
            let covered = if block > SUPERBLOCK_OFFSET { block - SUPERBLOCK_OFFSET } else { block };
            let mut all = bytes.to_vec();
            all[4..8].fill(0);
            all.extend(after(covered - SUPERBLOCK)?);
            if crc32c(&all) != u32_at(bytes, 4) {
                return Err(Error::Superblock("the checksum of its superblock is wrong"));
            }
        }
        let features = u32_at(bytes, 80);
        if features & !KNOWN != 0 || bytes[91] != 0 {
            return Err(Error::Features(features));
        }
        let has_devices = features & FEATURE_DEVICE_TABLE != 0;
        Ok(Self {
            block_bits,
            features,
            root: u16_at(bytes, 14).into(),
            inodes: u64_at(bytes, 16),
            time: (u64_at(bytes, 24).cast_signed(), u32_at(bytes, 32)),
            blocks: u32_at(bytes, 36),
            meta_block: u32_at(bytes, 40),
            xattr_block: u32_at(bytes, 44),
            name: "",
            devices: if has_devices { u16_at(bytes, 86) } else { 0 },
            device_slot: if has_devices { u16_at(bytes, 88) } else { 0 },
        })
    }
}

/// One of the other devices that an image's files lie on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceSlot {
    /// What it is called: we write the layer's digest, 64 hex digits.
    pub(crate) tag: [u8; 64],
    pub(crate) blocks: u32,
}

impl DeviceSlot {
    pub(crate) fn encode(&self) -> [u8; DEVICE_SLOT] {
        let mut bytes = [0; DEVICE_SLOT];
        bytes[..64].copy_from_slice(&self.tag);
        put(&mut bytes, 64, self.blocks.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; DEVICE_SLOT]) -> Self {
        Self { tag: bytes[..64].try_into().expect("64 bytes"), blocks: u32_at(bytes, 64) }
    }
}
