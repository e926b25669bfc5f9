//! What the roots reach: every blob and layer that must stay. The other half of collection is in [`crate::Claim`].

use std::collections::HashSet;

use conex_oci::image::{ImageDocument, ImageIndex, ImageManifest};
use conex_oci::{Descriptor, DiffId, Digest};

use crate::{Claim, Content, Error, Result};

/// Indexes in indexes are legal; a cycle cannot be (a digest would contain itself), but a hostile depth can.
const DEPTH: usize = 8;

/// What must stay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reachable {
    /// Blobs: indexes, manifests, configurations, layers.
    pub blobs: HashSet<Digest>,
    /// Unpacked layers.
    pub layers: HashSet<DiffId>,
}

impl Content {
    /// Follows all roots. A blob that is not here reaches nothing (other platforms of an index); one that is here and
    /// cannot be read is an error, because nobody can tell what it still needs.
    pub fn mark(&self) -> Result<Reachable> {
        let mut reachable = Reachable::default();
        for root in self.roots()? {
            self.mark_target(&root.target, DEPTH, &mut reachable)?;
        }
        Ok(reachable)
    }

    fn mark_target(&self, target: &Descriptor, depth: usize, reachable: &mut Reachable) -> Result<()> {
        if !reachable.blobs.insert(target.digest) || depth == 0 {
            return Ok(());
        }
        if target.is_index() {
            if let Some(index) = present(self.document::<ImageIndex>(target))? {
                for child in &index.manifests {
                    self.mark_target(child, depth - 1, reachable)?;
                }
            }
        } else if target.is_manifest()
            && let Some(manifest) = present(self.document::<ImageManifest>(target))?
        {
            reachable.blobs.insert(manifest.config.digest);
            reachable.blobs.extend(manifest.layers.iter().map(|layer| layer.digest));
            // Artifacts and attestations have configurations of other kinds: they unpack to nothing.
            match self.document::<ImageDocument>(&manifest.config) {
                Ok(document) => reachable.layers.extend(document.rootfs.diff_ids),
                Err(Error::Malformed { .. } | Error::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Deletes a blob that `claim` covers; returns its size in bytes, 0 when it was gone.
    pub fn delete(&self, digest: &Digest, claim: &Claim) -> Result<u64> {
        debug_assert!(claim.try_add(digest).unwrap_or(false), "deleting what is not claimed");
        let size = self.size(digest).unwrap_or(0);
        let path = self.path(digest);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(size),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(source) => Err(Error::Remove { path, source }),
        }
    }
}

fn present<T>(document: Result<T>) -> Result<Option<T>> {
    match document {
        Err(Error::Missing { .. }) => Ok(None),
        other => other.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conex_oci::media_type;

    fn put(content: &Content, kind: &str, document: &impl serde::Serialize) -> Descriptor {
        let bytes = serde_json::to_vec(document).unwrap();
        Descriptor::new(kind, content.put(&bytes).unwrap(), bytes.len() as u64)
    }

    fn image(content: &Content, layer: &str) -> (Descriptor, Digest) {
        let layer_digest = content.put(layer.as_bytes()).unwrap();
        let mut document = ImageDocument::default();
        document.rootfs.diff_ids.push(DiffId(layer_digest));
        let manifest = ImageManifest {
            schema_version: 2,
            media_type: None,
            artifact_type: None,
            config: put(content, media_type::CONFIG, &document),
            layers: vec![Descriptor::new(media_type::LAYER, layer_digest, layer.len() as u64)],
            subject: None,
            annotations: None,
        };
        (put(content, media_type::MANIFEST, &manifest), layer_digest)
    }

    #[test]
    fn an_index_reaches_its_images_and_nothing_else_stays() {
        let root = tempfile::tempdir().unwrap();
        let content = Content::open(root.path()).unwrap();
        let ((ours, layer), (_, garbage)) = (image(&content, "a"), image(&content, "b"));
        let elsewhere = Descriptor::new(media_type::MANIFEST, Digest::of(b"another platform"), 1);
        let index = ImageIndex {
            schema_version: 2,
            media_type: None,
            manifests: vec![ours.clone(), elsewhere.clone()],
            annotations: None,
        };
        let target = put(&content, media_type::INDEX, &index);
        content.set(&"a".parse().unwrap(), &target).unwrap();
        let reachable = content.mark().unwrap();
        assert!(reachable.layers.contains(&DiffId(layer)) && reachable.layers.len() == 1);
        assert!(reachable.blobs.contains(&target.digest) && reachable.blobs.contains(&ours.digest));
        assert!(reachable.blobs.contains(&layer) && !reachable.blobs.contains(&garbage));
        let claim = content.claim().unwrap();
        assert!(claim.try_add(&garbage).unwrap());
        assert_eq!(content.delete(&garbage, &claim).unwrap(), 1);
        assert!(!content.has(&garbage));
    }

    #[test]
    fn an_unreadable_manifest_stops_the_collection() {
        let root = tempfile::tempdir().unwrap();
        let content = Content::open(root.path()).unwrap();
        let (target, _) = image(&content, "a");
        content.set(&"a".parse().unwrap(), &target).unwrap();
        std::fs::write(content.path(&target.digest), "rot").unwrap();
        assert!(matches!(content.mark(), Err(Error::Corrupt { .. })));
    }
}
