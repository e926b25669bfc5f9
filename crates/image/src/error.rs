//! What can go wrong with images. Each message is one line and, where there is a cure, names it.

use conex_oci::{Digest, Platform};

/// The result of an image operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed image operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No image of that name or id. The engine pulls on this one.
    #[error("no such image: {name}")]
    NotFound {
        /// As typed.
        name: String,
    },
    /// The image is here, for other platforms.
    #[error("image {name} is here only for {available}, not for {wanted} (pull it with --platform {wanted})")]
    Platform {
        /// As typed.
        name: String,
        /// What was asked for.
        wanted: Platform,
        /// What there is, comma-separated.
        available: String,
    },
    /// An id prefix that several images share.
    #[error("image id {prefix} is ambiguous: it starts the ids of {} images", matches.len())]
    Ambiguous {
        /// As typed.
        prefix: String,
        /// The ids.
        matches: Vec<Digest>,
    },
    /// The store on disk.
    #[error(transparent)]
    Content(#[from] conex_content::Error),
    /// The registry, or the way to it.
    #[error(transparent)]
    Registry(#[from] conex_registry::Error),
    /// What the registry serves under that name cannot be pulled.
    #[error("cannot pull {reference}: {why}")]
    Pull {
        /// What was asked for, in its short form.
        reference: String,
        /// Why not, and what to do.
        why: crate::pull::Refusal,
    },
    /// What was typed is neither a reference nor an id.
    #[error(transparent)]
    Reference {
        /// Why.
        #[from]
        source: conex_oci::ReferenceError,
    },
    /// A manifest of something else: an artifact, a signature.
    #[error("{digest} is not an image: its configuration is of type {media_type:?}")]
    NotAnImage {
        /// The manifest.
        digest: Digest,
        /// Of its configuration.
        media_type: String,
    },
    /// The manifest and the configuration disagree.
    #[error("image {id} is malformed: its manifest lists {blobs} layers, its configuration {layers}")]
    LayerCount {
        /// The image.
        id: Digest,
        /// In the manifest.
        blobs: usize,
        /// In the configuration.
        layers: usize,
    },
    /// A tag with a digest in it.
    #[error("cannot tag an image as {reference}: a new name may have a tag but no digest")]
    TagDigest {
        /// As typed.
        reference: String,
    },
    /// A filter's pattern.
    #[error("bad pattern {pattern:?} in a reference filter")]
    Pattern {
        /// As typed.
        pattern: String,
    },
    /// The layer store.
    #[error(transparent)]
    Layers(#[from] crate::layers::LayerError),
    /// An image that may not be removed.
    #[error("conflict: {0}")]
    Conflict(#[from] crate::remove::Conflict),
}
