//! Lays a tree out as the metadata of an image: first where everything will be ([`plan`]), then the bytes, in one go from front
//! to back:
//!
//! ```text
//! inodes, each with its attributes and what is small enough to stand beside it, directory by directory
//! blocks of larger directories and long symbolic links
//! attributes that several inodes have, and large ones
//! ```
//!
//! The same tree gives the same bytes.

mod directory;
mod plan;
mod stream;
mod xattrs;

pub(crate) use self::plan::Plan;
use self::plan::SLOTS_START;
use self::stream::Stream;
use crate::error::{Error, Result};
use crate::format::{BLOCK, BLOCK_BITS, CHUNK_INDEXES, Layout, NULL_BLOCK, RawInode, SLOT, file_type};
use crate::tree::{Body, Data, InodeId, ROOT, Tree};

/// What the superblock has to say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Emission {
    /// Where it ends: a multiple of the block size.
    pub(crate) end: u64,
    pub(crate) root: u64,
    pub(crate) inodes: u64,
    pub(crate) meta_block: u32,
    pub(crate) xattr_block: u32,
    /// Some file is in chunks.
    pub(crate) has_chunks: bool,
}

impl Emission {
    /// Blocks of the whole image.
    pub(crate) fn blocks(&self) -> Result<u32> {
        block(self.end)
    }
}

/// Writes the tree's metadata from byte `start` on, a multiple of the block size, with `write`, which gets bytes and the
/// offset where they belong. `devices` has the number that each of the tree's devices has in the image; it begins with that of
/// the image itself, 0.
pub(crate) fn emit(
    tree: &Tree,
    plan: &Plan,
    devices: &[u16],
    start: u64,
    write: impl FnMut(&[u8], u64) -> Result<()>,
) -> Result<Emission> {
    let blocks_start = (start + plan.slots_end).next_multiple_of(BLOCK);
    let xattrs_start = blocks_start + u64::from(plan.blocks) * BLOCK;
    let end = xattrs_start + plan.shared.bytes().next_multiple_of(BLOCK);
    let meta_block = block(start)?;
    let xattr_block = if plan.shared.bytes() == 0 { 0 } else { block(xattrs_start)? };
    block(end)?;
    let mut stream = Stream::new(start, write);
    let first_block = block(blocks_start)?;
    let mut writer = Writer { tree, plan, devices, start, first_block, has_chunks: false };
    for (number, &inode) in plan.order.iter().enumerate() {
        writer.inode(&mut stream, inode, number)?;
    }
    stream.pad(blocks_start)?;
    for &inode in &plan.order {
        writer.blocks(&mut stream, inode)?;
    }
    stream.pad(xattrs_start)?;
    plan.shared.write(&tree.attributes, &mut stream)?;
    stream.pad(end)?;
    let has_chunks = writer.has_chunks;
    stream.finish()?;
    let inodes = plan.order.len() as u64;
    Ok(Emission { end, root: plan.node(ROOT), inodes, meta_block, xattr_block, has_chunks })
}

fn block(offset: u64) -> Result<u32> {
    let limit = u64::from(NULL_BLOCK) * BLOCK;
    if offset >= limit {
        return Err(Error::Limit { what: "the size of the image", limit });
    }
    Ok((offset >> BLOCK_BITS) as u32)
}

struct Writer<'a> {
    tree: &'a Tree,
    plan: &'a Plan,
    devices: &'a [u16],
    /// Where the inodes are.
    start: u64,
    /// Where the blocks of directories and links are.
    first_block: u32,
    has_chunks: bool,
}

