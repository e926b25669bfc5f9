//! Reads images: those written here, and others (`mkfs.erofs`) as far as their files are not compressed.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let image = conex_erofs::Image::open(std::fs::File::open("layer.erofs")?)?;
//! let mut walk = image.walk(1_000_000);
//! while let Some(visit) = walk.next()? {
//!     println!("{} {:o}", String::from_utf8_lossy(visit.path()), visit.node().mode());
//! }
//! # Ok(()) }
//! ```
//!
//! An image is taken to be hostile, whoever has written it: every offset, count and length is checked against the image's own
//! size, nothing is followed twice, and no walk is longer than its caller allows. Only what is asked for is read.

mod directory;
mod node;
mod segments;
mod source;
mod walk;
mod xattrs;

pub use self::directory::{DirectoryEntry, Listing};
pub use self::node::{Node, NodeId, NodeKind};
pub use self::segments::{Place, Segment, Segments};
pub use self::source::ReadAt;
pub use self::walk::{Visit, Walk};
pub(crate) use self::xattrs::SharedXattrs;

use self::source::Pages;
use crate::error::{Error, Result, damaged};
use crate::format::{
    DEVICE_SLOT, DeviceSlot, FIRST_PAGE, Header, RawInode, SLOT, SUPERBLOCK, SUPERBLOCK_OFFSET, Superblock,
    u16_at,
};

/// An EROFS image that is open for reading.
pub struct Image<S> {
    pages: Pages<S>,
    superblock: Superblock,
}

impl<S: ReadAt> Image<S> {
    /// Opens an image and reads its superblock.
    ///
    /// # Errors
    /// [`Error::Superblock`] for what is no image, [`Error::Features`] for what cannot be read here.
    pub fn open(source: S) -> Result<Self> {
        let pages = Pages::new(source)?;
        let mut bytes = [0; SUPERBLOCK];
        if pages.length() < (SUPERBLOCK_OFFSET + SUPERBLOCK) as u64 {
            return Err(Error::Superblock("it is too short"));
        }
        pages.read(&mut bytes, SUPERBLOCK_OFFSET as u64)?;
        let after = |count| {
            let mut after = vec![0; count];
            pages.read(&mut after, (SUPERBLOCK_OFFSET + SUPERBLOCK) as u64)?;
            Ok(after)
        };
        let superblock = Superblock::decode(&bytes, after)?;
        Ok(Self { pages, superblock })
    }

    /// The record of an image that was written here.
    pub(crate) fn header(&self) -> Result<Header> {
        let mut page = [0; FIRST_PAGE];
        if self.pages.length() < FIRST_PAGE as u64 {
            return Err(Error::Superblock("it is too short"));
        }
        self.pages.read(&mut page, 0)?;
        Header::decode(&page)
    }

    /// Where the inodes start.
    pub(crate) fn metadata_start(&self) -> u64 {
        u64::from(self.superblock.meta_block) << self.superblock.block_bits
    }

    /// Reads metadata.
    pub(crate) fn metadata(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.pages.read(buffer, offset)
    }

    /// Bytes of the image's file.
    pub fn length(&self) -> u64 {
        self.pages.length()
    }

    /// Inodes, as the image says itself.
    pub fn inode_count(&self) -> u64 {
        self.superblock.inodes
    }

    /// Bytes of a block.
    pub fn block_size(&self) -> u64 {
        1 << self.superblock.block_bits
    }

    /// The tags of the other devices that the image's files lie on: of merged layers their digests' 64 hex digits. Device 1
    /// comes first.
    ///
    /// # Errors
    /// If the table of them leads out of the image.
    pub fn devices(&self) -> Result<Vec<[u8; 64]>> {
        let start = u64::from(self.superblock.device_slot) * DEVICE_SLOT as u64;
        let slot = |index: u16| {
            let mut bytes = [0; DEVICE_SLOT];
            self.pages.read(&mut bytes, start + u64::from(index) * DEVICE_SLOT as u64)?;
            Ok(DeviceSlot::decode(&bytes).tag)
        };
        (0..self.superblock.devices).map(slot).collect()
    }

    /// The root directory.
    ///
    /// # Errors
    /// [`Error::Damaged`] if its inode makes no sense.
    pub fn root(&self) -> Result<Node> {
        let root = self.node(NodeId(self.superblock.root))?;
        if root.kind() == NodeKind::Directory {
            Ok(root)
        } else {
            Err(damaged(root.offset, "the root is no directory"))
        }
    }

    /// The inode of that number.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it lies outside of the image or makes no sense.
    pub fn node(&self, id: NodeId) -> Result<Node> {
        let start = self.metadata_start();
        let offset = id.0.checked_mul(SLOT).and_then(|offset| offset.checked_add(start));
        let offset = offset.ok_or_else(|| damaged(start, "an inode's number leads nowhere"))?;
        let mut bytes = [0; RawInode::EXTENDED];
        self.pages.read(&mut bytes[..RawInode::COMPACT], offset)?;
        let length = RawInode::length(u16_at(&bytes, 0));
        if length > RawInode::COMPACT {
            self.pages.read(&mut bytes[RawInode::COMPACT..length], offset + RawInode::COMPACT as u64)?;
        }
        let raw = RawInode::decode(&bytes[..length]).map_err(|reason| damaged(offset, reason))?;
        Node::new(id, offset, length as u64, raw, &self.superblock)
    }

    /// Walks over all files from the root on, each directory before what is in it, names in order. More than `most` names are
    /// refused.
    pub fn walk(&self, most: u64) -> Walk<'_, S> {
        Walk::new(self, most)
    }

    /// A symbolic link's target.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the node is no link, or its text leads out of the image.
    pub fn link_target(&self, node: &Node) -> Result<Vec<u8>> {
        if node.kind() != NodeKind::Symlink {
            return Err(damaged(node.offset, "it is no symbolic link"));
        }
        // What open(2) takes (PATH_MAX).
        if !(1..4096).contains(&node.size()) {
            return Err(damaged(node.offset, "a symbolic link is empty or too long"));
        }
        let mut target = vec![0; node.size() as usize];
        self.read_at(node, &mut target, 0)?;
        if target.contains(&0) {
            return Err(damaged(node.offset, "a symbolic link has a NUL"));
        }
        Ok(target)
    }

    /// Reads a file's contents from `offset` on, holes as zeros; gives how many bytes there were.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the contents are not in the image: beyond its end, or on another device.
    pub fn read_at(&self, node: &Node, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let count = node.size().saturating_sub(offset).min(buffer.len() as u64);
        let (mut done, end) = (0, offset + count);
        for segment in self.segments(node)? {
            let segment = segment?;
            let (from, to) = (segment.offset.max(offset), (segment.offset + segment.length).min(end));
            if segment.offset >= end {
                break;
            }
            if from >= to {
                continue;
            }
            let bytes = &mut buffer[(from - offset) as usize..(to - offset) as usize];
            match segment.place {
                Place::Hole => bytes.fill(0),
                Place::Image { address } => {
                    let within = address + (from - segment.offset);
                    // What is small stands beside the inode.
                    let read = if bytes.len() < 4096 { Pages::read } else { Pages::read_past };
                    read(&self.pages, bytes, within)?;
                }
                Place::Device { .. } => {
                    return Err(damaged(node.offset, "its contents are on another device"));
                }
            }
            done += bytes.len();
        }
        Ok(done)
    }
}
