//! One image, resolved: what `run`, `inspect` and the rest work on.

use conex_oci::image::{ImageDocument, ImageManifest};
use conex_oci::{ChainId, Descriptor, Digest, Platform, Reference};

/// One platform's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The image's id: the digest of its configuration blob.
    pub id: Digest,
    /// The reference it was found by; all of them (perhaps none) when it was found by its id.
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
        platform_of(&self.document)
    }

    /// The identity of its stack of layers; `None` for an image without layers.
    pub fn chain_id(&self) -> Option<ChainId> {
        ChainId::of(&self.document.rootfs.diff_ids)
    }

    /// A name for messages: its reference, else its short id.
    pub fn name(&self) -> String {
        self.references.first().map_or_else(|| self.id.short(), Reference::familiar)
    }
}

pub(crate) fn platform_of(document: &ImageDocument) -> Platform {
    // The oldest images do not say; Docker takes them for linux on the machine at hand.
    let host = Platform::host();
    let or = |text: &str, other: String| if text.is_empty() { other } else { text.to_owned() };
    Platform {
        os: or(&document.os, host.os),
        architecture: or(&document.architecture, host.architecture),
        variant: document.variant.clone().filter(|variant| !variant.is_empty()),
        os_version: None,
        os_features: None,
    }
}
