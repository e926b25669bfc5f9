//! One image, resolved: what `run`, `inspect` and the rest work on.

use conex_oci::image::{ImageDocument, ImageManifest};
use conex_oci::{ChainId, Descriptor, Digest, Platform, Reference};

/// One platform's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The image's id: the digest of its configuration blob.
    pub id: Digest,
    /// The reference it was found by; empty when it was found by id and has no name. [`crate::Store::names`] gives all.
    pub references: Vec<Reference>,
    /// What the reference points at: the index, or the manifest itself.
    pub target: Descriptor,
    /// The digest of the platform's manifest.
    pub manifest_digest: Digest,
    /// The platform's manifest.
    pub manifest: ImageManifest,
    /// The configuration.
    pub document: ImageDocument,
}

impl Image {
    /// Where it runs, as its configuration says.
    pub fn platform(&self) -> Platform {
        Platform {
            os: self.document.os.clone(),
            variant: self.document.variant.clone(),
            ..Platform::linux(&self.document.architecture)
        }
    }

    /// The identity of its stack of layers; `None` for an image without layers.
    pub fn chain_id(&self) -> Option<ChainId> {
        ChainId::of(&self.document.rootfs.diff_ids)
    }
}
