//! Why an image's layers cannot be listed.

use conex_oci::Digest;

/// A layer that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read layer {layer} ({}): {why}", digest.short())]
pub struct ContentsError {
    /// From 1, the lowest.
    pub layer: usize,
    /// Its blob.
    pub digest: Digest,
    /// Why.
    pub why: Refusal,
}

/// What is wrong with a layer.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Its tar stream.
    #[error(transparent)]
    Archive(#[from] conex_archive::Error),
    /// A path that unpacking refuses too.
    #[error("an entry's path is refused: {0}")]
    Path(&'static str),
    /// More than memory is kept for.
    #[error("the image has more than {} files", super::MOST)]
    TooMany,
    /// Layers made to take for ever.
    #[error("its deletions hide the same files over and over")]
    Work,
}
