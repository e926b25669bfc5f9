//! Inodes: 64 bytes each as written here; the compact ones of 32 bytes are only read.

use super::{put, u16_at, u32_at, u64_at};

/// Where a chunk's size is said, as a shift of the block's.
pub(crate) const CHUNK_BITS: u32 = 0x1F;
/// Chunks are listed with their devices, 8 bytes each, and not as 4-byte block numbers.
pub(crate) const CHUNK_INDEXES: u32 = 0x20;
const CHUNK_KNOWN: u32 = CHUNK_BITS | CHUNK_INDEXES;

/// How an inode's data is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// In consecutive blocks.
    Plain,
    /// The same, and the last part block right after the inode and its attributes.
    Inline,
    /// In chunks of one size, which a list after the inode says where to find.
    Chunks,
}

impl Layout {
    fn number(self) -> u16 {
        match self {
            Self::Plain => 0,
            Self::Inline => 2,
            Self::Chunks => 4,
        }
    }
}

/// An inode as it stands in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawInode {
    pub(crate) layout: Layout,
    /// Bytes of attributes that follow, header and all, in the inode's own terms.
    pub(crate) xattr_count: u16,
    /// Type and permissions, as `stat` has them.
    pub(crate) mode: u16,
    pub(crate) size: u64,
    /// The first block, the device number, or the format of chunks.
    pub(crate) value: u32,
    pub(crate) ino: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// `None` of compact inodes: the superblock has it.
    pub(crate) mtime: Option<(i64, u32)>,
    pub(crate) links: u32,
}

impl RawInode {
    pub(crate) const EXTENDED: usize = 64;
    pub(crate) const COMPACT: usize = 32;

    /// Bytes of attributes from a count in the inode.
    pub(crate) fn xattr_bytes(count: u16) -> usize {
        if count == 0 { 0 } else { super::XATTR_HEADER + 4 * (usize::from(count) - 1) }
    }

    /// As an extended inode.
    pub(crate) fn encode(&self) -> [u8; Self::EXTENDED] {
        let mut bytes = [0; Self::EXTENDED];
        put(&mut bytes, 0, (1 | self.layout.number() << 1).to_le_bytes());
        put(&mut bytes, 2, self.xattr_count.to_le_bytes());
        put(&mut bytes, 4, self.mode.to_le_bytes());
        put(&mut bytes, 8, self.size.to_le_bytes());
        put(&mut bytes, 16, self.value.to_le_bytes());
        put(&mut bytes, 20, self.ino.to_le_bytes());
        put(&mut bytes, 24, self.uid.to_le_bytes());
        put(&mut bytes, 28, self.gid.to_le_bytes());
        let (seconds, nanoseconds) = self.mtime.unwrap_or_default();
        put(&mut bytes, 32, seconds.to_le_bytes());
        put(&mut bytes, 40, nanoseconds.to_le_bytes());
        put(&mut bytes, 44, self.links.to_le_bytes());
        bytes
    }

    /// Bytes of the inode that starts with these two.
    pub(crate) fn length(format: u16) -> usize {
        if format & 1 == 1 { Self::EXTENDED } else { Self::COMPACT }
    }

    /// Reads an inode of as many bytes as [`RawInode::length`] says.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let format = u16_at(bytes, 0);
        if format & !0xF != 0 {
            return Err("an inode is of an unknown format");
        }
        let layout = match format >> 1 {
            0 => Layout::Plain,
            2 => Layout::Inline,
            4 => Layout::Chunks,
            1 | 3 => return Err("a file is compressed"),
            _ => return Err("an inode is of an unknown layout"),
        };
        let (xattr_count, mode, value, ino) =
            (u16_at(bytes, 2), u16_at(bytes, 4), u32_at(bytes, 16), u32_at(bytes, 20));
        if layout == Layout::Chunks && value & !CHUNK_KNOWN != 0 {
            return Err("a file's chunks are of an unknown format");
        }
        Ok(if format & 1 == 1 {
            let (size, uid, gid) = (u64_at(bytes, 8), u32_at(bytes, 24), u32_at(bytes, 28));
            let mtime = Some((u64_at(bytes, 32).cast_signed(), u32_at(bytes, 40)));
            Self { layout, xattr_count, mode, size, value, ino, uid, gid, mtime, links: u32_at(bytes, 44) }
        } else {
            let (size, links) = (u32_at(bytes, 8).into(), u16_at(bytes, 6).into());
            let (uid, gid) = (u16_at(bytes, 24).into(), u16_at(bytes, 26).into());
            Self { layout, xattr_count, mode, size, value, ino, uid, gid, mtime: None, links }
        })
    }
}

/// A device number as the kernel keeps it in 32 bits: 12 of the major, 20 of the minor (`new_encode_dev`).
pub(crate) fn encode_device(major: u32, minor: u32) -> Option<u32> {
    (major < 1 << 12 && minor < 1 << 20).then_some(minor & 0xFF | major << 8 | (minor & !0xFF) << 12)
}

pub(crate) fn decode_device(value: u32) -> (u32, u32) {
    ((value >> 8) & 0xFFF, value & 0xFF | (value >> 12) & 0xF_FF00)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_there_and_back() {
        for (major, minor) in [(0, 0), (1, 3), (259, 70_000), (4095, (1 << 20) - 1)] {
            assert_eq!(decode_device(encode_device(major, minor).unwrap()), (major, minor));
        }
        assert_eq!((encode_device(4096, 0), encode_device(0, 1 << 20)), (None, None));
    }

    #[test]
    fn inodes_there_and_back() {
        let inode = RawInode {
            layout: Layout::Inline,
            xattr_count: 7,
            mode: 0o104_755,
            size: 1 << 40,
            value: 9,
            ino: 10,
            uid: 70_000,
            gid: u32::MAX - 1,
            mtime: Some((-5, 999_999_999)),
            links: 3,
        };
        assert_eq!(RawInode::decode(&inode.encode()), Ok(inode));
    }
}
