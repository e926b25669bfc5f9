//! One layer laid over those below it, as overlayfs would: a whiteout takes a name away, a directory joins the one below unless
//! it is opaque and shows its own metadata, everything else takes the place of what has its name.

use std::collections::HashMap;
use std::fs::File;

use conex_archive::names::may_set_xattr;

use crate::error::{Error, Result, damaged};
use crate::format::{BLOCK, Layout, NULL_BLOCK, encode_device, u16_at, u32_at};
use crate::image::{Image, Node, NodeId, NodeKind, SharedXattrs};
use crate::layer::WriteOptions;
use crate::tree::{Attribute, Body, Data, Full, InodeId, Metadata, OPAQUE, ROOT, SetId, Tree};

type Layer<'a> = Image<&'a File>;

pub(super) fn overlay(tree: &mut Tree, image: &Layer<'_>, device: u16, options: &WriteOptions) -> Result<()> {
    let limit = options.max_metadata;
    let mut over = Overlay {
        tree,
        image,
        device,
        limit,
        shared: SharedXattrs::default(),
        links: HashMap::new(),
        bytes: 0,
    };
    let mut walk = image.walk(options.limits.max_entries);
    // The tree's directories that lead to where the walk is.
    let mut directories: Vec<InodeId> = Vec::new();
    while let Some(visit) = walk.next()? {
        directories.truncate(visit.depth());
        match directories.last() {
            None => directories.push(over.root(visit.node())?),
            Some(&parent) => directories.extend(over.entry(parent, visit.name(), visit.node())?),
        }
    }
    Ok(())
}

struct Overlay<'a, 'i> {
    tree: &'a mut Tree,
    image: &'a Layer<'i>,
    device: u16,
    limit: u64,
    shared: SharedXattrs,
    /// What has several names, as far as it has been met.
    links: HashMap<NodeId, InodeId>,
    /// Bytes of attributes, links and lists that have been read.
    bytes: u64,
}

impl Overlay<'_, '_> {
    fn root(&mut self, node: &Node) -> Result<InodeId> {
        let (metadata, is_opaque) = self.metadata(node)?;
        if is_opaque {
            self.tree.clear_root();
        }
        self.tree.inode_mut(ROOT).metadata = metadata;
        Ok(ROOT)
    }

    /// Gives the directory, if it is one.
    fn entry(&mut self, parent: InodeId, name: &[u8], node: &Node) -> Result<Option<InodeId>> {
        if node.is_whiteout() {
            self.tree.remove(parent, name);
            return Ok(None);
        }
        if node.kind() == NodeKind::Directory {
            let (metadata, is_opaque) = self.metadata(node)?;
            let existing = self.tree.lookup(parent, name).filter(|_| !is_opaque);
            if let Some(existing) = existing.filter(|&existing| self.tree.directory(existing).is_some()) {
                self.tree.inode_mut(existing).metadata = metadata;
                return Ok(Some(existing));
            }
            let made = self.tree.add_directory(parent, metadata).map_err(|_| self.full())?;
            self.tree.put(parent, name, made).map_err(|_| self.full())?;
            return Ok(Some(made));
        }
        let inode = match self.links.get(&node.id()) {
            Some(&known) => known,
            None => {
                let (metadata, _) = self.metadata(node)?;
                let body = self.body(node)?;
                let made = self.tree.add(metadata, body).map_err(|_| self.full())?;
                if node.links() > 1 {
                    self.links.insert(node.id(), made);
                }
                made
            }
        };
        self.tree.put(parent, name, inode).map_err(|_| self.full())?;
        Ok(None)
    }

    fn full(&self) -> Error {
        Error::Limit { what: "the size of its metadata", limit: self.limit }
    }

    /// Nothing of an image is read twice but what is shared: all together is no longer than the image.
    fn count(&mut self, node: &Node, bytes: u64) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.image.length() { Err(damaged(node.offset, "inodes overlap")) } else { Ok(()) }
    }

    /// What `stat` says, and whether it is marked as opaque.
    fn metadata(&mut self, node: &Node) -> Result<(Metadata, bool)> {
        self.count(node, node.xattr_bytes())?;
        let (mut list, mut is_opaque) = (Vec::new(), false);
        for (name, value) in self.image.xattrs_with(node, &mut self.shared)? {
            if name == OPAQUE.0 {
                is_opaque = value == OPAQUE.1;
            } else if may_set_xattr(&name) {
                list.extend(Attribute::new(&name, &value));
            }
        }
        let xattrs = self.tree.attributes.extend(SetId::EMPTY, list);
        let (uid, gid) = (node.uid(), node.gid());
        Ok((Metadata { mode: node.mode() as u16, uid, gid, mtime: node.mtime(), xattrs }, is_opaque))
    }

    fn body(&mut self, node: &Node) -> Result<Body> {
        let device = || {
            let (major, minor) = node.device().unwrap_or_default();
            encode_device(major, minor).unwrap_or_default()
        };
        Ok(match node.kind() {
            NodeKind::File => Body::File { size: node.size(), data: self.data(node)? },
            NodeKind::Symlink => {
                self.count(node, node.size())?;
                let target = self.image.link_target(node)?;
                Body::Symlink(self.tree.add_text(&target).map_err(|_| self.full())?)
            }
            NodeKind::CharDevice => Body::CharDevice(device()),
            NodeKind::BlockDevice => Body::BlockDevice(device()),
            NodeKind::Fifo => Body::Fifo,
            NodeKind::Socket => Body::Socket,
            NodeKind::Directory => unreachable!("directories are dealt with before"),
        })
    }

    /// A file's blocks, which are now on another device.
    fn data(&mut self, node: &Node) -> Result<Data> {
        let (size, device) = (node.size(), self.device);
        let end = self.image.length();
        let is_within = |block: u32, length: u64| u64::from(block) * BLOCK + length <= end;
        match node.raw.layout {
            _ if size == 0 => Ok(Data::Nothing),
            Layout::Plain if is_within(node.raw.value, size) => {
                Ok(Data::Blocks { device, block: node.raw.value })
            }
            Layout::Plain => Err(damaged(node.offset, "a file leads beyond the end of the image")),
            Layout::Inline => Err(damaged(node.offset, "a layer's file does not stand in blocks")),
            Layout::Chunks => {
                let (bits, _) = node.chunk_format();
                let chunk = BLOCK << bits;
                let count = size.div_ceil(chunk);
                let blocks = self.blocks(node, count)?;
                for (index, &block) in blocks.iter().enumerate() {
                    let length = chunk.min(size - index as u64 * chunk);
                    if block != NULL_BLOCK && !is_within(block, length) {
                        return Err(damaged(node.offset, "a chunk leads beyond the end of the image"));
                    }
                }
                let first = self.tree.add_chunks(blocks.into_iter()).map_err(|Full| self.full())?;
                Ok(Data::Chunks { device, bits, first, count: count as u32 })
            }
        }
    }

    fn blocks(&mut self, node: &Node, count: u64) -> Result<Vec<u32>> {
        let (at, unit) = self.image.chunk_list(node);
        self.count(node, count.saturating_mul(unit))?;
        if count.saturating_mul(4) > self.limit {
            return Err(self.full());
        }
        let mut list = vec![0; (count * unit) as usize];
        self.image.metadata(&mut list, at)?;
        let block = |item: &[u8]| match unit {
            8 if u16_at(item, 2) != 0 => Err(damaged(at, "a layer's chunk is on another device")),
            8 => Ok(u32_at(item, 4)),
            _ => Ok(u32_at(item, 0)),
        };
        list.chunks_exact(unit as usize).map(block).collect()
    }
}
