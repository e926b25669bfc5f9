//! Attributes in the image: those of one inode stand after it; those that several have, and large ones, stand once in an area of
//! their own and are referred to.

use super::stream::Stream;
use crate::error::{Error, Result};
use crate::format::{XATTR_ENTRY, XATTR_HEADER};
use crate::tree::{Attribute, Attributes, Body, Inode, OPAQUE_NUMBER};

/// From this many bytes on, an attribute is kept away from the inodes.
const LARGE: usize = 256;
/// How many an inode can refer to.
const MOST_SHARED: usize = 255;
/// Bytes of attributes that an inode can have beside it: the count of them, in words, has 16 bits.
const MOST_BYTES: usize = XATTR_HEADER + 4 * (u16::MAX as usize - 1);
const NOT_SHARED: u32 = u32::MAX;

/// Which attributes are shared, and where they are.
pub(super) struct Shared {
    /// For each attribute its place in the area, in words.
    places: Vec<u32>,
    bytes: u64,
}

impl Shared {
    /// Decides by how many inodes have each attribute.
    pub(super) fn plan(attributes: &Attributes, uses: &[u32]) -> Result<Self> {
        let mut shared = Self { places: vec![NOT_SHARED; attributes.len()], bytes: 0 };
        for (number, (&uses, place)) in uses.iter().zip(&mut shared.places).enumerate() {
            let length = length(attributes.get(number as u32));
            if uses > 1 || uses == 1 && length >= LARGE {
                *place = u32::try_from(shared.bytes / 4).map_err(|_| Error::Limit {
                    what: "the size of its extended attributes",
                    limit: 16 << 30,
                })?;
                shared.bytes += length as u64;
            }
        }
        Ok(shared)
    }

    /// Bytes of the area.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn write<F>(&self, attributes: &Attributes, stream: &mut Stream<F>) -> Result<()>
    where
        F: FnMut(&[u8], u64) -> Result<()>,
    {
        let shared = self.places.iter().enumerate().filter(|(_, place)| **place != NOT_SHARED);
        shared.into_iter().try_for_each(|(number, _)| write_one(attributes.get(number as u32), stream))
    }

    /// How an inode's attributes are written.
    pub(super) fn of(&self, attributes: &Attributes, inode: &Inode) -> Result<Own> {
        let mut own = Own { shared: Vec::new(), beside: Vec::new(), bytes: 0 };
        for number in numbers(attributes, inode) {
            match self.places[number as usize] {
                place if place != NOT_SHARED && own.shared.len() < MOST_SHARED => own.shared.push(place),
                _ => own.beside.push(number),
            }
        }
        let beside: usize = own.beside.iter().map(|&number| length(attributes.get(number))).sum();
        if !own.shared.is_empty() || !own.beside.is_empty() {
            own.bytes = XATTR_HEADER + 4 * own.shared.len() + beside;
        }
        if own.bytes > MOST_BYTES {
            let limit = MOST_BYTES as u64;
            return Err(Error::Limit { what: "the size of a file's extended attributes", limit });
        }
        Ok(own)
    }
}

/// The attributes of an inode, with the mark that an opaque directory gets.
pub(super) fn numbers<'a>(attributes: &'a Attributes, inode: &Inode) -> impl Iterator<Item = u32> + use<'a> {
    let opaque = matches!(inode.body, Body::Directory(directory) if directory.opaque);
    let opaque = opaque.then_some(OPAQUE_NUMBER);
    attributes.set(inode.metadata.xattrs).iter().copied().chain(opaque)
}

/// One inode's attributes.
pub(super) struct Own {
    shared: Vec<u32>,
    beside: Vec<u32>,
    bytes: usize,
}

impl Own {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The same in the inode's terms.
    pub(super) fn count(&self) -> u16 {
        if self.bytes == 0 { 0 } else { ((self.bytes - XATTR_HEADER) / 4 + 1) as u16 }
    }

    pub(super) fn write<F>(&self, attributes: &Attributes, stream: &mut Stream<F>) -> Result<()>
    where
        F: FnMut(&[u8], u64) -> Result<()>,
    {
        if self.bytes == 0 {
            return Ok(());
        }
        let mut header = [0; XATTR_HEADER];
        header[4] = self.shared.len() as u8;
        stream.put(&header)?;
        self.shared.iter().try_for_each(|place| stream.put(&place.to_le_bytes()))?;
        self.beside.iter().try_for_each(|&number| write_one(attributes.get(number), stream))
    }
}

/// Bytes of one attribute, to the next word.
fn length(attribute: &Attribute) -> usize {
    (XATTR_ENTRY + attribute.name.len() + attribute.value.len()).next_multiple_of(4)
}

fn write_one<F>(attribute: &Attribute, stream: &mut Stream<F>) -> Result<()>
where
    F: FnMut(&[u8], u64) -> Result<()>,
{
    let size = (attribute.value.len() as u16).to_le_bytes();
    stream.put(&[attribute.name.len() as u8, attribute.prefix, size[0], size[1]])?;
    stream.put(&attribute.name)?;
    stream.put(&attribute.value)?;
    stream.pad(stream.position().next_multiple_of(4))
}
