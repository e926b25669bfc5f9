//! What can go wrong with a snapshot.

use std::io;
use std::path::PathBuf;

use conex_oci::{DiffId, Digest};

/// The result of this module's calls.
pub type Result<T> = std::result::Result<T, LayerError>;

/// Why a layer could not be prepared, found or removed.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// A call on one of the store's own directories or files failed.
    #[error("cannot {what} {}: {source}", path.display())]
    Store {
        /// The step that failed.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The tar stream could not be unpacked.
    #[error("cannot unpack layer {layer}: {source}")]
    Unpack {
        /// Which layer.
        layer: DiffId,
        /// Why.
        #[source]
        source: Box<conex_archive::Error>,
    },
    /// A layer's EROFS image, or one of several layers, could not be written, read or mounted.
    #[error("{}: {source}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<conex_erofs::Error>,
    },
    /// A sealed file has another in its place.
    #[error(
        "{} is damaged: its fs-verity digest is {found}, {expected} was noted (remove the image and pull it again)",
        path.display()
    )]
    Seal {
        /// The file.
        path: PathBuf,
        /// As it was noted when the file was sealed.
        expected: Digest,
        /// As the kernel says.
        found: Digest,
    },
    /// `CONEX_LAYERS` asks for what is not to be had.
    #[error("CONEX_LAYERS={asked}: {why}")]
    Backend {
        /// What it asks for.
        asked: String,
        /// Why not.
        why: String,
    },
    /// A layer went while it was being used.
    #[error("layer {layer} is not here any more")]
    Missing {
        /// Which layer.
        layer: DiffId,
    },
    /// The stream was another one than the image's configuration names.
    #[error(
        "layer {expected} is refused: its contents are {found} (the image is corrupt, or not what it claims)"
    )]
    DiffId {
        /// By the image's configuration.
        expected: DiffId,
        /// By the bytes.
        found: DiffId,
    },
    /// A tree could not be removed.
    #[error("cannot clear {}: {source}", path.display())]
    Clear {
        /// Which tree.
        path: PathBuf,
        /// Why.
        #[source]
        source: conex_archive::RemoveError,
    },
}
