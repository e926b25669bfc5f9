//! A directory tree in memory: what a layer or a merge will be, before it is laid out as an image.
//!
//! Made for millions of entries: inodes and names are numbers into a few long vectors, names are looked up in one table for
//! all directories, and nothing is ever taken out of a vector. What is replaced is only no longer reachable. All that
//! grows is counted against one limit.

mod attributes;

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

pub(crate) use attributes::{Attribute, Attributes, OPAQUE, OPAQUE_NUMBER, SetId};
use conex_archive::Time;

/// An inode, by its place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct InodeId(pub(crate) u32);

/// The tree's own root directory.
pub(crate) const ROOT: InodeId = InodeId(0);
const NONE: u32 = u32::MAX;

/// The tree takes more memory than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

type Result<T> = std::result::Result<T, Full>;

/// What `stat` says of any inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// Permissions with setuid, setgid and sticky.
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Time,
    pub(crate) xattrs: SetId,
}

/// One inode.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inode {
    pub(crate) metadata: Metadata,
    pub(crate) body: Body,
}

/// What an inode holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Body {
    Directory(Directory),
    File {
        size: u64,
        data: Data,
    },
    /// The target's bytes are among the names.
    Symlink(Text),
    CharDevice(u32),
    BlockDevice(u32),
    Fifo,
    Socket,
}

/// A directory's place: where it lies, and the last entry that was put into it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Directory {
    pub(crate) parent: InodeId,
    /// Nothing of the layers below shows through it.
    pub(crate) opaque: bool,
    newest: u32,
}

/// Where a file's bytes are, in blocks of the device (0: the image itself).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    /// An empty file.
    Nothing,
    /// Consecutive blocks.
    Blocks { device: u16, block: u32 },
    /// Chunks of `1 << bits` blocks each, at places in the tree's list.
    Chunks { device: u16, bits: u8, first: u32, count: u32 },
}

/// Bytes among the names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text {
    start: u32,
    length: u16,
}

/// A name in a directory.
#[derive(Debug, Clone, Copy)]
struct Entry {
    directory: InodeId,
    name: Text,
    /// `NONE` when the name has been removed.
    inode: u32,
    /// The entry that was put into the directory before.
    older: u32,
    /// Another entry of the same hash.
    same_hash: u32,
}

/// The tree.
pub(crate) struct Tree {
    inodes: Vec<Inode>,
    entries: Vec<Entry>,
    text: Vec<u8>,
    chunks: Vec<u32>,
    /// The newest entry of each hash of a directory and a name.
    index: HashMap<u64, u32, Hashed>,
    hasher: RandomState,
    pub(crate) attributes: Attributes,
    limit: u64,
}

impl Tree {
    /// A tree with a root directory, which may take `limit` bytes of memory.
    pub(crate) fn new(limit: u64) -> Self {
        let root = Directory { parent: ROOT, opaque: false, newest: NONE };
        let mtime = Time::default();
        let metadata = Metadata { mode: 0o755, uid: 0, gid: 0, mtime, xattrs: SetId::EMPTY };
        Self {
            inodes: vec![Inode { metadata, body: Body::Directory(root) }],
            entries: Vec::new(),
            text: b"..".to_vec(),
            chunks: Vec::new(),
            index: HashMap::default(),
            hasher: RandomState::new(),
            attributes: Attributes::default(),
            limit,
        }
    }

    /// Bytes that a tree of these parts takes; what vectors and tables hold in reserve is in the factor of two for the table.
    fn check(&self) -> Result<()> {
        let entry = size_of::<Entry>() + 2 * size_of::<(u64, u32)>();
        let bytes = self.inodes.len() * size_of::<Inode>()
            + self.entries.len() * entry
            + self.text.len()
            + self.chunks.len() * 4
            + self.attributes.bytes();
        // The numbers of all parts are 32 bits.
        let is_within = bytes as u64 <= self.limit && bytes < NONE as usize;
        if is_within { Ok(()) } else { Err(Full) }
    }

