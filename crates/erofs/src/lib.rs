//! EROFS images: a layer's tar stream written as one, the layers of an image merged into one, images read and mounted.
//!
//! A layer that is unpacked costs a dozen system calls for each of its files. Here it costs a write for each hundred
//! kilobytes: the tar stream is kept as it is, and what follows it is a file system whose files' contents are in it
//! ([ADR 15](../../../docs/adr/0015-layers-as-erofs.md)). Its life:
//!
//! 1. [`write_layer`] makes the image of a layer out of its uncompressed stream, in one pass.
//! 2. [`merge`] joins the images of an image's layers in one that has only metadata.
//! 3. [`mount()`] mounts it, with the layers as its devices; [`probe`] says whether this machine can.
//! 4. [`Image`] reads any of them, for listings and comparisons.
//! 5. [`tar_of`] gives the stream back, to be checked against the layer's diff_id, and [`verify_layer`] checks the rest.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::fs::File;
//! let create = |path| File::options().read(true).write(true).create_new(true).open(path);
//! let options = conex_erofs::WriteOptions::default();
//! let layer = create("layer.erofs")?;
//! conex_erofs::write_layer(File::open("layer.tar")?, &layer, &options)?;
//! let layers = [conex_erofs::MergeLayer { image: &layer, name: "aa…" }];
//! let merged = conex_erofs::merge(&layers, &create("merged.erofs")?, &options)?;
//! let devices: Vec<_> = merged.devices.iter().map(|_| "layer.erofs".into()).collect();
//! let backing = conex_erofs::probe(".".as_ref())?;
//! let root = conex_erofs::mount("merged.erofs".as_ref(), &devices, backing)?;
//! # Ok(()) }
//! ```

mod emit;
mod error;
mod format;
mod image;
mod layer;
mod merge;
mod mount;
mod tree;

pub use error::{Error, Result};
pub use image::{
    DirectoryEntry, Image, Listing, Node, NodeId, NodeKind, Place, ReadAt, Segment, Segments, Visit, Walk,
};
pub use layer::{TarStream, WriteOptions, layer_stats, tar_of, verify_layer, write_layer};
pub use merge::{MergeLayer, Merged, merge};
pub use mount::{Backing, mount, probe, probe_with};
