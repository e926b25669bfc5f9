//! The bytes of an EROFS image (Linux, `Documentation/filesystems/erofs.rst` and `fs/erofs/erofs_fs.h`), as far as this crate
//! writes or reads them: all little-endian, read from slices whose length has been checked.

mod crc;
mod header;
mod inode;
mod superblock;

pub(crate) use header::{FIRST_PAGE, Header, ImageKind};
pub(crate) use inode::{CHUNK_BITS, CHUNK_INDEXES, Layout, RawInode, decode_device, encode_device};
pub(crate) use superblock::{
    DEVICE_SLOT, DeviceSlot, FEATURE_CHUNKED_FILE, FEATURE_DEVICE_TABLE, SUPERBLOCK, SUPERBLOCK_OFFSET,
    Superblock,
};

/// Bytes of a block in the images written here: a tar stream is made of blocks of 512 bytes, and so the data of its files
/// can be used where it stands. Linux 6.4 takes blocks smaller than a page.
pub(crate) const BLOCK: u64 = 512;
/// The same as a shift.
pub(crate) const BLOCK_BITS: u8 = 9;
/// Bytes of an inode slot: node ids count in these.
pub(crate) const SLOT: u64 = 32;
/// Bytes of a directory entry, less its name.
pub(crate) const DIRENT: usize = 12;
/// Bytes of the longest name.
pub(crate) const NAME: usize = 255;
/// A block address that stands for a hole, or for none.
pub(crate) const NULL_BLOCK: u32 = u32::MAX;
/// Bytes before an inode's own attributes: a filter of names, the count of shared ones.
pub(crate) const XATTR_HEADER: usize = 12;
/// Bytes before an attribute's name.
pub(crate) const XATTR_ENTRY: usize = 4;

/// The types of directory entries, which are those of readdir.
pub(crate) mod file_type {
    pub(crate) const FILE: u8 = 1;
    pub(crate) const DIRECTORY: u8 = 2;
    pub(crate) const CHAR: u8 = 3;
    pub(crate) const BLOCK: u8 = 4;
    pub(crate) const FIFO: u8 = 5;
    pub(crate) const SOCKET: u8 = 6;
    pub(crate) const SYMLINK: u8 = 7;
}

/// The attribute names that are cut down to a number, longest first where one is the start of another.
pub(crate) const XATTR_PREFIXES: [(u8, &[u8]); 6] = [
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (5, b"lustre."),
    (6, b"security."),
];

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}
