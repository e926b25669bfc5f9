//! Layer tar streams: read, write, whiteouts, compression; hostile input refused.
//!
//! A layer blob goes through three stages, each a type that the next one wraps:
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use conex_archive::{HashingReader, UnpackOptions, decompress, unpack};
//! let blob = std::fs::File::open("layer.tar.gz")?;
//! let mut tar = HashingReader::new(decompress(blob)?);
//! let destination = std::fs::File::open("/empty/directory")?;
//! let stats = unpack(&mut tar, std::os::fd::AsFd::as_fd(&destination), &UnpackOptions::default())?;
//! let (diff_id, _bytes) = tar.finish()?;
//! # Ok(()) }
//! ```
//!
//! Everything that comes in is taken to be hostile: memory is bounded by [`Limits`], and no path in an archive is
//! ever resolved outside the directory that it is unpacked into.

mod ahead;
mod apply;
mod compression;
mod error;
mod hashing;
mod header;
mod limits;
pub mod names;
mod reader;
mod remove;
mod unpack;
mod writer;

pub use ahead::read_ahead;
pub use apply::{Applied, Destination, NamesMean, apply};
pub use compression::{Compression, Compressor, Decompressed, decompress};
pub use error::{Error, Result};
pub use hashing::HashingReader;
pub use header::{Header, Kind, Time};
pub use limits::Limits;
pub use reader::{Chunk, Entry, Extent, Reader};
pub use remove::{RemoveError, remove_tree};
pub use unpack::{OverlayXattrs, UnpackOptions, UnpackStats, unpack};
pub use writer::Writer;
