//! What a push sends: manifests, children first, and the blobs that they need.

use std::collections::HashSet;

use conex_oci::image::{ImageIndex, ImageManifest};
use conex_oci::{Descriptor, Digest, Platform};

use super::{Push, PushRefusal};
use crate::Result;

/// How deep indexes may list indexes.
const DEPTH: u32 = 4;

/// What is sent.
#[derive(Debug)]
pub(super) struct Plan {
    /// What the reference shall mean; the last of the manifests.
    pub(super) target: Descriptor,
    /// In the order in which they are put.
    pub(super) manifests: Vec<Descriptor>,
    /// Each once.
    pub(super) blobs: Vec<Descriptor>,
}

/// Manifests and blobs while they are being found.
#[derive(Default)]
struct Found {
    seen: HashSet<Digest>,
    manifests: Vec<Descriptor>,
    blobs: Vec<Descriptor>,
    /// Whether all of it is here, or there.
    whole: bool,
}

impl Push<'_> {
    /// All of `target`; its one platform when only that is wanted, or when only that is here.
    pub(super) fn plan(&self, target: &Descriptor, platform: Option<&Platform>) -> Result<Plan> {
        if platform.is_none() || target.is_manifest() {
            let mut found = Found { whole: true, ..Found::default() };
            self.gather(target, DEPTH, &mut found)?;
            if found.whole {
                return Ok(Plan { target: target.clone(), manifests: found.manifests, blobs: found.blobs });
            }
        }
        let image = match self.store.image_of(target, Some(self.reference), platform) {
            Ok(image) => image,
            Err(crate::Error::Platform { .. } | crate::Error::NotFound { .. }) if platform.is_some() => {
                let wanted = platform.cloned().unwrap_or_else(Platform::host);
                return Err(self.refuse(PushRefusal::Platform { wanted }));
            }
            Err(error) => return Err(error),
        };
        let manifests = self.store.manifests_in(target)?;
        let manifest = manifests.into_iter().find(|manifest| manifest.digest == image.manifest_digest);
        // As a target of its own: what the index says of it stays in the index.
        let target = manifest.unwrap_or_else(|| target.clone());
        let target = Descriptor::new(target.media_type, target.digest, target.size);
        let mut found = Found { whole: true, ..Found::default() };
        self.gather(&target, DEPTH, &mut found)?;
        if let Some(missing) = found.blobs.iter().find(|blob| !self.store.content().has(&blob.digest)) {
            return Err(conex_content::Error::Missing { digest: missing.digest }.into());
        }
        Ok(Plan { target, manifests: found.manifests, blobs: found.blobs })
    }

    fn gather(&self, target: &Descriptor, depth: u32, found: &mut Found) -> Result<()> {
        if !found.seen.insert(target.digest) {
            return Ok(());
        }
        self.lease.add(&target.digest)?;
        if !self.store.content().has(&target.digest) {
            // Another platform's, which was not pulled; the registry may have it, if the index came from there.
            found.whole &= self.client.has_manifest(self.reference, &target.digest)?;
            return Ok(());
        }
        if target.is_index() {
            if depth == 0 {
                return Err(self.refuse(PushRefusal::Nested));
            }
            for child in &self.store.content().document::<ImageIndex>(target)?.manifests {
                self.gather(child, depth - 1, found)?;
            }
        } else {
            let manifest: ImageManifest = self.store.content().document(target)?;
            for blob in std::iter::once(&manifest.config).chain(&manifest.layers) {
                self.blob(target, blob, found)?;
            }
        }
        found.manifests.push(target.clone());
        Ok(())
    }

    fn blob(&self, manifest: &Descriptor, blob: &Descriptor, found: &mut Found) -> Result<()> {
        if !found.seen.insert(blob.digest) {
            return Ok(());
        }
        if blob.urls.as_ref().is_some_and(|urls| !urls.is_empty())
            || blob.media_type.contains("nondistributable")
        {
            return Err(self.refuse(PushRefusal::Foreign { digest: blob.digest }));
        }
        self.lease.add(&blob.digest)?;
        if !self.store.content().has(&blob.digest) {
            log::debug!("blob {} of {} is not here", blob.digest, manifest.digest);
            found.whole &= self.client.has_blob(self.reference, &blob.digest)?;
            return Ok(());
        }
        found.blobs.push(blob.clone());
        Ok(())
    }
}
