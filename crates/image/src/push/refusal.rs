//! Why an image cannot be pushed.

use conex_oci::{Digest, Platform};

/// Why an image cannot be pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushRefusal {
    /// A digest is not a name that can be given.
    #[error("cannot push a digest reference (name a tag)")]
    Digest,
    /// No such platform in the index, or not here.
    #[error("its image for {wanted} is not here (pull it with --platform first)")]
    Platform {
        /// What was asked for.
        wanted: Platform,
    },
    /// A layer that only its vendor may hand out.
    #[error("layer {digest} is a foreign layer, which is not handed out")]
    Foreign {
        /// The layer.
        digest: Digest,
    },
    /// Indexes that list indexes that list indexes.
    #[error("its indexes are nested too deeply")]
    Nested,
}
