//! Layers laid on each other: a tree of names, and of each name what every layer says about it.
//!
//! A [`Record`] is one layer's word on one name; the newest is the one that counts, unless a later layer hides it. An
//! [`Inode`] is what a record stands for: hard links share one, and its bytes are wasted only when its last name is gone.

use std::collections::BTreeMap;

use conex_oci::Digest;

use super::MOST;
use super::error::Refusal;

pub(super) const NONE: u32 = u32::MAX;
/// Names looked at while hiding, over the life of a stack.
const STEPS: u64 = 1 << 29;
/// Symbolic links on the way to one entry, as the kernel's limit.
const LINKS: usize = 40;

/// What kind of file an inode is, with what tells it from another of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
    Symlink(Box<[u8]>),
    Device { block: bool, major: u32, minor: u32 },
    Fifo,
}

/// A file without its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inode {
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Bytes of contents, holes included.
    pub(super) size: u64,
    /// Of the contents, and of the extended attributes.
    pub(super) digest: Digest,
    /// How many names that count it has.
    pub(super) names: u32,
    /// The record that brought it; others are further names.
    pub(super) record: u32,
}

impl Inode {
    /// A directory that no entry describes.
    fn implied() -> Self {
        let digest = Digest::from_sha256([0; 32]);
        Self { kind: Kind::Directory, mode: 0o755, uid: 0, gid: 0, size: 0, digest, names: 0, record: NONE }
    }

    /// Whether the two are the same but for times.
    pub(super) fn same(&self, other: &Self) -> bool {
        (&self.kind, self.mode, self.uid, self.gid, self.size, self.digest)
            == (&other.kind, other.mode, other.uid, other.gid, other.size, other.digest)
    }
}

/// How something came to be hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// By a whiteout, or an opaque directory.
    Deleted,
    /// By another file of the name.
    Replaced,
    /// By the very same file again.
    Repeated,
}

/// What one layer says about one name.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// From 0, the lowest.
    pub(super) layer: u16,
    /// [`NONE`] for a whiteout.
    pub(super) inode: u32,
    /// The record before it of the same name.
    pub(super) before: u32,
    /// What has hidden it.
    pub(super) hidden: Option<(u16, How)>,
    /// Of a whiteout: bytes that nobody sees any more because of it.
    pub(super) freed: u64,
}

/// A name in a directory.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) children: BTreeMap<Box<[u8]>, u32>,
    /// The newest record.
    pub(super) last: u32,
    parent: u32,
    /// The layer that has last hidden all that was in it from below.
    opaque: u16,
}

/// The tree.
#[derive(Debug, Clone)]
pub(super) struct Stack {
    pub(super) nodes: Vec<Node>,
    pub(super) records: Vec<Record>,
    pub(super) inodes: Vec<Inode>,
    pub(super) layers: u16,
    steps: u64,
}

impl Default for Stack {
    fn default() -> Self {
        let root = Node { children: BTreeMap::new(), last: 0, parent: 0, opaque: u16::MAX };
        let record = Record { layer: 0, inode: 0, before: NONE, hidden: None, freed: 0 };
        let inode = Inode { names: 1, record: 0, ..Inode::implied() };
        Self { nodes: vec![root], records: vec![record], inodes: vec![inode], layers: 0, steps: 0 }
    }
}

impl Stack {
    /// The layer that is being laid on.
    fn layer(&self) -> u16 {
        self.layers - 1
    }

    /// The record that counts for a node, if any does.
    pub(super) fn current(&self, node: u32) -> Option<&Record> {
        let record = self.records.get(self.nodes[node as usize].last as usize)?;
        (record.hidden.is_none() && record.inode != NONE).then_some(record)
    }

    /// What a node is now.
    pub(super) fn inode(&self, node: u32) -> Option<&Inode> {
        self.current(node).map(|record| &self.inodes[record.inode as usize])
    }

    /// The directory at a path, made where it is missing. A symbolic link of this very layer is followed, as unpacking does;
    /// one of a layer below gives way to a directory, as overlayfs has it.
    pub(super) fn directory(&mut self, names: &[&[u8]]) -> Result<u32, Refusal> {
        let mut ahead: Vec<Box<[u8]>> = names.iter().rev().map(|name| (*name).into()).collect();
        let (mut at, mut links) = (0, 0);
        while let Some(name) = ahead.pop() {
            if *name == *b".." {
                at = self.nodes[at as usize].parent;
                continue;
            }
            let node = self.child(at, &name)?;
            let link = match (self.current(node), self.inode(node).map(|inode| &inode.kind)) {
                (Some(_), Some(Kind::Directory)) => None,
                (Some(record), Some(Kind::Symlink(target))) if record.layer == self.layer() => {
                    Some(target.clone())
                }
                (Some(record), Some(_)) if record.layer == self.layer() => {
                    return Err(Refusal::Path("a directory in it is a file"));
                }
                _ => {
                    self.put(node, Inode::implied(), false)?;
                    None
                }
            };
            match link {
                None => at = node,
                Some(target) => {
                    links += 1;
                    if links > LINKS {
                        return Err(Refusal::Path("it leads through too many symbolic links"));
                    }
                    if target.starts_with(b"/") {
                        at = 0;
                    }
                    let names =
                        target.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
                    ahead.extend(names.rev().map(Box::from));
                }
            }
        }
        Ok(at)
    }

    /// The node of a name, which need not count.
    pub(super) fn child(&mut self, parent: u32, name: &[u8]) -> Result<u32, Refusal> {
        if let Some(&node) = self.nodes[parent as usize].children.get(name) {
            return Ok(node);
        }
        let node = self.nodes.len() as u32;
        if self.nodes.len() >= MOST {
            return Err(Refusal::TooMany);
        }
        self.nodes.push(Node { children: BTreeMap::new(), last: NONE, parent, opaque: u16::MAX });
        self.nodes[parent as usize].children.insert(name.into(), node);
        Ok(node)
    }