impl Writer<'_> {
    fn inode<F>(&mut self, stream: &mut Stream<F>, id: InodeId, number: usize) -> Result<()>
    where
        F: FnMut(&[u8], u64) -> Result<()>,
    {
        let (inode, place) = (self.tree.inode(id), self.plan.place(id));
        stream.pad(self.start + u64::from(place.slot) * SLOT)?;
        let xattrs = self.plan.shared.of(&self.tree.attributes, inode)?;
        let has_own = matches!(inode.body, Body::Directory(_) | Body::Symlink(_));
        let own = if place.has_blocks { self.first_block + place.block } else { NULL_BLOCK };
        let (layout, value) = match inode.body {
            _ if has_own && place.is_inline => (Layout::Inline, own),
            _ if has_own => (Layout::Plain, own),
            Body::File { data: Data::Blocks { device: 0, block }, .. } => (Layout::Plain, block),
            Body::File { size, data: Data::Blocks { .. } } => {
                (Layout::Chunks, u32::from(plan::one_chunk(size)?))
            }
            Body::File { data: Data::Chunks { bits, .. }, .. } => (Layout::Chunks, u32::from(bits)),
            Body::CharDevice(device) | Body::BlockDevice(device) => (Layout::Plain, device),
            Body::File { data: Data::Nothing, .. } => (Layout::Plain, NULL_BLOCK),
            _ => (Layout::Plain, 0),
        };
        let metadata = &inode.metadata;
        let raw = RawInode {
            layout,
            xattr_count: xattrs.count(),
            mode: mode_type(&inode.body) | metadata.mode,
            size: self.plan.size(self.tree, id),
            value: if layout == Layout::Chunks { value | CHUNK_INDEXES } else { value },
            ino: number as u32 + 1,
            uid: metadata.uid,
            gid: metadata.gid,
            mtime: Some((metadata.mtime.seconds, metadata.mtime.nanoseconds)),
            links: self.plan.links(id),
        };
        stream.put(&raw.encode())?;
        xattrs.write(&self.tree.attributes, stream)?;
        match inode.body {
            Body::File { data, .. } if layout == Layout::Chunks => {
                self.has_chunks = true;
                stream.pad(stream.position().next_multiple_of(8))?;
                self.chunks(stream, data)
            }
            Body::Directory(_) if place.is_inline => {
                let entries = self.plan.entries(id);
                let tail =
                    directory::Pack::new(self.tree, entries).last().expect("a directory has two names");
                self.directory_block(stream, tail, false)
            }
            Body::Symlink(target) if place.is_inline => stream.put(self.tree.text(target)),
            _ => Ok(()),
        }
    }

    fn chunks<F>(&self, stream: &mut Stream<F>, data: Data) -> Result<()>
    where
        F: FnMut(&[u8], u64) -> Result<()>,
    {
        let mut put = |device: u16, block: u32| {
            let device = if block == NULL_BLOCK { 0 } else { self.devices[usize::from(device)] };
            let mut index = [0; 8];
            index[2..4].copy_from_slice(&device.to_le_bytes());
            index[4..].copy_from_slice(&block.to_le_bytes());
            stream.put(&index)
        };
        match data {
            Data::Nothing => Ok(()),
            Data::Blocks { device, block } => put(device, block),
            Data::Chunks { device, first, count, .. } => {
                self.tree.chunks(first, count).iter().try_for_each(|&block| put(device, block))
            }
        }
    }

    /// What of an inode does not stand beside it.
    fn blocks<F>(&self, stream: &mut Stream<F>, id: InodeId) -> Result<()>
    where
        F: FnMut(&[u8], u64) -> Result<()>,
    {
        let place = self.plan.place(id);
        if !place.has_blocks {
            return Ok(());
        }
        match self.tree.inode(id).body {
            Body::Directory(_) => {
                let mut blocks = directory::Pack::new(self.tree, self.plan.entries(id)).peekable();
                while let Some(block) = blocks.next() {
                    if blocks.peek().is_some() || !place.is_inline {
                        self.directory_block(stream, block, true)?;
                    }
                }
                Ok(())
            }
            Body::Symlink(target) => {
                stream.put(self.tree.text(target))?;
                stream.pad(stream.position().next_multiple_of(BLOCK))
            }
            _ => Ok(()),
        }
    }

    fn directory_block<F>(
        &self,
        stream: &mut Stream<F>,
        entries: &[crate::tree::Child],
        is_whole: bool,
    ) -> Result<()>
    where
        F: FnMut(&[u8], u64) -> Result<()>,
    {
        let kind = |inode| directory::kind(&self.tree.inode(inode).body);
        let entry = |child: &crate::tree::Child| {
            (self.tree.text(child.name), self.plan.node(child.inode), kind(child.inode))
        };
        directory::write(entries.iter().map(entry), stream)?;
        if is_whole { stream.pad(stream.position().next_multiple_of(BLOCK)) } else { Ok(()) }
    }
}

/// The bits of a mode that say what it is.
fn mode_type(body: &Body) -> u16 {
    match directory::kind(body) {
        file_type::FILE => 0o100_000,
        file_type::DIRECTORY => 0o040_000,
        file_type::CHAR => 0o020_000,
        file_type::BLOCK => 0o060_000,
        file_type::FIFO => 0o010_000,
        file_type::SOCKET => 0o140_000,
        _ => 0o120_000,
    }
}

const _: () = assert!(SLOTS_START.is_multiple_of(SLOT) && SLOTS_START > 0, "no node has the number 0");
