//! Where everything in an image will be.
//!
//! Inodes follow one another directory by directory, the way that a walk reads them. The last part of a directory and short
//! links stand right after their inode, where the kernel allows it: within one block.

use super::directory::Pack;
use super::xattrs::{Shared, numbers};
use crate::error::{Error, Result};
use crate::format::{BLOCK, BLOCK_BITS, CHUNK_BITS, RawInode, SLOT};
use crate::tree::{Body, Child, Data, InodeId, ROOT, Text, Tree};

/// Bytes before the first inode: no file has the number 0, which readers of directories take for none.
pub(super) const SLOTS_START: u64 = 64;
/// The longest link that stands beside its inode.
const SHORT_LINK: u64 = 400;
const NONE: u32 = u32::MAX;

/// Where one inode is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// In slots from the start of the inodes.
    pub(super) slot: u32,
    /// Its first block, counted from the first of all.
    pub(super) block: u32,
    pub(super) has_blocks: bool,
    /// Its last part, or all of it, stands beside it.
    pub(super) is_inline: bool,
}

struct Listing {
    /// Among the plan's entries.
    first: u32,
    count: u32,
    /// Bytes.
    size: u64,
}

/// Where all of a tree will be.
pub(crate) struct Plan {
    /// All inodes that can be reached, in the order in which they are written.
    pub(super) order: Vec<InodeId>,
    /// Bytes of the inodes.
    pub(super) slots_end: u64,
    /// Blocks of directories and links.
    pub(super) blocks: u32,
    pub(super) shared: Shared,
    places: Vec<Place>,
    links: Vec<u32>,
    entries: Vec<Child>,
    listings: Vec<Listing>,
    /// For each inode its listing, if it is a directory.
    listing_of: Vec<u32>,
}

impl Plan {
    pub(crate) fn of(tree: &Tree) -> Result<Self> {
        let nowhere = Place { slot: 0, block: 0, has_blocks: false, is_inline: false };
        let mut plan = Self {
            order: Vec::new(),
            slots_end: SLOTS_START,
            blocks: 0,
            shared: Shared::plan(&tree.attributes, &[])?,
            places: vec![nowhere; tree.inode_count()],
            links: vec![0; tree.inode_count()],
            entries: Vec::new(),
            listings: Vec::new(),
            listing_of: vec![NONE; tree.inode_count()],
        };
        plan.walk(tree)?;
        let mut uses = vec![0_u32; tree.attributes.len()];
        for &inode in &plan.order {
            for number in numbers(&tree.attributes, tree.inode(inode)) {
                uses[number as usize] += 1;
            }
        }
        plan.shared = Shared::plan(&tree.attributes, &uses)?;
        for index in 0..plan.order.len() {
            plan.put(tree, plan.order[index])?;
        }
        Ok(plan)
    }

    /// Which of the tree's devices, `count` of them and the image itself, have something of a file that can be reached.
    pub(crate) fn devices(&self, tree: &Tree, count: usize) -> Vec<bool> {
        let mut used = vec![false; count + 1];
        for &inode in &self.order {
            if let Body::File { data: Data::Blocks { device, .. } | Data::Chunks { device, .. }, .. } =
                tree.inode(inode).body
            {
                used[usize::from(device)] = true;
            }
        }
        used
    }

    /// Lists all directories, counts links, and puts the inodes in order.
    fn walk(&mut self, tree: &Tree) -> Result<()> {
        self.order.push(ROOT);
        self.links[ROOT.0 as usize] = 1;
        let mut left = vec![ROOT];
        while let Some(directory) = left.pop() {
            let first = self.entries.len();
            let parent = tree.directory(directory).map_or(ROOT, |directory| directory.parent);
            self.entries.extend(tree.children(directory));
            self.entries.push(Child { name: Text::DOT, inode: directory });
            self.entries.push(Child { name: Text::DOT_DOT, inode: parent });
            let entries = &mut self.entries[first..];
            entries.sort_unstable_by(|a, b| tree.text(a.name).cmp(tree.text(b.name)));
            let below = left.len();
            for child in entries.iter().filter(|child| child.name.start() >= Text::FIRST) {
                let links = &mut self.links[child.inode.0 as usize];
                *links += 1;
                if *links == 1 {
                    self.order.push(child.inode);
                }
                if tree.directory(child.inode).is_some() {
                    *links += 1;
                    self.links[directory.0 as usize] += 1;
                    left.push(child.inode);
                }
            }
            left[below..].reverse();
            self.listing_of[directory.0 as usize] = self.listings.len() as u32;
            let size = Pack::new(tree, &self.entries[first..]).size();
            let count = (self.entries.len() - first) as u32;
            self.listings.push(Listing { first: first as u32, count, size });
        }
        // Its own name.
        self.links[ROOT.0 as usize] += 1;
        Ok(())
    }