    pub(crate) fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[id.0 as usize]
    }

    pub(crate) fn inode_mut(&mut self, id: InodeId) -> &mut Inode {
        &mut self.inodes[id.0 as usize]
    }

    /// How many inodes there are, reachable or not.
    pub(crate) fn inode_count(&self) -> usize {
        self.inodes.len()
    }

    /// The directory, if it is one.
    pub(crate) fn directory(&self, id: InodeId) -> Option<Directory> {
        match self.inode(id).body {
            Body::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    /// Lets nothing of the layers below show through the directory.
    pub(crate) fn make_opaque(&mut self, id: InodeId) {
        if let Body::Directory(directory) = &mut self.inode_mut(id).body {
            directory.opaque = true;
        }
    }

    /// A new inode that has no name yet.
    pub(crate) fn add(&mut self, metadata: Metadata, body: Body) -> Result<InodeId> {
        self.check()?;
        self.inodes.push(Inode { metadata, body });
        Ok(InodeId(self.inodes.len() as u32 - 1))
    }

    /// A new directory that has no name yet.
    pub(crate) fn add_directory(&mut self, parent: InodeId, metadata: Metadata) -> Result<InodeId> {
        self.add(metadata, Body::Directory(Directory { parent, opaque: false, newest: NONE }))
    }

    /// Empties the root directory: all that was in it can no longer be reached.
    pub(crate) fn clear_root(&mut self) {
        for entry in &mut self.entries {
            if entry.directory == ROOT {
                entry.inode = NONE;
            }
        }
    }

    /// Keeps bytes that a [`Body::Symlink`] can refer to; at most 65,535.
    pub(crate) fn add_text(&mut self, bytes: &[u8]) -> Result<Text> {
        self.check()?;
        let start = self.text.len() as u32;
        self.text.extend_from_slice(bytes);
        Ok(Text { start, length: bytes.len() as u16 })
    }

    pub(crate) fn text(&self, text: Text) -> &[u8] {
        &self.text[text.start as usize..][..usize::from(text.length)]
    }

    /// Keeps the blocks of chunks; gives the place of the first.
    pub(crate) fn add_chunks(&mut self, blocks: impl ExactSizeIterator<Item = u32>) -> Result<u32> {
        let first = self.chunks.len();
        if (first + blocks.len()) as u64 * 4 > self.limit {
            return Err(Full);
        }
        self.chunks.extend(blocks);
        self.check()?;
        Ok(first as u32)
    }

    pub(crate) fn set_chunk(&mut self, chunk: u32, block: u32) {
        self.chunks[chunk as usize] = block;
    }

    pub(crate) fn chunks(&self, first: u32, count: u32) -> &[u32] {
        &self.chunks[first as usize..][..count as usize]
    }

    /// The inode that has the name.
    pub(crate) fn lookup(&self, directory: InodeId, name: &[u8]) -> Option<InodeId> {
        let entry = self.find(directory, name)?;
        let inode = self.entries[entry].inode;
        (inode != NONE).then_some(InodeId(inode))
    }

    /// Gives an inode the name, in place of what has it.
    pub(crate) fn put(&mut self, directory: InodeId, name: &[u8], inode: InodeId) -> Result<()> {
        if let Some(entry) = self.find(directory, name) {
            self.entries[entry].inode = inode.0;
            return Ok(());
        }
        let name_text = self.add_text(name)?;
        let entry = self.entries.len() as u32;
        let same_hash = self.index.insert(self.hash(directory, name), entry).unwrap_or(NONE);
        let Body::Directory(of) = &mut self.inodes[directory.0 as usize].body else {
            unreachable!("only directories have entries");
        };
        let older = std::mem::replace(&mut of.newest, entry);
        self.entries.push(Entry { directory, name: name_text, inode: inode.0, older, same_hash });
        Ok(())
    }

    /// Takes a name away.
    pub(crate) fn remove(&mut self, directory: InodeId, name: &[u8]) {
        if let Some(entry) = self.find(directory, name) {
            self.entries[entry].inode = NONE;
        }
    }

    /// The names in a directory, in no particular order, each with its place among all names.
    pub(crate) fn children(&self, directory: InodeId) -> impl Iterator<Item = Child> + '_ {
        let mut next = self.directory(directory).map_or(NONE, |directory| directory.newest);
        std::iter::from_fn(move || {
            loop {
                let entry = self.entries.get(next as usize)?;
                next = entry.older;
                if entry.inode != NONE {
                    return Some(Child { name: entry.name, inode: InodeId(entry.inode) });
                }
            }
        })
    }

    fn find(&self, directory: InodeId, name: &[u8]) -> Option<usize> {
        let mut next = *self.index.get(&self.hash(directory, name))?;
        while let Some(entry) = self.entries.get(next as usize) {
            if entry.directory == directory && self.text(entry.name) == name {
                return Some(next as usize);
            }
            next = entry.same_hash;
        }
        None
    }

    fn hash(&self, directory: InodeId, name: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u32(directory.0);
        hasher.write(name);
        hasher.finish()
    }
}

