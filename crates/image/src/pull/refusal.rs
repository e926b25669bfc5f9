//! Why an image that a registry serves cannot be pulled.

use std::io;

use conex_oci::{Digest, Platform};

/// Why an image that a registry serves cannot be pulled.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No image for the platform.
    #[error("it has no image for {wanted} (it has: {available}; choose one with --platform)")]
    Platform {
        /// What was asked for, or the host's.
        wanted: Platform,
        /// What there is.
        available: String,
    },
    /// Indexes that list indexes that list indexes.
    #[error("its indexes are nested too deeply")]
    Nested,
    /// A document that does not parse.
    #[error("document {digest} is malformed: {source}")]
    Malformed {
        /// Which.
        digest: Digest,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A configuration or document larger than any honest one.
    #[error("its configuration {digest} has {size} bytes (at most {limit} are read)")]
    TooLarge {
        /// The configuration.
        digest: Digest,
        /// Bytes.
        size: u64,
        /// Bytes.
        limit: u64,
    },
    /// More layers than can be stacked.
    #[error("it has {count} layers (at most {limit} can be stacked)")]
    TooManyLayers {
        /// In the manifest.
        count: usize,
        /// At most.
        limit: usize,
    },
    /// A layer that only its vendor may hand out (Windows base images).
    #[error(
        "layer {digest} is a foreign layer, which the registry does not hold; such images are not supported"
    )]
    Foreign {
        /// The layer.
        digest: Digest,
    },
    /// A layer that is no file system.
    #[error("layer {digest} is of type {media_type:?}, which is no file system: it is not a container image")]
    LayerType {
        /// The layer.
        digest: Digest,
        /// Clipped.
        media_type: String,
    },
    /// The bytes that came are not those of the descriptor.
    #[error("blob {digest} came with other bytes: {source} (the registry is broken, or lies)")]
    Corrupt {
        /// Which.
        digest: Digest,
        /// Expected and got.
        source: conex_content::Error,
    },
    /// The store's disk.
    #[error("cannot write blob {digest}: {source}")]
    Unwritten {
        /// Which.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
}