    /// Finds the place of the next inode.
    fn put(&mut self, tree: &Tree, id: InodeId) -> Result<()> {
        let inode = tree.inode(id);
        let header = RawInode::EXTENDED as u64 + self.shared.of(&tree.attributes, inode)?.bytes() as u64;
        let mut at = self.slots_end;
        let mut place = Place { slot: 0, block: self.blocks, has_blocks: false, is_inline: false };
        let size = self.size(tree, id);
        let end = match inode.body {
            Body::Directory(_) | Body::Symlink(_) => {
                let is_link = matches!(inode.body, Body::Symlink(_));
                let (full, tail) =
                    if is_link { (0, size) } else { ((size - 1) / BLOCK, (size - 1) % BLOCK + 1) };
                let beside = beside(at, header, tail);
                // A directory's last part is worth no more room than it takes itself.
                let worth = |to: u64| if is_link { tail <= SHORT_LINK } else { to - at <= tail };
                let blocks = match beside.filter(|&to| worth(to)) {
                    Some(to) => {
                        at = to;
                        place.is_inline = true;
                        full
                    }
                    None => size.div_ceil(BLOCK),
                };
                place.has_blocks = blocks > 0;
                let blocks = u32::try_from(blocks).ok().and_then(|blocks| self.blocks.checked_add(blocks));
                self.blocks = blocks.ok_or_else(too_much)?;
                at + header + if place.is_inline { tail } else { 0 }
            }
            Body::File { data: Data::Blocks { device, .. }, .. } if device > 0 => {
                (at + header).next_multiple_of(8) + 8
            }
            Body::File { data: Data::Chunks { count, .. }, .. } => {
                (at + header).next_multiple_of(8) + 8 * u64::from(count)
            }
            _ => at + header,
        };
        place.slot = u32::try_from(at / SLOT).map_err(|_| too_much())?;
        self.places[id.0 as usize] = place;
        self.slots_end = end.next_multiple_of(SLOT);
        Ok(())
    }

    pub(super) fn place(&self, id: InodeId) -> Place {
        self.places[id.0 as usize]
    }

    /// The number by which directories know the inode.
    pub(super) fn node(&self, id: InodeId) -> u64 {
        self.places[id.0 as usize].slot.into()
    }

    pub(super) fn links(&self, id: InodeId) -> u32 {
        self.links[id.0 as usize]
    }

    /// Bytes, as `stat` will say.
    pub(super) fn size(&self, tree: &Tree, id: InodeId) -> u64 {
        match tree.inode(id).body {
            Body::Directory(_) => self.listing(id).size,
            Body::File { size, .. } => size,
            Body::Symlink(target) => target.len() as u64,
            _ => 0,
        }
    }

    /// A directory's entries, in order.
    pub(super) fn entries(&self, id: InodeId) -> &[Child] {
        let listing = self.listing(id);
        &self.entries[listing.first as usize..][..listing.count as usize]
    }

    fn listing(&self, id: InodeId) -> &Listing {
        &self.listings[self.listing_of[id.0 as usize] as usize]
    }
}

/// The first place from `at` on where an inode of `header` bytes has what follows it within one block.
fn beside(at: u64, header: u64, tail: u64) -> Option<u64> {
    let places = (0..BLOCK / SLOT).map(|slots| at + slots * SLOT);
    places.into_iter().find(|to| (to + header) % BLOCK + tail <= BLOCK)
}

/// The size of the one chunk that has all of a file: at least a page, as a shift of the block's.
pub(super) fn one_chunk(size: u64) -> Result<u8> {
    const PAGE_BITS: u8 = 12;
    let bits = size.max(1 << PAGE_BITS).checked_next_power_of_two().map_or(u64::BITS, u64::trailing_zeros);
    let bits = bits - u32::from(BLOCK_BITS);
    if bits > CHUNK_BITS {
        return Err(Error::Limit { what: "the size of a file", limit: BLOCK << CHUNK_BITS });
    }
    Ok(bits as u8)
}

fn too_much() -> Error {
    Error::Limit { what: "the size of the image's metadata", limit: u64::from(u32::MAX) * SLOT }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_beside_an_inode_is_in_one_block() {
        assert_eq!(beside(0, 64, 448), Some(0));
        assert_eq!(beside(0, 64, 449), Some(448));
        assert_eq!(beside(480, 64, 100), Some(480));
        assert_eq!(beside(352, 64, 100), Some(448));
        assert_eq!(beside(0, 76, 512), None);
    }

    #[test]
    fn one_chunk_has_all() {
        assert_eq!((one_chunk(1).unwrap(), one_chunk(4096).unwrap(), one_chunk(4097).unwrap()), (3, 3, 4));
        assert_eq!(one_chunk(1 << 40).unwrap(), 31);
        assert!(one_chunk((1 << 40) + 1).is_err());
    }
}
