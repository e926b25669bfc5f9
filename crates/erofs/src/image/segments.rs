//! Where a file's bytes are.

use super::source::ReadAt;
use super::{Image, Node, NodeKind};
use crate::error::{Result, damaged};
use crate::format::{Layout, NULL_BLOCK, u16_at, u32_at};

/// A run of a file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Bytes from the start of the file.
    pub offset: u64,
    /// Bytes; never none.
    pub length: u64,
    /// Where they are.
    pub place: Place,
}

/// Where a run of bytes is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: all zeros.
    Hole,
    /// In the image itself.
    Image {
        /// Bytes from its start.
        address: u64,
    },
    /// On another device.
    Device {
        /// Which one; 1 is the first of [`Image::devices`].
        device: u16,
        /// Bytes from its start.
        address: u64,
    },
}

impl Place {
    /// Where the byte after so many is.
    fn after(self, count: u64) -> Self {
        match self {
            Self::Hole => Self::Hole,
            Self::Image { address } => Self::Image { address: address + count },
            Self::Device { device, address } => Self::Device { device, address: address + count },
        }
    }
}

/// A file's segments, in order and without gaps; neighbours that belong together are one.
pub struct Segments<'a, S> {
    image: &'a Image<S>,
    node: &'a Node,
    /// The next byte of the file.
    at: u64,
    /// The segment that is still growing.
    held: Option<Segment>,
    failed: bool,
}

impl<S: ReadAt> Image<S> {
    /// Where a file's bytes are; also of symbolic links and directories.
    ///
    /// # Errors
    /// [`crate::Error::Damaged`] for what has no contents, and, as the segments come, for what leads out of the image. (What
    /// leads out of another device cannot be seen here.)
    pub fn segments<'a>(&'a self, node: &'a Node) -> Result<Segments<'a, S>> {
        match node.kind() {
            NodeKind::File | NodeKind::Symlink | NodeKind::Directory => {}
            _ => return Err(damaged(node.offset, "it has no contents")),
        }
        Ok(Segments { image: self, node, at: 0, held: None, failed: false })
    }

    /// Where the list of a file's chunks stands, and the bytes of each of its items.
    pub(crate) fn chunk_list(&self, node: &Node) -> (u64, u64) {
        let unit = if node.chunk_format().1 { 8 } else { 4 };
        (node.after_xattrs().next_multiple_of(unit), unit)
    }

    /// The place of one chunk.
    fn chunk(&self, node: &Node, number: u64) -> Result<Place> {
        let (start, unit) = self.chunk_list(node);
        let at = number.checked_mul(unit).and_then(|offset| offset.checked_add(start));
        let at = at.ok_or_else(|| damaged(node.offset, "a file has too many chunks"))?;
        let mut bytes = [0; 8];
        self.pages.read(&mut bytes[..unit as usize], at)?;
        let (device, block) =
            if unit == 8 { (u16_at(&bytes, 2), u32_at(&bytes, 4)) } else { (0, u32_at(&bytes, 0)) };
        let address = u64::from(block) << self.superblock.block_bits;
        Ok(match (block, device) {
            (NULL_BLOCK, _) => Place::Hole,
            (_, 0) => Place::Image { address },
            _ if device > self.superblock.devices => {
                return Err(damaged(at, "a chunk is on an unknown device"));
            }
            _ => Place::Device { device, address },
        })
    }
}

impl<S: ReadAt> Segments<'_, S> {
    /// What comes next in the image's own terms.
    fn raw(&self) -> Result<Option<Segment>> {
        let (node, image) = (self.node, self.image);
        let (size, at) = (node.size(), self.at);
        if at >= size {
            return Ok(None);
        }
        let bits = image.superblock.block_bits;
        let (end, place) = match node.raw.layout {
            Layout::Plain | Layout::Inline => {
                let block = image.block_size();
                let inline_from =
                    if node.raw.layout == Layout::Inline { (size - 1) / block * block } else { size };
                if at < inline_from {
                    if node.raw.value == NULL_BLOCK {
                        return Err(damaged(node.offset, "a file has no blocks"));
                    }
                    (inline_from, Place::Image { address: u64::from(node.raw.value) << bits })
                } else {
                    (size, Place::Image { address: node.after_xattrs() })
                }
            }
            Layout::Chunks => {
                let chunk = 1_u64 << (bits + node.chunk_format().0);
                ((at + chunk).min(size), image.chunk(node, at / chunk)?)
            }
        };
        let segment = Segment { offset: at, length: end - at, place };
        if let Place::Image { address } = place {
            image.pages.check(address, segment.length)?;
        }
        Ok(Some(segment))
    }
}

impl<S: ReadAt> Iterator for Segments<'_, S> {
    type Item = Result<Segment>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            match self.raw() {
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
                Ok(None) => break,
                Ok(Some(next)) => {
                    self.at = next.offset + next.length;
                    match &mut self.held {
                        Some(held) if held.place.after(held.length) == next.place => {
                            held.length += next.length;
                        }
                        held => {
                            if let Some(done) = held.replace(next) {
                                return Some(Ok(done));
                            }
                        }
                    }
                }
            }
        }
        self.held.take().filter(|_| !self.failed).map(Ok)
    }
}