    /// A file in the place of whatever has the name.
    pub(super) fn put(&mut self, node: u32, inode: Inode, said: bool) -> Result<(), Refusal> {
        let number = self.inodes.len() as u32;
        self.inodes.push(inode);
        self.link(node, number, said)
    }

    /// A name for a file that is there.
    pub(super) fn link(&mut self, node: u32, inode: u32, said: bool) -> Result<(), Refusal> {
        let layer = self.layer();
        let new_directory = self.inodes[inode as usize].kind == Kind::Directory;
        if let Some(old) = self.inode(node) {
            let both = new_directory && old.kind == Kind::Directory;
            // What is only in the path of an entry says nothing of the directory.
            if both && !said {
                return Ok(());
            }
            let how = if old.same(&self.inodes[inode as usize]) { How::Repeated } else { How::Replaced };
            if !both {
                self.hide_below(node, How::Replaced, true)?;
            }
            self.hide_one(node, how);
        }
        let mut before = self.nodes[node as usize].last;
        // Deleted and made again by one layer is changed; of a directory other things are gone all the same.
        if let Some(Record { inode: NONE, before: deleted, .. }) =
            self.records.get(before as usize).filter(|record| record.layer == layer && !new_directory)
        {
            before = *deleted;
            let how =
                match self.records.get(before as usize).and_then(|old| self.inodes.get(old.inode as usize)) {
                    Some(old) if old.same(&self.inodes[inode as usize]) => How::Repeated,
                    _ => How::Replaced,
                };
            if let Some(old) = self.records.get_mut(before as usize) {
                old.hidden = Some((layer, how));
            }
        }
        let number = self.record(node, Record { layer, inode, before, hidden: None, freed: 0 })?;
        let inode = &mut self.inodes[inode as usize];
        inode.names += 1;
        if inode.record == NONE {
            inode.record = number;
        }
        Ok(())
    }

    /// A whiteout: what the layers below have under the name is gone.
    pub(super) fn delete(&mut self, node: u32) -> Result<(), Refusal> {
        let layer = self.layer();
        match self.current(node).map(|record| record.layer < layer) {
            Some(true) => self.white_out(node),
            // Made anew by this layer; what is in it from below is gone all the same.
            Some(false) => self.empty(node),
            None => Ok(()),
        }
    }

    /// An opaque mark: what the layers below have in the directory is gone.
    pub(super) fn empty(&mut self, node: u32) -> Result<(), Refusal> {
        let layer = self.layer();
        let mut ahead = vec![node];
        while let Some(node) = ahead.pop() {
            if std::mem::replace(&mut self.nodes[node as usize].opaque, layer) == layer {
                continue;
            }
            for child in self.children(node)? {
                match self.current(child).map(|record| record.layer < layer) {
                    Some(true) => self.white_out(child)?,
                    Some(false) => ahead.push(child),
                    None => {}
                }
            }
        }
        Ok(())
    }

    fn white_out(&mut self, node: u32) -> Result<(), Refusal> {
        let freed = self.hide_below(node, How::Deleted, false)? + self.hide_one(node, How::Deleted);
        let (layer, before) = (self.layer(), self.nodes[node as usize].last);
        self.record(node, Record { layer, inode: NONE, before, hidden: None, freed })?;
        Ok(())
    }

    /// Hides all that counts below a node: of the layers below, or with `all` of this one too. Gives the bytes that are gone.
    fn hide_below(&mut self, node: u32, how: How, all: bool) -> Result<u64, Refusal> {
        let layer = self.layer();
        let (mut ahead, mut freed) = (vec![node], 0);
        while let Some(node) = ahead.pop() {
            for child in self.children(node)? {
                let Some(record) = self.current(child) else { continue };
                let from_below = record.layer < layer;
                ahead.push(child);
                if from_below || all {
                    freed += self.hide_one(child, how);
                }
            }
        }
        Ok(freed)
    }

    fn hide_one(&mut self, node: u32, how: How) -> u64 {
        let layer = self.layer();
        let last = self.nodes[node as usize].last;
        let Some(record) = self.records.get_mut(last as usize) else { return 0 };
        if record.hidden.is_some() || record.inode == NONE {
            return 0;
        }
        record.hidden = Some((layer, how));
        let inode = &mut self.inodes[record.inode as usize];
        inode.names -= 1;
        if inode.names == 0 { inode.size } else { 0 }
    }

    fn children(&mut self, node: u32) -> Result<Vec<u32>, Refusal> {
        let children = &self.nodes[node as usize].children;
        self.steps += children.len() as u64;
        if self.steps > STEPS { Err(Refusal::Work) } else { Ok(children.values().copied().collect()) }
    }

    fn record(&mut self, node: u32, record: Record) -> Result<u32, Refusal> {
        if self.records.len() >= MOST {
            return Err(Refusal::TooMany);
        }
        let number = self.records.len() as u32;
        self.nodes[node as usize].last = number;
        self.records.push(record);
        Ok(number)
    }

    /// Goes through all nodes but the root in the order of paths, directories before what is in them.
    pub(super) fn each(&self, mut visit: impl FnMut(&[u8], u32)) {
        let mut path: Vec<u8> = Vec::new();
        let mut levels = vec![(0, self.nodes[0].children.iter())];
        while let Some((length, children)) = levels.last_mut() {
            path.truncate(*length);
            let Some((name, &node)) = children.next() else {
                levels.pop();
                continue;
            };
            path.push(b'/');
            path.extend_from_slice(name);
            visit(&path, node);
            levels.push((path.len(), self.nodes[node as usize].children.iter()));
        }
    }
}
