//! Extended attributes.

use std::collections::HashMap;

use super::source::ReadAt;
use super::{Image, Node};
use crate::error::{Result, damaged};
use crate::format::{XATTR_ENTRY, XATTR_HEADER, XATTR_PREFIXES, u16_at, u32_at};

/// A name and a value.
pub(crate) type Xattr = (Vec<u8>, Vec<u8>);

/// The attributes of the shared area that have been read already: thousands of files may have the same.
#[derive(Debug, Default)]
pub(crate) struct SharedXattrs {
    known: HashMap<u32, Xattr>,
    bytes: u64,
}

impl<S: ReadAt> Image<S> {
    /// A node's extended attributes, name and value, those in its own inode last.
    ///
    /// # Errors
    /// [`crate::Error::Damaged`] if they contradict themselves or lead out of the image.
    pub fn xattrs(&self, node: &Node) -> Result<Vec<Xattr>> {
        self.xattrs_with(node, &mut SharedXattrs::default())
    }

    pub(crate) fn xattrs_with(&self, node: &Node, shared: &mut SharedXattrs) -> Result<Vec<Xattr>> {
        let length = node.xattr_bytes() as usize;
        if length == 0 {
            return Ok(Vec::new());
        }
        let start = node.offset + node.length;
        let mut bytes = vec![0; length];
        self.pages.read(&mut bytes, start)?;
        let count = usize::from(bytes[4]);
        let mut at = XATTR_HEADER + 4 * count;
        if at > length {
            return Err(damaged(start, "an inode has more shared attributes than room for them"));
        }
        let mut list = Vec::new();
        for index in 0..count {
            let id = u32_at(&bytes, XATTR_HEADER + 4 * index);
            list.push(self.shared(id, shared)?.clone());
        }
        while at < length {
            let entry = Entry::of(&bytes[at..]).map_err(|reason| damaged(start + at as u64, reason))?;
            let end = at + entry.length();
            let body = bytes.get(at + XATTR_ENTRY..end);
            let body =
                body.ok_or_else(|| damaged(start + at as u64, "an attribute is longer than its inode's"))?;
            list.push(entry.attribute(body));
            at = end.next_multiple_of(4);
        }
        Ok(list)
    }

    fn shared<'a>(&self, id: u32, shared: &'a mut SharedXattrs) -> Result<&'a Xattr> {
        let at = (u64::from(self.superblock.xattr_block) << self.superblock.block_bits) + 4 * u64::from(id);
        if !shared.known.contains_key(&id) {
            let mut head = [0; XATTR_ENTRY];
            self.pages.read(&mut head, at)?;
            let entry = Entry::of(&head).map_err(|reason| damaged(at, reason))?;
            // They may not overlap, or a small image could ask for any amount of memory.
            shared.bytes += entry.length() as u64;
            if shared.bytes > self.length() {
                return Err(damaged(at, "shared attributes overlap"));
            }
            let mut body = vec![0; entry.length() - XATTR_ENTRY];
            self.pages.read(&mut body, at + XATTR_ENTRY as u64)?;
            shared.known.insert(id, entry.attribute(&body));
        }
        Ok(&shared.known[&id])
    }
}

/// The head of an attribute.
struct Entry {
    name: usize,
    value: usize,
    prefix: &'static [u8],
}

impl Entry {
    fn of(bytes: &[u8]) -> std::result::Result<Self, &'static str> {
        if bytes.len() < XATTR_ENTRY {
            return Err("an attribute has no room for its head");
        }
        let prefix = XATTR_PREFIXES.iter().find(|(number, _)| *number == bytes[1]);
        let (_, prefix) = prefix.ok_or("an attribute's name starts with an unknown prefix")?;
        Ok(Self { name: bytes[0].into(), value: u16_at(bytes, 2).into(), prefix })
    }

    /// Bytes of all of it.
    fn length(&self) -> usize {
        XATTR_ENTRY + self.name + self.value
    }

    fn attribute(&self, body: &[u8]) -> Xattr {
        let (name, value) = body.split_at(self.name);
        ([self.prefix, name].concat(), value.to_vec())
    }
}
