//! Reading blobs. Documents (manifests, indexes, configurations) are bounded and verified whenever they are read.

use std::fs::File;

use conex_oci::{Descriptor, Digest};
use serde::de::DeserializeOwned;

use crate::{Content, Result};

/// The most that is read of a manifest, an index or a configuration, in bytes (registries use the same limit).
pub const DOCUMENT_LIMIT: u64 = 4 << 20;

impl Content {
    /// Whether the blob is here, whole (blobs appear by rename, verified).
    pub fn has(&self, digest: &Digest) -> bool {
        let _ = digest;
        todo!()
    }

    /// The blob's size in bytes.
    pub fn size(&self, digest: &Digest) -> Result<u64> {
        let _ = digest;
        todo!()
    }

    /// The blob's file, to be streamed; its reader verifies what it needs to (layers by their diff_id).
    pub fn reader(&self, digest: &Digest) -> Result<File> {
        let _ = digest;
        todo!()
    }

    /// A document's bytes, at most [`DOCUMENT_LIMIT`], verified against the digest and the descriptor's size.
    pub fn read(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let _ = descriptor;
        todo!()
    }

    /// A document, read as [`Self::read`] does and parsed.
    pub fn document<T: DeserializeOwned>(&self, descriptor: &Descriptor) -> Result<T> {
        let _ = descriptor;
        todo!()
    }
}
