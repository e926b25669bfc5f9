//! The entries of a directory.

use super::source::ReadAt;
use super::{Image, Node, NodeId, NodeKind, Place};
use crate::error::{Error, Result, damaged};
use crate::format::{DIRENT, NAME, u16_at, u64_at};

/// A directory's entries, less `.` and `..`, in order.
#[derive(Debug, Default)]
pub struct Listing {
    names: Vec<u8>,
    entries: Vec<Raw>,
}

#[derive(Debug)]
struct Raw {
    name: u32,
    length: u8,
    file_type: u8,
    node: u64,
}

/// A name in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryEntry<'a> {
    /// The name: never empty, no `/`, no NUL, not `.` or `..`.
    pub name: &'a [u8],
    /// What has it.
    pub node: NodeId,
    pub(super) file_type: u8,
}

impl Listing {
    /// How many names there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// One of them.
    pub fn get(&self, index: usize) -> Option<DirectoryEntry<'_>> {
        let raw = self.entries.get(index)?;
        let name = &self.names[raw.name as usize..][..usize::from(raw.length)];
        Some(DirectoryEntry { name, node: NodeId(raw.node), file_type: raw.file_type })
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = DirectoryEntry<'_>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<S: ReadAt> Image<S> {
    /// Reads a directory.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it is none, or not one that the kernel could find names in; [`Error::Limit`] for more than
    /// `most` names.
    pub fn list(&self, node: &Node, most: u64) -> Result<Listing> {
        if node.kind() != NodeKind::Directory {
            return Err(damaged(node.offset, "it is no directory"));
        }
        self.pages.check(0, node.size())?;
        let mut listing = Listing::default();
        let mut block = vec![0; self.block_size() as usize];
        let mut before = Vec::new();
        for segment in self.segments(node)? {
            let segment = segment?;
            let Place::Image { address } = segment.place else {
                return Err(damaged(node.offset, "a directory is not in the image"));
            };
            let mut at = 0;
            while at < segment.length {
                let length = (segment.length - at).min(block.len() as u64);
                let bytes = &mut block[..length as usize];
                self.pages.read(bytes, address + at)?;
                listing.add(bytes, &mut before).map_err(|reason| damaged(address + at, reason))?;
                if listing.len() as u64 > most {
                    return Err(Error::Limit { what: "the number of its files", limit: most });
                }
                at += length;
            }
        }
        Ok(listing)
    }
}

impl Listing {
    /// Takes the entries of one block. `before` is the last name so far.
    fn add(&mut self, block: &[u8], before: &mut Vec<u8>) -> std::result::Result<(), &'static str> {
        if block.len() < DIRENT {
            return Err("a block of a directory is too short");
        }
        let names = usize::from(u16_at(block, 8));
        if names < DIRENT || !names.is_multiple_of(DIRENT) || names > block.len() {
            return Err("a block of a directory has no proper count of entries");
        }
        let count = names / DIRENT;
        let name_at = |index: usize| usize::from(u16_at(block, index * DIRENT + 8));
        for index in 0..count {
            let start = name_at(index);
            let is_last = index + 1 == count;
            let end = if is_last { block.len() } else { name_at(index + 1) };
            if start < names || end < start || end > block.len() {
                return Err("the names in a directory are not where they should be");
            }
            let mut name = &block[start..end];
            if is_last && let Some(end) = name.iter().position(|&byte| byte == 0) {
                name = &name[..end];
            }
            if name.is_empty() || name.len() > NAME || name.contains(&0) || name.contains(&b'/') {
                return Err("a name in a directory is none");
            }
            if !before.is_empty() && name <= before.as_slice() {
                return Err("the names in a directory are not in order");
            }
            before.clear();
            before.extend_from_slice(name);
            if name == b"." || name == b".." {
                continue;
            }
            let at = u32::try_from(self.names.len()).map_err(|_| "a directory is too large")?;
            self.names.extend_from_slice(name);
            let node = u64_at(block, index * DIRENT);
            let file_type = block[index * DIRENT + 10];
            self.entries.push(Raw { name: at, length: name.len() as u8, file_type, node });
        }
        Ok(())
    }
}
