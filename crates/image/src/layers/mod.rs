//! Snapshots: layers unpacked into something that can be mounted, each made once and shared by every image that has it.
//!
//! A layer is named by its diff_id, the digest of its uncompressed tar, so it is the same layer in whatever blob,
//! compression or image it came. Its life:
//!
//! 1. [`Layers::lower`] says whether the layer is there: then it is complete, verified, and never changes.
//! 2. [`Layers::prepare`] takes the layer's lock, waiting for whoever is unpacking it now. It gives
//!    [`Prepared::Ready`] if the layer is there by then, else [`Prepared::Draft`], which holds the lock.
//! 3. [`Draft::fill`] unpacks the tar stream, verifies that it was the one named by the diff_id, and publishes the layer
//!    in one atomic step. A draft that is dropped, or whose process dies, leaves nothing that counts as a layer.
//! 4. [`Layers::remove`] takes the layer away. That nothing uses it is for the caller to know.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (diff_id, blob): (conex_oci::DiffId, std::fs::File) = todo!();
//! use conex_image::layers::{Directories, Layers, Prepared};
//! let layers = Directories::open("/var/lib/conex/layers".as_ref())?;
//! let lower = match layers.prepare(&diff_id)? {
//!     Prepared::Ready(lower) => lower,
//!     Prepared::Draft(draft) => draft.fill(&mut conex_archive::decompress(blob)?)?,
//! };
//! // `lower` goes into a `RootfsRequest`, lowest layer first.
//! # Ok(()) }
//! ```
//!
//! Implementations must pass the suite in `tests/layers_suite.rs`.

mod backend;
mod directories;
mod error;
mod images;
mod merged;
mod partial;
pub(crate) mod seal;
mod shelf;

use std::io::Read;
use std::path::PathBuf;

use conex_oci::DiffId;

pub use backend::{Backend, Mounts};
pub use directories::{Directories, Unpacked};
pub use error::{LayerError, Result};
pub use images::{Images, Packed};
pub use merged::Merged;
pub(crate) use merged::read_ids;
pub(crate) use shelf::RECORD;
pub use shelf::{Form, Record, Shelf, Stats};

/// The name of a layer that is an image, in its directory.
pub(crate) fn in_image() -> &'static str {
    Packed::NAME
}

/// The name of a layer that is a tree of files.
pub(crate) fn in_directory() -> &'static str {
    Unpacked::NAME
}

/// A store of unpacked layers. Every method may be called by many threads and processes at once.
pub trait Layers: Send + Sync {
    /// Where the layer is: a directory or an image; `None` if it is not there. One system call: it may be asked for each layer
    /// of each container that starts.
    fn lower(&self, layer: &DiffId) -> Result<Option<PathBuf>>;

    /// Takes the layer's lock, waiting while another process unpacks it, and says whether it has to be filled.
    fn prepare(&self, layer: &DiffId) -> Result<Prepared>;

    /// Removes the layer; nothing there is success. It is gone at once for [`Layers::lower`], whatever fails after.
    fn remove(&self, layer: &DiffId) -> Result<()>;

    /// All layers that are there, in no particular order.
    fn list(&self) -> Result<Vec<DiffId>>;

    /// Compares the layer's file with its seal (fs-verity), if it has one: a few system calls, before it is mounted.
    fn check_seal(&self, layer: &DiffId) -> Result<()>;

    /// Bytes of the layer's regular files, as they were when it was unpacked; `None` if it is not there.
    fn size(&self, layer: &DiffId) -> Result<Option<u64>>;
}

/// What [`Layers::prepare`] found.
#[must_use = "a draft holds the layer's lock"]
pub enum Prepared {
    /// The layer is there, at this path.
    Ready(PathBuf),
    /// It is not, and whoever holds the draft is the one to fill it.
    Draft(Box<dyn Draft>),
}

/// A layer in the making: holds the layer's lock, and cleans up when dropped.
#[must_use = "a draft that is dropped is thrown away"]
pub trait Draft: Send {
    /// Unpacks `tar`, the uncompressed stream, to its very end; verifies its digest; publishes the layer; gives
    /// its path, as [`Layers::lower`] would.
    fn fill(self: Box<Self>, tar: &mut dyn Read) -> Result<PathBuf>;
}
