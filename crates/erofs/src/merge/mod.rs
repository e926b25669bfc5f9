//! Layers merged into one image that has their metadata only: their files' contents stay where they are, in the layers' own
//! images, which become the devices of this one. A lookup in it costs the same for one layer and for a hundred.
//!
//! What comes out is what overlayfs shows of the unpacked layers, one above the other.

mod overlay;

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use conex_archive::UnpackStats;

use self::overlay::overlay;
use crate::emit::{Plan, emit};
use crate::error::{Error, Result};
use crate::format::{
    BLOCK, BLOCK_BITS, DEVICE_SLOT, DeviceSlot, FEATURE_CHUNKED_FILE, FEATURE_DEVICE_TABLE, FIRST_PAGE,
    Header, ImageKind, SUPERBLOCK, SUPERBLOCK_OFFSET, Superblock,
};
use crate::image::Image;
use crate::layer::WriteOptions;
use crate::tree::Tree;

/// Where the table of devices starts, in slots.
const DEVICE_TABLE: usize = (SUPERBLOCK_OFFSET + SUPERBLOCK) / DEVICE_SLOT;

/// A layer that takes part in a merge.
#[derive(Debug, Clone, Copy)]
pub struct MergeLayer<'a> {
    /// Its image, as [`crate::write_layer`] has written it.
    pub image: &'a File,
    /// What its device is called in the merged image: the 64 hex digits of its diff_id. Two layers of one name are the same.
    pub name: &'a str,
}

/// What was merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The layers whose images have to be given as devices, in that order, by their place among those that were merged. A layer
    /// of whose files' contents nothing is left is not among them.
    pub devices: Vec<usize>,
    /// Files, directories and all else.
    pub inodes: u64,
    /// Bytes of the image.
    pub bytes: u64,
}

/// Merges the layers, lowest first, into an image in `file`, which is empty. Nothing is synced.
///
/// The layers' images are read, but only their metadata, and believed in nothing.
///
/// # Errors
/// [`Error::Merge`] with the layer to blame; [`Error::Limit`] for what is too much altogether.
pub fn merge(layers: &[MergeLayer<'_>], file: &File, options: &WriteOptions) -> Result<Merged> {
    let mut tree = Tree::new(options.max_metadata);
    let mut lengths = Vec::with_capacity(layers.len());
    let mut known = HashMap::new();
    for (index, layer) in layers.iter().enumerate() {
        let failed = |source| Error::Merge { index, source: Box::new(source) };
        let device = known.entry(layer.name).or_insert(index + 1);
        let device = u16::try_from(*device)
            .map_err(|_| Error::Limit { what: "the number of layers", limit: u16::MAX.into() })?;
        let image = open(layer.image).map_err(failed)?;
        lengths.push(image.length());
        overlay(&mut tree, &image, device, options).map_err(failed)?;
    }
    let plan = Plan::of(&tree)?;
    let used = plan.devices(&tree, layers.len());
    let devices: Vec<usize> = (0..layers.len()).filter(|index| used[index + 1]).collect();
    let mut numbers = vec![0; layers.len() + 1];
    for (number, index) in devices.iter().enumerate() {
        numbers[index + 1] = number as u16 + 1;
    }
    let table_end = (DEVICE_TABLE + devices.len()) * DEVICE_SLOT;
    let start = table_end.next_multiple_of(FIRST_PAGE);
    let write = |bytes: &[u8], offset| {
        file.write_all_at(bytes, offset).map_err(|source| Error::Write { offset, source })
    };
    let emission = emit(&tree, &plan, &numbers, start as u64, write)?;
    let mut front = vec![0; start];
    let slots = front[DEVICE_TABLE * DEVICE_SLOT..].chunks_exact_mut(DEVICE_SLOT);
    for (&index, bytes) in devices.iter().zip(slots) {
        bytes.copy_from_slice(&slot(&layers[index], lengths[index])?.encode());
    }
    let chunked = if emission.has_chunks { FEATURE_CHUNKED_FILE } else { 0 };
    let superblock = Superblock {
        block_bits: BLOCK_BITS,
        features: chunked | if devices.is_empty() { 0 } else { FEATURE_DEVICE_TABLE },
        root: emission.root,
        inodes: emission.inodes,
        time: (0, 0),
        blocks: emission.blocks()?,
        meta_block: emission.meta_block,
        xattr_block: emission.xattr_block,
        name: "conex-merged",
        devices: devices.len() as u16,
        device_slot: DEVICE_TABLE as u16,
    };
    superblock.encode(&mut front[SUPERBLOCK_OFFSET..]);
    let (first, rest) = front.split_first_chunk_mut::<FIRST_PAGE>().expect("the front has whole pages");
    let stats = UnpackStats { entries: emission.inodes, ..UnpackStats::default() };
    Header { kind: ImageKind::Merged, tar_start: 0, tar_length: 0, stats }.seal(first);
    write(rest, FIRST_PAGE as u64)?;
    write(first, 0)?;
    Ok(Merged { devices, inodes: emission.inodes, bytes: emission.end })
}

fn open(file: &File) -> Result<Image<&File>> {
    let image = Image::open(file)?;
    if image.header()?.kind != ImageKind::Layer || image.block_size() != BLOCK {
        return Err(Error::Superblock("it is no layer"));
    }
    Ok(image)
}

fn slot(layer: &MergeLayer<'_>, length: u64) -> Result<DeviceSlot> {
    let mut tag = [0; 64];
    let name = layer.name.as_bytes();
    if name.is_empty() || name.len() > tag.len() || name.contains(&0) {
        return Err(Error::Limit { what: "the length of a layer's name", limit: tag.len() as u64 });
    }
    tag[..name.len()].copy_from_slice(name);
    let blocks = u32::try_from(length / BLOCK)
        .map_err(|_| Error::Limit { what: "the size of a layer", limit: u64::from(u32::MAX) * BLOCK })?;
    Ok(DeviceSlot { tag, blocks })
}
