//! Directories: blocks of entries in front and their names behind, all in the order of their bytes, `.` and `..` among them.

use super::stream::Stream;
use crate::error::Result;
use crate::format::{BLOCK, DIRENT, file_type};
use crate::tree::{Body, Child, Tree};

/// Cuts a directory's entries into those of each block.
pub(super) struct Pack<'a> {
    tree: &'a Tree,
    left: &'a [Child],
}

impl<'a> Pack<'a> {
    pub(super) fn new(tree: &'a Tree, entries: &'a [Child]) -> Self {
        Self { tree, left: entries }
    }

    /// Bytes that the entries of a block take.
    pub(super) fn bytes(entries: &[Child]) -> u64 {
        entries.iter().map(need).sum()
    }

    /// Bytes of the whole directory: all its blocks but the last are full.
    pub(super) fn size(self) -> u64 {
        let mut size = 0_u64;
        for block in self {
            size = size.next_multiple_of(BLOCK) + Self::bytes(block);
        }
        size
    }
}

impl<'a> Iterator for Pack<'a> {
    type Item = &'a [Child];

    fn next(&mut self) -> Option<Self::Item> {
        let mut used = 0;
        let fits = |child: &&Child| {
            used += need(child);
            used <= BLOCK
        };
        let count = self.left.iter().take_while(fits).count();
        let (block, left) = self.left.split_at(count);
        self.left = left;
        debug_assert!(count > 0 || left.is_empty(), "a name is too long: {:?}", self.tree.text(left[0].name));
        (count > 0).then_some(block)
    }
}

fn need(child: &Child) -> u64 {
    (DIRENT + child.name.len()) as u64
}

/// Writes the entries of one block: name, node and type of each.
pub(super) fn write<'a, F>(
    entries: impl ExactSizeIterator<Item = (&'a [u8], u64, u8)> + Clone,
    stream: &mut Stream<F>,
) -> Result<()>
where
    F: FnMut(&[u8], u64) -> Result<()>,
{
    let mut name_at = DIRENT * entries.len();
    for (name, node, kind) in entries.clone() {
        let mut entry = [0; DIRENT];
        entry[..8].copy_from_slice(&node.to_le_bytes());
        entry[8..10].copy_from_slice(&(name_at as u16).to_le_bytes());
        entry[10] = kind;
        stream.put(&entry)?;
        name_at += name.len();
    }
    entries.into_iter().try_for_each(|(name, _, _)| stream.put(name))
}

/// The type of a directory entry.
pub(super) fn kind(body: &Body) -> u8 {
    match body {
        Body::Directory(_) => file_type::DIRECTORY,
        Body::File { .. } => file_type::FILE,
        Body::Symlink(_) => file_type::SYMLINK,
        Body::CharDevice(_) => file_type::CHAR,
        Body::BlockDevice(_) => file_type::BLOCK,
        Body::Fifo => file_type::FIFO,
        Body::Socket => file_type::SOCKET,
    }
}