/// A name in a directory, and what has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Child {
    pub(crate) name: Text,
    pub(crate) inode: InodeId,
}

impl Text {
    /// `.`, which each tree has.
    pub(crate) const DOT: Self = Self { start: 0, length: 1 };
    /// `..`
    pub(crate) const DOT_DOT: Self = Self { start: 0, length: 2 };

    /// Where the names of files start.
    pub(crate) const FIRST: u32 = 2;

    pub(crate) fn len(self) -> usize {
        self.length.into()
    }

    pub(crate) fn start(self) -> u32 {
        self.start
    }
}

impl Body {
    /// What overlayfs takes for "there is nothing of this name": a character device 0/0.
    pub(crate) fn is_whiteout(&self) -> bool {
        matches!(self, Self::CharDevice(0))
    }
}

/// Keys that are hashes already, made with a secret so that nobody can choose names that meet.
#[derive(Debug, Clone, Copy, Default)]
struct Hashed;

impl BuildHasher for Hashed {
    type Hasher = Same;

    fn build_hasher(&self) -> Same {
        Same(0)
    }
}

struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("the keys are u64");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(tree: &Tree, directory: InodeId) -> Vec<(String, InodeId)> {
        let children = tree.children(directory);
        let mut names: Vec<_> = children
            .map(|child| (String::from_utf8(tree.text(child.name).to_vec()).unwrap(), child.inode))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn names_come_and_go() {
        let mut tree = Tree::new(1 << 20);
        let metadata = tree.inode(ROOT).metadata;
        let directory = tree.add_directory(ROOT, metadata).unwrap();
        let (a, b) = (tree.add(metadata, Body::Fifo).unwrap(), tree.add(metadata, Body::Socket).unwrap());
        tree.put(ROOT, b"d", directory).unwrap();
        tree.put(directory, b"x", a).unwrap();
        tree.put(ROOT, b"x", b).unwrap();
        tree.put(directory, b"y", a).unwrap();
        assert_eq!(names(&tree, directory), [("x".to_owned(), a), ("y".to_owned(), a)]);
        tree.put(directory, b"x", b).unwrap();
        tree.remove(directory, b"y");
        assert_eq!((tree.lookup(directory, b"x"), tree.lookup(directory, b"y")), (Some(b), None));
        assert_eq!(names(&tree, directory), [("x".to_owned(), b)]);
        tree.put(directory, b"y", b).unwrap();
        assert_eq!(names(&tree, directory), [("x".to_owned(), b), ("y".to_owned(), b)]);
        tree.clear_root();
        assert_eq!((tree.lookup(ROOT, b"x"), names(&tree, ROOT)), (None, vec![]));
    }

    #[test]
    fn a_tree_has_a_limit() {
        let mut tree = Tree::new(10_000);
        let mut number = 0_u32;
        while tree.put(ROOT, &number.to_le_bytes(), ROOT).is_ok() {
            number += 1;
            assert!(number < 1000, "there is no end");
        }
        assert!(number > 50, "{number}");
        assert_eq!(tree.add_chunks(0..5000), Err(Full));
    }
}
