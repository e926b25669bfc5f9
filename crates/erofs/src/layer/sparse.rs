//! Sparse files. An image has a file in chunks of one size, each a hole or consecutive blocks; a tar stream has its data without
//! the holes. A chunk that is all data is where it stands in the stream; one that is only partly data is put together behind it.

use conex_archive::Extent;

use super::store::Store;
use crate::error::{Error, Result};
use crate::format::{BLOCK, BLOCK_BITS, CHUNK_BITS, NULL_BLOCK};
use crate::tree::{Data, Full, Tree};

/// Chunks of one file: 4 bytes of memory each, 8 in the image.
const MOST_CHUNKS: u64 = 1 << 16;
/// Bytes that are copied at a time.
const COPY: usize = 256 << 10;

/// The chunks of all files that are put together behind the stream.
pub(super) struct Sparse {
    /// Which chunk of the tree's list, and where its bytes come, from the start of the copies, in blocks.
    chunks: Vec<(u32, u32)>,
    pieces: Vec<Piece>,
    /// Blocks of all copies.
    blocks: u64,
    limit: u64,
}

/// Bytes of the stream that belong into a copied chunk.
struct Piece {
    /// From the start of the image.
    from: u64,
    /// From the start of the copies.
    to: u64,
    length: u64,
}

impl Sparse {
    pub(super) fn new(limit: u64) -> Self {
        Self { chunks: Vec::new(), pieces: Vec::new(), blocks: 0, limit }
    }

    /// The chunks of a file; `None` if it is too large for any.
    pub(super) fn chunks(
        &mut self,
        tree: &mut Tree,
        extents: &[Extent],
        size: u64,
        start: u64,
    ) -> std::result::Result<Option<Data>, Full> {
        let Some(bits) = chunk_bits(extents, size) else { return Ok(None) };
        let chunk = BLOCK << bits;
        let count = size.div_ceil(chunk);
        let mut blocks = Vec::with_capacity(count as usize);
        let mut copied = Vec::new();
        let mut extents = extents.iter().copied().peekable();
        for index in 0..count {
            let (from, to) = (index * chunk, ((index + 1) * chunk).min(size));
            // The extents that reach into this chunk; the last of them may reach into the next one too.
            while extents.next_if(|extent| extent.offset + extent.length <= from).is_some() {}
            let block = match extents.peek() {
                Some(extent) if extent.offset < to => {
                    let position = start + extent.position + from.saturating_sub(extent.offset);
                    let is_whole = extent.offset <= from && extent.offset + extent.length >= to;
                    if is_whole && position.is_multiple_of(BLOCK) {
                        u32::try_from(position / BLOCK).ok()
                    } else {
                        copied.push(index as u32);
                        self.pieces(&mut extents, from, to, start)?;
                        self.blocks += chunk / BLOCK;
                        Some(0)
                    }
                }
                _ => Some(NULL_BLOCK),
            };
            let Some(block) = block else { return Ok(None) };
            blocks.push(block);
        }
        let first = tree.add_chunks(blocks.into_iter())?;
        let before = self.blocks - copied.len() as u64 * (chunk / BLOCK);
        for (number, index) in copied.into_iter().enumerate() {
            let at = before + number as u64 * (chunk / BLOCK);
            let Ok(at) = u32::try_from(at) else { return Ok(None) };
            self.chunks.push((first + index, at));
        }
        self.check()?;
        Ok(Some(Data::Chunks { device: 0, bits, first, count: count as u32 }))
    }

    /// Notes the data between two places of a file for the copy that comes next.
    fn pieces(
        &mut self,
        extents: &mut std::iter::Peekable<impl Iterator<Item = Extent>>,
        from: u64,
        to: u64,
        start: u64,
    ) -> std::result::Result<(), Full> {
        let base = self.blocks * BLOCK;
        while let Some(&extent) = extents.peek().filter(|extent| extent.offset < to) {
            let (first, end) = (extent.offset.max(from), (extent.offset + extent.length).min(to));
            let position = start + extent.position + (first - extent.offset);
            self.pieces.push(Piece { from: position, to: base + (first - from), length: end - first });
            if extent.offset + extent.length > to {
                break;
            }
            extents.next();
        }
        self.check()
    }

    fn check(&self) -> std::result::Result<(), Full> {
        let bytes = self.pieces.len() * size_of::<Piece>() + self.chunks.len() * size_of::<(u32, u32)>();
        if bytes as u64 <= self.limit { Ok(()) } else { Err(Full) }
    }

    /// Writes the copies at `start`, and tells the tree where they are; gives where they end.
    pub(super) fn copy(&self, tree: &mut Tree, start: u64, store: &impl Store) -> Result<u64> {
        for &(chunk, at) in &self.chunks {
            let block = u32::try_from(start / BLOCK + u64::from(at));
            let block = block.ok().filter(|&block| block != NULL_BLOCK);
            let limit = u64::from(NULL_BLOCK) * BLOCK;
            let too_much = Error::Limit { what: "the size of the image", limit };
            tree.set_chunk(chunk, block.ok_or(too_much)?);
        }
        let mut buffer = vec![0; if self.pieces.is_empty() { 0 } else { COPY }];
        // Where the last piece ended, from the start of the copies: between two there is nothing.
        let mut end = 0;
        for piece in &self.pieces {
            store.skip(start + end, start + piece.to)?;
            end = piece.to + piece.length;
            let mut done = 0;
            while done < piece.length {
                let count = (piece.length - done).min(COPY as u64);
                let bytes = &mut buffer[..count as usize];
                store.read(bytes, piece.from + done)?;
                store.write(bytes, start + piece.to + done)?;
                done += count;
            }
        }
        store.skip(start + end, start + self.blocks * BLOCK)?;
        Ok(start + self.blocks * BLOCK)
    }
}

/// How large the chunks of a file are, as a shift of the block's size: as large as the places allow where its data starts and
/// ends, so that no chunk has both data and a hole; larger if they were too many then.
fn chunk_bits(extents: &[Extent], size: u64) -> Option<u8> {
    if size > BLOCK << CHUNK_BITS {
        return None;
    }
    let ends = extents.iter().map(|extent| extent.offset + extent.length).filter(|&end| end < size);
    let places = extents.iter().map(|extent| extent.offset).chain(ends);
    let aligned = places.fold(0, |all, place| all | place).trailing_zeros();
    let whole = size.next_power_of_two().trailing_zeros();
    let fewest = size.div_ceil(MOST_CHUNKS).next_power_of_two().trailing_zeros();
    let bits = aligned.min(whole).max(fewest).max(u32::from(BLOCK_BITS)) - u32::from(BLOCK_BITS);
    Some(bits as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(extents: &[(u64, u64)], size: u64) -> Option<u8> {
        let extents = extents.iter().map(|&(offset, length)| Extent { offset, length, position: 0 });
        chunk_bits(&extents.collect::<Vec<_>>(), size)
    }

    #[test]
    fn chunks_are_as_large_as_they_can_be() {
        // One hole, of any size.
        assert_eq!(bits(&[], 1), Some(0));
        assert_eq!(bits(&[], 1 << 30), Some(21));
        // Pages.
        assert_eq!(bits(&[(4096, 4096), (1 << 20, 8192)], 2 << 20), Some(3));
        // The end of the file need not be on a boundary.
        assert_eq!(bits(&[(4096, 100)], 4196), Some(3));
        assert_eq!(bits(&[(3, 100)], 4196), Some(0));
        // Not more than 65,536 of them.
        assert_eq!(bits(&[(512, 512)], 1 << 30), Some(5));
        assert_eq!(bits(&[], 1 << 41), None);
    }
}
