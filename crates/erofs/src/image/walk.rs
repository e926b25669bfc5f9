//! Goes over all of an image's files.

use std::collections::HashSet;

use super::source::ReadAt;
use super::{Image, Listing, Node, NodeId, NodeKind};
use crate::error::{Error, Result, damaged};

/// A walk over an image, from the root on.
///
/// It ends whatever the image says: no directory is entered twice, and there are no more names than allowed.
pub struct Walk<'a, S> {
    image: &'a Image<S>,
    /// The directories that lead to where the walk is.
    levels: Vec<Level>,
    path: Vec<u8>,
    entered: HashSet<NodeId>,
    most: u64,
    /// Names, and bytes of directories, that have been read.
    names: u64,
    bytes: u64,
    started: bool,
    node: Option<Node>,
}

struct Level {
    listing: Listing,
    next: usize,
    /// Bytes of the directory's own path.
    path: usize,
}

/// Where a walk has come to.
#[derive(Debug)]
pub struct Visit<'a> {
    path: &'a [u8],
    name: usize,
    depth: usize,
    node: &'a Node,
}

impl Visit<'_> {
    /// The path from the root, without a slash in front; nothing at all for the root.
    pub fn path(&self) -> &[u8] {
        self.path
    }

    /// The last part of the path.
    pub fn name(&self) -> &[u8] {
        &self.path[self.name..]
    }

    /// Directories above: 0 for the root, 1 for what is in it.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// What is there.
    pub fn node(&self) -> &Node {
        self.node
    }
}

impl<'a, S: ReadAt> Walk<'a, S> {
    pub(super) fn new(image: &'a Image<S>, most: u64) -> Self {
        Self {
            image,
            levels: Vec::new(),
            path: Vec::new(),
            entered: HashSet::new(),
            most,
            names: 0,
            bytes: 0,
            started: false,
            node: None,
        }
    }

    /// The next file, or `None` at the end. After an error there is nothing more.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the image contradicts itself, [`Error::Limit`] if there are more names than allowed.
    #[expect(clippy::should_implement_trait, reason = "a visit borrows the walk, which Iterator cannot say")]
    pub fn next(&mut self) -> Result<Option<Visit<'_>>> {
        let visited = self.step();
        if visited.is_err() {
            self.levels.clear();
        }
        let Some(name) = visited? else { return Ok(None) };
        let Some(node) = &self.node else { return Ok(None) };
        // A directory that has just been entered is its own last level.
        let depth = self.levels.len() - usize::from(node.kind() == NodeKind::Directory);
        Ok(Some(Visit { path: &self.path, name, depth, node }))
    }

    /// Goes to the next file; gives where in the path its name is.
    fn step(&mut self) -> Result<Option<usize>> {
        if !self.started {
            self.started = true;
            let root = self.image.root()?;
            self.enter(root)?;
            return Ok(Some(0));
        }
        loop {
            let Some(level) = self.levels.last_mut() else { return Ok(None) };
            let Some(entry) = level.listing.get(level.next) else {
                self.levels.pop();
                continue;
            };
            level.next += 1;
            self.path.truncate(level.path);
            if level.path > 0 {
                self.path.push(b'/');
            }
            let name = self.path.len();
            self.path.extend_from_slice(entry.name);
            let node = self.image.node(entry.node)?;
            if node.kind().file_type() != entry.file_type {
                return Err(damaged(node.offset, "a directory has an inode for something else than it is"));
            }
            if node.kind() == NodeKind::Directory {
                self.enter(node)?;
            } else {
                self.node = Some(node);
            }
            return Ok(Some(name));
        }
    }

    fn enter(&mut self, node: Node) -> Result<()> {
        if !self.entered.insert(node.id()) {
            return Err(damaged(node.offset, "a directory has two names"));
        }
        // All directories together are no larger than the image, unless some share their blocks.
        self.bytes += node.size();
        if self.bytes > self.image.length() {
            return Err(damaged(node.offset, "directories overlap"));
        }
        let listing = self.image.list(&node, self.most)?;
        self.names += listing.len() as u64;
        if self.names > self.most {
            return Err(Error::Limit { what: "the number of its files", limit: self.most });
        }
        self.levels.push(Level { listing, next: 0, path: self.path.len() });
        self.node = Some(node);
        Ok(())
    }
}
