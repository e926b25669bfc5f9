//! Inodes, as a reader sees them.

use conex_archive::Time;

use crate::error::{Result, damaged};
use crate::format::{CHUNK_BITS, CHUNK_INDEXES, Layout, RawInode, Superblock, decode_device, file_type};

/// An inode's number: what `stat` says of a mounted image too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u64);

/// What an inode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "inode(7)'s own words")]
pub enum NodeKind {
    File,
    Directory,
    Symlink,
    CharDevice,
    BlockDevice,
    Fifo,
    Socket,
}

impl NodeKind {
    fn of(mode: u16) -> Option<Self> {
        Some(match mode >> 12 {
            0o10 => Self::File,
            0o04 => Self::Directory,
            0o12 => Self::Symlink,
            0o02 => Self::CharDevice,
            0o06 => Self::BlockDevice,
            0o01 => Self::Fifo,
            0o14 => Self::Socket,
            _ => return None,
        })
    }

    /// As a directory entry has it.
    pub(super) fn file_type(self) -> u8 {
        match self {
            Self::File => file_type::FILE,
            Self::Directory => file_type::DIRECTORY,
            Self::Symlink => file_type::SYMLINK,
            Self::CharDevice => file_type::CHAR,
            Self::BlockDevice => file_type::BLOCK,
            Self::Fifo => file_type::FIFO,
            Self::Socket => file_type::SOCKET,
        }
    }
}

/// One inode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    id: NodeId,
    kind: NodeKind,
    mtime: Time,
    pub(crate) raw: RawInode,
    /// Where it stands in the image, and how many bytes it has itself.
    pub(crate) offset: u64,
    pub(super) length: u64,
}

impl Node {
    pub(super) fn new(
        id: NodeId,
        offset: u64,
        length: u64,
        raw: RawInode,
        superblock: &Superblock,
    ) -> Result<Self> {
        let kind = NodeKind::of(raw.mode).ok_or_else(|| damaged(offset, "an inode is of no known kind"))?;
        let (seconds, nanoseconds) = raw.mtime.unwrap_or(superblock.time);
        if nanoseconds >= 1_000_000_000 {
            return Err(damaged(offset, "an inode's time has too many nanoseconds"));
        }
        if raw.layout == Layout::Chunks && kind != NodeKind::File {
            return Err(damaged(offset, "only a file can be in chunks"));
        }
        if i64::try_from(raw.size).is_err() {
            return Err(damaged(offset, "a file is larger than any can be"));
        }
        Ok(Self { id, kind, mtime: Time { seconds, nanoseconds }, raw, offset, length })
    }

    /// Its number.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// What it is.
    pub fn kind(&self) -> NodeKind {
        self.kind
    }

    /// Permissions with setuid, setgid and sticky (`0o7777`).
    pub fn mode(&self) -> u32 {
        u32::from(self.raw.mode & 0o7777)
    }

    /// The owner's number.
    pub fn uid(&self) -> u32 {
        self.raw.uid
    }

    /// The group's number.
    pub fn gid(&self) -> u32 {
        self.raw.gid
    }

    /// When the contents changed last.
    pub fn mtime(&self) -> Time {
        self.mtime
    }

    /// Names that it has.
    pub fn links(&self) -> u32 {
        self.raw.links
    }

    /// Bytes of contents, holes included.
    pub fn size(&self) -> u64 {
        self.raw.size
    }

    /// Major and minor number of a device.
    pub fn device(&self) -> Option<(u32, u32)> {
        let is_device = matches!(self.kind, NodeKind::CharDevice | NodeKind::BlockDevice);
        is_device.then(|| decode_device(self.raw.value))
    }

    /// Whether overlayfs takes it for "there is nothing of this name": a character device 0/0.
    pub fn is_whiteout(&self) -> bool {
        self.kind == NodeKind::CharDevice && self.device() == Some((0, 0))
    }

    /// Bytes of attributes that stand after it.
    pub(crate) fn xattr_bytes(&self) -> u64 {
        RawInode::xattr_bytes(self.raw.xattr_count) as u64
    }

    /// Where what follows the attributes stands.
    pub(super) fn after_xattrs(&self) -> u64 {
        self.offset + self.length + self.xattr_bytes()
    }

    /// How a file in chunks is laid out: the chunks' size as a shift of the block's, and whether they say their device.
    pub(crate) fn chunk_format(&self) -> (u8, bool) {
        ((self.raw.value & CHUNK_BITS) as u8, self.raw.value & CHUNK_INDEXES != 0)
    }
}
