//! What the roots reach: every blob and layer that must stay. The other half of collection is in [`crate::Claim`].

use std::collections::HashSet;

use conex_oci::image::{ImageDocument, ImageIndex, ImageManifest};
use conex_oci::{ChainId, Descriptor, DiffId, Digest, media_type};

use crate::{Claim, Content, Error, Result, Root};

/// Indexes in indexes are legal; a cycle cannot be (a digest would contain itself), but a hostile depth can.
const DEPTH: usize = 8;

/// What must stay.
#[derive(Debug, Default)]
pub struct Reachable {
    /// Blobs: indexes, manifests, configurations, layers.
    pub blobs: HashSet<Digest>,
    /// Unpacked layers.
    pub layers: HashSet<DiffId>,
    /// What is made of all layers of an image together.
    pub chains: HashSet<ChainId>,
    /// Roots that have lost a document, with what is wrong with it: nobody can tell what else they need.
    pub damaged: Vec<(Root, Error)>,
}

impl Content {
    /// Follows all roots. A child of an index that is not here reaches nothing (other platforms); any other document that
    /// is missing or rotten damages its root.
    pub fn mark(&self) -> Result<Reachable> {
        self.mark_from(&self.roots_at_once()?)
    }

    /// The same for some roots alone.
    pub fn mark_from(&self, roots: &[Root]) -> Result<Reachable> {
        let mut reachable = Reachable::default();
        for root in roots {
            match self.mark_target(&root.target, DEPTH, &mut reachable) {
                Err(error) if is_damage(&error) => {
                    // Or somebody has forgotten it since, and its blobs are gone with it.
                    if self.holds(root)? {
                        reachable.blobs.insert(root.target.digest);
                        reachable.damaged.push((root.clone(), error));
                    }
                }
                marked => marked?,
            }
        }
        Ok(reachable)
    }

    fn mark_target(&self, target: &Descriptor, depth: usize, reachable: &mut Reachable) -> Result<()> {
        if !reachable.blobs.insert(target.digest) || depth == 0 {
            return Ok(());
        }
        let followed = self.mark_below(target, depth, reachable);
        if followed.is_err() {
            // Another root that leads here has to find out, too.
            reachable.blobs.remove(&target.digest);
        }
        followed
    }

    fn mark_below(&self, target: &Descriptor, depth: usize, reachable: &mut Reachable) -> Result<()> {
        if target.is_index() {
            for child in &self.document::<ImageIndex>(target)?.manifests {
                if self.has(&child.digest) {
                    self.mark_target(child, depth - 1, reachable)?;
                } else {
                    reachable.blobs.insert(child.digest);
                }
            }
        } else if target.is_manifest() {
            let manifest = self.document::<ImageManifest>(target)?;
            reachable.blobs.insert(manifest.config.digest);
            reachable.blobs.extend(manifest.layers.iter().map(|layer| layer.digest));
            // Artifacts and attestations have configurations of other kinds, which need not be documents at all.
            let kind = manifest.config.media_type.as_str();
            match self.document::<ImageDocument>(&manifest.config) {
                Ok(document) => {
                    reachable.chains.extend(ChainId::of(&document.rootfs.diff_ids));
                    reachable.layers.extend(document.rootfs.diff_ids);
                }
                Err(error) if [media_type::CONFIG, media_type::DOCKER_CONFIG].contains(&kind) => {
                    return Err(error);
                }
                Err(error) if is_damage(&error) => {}
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

/// Whether a document is not what it should be, and not merely out of reach at this moment.
fn is_damage(error: &Error) -> bool {
    matches!(
        error,
        Error::Missing { .. } | Error::Corrupt { .. } | Error::Malformed { .. } | Error::TooLarge { .. }
    )
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
    fn a_root_that_lost_a_document_is_damaged_and_the_others_are_not() {
        let root = tempfile::tempdir().unwrap();
        let content = Content::open(root.path()).unwrap();
        let ((target, layer), (other, theirs)) = (image(&content, "a"), image(&content, "b"));
        content.set(&"a".parse().unwrap(), &target).unwrap();
        content.set(&"b".parse().unwrap(), &other).unwrap();
        let config = content.document::<ImageManifest>(&target).unwrap().config.digest;
        for damage in [target.digest, config] {
            let path = content.path(&damage);
            let kept = std::fs::read(&path).unwrap();
            std::fs::write(&path, "rot").unwrap();
            let found = |reachable: Reachable| {
                assert!(
                    reachable.layers.contains(&DiffId(theirs)) && !reachable.layers.contains(&DiffId(layer))
                );
                assert_eq!(reachable.damaged.len(), 1, "{reachable:?}");
                assert_eq!(reachable.damaged[0].0.reference().unwrap().familiar(), "a:latest");
                reachable.damaged.into_iter().next().unwrap().1
            };
            assert!(matches!(found(content.mark().unwrap()), Error::Corrupt { .. }));
            std::fs::remove_file(&path).unwrap();
            assert!(matches!(found(content.mark().unwrap()), Error::Missing { .. }));
            std::fs::write(&path, kept).unwrap();
        }
        assert!(content.mark().unwrap().damaged.is_empty());
    }
}
